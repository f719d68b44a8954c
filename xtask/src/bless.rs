//! `cargo xtask bless`: accepts every snapshot as the tests now produce it.

use crate::{test, tools};
use anyhow::Result;
use std::process::ExitCode;

/// Run the tests and accept every snapshot that differs.
///
/// Read `git diff -- '*.snap'` afterwards.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    test: test::Args,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let args = args.test;
    let mut command = test::command(!args.no_train)?;
    // Passing on lets a test with several snapshots reach its last.
    command.env("INSTA_UPDATE", "always").env("INSTA_FORCE_PASS", "1");
    tools::run(command.arg("--no-fail-fast").args(&args.rest))?;
    eprintln!("snapshots are accepted: read `git diff -- '*.snap'`");
    Ok(ExitCode::SUCCESS)
}
