//! Where things of the user are kept.

use anyhow::{Context, Result, bail};
use std::env;
use std::path::{Path, PathBuf};

/// `CML_CACHE`, or `cml` in the user's cache folder.
pub(crate) fn cache() -> Result<PathBuf> {
    folder("CML_CACHE", "XDG_CACHE_HOME", ".cache")
}

/// `CML_DATA`, or `cml` in the user's data folder.
pub(crate) fn data() -> Result<PathBuf> {
    folder("CML_DATA", "XDG_DATA_HOME", ".local/share")
}

/// A folder to be made or used is no file.
pub(crate) fn check(folder: &Path) -> Result<()> {
    if folder.exists() && !folder.is_dir() {
        bail!("{}: is not a folder", folder.display());
    }
    Ok(())
}

fn folder(own: &str, standard: &str, in_home: &str) -> Result<PathBuf> {
    let set = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(folder) = set(own) {
        return std::path::absolute(folder).with_context(|| format!("{own} is not a path"));
    }
    if let Some(folder) = set(standard).filter(|folder| folder.is_absolute()) {
        return Ok(folder.join("cml"));
    }
    match set("HOME") {
        Some(home) => Ok(home.join(in_home).join("cml")),
        None => bail!("HOME is not set; set it or {own}"),
    }
}
