//! pip as a downloader of pinned wheels.

use crate::libtorch::VERSION;
use crate::tools;
use anyhow::{Context as _, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A wheel: package, version, SHA-256.
pub(crate) type Wheel = (&'static str, &'static str, &'static str);

/// The CPU library of this build refers to two small CUDA libraries, so they come too. The tag
/// (CPython 3.11) is pinned with the hash; it says nothing about the Python that runs pip.
pub(crate) const WHEELS: [Wheel; 3] = [
    (
        "torch",
        VERSION,
        "60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7",
    ),
    (
        "nvidia-cuda-runtime",
        "13.5.37",
        "df2b79a8852f10d1fef8c848489c49eebb5754051bf870202a862831412b179d",
    ),
    (
        "nvidia-cuda-cupti",
        "13.5.25",
        "9dcca41c12a734192b14e7128ae116bc9ce1b9da686e2ebf48ae7a4415f76650",
    ),
];

const DOWNLOAD_MB: u64 = 542;
const ELSEWHERE: &str = "or install libtorch 2.13.0 yourself and set LIBTORCH to its folder";

/// The python3 to run pip with.
pub(crate) fn python() -> Result<PathBuf> {
    let Some(python) = tools::find_program("python3") else {
        bail!("python3 is missing, which fetches libtorch: `apt-get install python3-pip`, {ELSEWHERE}");
    };
    let pip = Command::new(&python)
        .args(["-m", "pip", "--version"])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", python.display()))?;
    if !pip.status.success() {
        bail!(
            "python3 ({}) has no pip, which fetches libtorch: `apt-get install python3-pip` or \
             `python3 -m ensurepip`, {ELSEWHERE}",
            python.display()
        );
    }
    Ok(python)
}

/// Downloads the pinned wheels into `wheels`, with everything else it needs in `work`.
pub(crate) fn download(python: &Path, work: &Path, wheels: &Path) -> Result<()> {
    let (log, list, scratch) = (work.join("pip.log"), work.join("wheels.txt"), work.join("tmp"));
    fs::create_dir(&scratch)?;
    fs::write(&list, requirements(&WHEELS))?;
    let out = File::create(&log)?;
    eprintln!("downloading PyTorch {VERSION} by pip, {DOWNLOAD_MB} MB");
    let mut pip = Command::new(python)
        .args([
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--no-cache-dir",
            "--progress-bar",
            "off",
        ])
        .args([
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--python-version",
            "3.11",
        ])
        .args(["--implementation", "cp", "--abi", "cp311"])
        .args([
            "--platform",
            "manylinux_2_28_x86_64",
            "--platform",
            "manylinux_2_25_x86_64",
        ])
        .args([
            "--platform",
            "manylinux_2_17_x86_64",
            "--platform",
            "manylinux2014_x86_64",
        ])
        .arg("--dest")
        .arg(wheels)
        .arg("--requirement")
        .arg(&list)
        // On the file system whose room was checked, not in a small /tmp.
        .env("TMPDIR", &scratch)
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .spawn()
        .context("cannot run pip")?;
    let mut ticks = 0u32;
    let status = loop {
        if let Some(status) = pip.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(250));
        ticks += 1;
        if ticks.is_multiple_of(12) {
            let mb = (bytes_under(&scratch) + bytes_under(wheels)) / 1_000_000;
            eprintln!("  {} of {DOWNLOAD_MB} MB", mb.min(DOWNLOAD_MB));
        }
    };
    if !status.success() {
        let text = fs::read_to_string(&log).unwrap_or_default();
        bail!("{}", why_pip_failed(&text));
    }
    fs::remove_dir_all(&scratch).context("cannot remove pip's scratch folder")
}

/// Sizes of all files below a folder; what vanishes meanwhile counts nothing.
fn bytes_under(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => bytes_under(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}

fn why_pip_failed(log: &str) -> String {
    let lines = last_lines(log, 8);
    if log.contains("DO NOT MATCH THE HASHES") {
        format!(
            "a downloaded wheel is not the pinned one (SHA-256 differs), so nothing was kept; check \
             which index pip uses (`python3 -m pip config list`), {ELSEWHERE}; pip said:\n{lines}"
        )
    } else if log.contains("No space left on device") {
        format!("the disk filled up: set CML_CACHE to another place; pip said:\n{lines}")
    } else {
        format!(
            "pip could not download PyTorch {VERSION}: check the network and pip's settings \
             (`python3 -m pip config list`) and try again, {ELSEWHERE}; pip said:\n{lines}"
        )
    }
}

/// The last `count` lines that are not blank.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// pip's requirements file; a wheel without a hash is refused by `--require-hashes`.
pub(crate) fn requirements(wheels: &[Wheel]) -> String {
    wheels
        .iter()
        .map(|(name, version, hash)| format!("{name}=={version} --hash=sha256:{hash}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requirements_pin_version_and_hash() {
        let text = requirements(&[("torch", "2.13.0", "ab")]);
        assert_eq!(text, "torch==2.13.0 --hash=sha256:ab\n");
        assert!(WHEELS.iter().all(|(_, _, hash)| hash.len() == 64));
        assert!(ELSEWHERE.contains(VERSION));
    }

    #[test]
    fn pip_failures_are_told_apart() {
        let hash = why_pip_failed("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM\n\n  Got ab\n");
        assert!(hash.contains("not the pinned one") && hash.ends_with("Got ab"));
        assert!(why_pip_failed("No space left on device").contains("CML_CACHE"));
        assert!(why_pip_failed("Connection refused").contains("network"));
    }
}
