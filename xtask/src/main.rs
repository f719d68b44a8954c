//! Project automation: `cargo xtask COMMAND`.
//!
//! One file per command, each with its arguments and what `--help` says; `tools` runs programs,
//! `libtorch` finds or provides the library that training needs. Exit codes: 0 done, 1 the work
//! failed, 2 wrong usage.

mod bench;
mod bless;
mod cache;
mod ci;
mod demo;
mod deny;
mod edges;
mod fuzz;
mod libtorch;
mod pip;
mod portable;
mod prose;
mod provide;
mod recipes;
mod record;
mod rules;
mod seeds;
mod setup;
mod source;
mod test;
mod tidy;
mod tools;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Project automation: set-up, tests, the demo, the results.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Seeds(seeds::Args),
    Bench(bench::Args),
    Test(test::Args),
    Setup(setup::Args),
    Bless(bless::Args),
    Fuzz(fuzz::Args),
    Tidy(tidy::Args),
    Deny(deny::Args),
    Ci(ci::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => demo::run(args),
        Command::Seeds(args) => seeds::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Test(args) => test::run(args),
        Command::Setup(args) => setup::run(args),
        Command::Bless(args) => bless::run(args),
        Command::Fuzz(args) => fuzz::run(args),
        Command::Tidy(args) => tidy::run(args),
        Command::Deny(args) => deny::run(args),
        Command::Ci(args) => ci::run(args),
    };
    result.unwrap_or_else(|error| match error.downcast::<clap::Error>() {
        Ok(wrong_usage) => wrong_usage.exit(),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    fn error(args: &[&str]) -> clap::Error {
        let args = ["cargo xtask"].iter().chain(args);
        match Cli::try_parse_from(args) {
            Ok(_) => panic!("these arguments are accepted"),
            Err(error) => error,
        }
    }

    #[test]
    fn every_command_and_every_argument_says_what_it_is() {
        let mut cli = Cli::command();
        cli.build();
        cli.clone().debug_assert();
        for command in cli.get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for arg in command.get_arguments() {
                assert!(
                    arg.get_help().is_some(),
                    "{} {}",
                    command.get_name(),
                    arg.get_id()
                );
            }
        }
    }

    #[test]
    fn wrong_usage_ends_with_2_and_help_with_0() {
        for args in [
            &["fly"][..],
            &[],
            &["demo", "--jsn"],
            &["demo", "--samples", "0"],
            &["demo", "--samples"],
            &["seeds", "--quick", "--reuse"],
            &["seeds", "--only", "nothing"],
            &["bench", "--kernels", "--peer"],
            &["bench", "--network", "x.onnx"],
            &["fuzz", "--only", "nothing"],
            &["tidy", "--", "--json"],
        ] {
            assert_eq!(error(args).exit_code(), 2, "{args:?}");
        }
        for args in [&["--help"][..], &["help", "test"], &["test", "-h"]] {
            assert_eq!(error(args).exit_code(), 0, "{args:?}");
        }
    }

    #[test]
    fn what_stands_after_two_dashes_goes_to_cargo() {
        let args = [
            "cargo xtask",
            "test",
            "--no-train",
            "--",
            "--test",
            "it",
            "--",
            "--help",
        ];
        let Ok(Cli {
            command: Command::Test(args),
        }) = Cli::try_parse_from(args)
        else {
            panic!("not the command `test`");
        };
        assert_eq!(args.rest, ["--test", "it", "--", "--help"]);
        assert_eq!(error(&["test", "--nocapture"]).kind(), ErrorKind::UnknownArgument);
    }
}
