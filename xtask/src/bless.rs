//! `cargo xtask bless`: accepts every snapshot as the tests now produce it.

use crate::{args, test, tools};
use anyhow::Result;
use std::process::ExitCode;

/// Help text.
pub(crate) const HELP: &str = "\
run the tests and accept every snapshot that differs
usage: cargo xtask bless [--no-train] [-- CARGO-TEST-ARGS]

  --no-train  only the crates that need no libtorch (cargo's default members)

Read `git diff -- '*.snap'` afterwards.
";

/// Runs the command.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let args = args::parse(args, &["--no-train"], true)?;
    let mut command = test::command(!args.has("--no-train"))?;
    // Passing on lets a test with several snapshots reach its last.
    command.env("INSTA_UPDATE", "always").env("INSTA_FORCE_PASS", "1");
    tools::run(command.arg("--no-fail-fast").args(&args.rest))?;
    eprintln!("snapshots are accepted: read `git diff -- '*.snap'`");
    Ok(ExitCode::SUCCESS)
}
