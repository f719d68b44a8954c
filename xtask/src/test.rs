//! `cargo xtask test`: everything, in release mode, because cryptography without optimization
//! takes hours.

use crate::{libtorch, seeds, tools};
use anyhow::Result;
use std::process::{Command, ExitCode};

/// Set up libtorch and run all tests.
///
/// After the tests it runs the checks of `cargo xtask seeds --quick`: small trainings, with
/// thresholds that a broken quantizer would miss. Not with --no-train, and not if arguments are
/// passed on, which choose some of the tests.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "Example: cargo xtask test -- --test it NAME -- --nocapture")]
pub(crate) struct Args {
    /// Only the crates that need no libtorch (cargo's default members).
    #[arg(long)]
    pub(crate) no_train: bool,
    /// Arguments of `cargo test`.
    #[arg(last = true, value_name = "CARGO-TEST-ARGS")]
    pub(crate) rest: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let train = !args.no_train;
    let mut command = command(train)?;
    if tools::in_ci() {
        // A snapshot that differs must fail, not leave a file behind.
        command.env("INSTA_UPDATE", "no");
    }
    tools::run(command.args(&args.rest))?;
    if !train || !args.rest.is_empty() {
        eprintln!("leaving out the checks of `cargo xtask seeds --quick`");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("tests passed; now the checks of `cargo xtask seeds --quick`");
    seeds::quick(false)
}

/// `cargo test` of the workspace, or of what needs no libtorch.
pub(crate) fn command(train: bool) -> Result<Command> {
    let libtorch = if train { Some(libtorch::ensure()?) } else { None };
    let mut command = tools::cargo(libtorch.as_ref())?;
    command.args(["test", "--release"]);
    if train {
        command.arg("--workspace");
    } else {
        eprintln!("leaving out the crates that need libtorch: cml-nn, cml-cli");
    }
    Ok(command)
}
