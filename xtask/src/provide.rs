//! Provides libtorch from PyTorch's wheels: pip downloads and checks them, a small Python script
//! takes out the headers and the libraries that a processor needs.
//!
//! The wheels' hashes are pinned, so the libraries are the same for everyone, whatever index or
//! mirror pip is configured to use. All work happens in a sibling of the final folder, under a
//! lock; renaming it is the last step.

use crate::cache;
use crate::libtorch::{Depth, VERSION};
use crate::pip::{WHEELS, download, last_lines, python, requirements};
use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The libraries of a complete folder.
pub(crate) const LIBRARIES: [&str; 6] = [
    "lib/libtorch_cpu.so",
    "lib/libc10.so",
    "lib/libtorch.so",
    "lib/libgomp.so.1",
    "lib/libcudart.so.13",
    "lib/libcupti.so.13",
];

/// Peak of wheels and unpacked files together, with some room.
const DISK_MB: u64 = 1200;

/// What the cache's content depends on.
pub(crate) fn recipe() -> String {
    requirements(&WHEELS)
}

/// Fills `folder`, which is missing or not complete.
pub(crate) fn provide(folder: &Path, depth: Depth) -> Result<()> {
    if !cfg!(all(
        target_os = "linux",
        target_arch = "x86_64",
        target_env = "gnu"
    )) {
        bail!(
            "libtorch {VERSION} cannot be provided on {} {}: install it (a PyTorch {VERSION} of \
             python3 will do) and set LIBTORCH to its folder",
            std::env::consts::OS,
            std::env::consts::ARCH
        );
    }
    let parent = folder.parent().context("the cache has no parent folder")?;
    fs::create_dir_all(parent).with_context(|| {
        format!(
            "cannot create the cache {}: set CML_CACHE to another place",
            parent.display()
        )
    })?;
    let _lock = lock(&parent.join("libtorch.lock"))?;
    if cache::check(folder, depth).is_ok() {
        return Ok(()); // another run did it while this one waited
    }
    remove_leftovers(parent)?;
    let python = python()?;
    check_disk(parent)?;
    let work = parent.join(format!("{LEFTOVER}{}", std::process::id()));
    fs::create_dir(&work).with_context(|| format!("cannot create {}", work.display()))?;
    let made = make(&python, &work).and_then(|made| swap(&made, folder, &work));
    let removed = fs::remove_dir_all(&work);
    made?;
    removed.with_context(|| format!("cannot remove {}", work.display()))
}

const LEFTOVER: &str = ".libtorch-unpacking-";

/// One run at a time: the others wait, then find the work done.
fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            eprintln!("another set-up is at work; waiting for it");
            file.lock()
                .with_context(|| format!("cannot lock {}", path.display()))?;
        }
        // Some network file systems have no locks. The final rename is atomic all the same.
        Err(TryLockError::Error(error)) => eprintln!("note: {} has no lock: {error}", path.display()),
    }
    Ok(file)
}

/// Removes what runs that were killed left behind; under the lock nobody else is at work.
fn remove_leftovers(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(LEFTOVER) {
            fs::remove_dir_all(entry.path())
                .with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// Fails early if the file system is too full. Where `df` says nothing, the work finds out.
fn check_disk(folder: &Path) -> Result<()> {
    let output = Command::new("df")
        .arg("-Pk")
        .arg(folder)
        .env("LC_ALL", "C")
        .output();
    let Some(free) = output
        .ok()
        .and_then(|out| free_mb(&String::from_utf8_lossy(&out.stdout)))
    else {
        return Ok(());
    };
    if free < DISK_MB {
        bail!(
            "{} has {free} MB free, needed {DISK_MB} MB while libtorch is unpacked (490 MB stay): \
             free some or set CML_CACHE to another place",
            folder.display()
        );
    }
    Ok(())
}

/// Free megabytes in the last line of `df -Pk`: name, blocks, used, available, capacity, mount.
fn free_mb(df: &str) -> Option<u64> {
    let available = df.lines().last()?.split_whitespace().nth(3)?;
    Some(available.parse::<u64>().ok()? * 1024 / 1_000_000)
}

/// Downloads and unpacks inside `work`; returns the finished folder.
fn make(python: &Path, work: &Path) -> Result<PathBuf> {
    let wheels = work.join("wheels");
    download(python, work, &wheels)?;
    eprintln!("unpacking headers and {} libraries", LIBRARIES.len());
    let made = work.join("libtorch");
    let output = Command::new(python)
        .args(["-c", include_str!("unpack.py")])
        .args([&wheels, &made])
        .arg(plan().to_string())
        .stdin(Stdio::null())
        .output()
        .context("cannot run python3")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("the wheels could not be unpacked: {}", last_lines(&text, 5));
    }
    let files: Map<String, Value> =
        serde_json::from_slice(&output.stdout).context("the unpacker's report is not JSON")?;
    fs::write(made.join("build-version"), format!("{VERSION}\n"))?;
    cache::write_stamp(&made, files)?;
    cache::check(&made, Depth::Sizes)
        .map_err(|problem| anyhow::anyhow!("the unpacked libtorch is not complete: {problem}"))?;
    Ok(made)
}

/// Puts the finished folder in place; an older one moves into `work`, to be removed with it.
fn swap(made: &Path, folder: &Path, work: &Path) -> Result<()> {
    if folder.exists() {
        fs::rename(folder, work.join("old"))
            .with_context(|| format!("cannot replace {}", folder.display()))?;
    }
    fs::rename(made, folder).with_context(|| format!("cannot create {}", folder.display()))
}

/// What the unpacker takes: headers, and every library from the wheel that has it.
fn plan() -> Value {
    let mut plan: Map<String, Value> = WHEELS.iter().map(|(n, ..)| ((*n).into(), json!({}))).collect();
    plan["torch"]["torch/include/"] = json!("include/");
    for place in LIBRARIES {
        let name = &place["lib/".len()..];
        let (wheel, folder) = match name {
            "libcudart.so.13" => ("nvidia-cuda-runtime", "nvidia/cu13/lib/"),
            "libcupti.so.13" => ("nvidia-cuda-cupti", "nvidia/cu13/lib/"),
            _ => ("torch", "torch/lib/"),
        };
        plan[wheel][format!("{folder}{name}")] = json!(place);
    }
    Value::Object(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_read_from_the_last_line() {
        let df = "Filesystem 1024-blocks Used Available Capacity Mounted on\ntmpfs 204800 0 204800 0% /x\n";
        assert_eq!(free_mb(df), Some(209));
        assert_eq!(free_mb("df: no such file"), None);
    }

    #[test]
    fn the_plan_takes_every_library_once() {
        let plan = plan().to_string();
        for place in LIBRARIES {
            assert_eq!(plan.matches(&format!("\"{place}\"")).count(), 1, "{place}");
        }
    }
}
