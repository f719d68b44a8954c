//! `cargo xtask ci`: what has to hold before a change goes in.

use crate::{args, setup, test, tidy, tools};
use anyhow::Result;
use std::process::ExitCode;

/// Help text.
pub(crate) const HELP: &str = "\
setup, tidy, test: what has to hold before a change goes in
usage: cargo xtask ci

Snapshots are compared, never written, when the variable CI is set.
";

/// Runs the command.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    args::parse(args, &[], false)?;
    if !tools::in_ci() {
        eprintln!("note: CI is not set, so snapshots that differ leave .snap.new files");
    }
    setup::run(&[])?;
    tidy::run(&[])?;
    test::run(&[])
}
