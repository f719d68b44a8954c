//! `cargo xtask ci`: what has to hold before a change goes in.

use crate::{deny, setup, test, tidy, tools};
use anyhow::Result;
use std::process::ExitCode;

/// Setup, tidy, deny, each side alone, test: what has to hold before a change goes in.
///
/// Each side alone: cml-tfhe is checked without its features, as the client and as the server; then
/// cml-client and cml-serve. Snapshots are compared, never written, when the variable CI is set.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(Args {}: Args) -> Result<ExitCode> {
    if !tools::in_ci() {
        eprintln!("note: CI is not set, so snapshots that differ leave .snap.new files");
    }
    setup::run(setup::Args::default())?;
    tidy::run(tidy::Args::default())?;
    deny::run(deny::Args::default())?;
    sides()?;
    test::run(test::Args::default())
}

/// What a client or a server builds must not need the other side: neither tests nor lints of the
/// workspace would notice, because there both are on.
fn sides() -> Result<()> {
    for side in ["", "client", "server"] {
        let mut command = tools::cargo(None)?;
        command.args(["check", "--package", "cml-tfhe", "--no-default-features"]);
        tools::run(command.args(["--features", side]))?;
    }
    for package in ["cml-client", "cml-serve"] {
        tools::run(tools::cargo(None)?.args(["check", "--package", package]))?;
    }
    Ok(())
}
