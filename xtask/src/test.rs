//! `cargo xtask test`: everything, in release mode, because cryptography without optimization
//! takes hours.

use crate::{args, libtorch, tools};
use anyhow::Result;
use std::process::{Command, ExitCode};

/// Help text.
pub(crate) const HELP: &str = "\
set up libtorch and run all tests
usage: cargo xtask test [--no-train] [-- CARGO-TEST-ARGS]

  --no-train  only the crates that need no libtorch (cargo's default members)

`cargo xtask test -- --test it NAME -- --nocapture` passes arguments on.
";

/// Runs the command.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let args = args::parse(args, &["--no-train"], true)?;
    let mut command = command(!args.has("--no-train"))?;
    if tools::in_ci() {
        // A snapshot that differs must fail, not leave a file behind.
        command.env("INSTA_UPDATE", "no");
    }
    tools::run(command.args(&args.rest))?;
    Ok(ExitCode::SUCCESS)
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
