//! The same networks in Concrete ML, in an environment of its own.

use super::{Results, measure, networks, store};
use crate::pip::last_lines;
use crate::tools::{Cml, capture_json, find_program, root, run};
use anyhow::{Context as _, Result, bail};
use clap::error::ErrorKind;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The one version that is compared with.
const REQUIREMENT: &str = "concrete-ml==1.9.0";
/// Pythons that it has packages for.
const PYTHONS: [u32; 5] = [12, 11, 10, 9, 8];

/// A network, and what it is called there.
struct Case {
    /// Ours.
    network: &'static str,
    peer: &'static str,
    /// Of `peer.py`.
    settings: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        network: "checkerboard_peer",
        peer: "checkerboard",
        settings: &["exact@1000"],
    },
    Case {
        network: "checkerboard_peer_layers",
        peer: "checkerboard",
        settings: &["exact"],
    },
    Case {
        network: "checkerboard_peer_small_keys",
        peer: "checkerboard",
        settings: &["approximate-6", "approximate-6@1000"],
    },
    Case {
        network: "checkerboard_peer_approximate",
        peer: "checkerboard",
        settings: &["approximate-6"],
    },
    Case {
        network: "iris_small",
        peer: "iris",
        settings: &["exact"],
    },
    Case {
        network: "digits_small_approximate",
        peer: "digits",
        settings: &["approximate-6", "example"],
    },
];

/// Names of all results, in the order of the page.
pub(crate) fn names() -> impl Iterator<Item = String> {
    CASES
        .iter()
        .flat_map(|case| case.settings.iter().map(|setting| name(case, setting)))
}

fn name(case: &Case, setting: &str) -> String {
    format!("peer_{}_{setting}", case.network)
}

/// A choice of cases.
pub(crate) struct Chosen(Vec<&'static Case>);

/// The cases of these networks; of no name, all.
pub(crate) fn choose(only: &[String]) -> Result<Chosen> {
    if only.is_empty() {
        return Ok(Chosen(CASES.iter().collect()));
    }
    let named = |name: &String| {
        CASES.iter().find(|case| case.network == *name).ok_or_else(|| {
            let names: Vec<&str> = CASES.iter().map(|case| case.network).collect();
            let names = names.join(", ");
            let message = format!("no network `{name}` with a peer; there are {names}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).into()
        })
    };
    only.iter().map(named).collect::<Result<_>>().map(Chosen)
}

/// Runs each network here, then there, setting by setting.
pub(crate) fn measure(cml: &Cml, chosen: &Chosen, samples: u64) -> Result<Results> {
    let python = environment()?;
    let (mut results, mut failed) = (Results::new(), Vec::new());
    for case in &chosen.0 {
        let known = networks::all()
            .into_iter()
            .find(|network| network.name == case.network);
        let network = known.with_context(|| format!("no network `{}`", case.network))?;
        for setting in case.settings {
            let ours = store::save(&network.name, measure::measure(cml, &network, samples)?)?;
            match theirs(&python, case, setting, samples) {
                Ok(theirs) => {
                    let result =
                        json!({"network": case.network, "setting": setting, "ours": ours, "peer": theirs});
                    let name = name(case, setting);
                    results.insert(name.clone(), store::save(&name, result)?);
                }
                Err(error) => {
                    eprintln!("error: {} in {REQUIREMENT}, {setting}: {error:#}", case.network);
                    failed.push(format!("{} {setting}", case.network));
                }
            }
        }
    }
    if !failed.is_empty() {
        bail!(
            "{} runs of {REQUIREMENT} failed: {}",
            failed.len(),
            failed.join(", ")
        );
    }
    Ok(results)
}

/// The peer's figures, with the median of all inferences but the first.
fn theirs(python: &Path, case: &Case, setting: &str, samples: u64) -> Result<Value> {
    let mut command = Command::new(python);
    command
        .current_dir(root()?)
        .args(["xtask/src/bench/peer.py", case.peer, setting]);
    command.arg((samples + 1).to_string());
    if case.peer == "checkerboard" {
        command.arg("crates/cml-onnx/tests/vectors/checkerboard_peer.qonnx.onnx");
    }
    let mut result = capture_json(&mut command)?;
    let seconds = result["inference_seconds"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let later = seconds.iter().skip(1).filter_map(Value::as_f64).collect();
    result["median_seconds"] = json!(measure::median(later));
    Ok(result)
}

/// The environment's Python; makes it if it is not there.
fn environment() -> Result<PathBuf> {
    let folder = root()?.join(store::FOLDER).join("peer");
    let (python, stamp) = (folder.join("bin/python"), folder.join("cml-stamp"));
    if fs::read_to_string(&stamp).is_ok_and(|text| text.trim() == REQUIREMENT) {
        return Ok(python);
    }
    if folder.exists() {
        // Of an interrupted run, or of another version.
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let base = base_python()?;
    run(Command::new(&base).args(["-m", "venv"]).arg(&folder))
        .context("python3 cannot make an environment: `apt-get install python3-venv`")?;
    eprintln!("installing {REQUIREMENT} by pip: some 3 GB to download, 6 GB on disk");
    let pip = ["-m", "pip", "install", "--quiet", REQUIREMENT];
    let output = Command::new(&python).args(pip).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {}", python.display()))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("pip could not install {REQUIREMENT}: {}", last_lines(&text, 5));
    }
    fs::write(&stamp, REQUIREMENT).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(python)
}

/// A Python of a version that the peer has packages for.
fn base_python() -> Result<PathBuf> {
    let named = PYTHONS.iter().map(|minor| format!("python3.{minor}"));
    let found: Vec<(PathBuf, String)> = named
        .chain(["python3".to_owned()])
        .filter_map(find_program)
        .filter_map(|python| Some((python.clone(), version(&python)?)))
        .collect();
    let fits = |version: &str| PYTHONS.iter().any(|minor| version == format!("3.{minor}"));
    if let Some((python, _)) = found.iter().find(|(_, version)| fits(version)) {
        return Ok(python.clone());
    }
    let versions: Vec<&str> = found.iter().map(|(_, version)| version.as_str()).collect();
    let has = if versions.is_empty() {
        "none".to_owned()
    } else {
        versions.join(", ")
    };
    bail!("{REQUIREMENT} needs a Python from 3.8 to 3.12 on PATH, found is {has}")
}

/// `3.11`, if the program runs: a version manager's stand-in may not.
fn version(python: &Path) -> Option<String> {
    let code = "import sys; print('%d.%d' % sys.version_info[:2])";
    let output = Command::new(python)
        .args(["-c", code])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_a_network_of_ours() {
        let known: Vec<String> = networks::all().into_iter().map(|network| network.name).collect();
        assert!(
            CASES
                .iter()
                .all(|case| known.iter().any(|name| name == case.network))
        );
        let error = choose(&["mnist_20".to_owned()]).err().unwrap();
        assert_eq!(error.downcast::<clap::Error>().unwrap().exit_code(), 2);
    }
}
