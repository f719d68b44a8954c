//! `cargo xtask demo`: not written yet. A non-empty `HELP` lists it.

use anyhow::{Result, bail};
use std::process::ExitCode;

/// Empty: the command is not listed.
pub(crate) const HELP: &str = "";

/// Runs the command.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    crate::args::parse(args, &[], false)?;
    bail!("the demo is not written yet")
}
