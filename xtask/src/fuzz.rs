//! `cargo xtask fuzz`: any bytes are a file or a clear error.

use crate::tools;
use anyhow::{Context as _, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::thread;

/// Fuzz the readers of files of others.
///
/// Needs a C++ compiler, and installs cargo-fuzz if it is not there. As many targets run at a time as
/// there are cores. fuzz/corpus keeps what was found interesting, for the next run; target/fuzz the
/// logs; fuzz/artifacts the bytes on which a target failed. Exit code 1 if one fails.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long each target has a core.
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// This target only; may be given several times.
    #[arg(long, value_name = "NAME", value_parser = known_target)]
    only: Vec<String>,
}

/// Seconds for one file, even on a machine that is busy; longest file; most memory in MB.
const LIMITS: [&str; 3] = ["-timeout=300", "-max_len=65536", "-rss_limit_mb=4096"];
/// Where each target starts from, beside its corpus; the others make their own first file.
const SEEDS: [(&str, &str); 1] = [("import_onnx", "crates/cml-onnx/tests/vectors")];

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let Args { seconds, only } = args;
    let root = tools::root()?;
    let mut targets = targets(&root)?;
    targets.retain(|name| only.is_empty() || only.contains(name));
    if tools::find_program("cargo-fuzz").is_none() {
        tools::run(tools::cargo(None)?.args(["install", "--locked", "cargo-fuzz"]))?;
    }
    tools::run(&mut cargo_fuzz("build")?)?;

    let logs = root.join("target/fuzz");
    fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
    let cores = thread::available_parallelism().map_or(1, |n| n.get());
    let waiting = Mutex::new(targets.iter());
    let next = || waiting.lock().map(|mut names| names.next()).ok().flatten();
    let work = || -> Result<usize> {
        let mut failed = 0;
        while let Some(name) = next() {
            let log = logs.join(format!("{name}.log"));
            failed += usize::from(!fuzz(&root, name, seconds, &log)?);
        }
        Ok(failed)
    };
    let failed = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let ends = workers.into_iter().map(|worker| worker.join());
        ends.map(|end| end.unwrap_or_else(|_| bail!("a thread panicked")))
            .sum::<Result<usize>>()
    })?;
    if failed > 0 {
        bail!("{failed} of {} targets failed, limit 0", targets.len());
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs one target to its end; whether it found nothing.
fn fuzz(root: &Path, name: &str, seconds: u64, log: &Path) -> Result<bool> {
    let corpus = root.join("fuzz/corpus").join(name);
    fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
    let cannot = || format!("cannot write {}", log.display());
    let out = File::create(log).with_context(cannot)?;
    let mut command = cargo_fuzz("run")?;
    command.arg(name).arg(corpus);
    command.args(
        SEEDS
            .iter()
            .filter(|seed| seed.0 == name)
            .map(|seed| root.join(seed.1)),
    );
    command.args([
        "--",
        &format!("-max_total_time={seconds}"),
        "-print_final_stats=1",
    ]);
    command.args(LIMITS).stdin(Stdio::null());
    command.stdout(out.try_clone().with_context(cannot)?).stderr(out);
    eprintln!("{name}: {seconds} s, log in {}", log.display());
    let status = command.status().context("cannot start cargo fuzz")?;
    let text = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    let executed = executions(&String::from_utf8_lossy(&text));
    let executed = executed.map_or("unknown".to_owned(), |n| n.to_string());
    let end = if status.success() {
        "nothing found"
    } else {
        "FAILED"
    };
    println!("{name}: {executed} executions, {end}");
    Ok(status.success())
}

/// libFuzzer's own count at the end of a log.
fn executions(log: &str) -> Option<u64> {
    let line = log
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
    line.trim().parse().ok()
}

/// `cargo fuzz VERB` without a sanitizer: nothing here is unsafe, and a stable compiler will do.
fn cargo_fuzz(verb: &str) -> Result<Command> {
    let mut command = tools::cargo(None)?;
    command.args(["fuzz", verb, "--sanitizer", "none"]);
    Ok(command)
}

/// Names of all targets: files that have an entry.
fn targets(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("fuzz/fuzz_targets");
    let cannot = || format!("cannot read {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(cannot)? {
        let path: PathBuf = entry.with_context(cannot)?.path();
        let text = fs::read_to_string(&path).with_context(cannot)?;
        if text.contains("fuzz_target!(") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// A name of `--only`, if there is such a target.
fn known_target(name: &str) -> Result<String, String> {
    let all = tools::root().and_then(|root| targets(&root));
    let all = all.map_err(|error| format!("{error:#}"))?;
    if all.iter().any(|known| known == name) {
        Ok(name.to_owned())
    } else {
        Err(format!("there are {}", all.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_found_and_has_a_binary() {
        let root = tools::root().unwrap();
        let manifest = fs::read_to_string(root.join("fuzz/Cargo.toml")).unwrap();
        let all = targets(&root).unwrap();
        assert_eq!(manifest.matches("[[bin]]").count(), all.len());
        for name in &all {
            assert!(
                manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
                "{name}"
            );
        }
        assert_eq!(known_target(&all[1]), Ok(all[1].clone()));
        assert_eq!(known_target("cat"), Err(format!("there are {}", all.join(", "))));
    }

    #[test]
    fn seeds_are_there() {
        let root = tools::root().unwrap();
        for (_, folder) in SEEDS {
            assert!(root.join(folder).is_dir(), "{folder}");
        }
    }

    #[test]
    fn executions_are_read_from_a_log() {
        let log = "#8 pulse\nDone 3701 runs\nstat::number_of_executed_units: 8660000\n";
        assert_eq!(executions(log), Some(8_660_000));
        assert_eq!(executions("==1== ERROR: libFuzzer: deadly signal\n"), None);
    }
}
