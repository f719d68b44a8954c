//! The per-user cache: one folder per recipe, complete only with its stamp.
//!
//! The stamp is written last, before the folder gets its name. It holds the recipe, and size and
//! SHA-256 of every library; a run compares the sizes, `--verify` the hashes.

use crate::libtorch::{Depth, VERSION};
use crate::provide::{LIBRARIES, recipe};
use crate::tools;
use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const STAMP: &str = "cml-stamp.json";

/// The per-user cache: a folder for each thing that is kept.
pub(crate) fn parent() -> Result<PathBuf> {
    let set = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(folder) = set("CML_CACHE") {
        // Cargo takes a relative path from elsewhere.
        std::path::absolute(folder).context("CML_CACHE is not a path")
    } else if let Some(folder) = set("XDG_CACHE_HOME").filter(|folder| folder.is_absolute()) {
        Ok(folder.join("cml"))
    } else if let Some(home) = set("HOME") {
        Ok(home.join(".cache/cml"))
    } else {
        bail!("no place for the cache: HOME is not set; set it or CML_CACHE")
    }
}

/// Where libtorch is kept, whether or not it is there.
pub(crate) fn folder() -> Result<PathBuf> {
    Ok(parent()?.join(format!("libtorch-{VERSION}-linux-x86_64")))
}

/// Whether xtask made this folder, or it is where xtask would make one.
pub(crate) fn is_ours(path: &Path) -> bool {
    path.join(STAMP).exists() || folder().is_ok_and(|folder| folder == path)
}

/// Writes the stamp from the unpacker's report: `{"lib/NAME": {"bytes": n, "sha256": "…"}}`.
pub(crate) fn write_stamp(folder: &Path, files: Map<String, Value>) -> Result<()> {
    let stamp = json!({ "recipe": recipe(), "files": files });
    fs::write(folder.join(STAMP), format!("{stamp:#}\n")).context("cannot write the stamp")
}

/// Whether the folder is complete; the message says what is not.
pub(crate) fn check(folder: &Path, depth: Depth) -> Result<(), String> {
    let text = fs::read_to_string(folder.join(STAMP)).map_err(|_| format!("it has no {STAMP}"))?;
    let stamp: Value =
        serde_json::from_str(&text).map_err(|error| format!("{STAMP} is not JSON: {error}"))?;
    if stamp["recipe"] != recipe() {
        return Err("it was made from other wheels".to_owned());
    }
    for name in LIBRARIES {
        let entry = &stamp["files"][name];
        let needed = entry["bytes"]
            .as_u64()
            .ok_or_else(|| format!("the stamp lacks {name}"))?;
        let has = fs::metadata(folder.join(name))
            .map_err(|_| format!("{name} is missing"))?
            .len();
        if has != needed {
            return Err(format!("{name} has {has} bytes, needed {needed}"));
        }
    }
    if !folder.join("include/torch/csrc/api/include").is_dir() {
        return Err("the headers are missing".to_owned());
    }
    match depth {
        Depth::Sizes => Ok(()),
        Depth::Hashes => check_hashes(folder, &stamp),
    }
}

fn check_hashes(folder: &Path, stamp: &Value) -> Result<(), String> {
    let program = tools::find_program("sha256sum")
        .ok_or("--verify needs the program sha256sum (coreutils), which is not on PATH")?;
    eprintln!("hashing {} libraries", LIBRARIES.len());
    let output = Command::new(program)
        .current_dir(folder)
        .args(LIBRARIES)
        .output()
        .map_err(|error| format!("cannot run sha256sum: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let hashes = parse_sums(&text);
    for name in LIBRARIES {
        let needed = stamp["files"][name]["sha256"].as_str().unwrap_or("none");
        let has = hashes
            .iter()
            .find(|(file, _)| *file == name)
            .map_or("none", |(_, hash)| hash);
        if has != needed {
            return Err(format!("{name} has SHA-256 {has}, needed {needed}"));
        }
    }
    Ok(())
}

/// Lines `HASH  NAME` (or `HASH *NAME`) as (name, hash).
fn parse_sums(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(hash, name)| (name.trim_start_matches([' ', '*']), hash))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that holds `files`, each library with the text "x".
    fn folder(name: &str) -> PathBuf {
        let folder = env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("lib")).unwrap();
        fs::create_dir_all(folder.join("include/torch/csrc/api/include")).unwrap();
        let mut files = Map::new();
        for library in LIBRARIES {
            fs::write(folder.join(library), "x").unwrap();
            let sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
            files.insert(library.to_owned(), json!({ "bytes": 1, "sha256": sha256 }));
        }
        write_stamp(&folder, files).unwrap();
        folder
    }

    #[test]
    fn sizes_see_what_is_cut_short_and_hashes_what_is_changed() {
        let folder = folder("cache");
        assert_eq!(check(&folder, Depth::Sizes), Ok(()));
        assert_eq!(check(&folder, Depth::Hashes), Ok(()));
        fs::write(folder.join(LIBRARIES[1]), "y").unwrap();
        assert_eq!(check(&folder, Depth::Sizes), Ok(()));
        let changed = check(&folder, Depth::Hashes).unwrap_err();
        assert!(
            changed.starts_with(&format!("{} has SHA-256 a1fce", LIBRARIES[1])),
            "{changed}"
        );
        fs::write(folder.join(LIBRARIES[1]), "").unwrap();
        let short = check(&folder, Depth::Sizes).unwrap_err();
        assert_eq!(short, format!("{} has 0 bytes, needed 1", LIBRARIES[1]));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn no_stamp_or_another_recipe_is_not_complete() {
        let folder = folder("stamp");
        fs::write(folder.join(STAMP), "{\"recipe\": \"older\"}").unwrap();
        assert_eq!(
            check(&folder, Depth::Sizes),
            Err("it was made from other wheels".to_owned())
        );
        fs::remove_file(folder.join(STAMP)).unwrap();
        assert_eq!(check(&folder, Depth::Sizes), Err(format!("it has no {STAMP}")));
        fs::remove_dir_all(&folder).unwrap();
    }
}
