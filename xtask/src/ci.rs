//! `cargo xtask ci`: what has to hold before a change goes in.

use crate::{deny, record, setup, test, tidy, tools};
use anyhow::Result;
use std::process::{Command, ExitCode};

/// Setup, tidy, deny, each side alone, no libtorch, test: what has to hold before a change goes in.
///
/// Each side alone: cml-keys, cml-client and cml-serve are checked one by one, and cml-keys without its features. No libtorch: the default members are built where there is neither
/// libtorch nor a C++ compiler, and tests without cryptography run in the development profile.
/// Snapshots are compared, never written, when the variable CI is set.
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
    without_libtorch()?;
    test::run(test::Args::default())
}

/// Default members whose tests need no optimized cryptography.
const LIGHT: [&str; 6] = [
    "cml-file",
    "cml-ir",
    "cml-data",
    "cml-quant",
    "cml-onnx",
    "cml-bitwidth",
];

/// A user without C++ and libtorch builds and tests the default members. All tests run optimized
/// after this; here the light ones run with the checks of the development profile.
fn without_libtorch() -> Result<()> {
    let cargo = || -> Result<Command> {
        let mut command = tools::cargo(None)?;
        command.env("LIBTORCH", record::placeholder(&tools::root()?));
        command.env("CXX", "no-c++-compiler");
        Ok(command)
    };
    tools::run(cargo()?.args(["check", "--release", "--all-targets"]))?;
    let packages = LIGHT.iter().flat_map(|package| ["--package", package]);
    tools::run(cargo()?.arg("test").args(packages))
}

/// Features of the workspace are those that any crate asks for, so that neither tests nor lints
/// notice what a client or a server lacks when it is built alone.
fn sides() -> Result<()> {
    for package in ["cml-keys", "cml-client", "cml-serve"] {
        tools::run(tools::cargo(None)?.args(["check", "--release", "--package", package]))?;
    }
    // The secret side, without an operating system's files and randomness.
    let mut bare = tools::cargo(None)?;
    bare.args([
        "check",
        "--release",
        "--no-default-features",
        "--package",
        "cml-keys",
    ]);
    tools::run(&mut bare)?;
    Ok(())
}
