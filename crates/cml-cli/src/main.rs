//! `cml`: the whole line, one command for each step.
//!
//! The only crate that prints. Results go to standard output, as text or as
//! one JSON object with `--json`; progress and errors go to standard error.
//! Exit codes: 0 done, 1 the work failed, 2 wrong usage or input.

// Comments on arguments are what `--help` prints, where `<` would be seen.
#![allow(rustdoc::bare_urls)]

mod border;
mod commands;
mod data;
mod exit;
mod folders;
mod found;
mod host;
mod input_data;
mod kinds;
mod output;
mod passphrase;
mod progress;
mod ptq;
mod requirements;
mod rows;
mod samples;
mod score;
mod show;
mod spec;

use clap::{Parser, Subcommand};
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cml", version, about, max_term_width = 100)]
struct Cli {
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[cfg(feature = "train")]
    Train(commands::train::Args),
    Import(commands::import::Args),
    Quantize(commands::quantize::Args),
    Inspect(commands::inspect::Args),
    Analyze(commands::analyze::Args),
    Compile(commands::compile::Args),
    Plan(commands::plan::Args),
    Simulate(commands::simulate::Args),
    ExportClient(commands::export_client::Args),
    Keygen(commands::keygen::Args),
    Encrypt(commands::encrypt::Args),
    Run(commands::run::Args),
    #[cfg(feature = "serve")]
    Serve(commands::serve::Args),
    Decrypt(commands::decrypt::Args),
    Predict(commands::predict::Args),
    Client(commands::client::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        #[cfg(feature = "train")]
        Command::Train(args) => commands::train::run(args),
        Command::Import(args) => commands::import::run(args),
        Command::Quantize(args) => commands::quantize::run(args),
        Command::Inspect(args) => commands::inspect::run(args),
        Command::Analyze(args) => commands::analyze::run(args),
        Command::Compile(args) => commands::compile::run(args),
        Command::Plan(args) => commands::plan::run(args),
        Command::Simulate(args) => commands::simulate::run(args),
        Command::ExportClient(args) => commands::export_client::run(args),
        Command::Keygen(args) => commands::keygen::run(args),
        Command::Encrypt(args) => commands::encrypt::run(args),
        Command::Run(args) => commands::run::run(args),
        #[cfg(feature = "serve")]
        Command::Serve(args) => commands::serve::run(args, cli.json),
        Command::Decrypt(args) => commands::decrypt::run(args),
        Command::Predict(args) => commands::predict::run(args),
        Command::Client(args) => commands::client::run(args),
    };
    match result {
        Ok(report) => {
            let code = match (&report.failed, &report.refused) {
                (Some(_), _) => exit::FAILED,
                (None, Some(_)) => exit::USAGE,
                (None, None) => exit::DONE,
            };
            if let Err(error) = show::print(&report, cli.json) {
                complain(format_args!("cannot write to standard output: {error}"));
                return ExitCode::from(exit::FAILED);
            }
            if let Some(why) = report.failed.or(report.refused) {
                complain(why);
            }
            ExitCode::from(code)
        }
        Err(error) => {
            complain(exit::message(&error));
            ExitCode::from(exit::code(&error))
        }
    }
}

/// One line on standard error. The disk that is full may be the one that it goes to.
fn complain(why: impl Display) {
    let _ = writeln!(std::io::stderr(), "error: {why}");
}
