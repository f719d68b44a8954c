//! `cargo xtask tidy`: formatting, lints, and the rules of the house.

use crate::{args, edges, libtorch, rules, source, tools};
use anyhow::{Result, bail};
use std::process::ExitCode;

/// Help text.
pub(crate) const HELP: &str = "\
check formatting, lints and the rules of the house
usage: cargo xtask tidy [--no-clippy]

  --no-clippy  leave out the lints, which build the workspace

Rules: dependency edges as in the architecture page; one file names petgraph, one
per crate names bincode; operations of a graph are matched whole; tfhe stays inside
cml-tfhe's noise, keys and exec; files under 500 lines; nothing left undone; no
machine's paths, no registries; README names its two commands; only cml-cli and xtask
print. Without libtorch the crates that need it are left out of the lints, except when
CI is set.
";

/// Runs the command; every check runs, whatever the others say.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let args = args::parse(args, &["--no-clippy"], false)?;
    let mut broken = 0;
    let mut tell = |error: anyhow::Error| {
        eprintln!("error: {error:#}");
        broken += 1;
    };
    house_rules().unwrap_or_else(&mut tell);
    format().unwrap_or_else(&mut tell);
    if !args.has("--no-clippy") {
        lints().unwrap_or_else(&mut tell);
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
    let libtorch = libtorch::known();
    let mut command = tools::cargo(libtorch.as_ref())?;
    command.arg("clippy");
    if libtorch.is_some() || tools::in_ci() {
        command.arg("--workspace");
    } else {
        eprintln!("note: libtorch is not set up, so cml-nn and cml-cli are not linted");
    }
    tools::run(command.args(["--all-targets", "--release", "--", "-D", "warnings"]))
}
