//! Project automation: `cargo xtask COMMAND`.
//!
//! One file per command; `tools` runs programs, `libtorch` finds or provides the library that
//! training needs. Exit codes: 0 done, 1 the work failed, 2 wrong usage.

mod args;
mod bench;
mod bless;
mod cache;
mod ci;
mod demo;
mod edges;
mod fuzz;
mod libtorch;
mod pip;
mod provide;
mod record;
mod rules;
mod seeds;
mod setup;
mod source;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

/// One entry of the command table.
struct Command {
    name: &'static str,
    /// What `--help` of the command prints; its first line is the summary. Empty: not listed.
    help: &'static str,
    run: fn(&[String]) -> anyhow::Result<ExitCode>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "demo",
        help: demo::HELP,
        run: demo::run,
    },
    Command {
        name: "seeds",
        help: seeds::HELP,
        run: seeds::run,
    },
    Command {
        name: "bench",
        help: bench::HELP,
        run: bench::run,
    },
    Command {
        name: "test",
        help: test::HELP,
        run: test::run,
    },
    Command {
        name: "setup",
        help: setup::HELP,
        run: setup::run,
    },
    Command {
        name: "bless",
        help: bless::HELP,
        run: bless::run,
    },
    Command {
        name: "fuzz",
        help: fuzz::HELP,
        run: fuzz::run,
    },
    Command {
        name: "tidy",
        help: tidy::HELP,
        run: tidy::run,
    },
    Command {
        name: "ci",
        help: ci::HELP,
        run: ci::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    dispatch(&args).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        let usage = error.downcast_ref::<args::Usage>().is_some();
        ExitCode::from(if usage { 2 } else { 1 })
    })
}

fn dispatch(args: &[String]) -> anyhow::Result<ExitCode> {
    let (name, rest) = match args.split_first() {
        None => {
            eprint!("{}", overview());
            return Ok(ExitCode::from(2));
        }
        Some((first, rest)) => (first.as_str(), rest),
    };
    if matches!(name, "--help" | "-h" | "help") {
        print!("{}", overview());
        return Ok(ExitCode::SUCCESS);
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        let names: Vec<_> = listed().map(|command| command.name).collect();
        return Err(args::usage(format!(
            "no command `{name}`; there are {}",
            names.join(", ")
        )));
    };
    if args::asks_for_help(rest) {
        print!("{}", command.help);
        return Ok(ExitCode::SUCCESS);
    }
    (command.run)(rest)
}

fn listed() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter().filter(|command| !command.help.is_empty())
}

fn overview() -> String {
    let mut text = String::from("usage: cargo xtask COMMAND [OPTIONS]\n\n");
    for command in listed() {
        let summary = command.help.lines().next().unwrap_or_default();
        text.push_str(&format!("  {:<6} {summary}\n", command.name));
    }
    text.push_str("\n`cargo xtask COMMAND --help` tells more\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_command_has_a_summary_and_its_options() {
        for command in listed() {
            assert!(command.help.contains("usage: cargo xtask"), "{}", command.name);
            assert!(command.help.ends_with('\n'), "{}", command.name);
        }
    }

    #[test]
    fn an_unknown_command_is_wrong_usage() {
        let error = dispatch(&["fly".to_owned()]).unwrap_err();
        assert!(error.downcast_ref::<args::Usage>().is_some());
        assert!(error.to_string().contains("no command `fly`"));
    }
}
