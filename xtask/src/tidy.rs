//! `cargo xtask tidy`: formatting, lints, and the rules of the house.

use crate::{edges, libtorch, rules, source, tools};
use anyhow::{Result, bail};
use std::process::{Command, ExitCode};

/// Check formatting, lints, documentation and the rules of the house.
///
/// Rules: dependency edges as in the architecture page; one file names petgraph, one per crate names
/// bincode; tfhe stays inside the crates of keys and execution and the noise model; files under 500 lines; nothing left
/// undone; no machine's paths, no registries; what a crate embeds lies in its folder; README names
/// its two commands; only cml-cli and xtask print; paths that pages name are there, and so is what
/// docs/extending.md names.
///
/// Documentation must build without warnings. Without libtorch the crates that need it are left out
/// of lints and documentation, except when CI is set.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Leave out the lints and the documentation, which build the workspace.
    #[arg(long)]
    no_clippy: bool,
}

/// Runs the command; every check runs, whatever the others say.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let mut broken = 0;
    let mut tell = |error: anyhow::Error| {
        eprintln!("error: {error:#}");
        broken += 1;
    };
    house_rules().unwrap_or_else(&mut tell);
    format().unwrap_or_else(&mut tell);
    if !args.no_clippy {
        lints().unwrap_or_else(&mut tell);
        docs().unwrap_or_else(&mut tell);
    }
    if broken > 0 {
        bail!("tidy: {broken} of its checks failed");
    }
    eprintln!("tidy");
    Ok(ExitCode::SUCCESS)
}

fn house_rules() -> Result<()> {
    let root = tools::root()?;
    let files = source::files(&root)?;
    let mut findings = edges::check(&root)?;
    findings.extend(rules::RULES.iter().flat_map(|rule| rule(&files)));
    for finding in &findings {
        eprintln!("{finding}");
    }
    if !findings.is_empty() {
        bail!(
            "the rules of the house are broken in {} places, limit 0",
            findings.len()
        );
    }
    eprintln!("{} files follow the rules of the house", files.len());
    Ok(())
}

fn format() -> Result<()> {
    tools::run(tools::cargo(None)?.args(["fmt", "--all", "--check"]))
}

fn lints() -> Result<()> {
    let mut command = over_all("clippy")?;
    tools::run(command.args(["--all-targets", "--release", "--", "-D", "warnings"]))
}

/// In release mode, where the lints have read the dependencies already.
fn docs() -> Result<()> {
    let mut command = over_all("doc")?;
    command.env("RUSTDOCFLAGS", "-D warnings");
    tools::run(command.args(["--no-deps", "--release"]))
}

/// A command of cargo for all crates that can be built here.
fn over_all(name: &str) -> Result<Command> {
    let libtorch = libtorch::known();
    let mut command = tools::cargo(libtorch.as_ref())?;
    command.arg(name);
    if libtorch.is_some() || tools::in_ci() {
        command.arg("--workspace");
    } else {
        eprintln!("note: libtorch is not set up: `cargo {name}` leaves out cml-nn and cml-cli");
    }
    Ok(command)
}
