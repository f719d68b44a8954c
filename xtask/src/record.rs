//! `.cargo/libtorch.toml`: how plain `cargo build` learns where libtorch is.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The file, relative to the workspace's root. Ignored by git, included by `.cargo/config.toml`.
pub(crate) const FILE: &str = ".cargo/libtorch.toml";

/// PyTorch's libraries have used the C++11 ABI of libstdc++ since 2.7.
pub(crate) const CXX11_ABI: &str = "1";

/// What LIBTORCH names before any set-up: a folder whose `build-version` is a message.
pub(crate) fn placeholder(root: &Path) -> PathBuf {
    root.join(".cargo/no-libtorch")
}

/// Writes the file; an unchanged one is not touched. Returns whether it was written.
pub(crate) fn write(root: &Path, folder: &Path, compiler: Option<&str>) -> Result<bool> {
    let file = root.join(FILE);
    let text = render(folder, compiler)?;
    if fs::read_to_string(&file).is_ok_and(|old| old == text) {
        return Ok(false);
    }
    // Another cargo may be reading it: never a half-written file.
    let fresh = root.join(format!("{FILE}.{}", std::process::id()));
    fs::write(&fresh, text).with_context(|| format!("cannot write {}", fresh.display()))?;
    fs::rename(&fresh, &file).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(true)
}

/// The recorded folder.
pub(crate) fn read(root: &Path) -> Option<PathBuf> {
    recorded(&fs::read_to_string(root.join(FILE)).ok()?)
}

fn render(folder: &Path, compiler: Option<&str>) -> Result<String> {
    let path = folder
        .to_str()
        .with_context(|| format!("{} is not UTF-8: cargo cannot hold it", folder.display()))?;
    // A JSON string is a TOML basic string. The table overrides that of no-libtorch.toml.
    let path = serde_json::to_string(path)?;
    let mut text = format!(
        "# Written by `cargo xtask setup`.\n[env]\n\
         LIBTORCH = {{ value = {path}, relative = false }}\n\
         LIBTORCH_CXX11_ABI = \"{CXX11_ABI}\"\n"
    );
    if let Some(compiler) = compiler {
        text.push_str(&format!("CXX = \"{compiler}\"\n"));
    }
    Ok(text)
}

fn recorded(text: &str) -> Option<PathBuf> {
    let rest = text
        .lines()
        .find_map(|line| line.strip_prefix("LIBTORCH = { value = "))?;
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    values.next()?.ok().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_survives_writing_and_reading() {
        for folder in ["/opt/libtorch", "/a b/c,\"d\"", "/naïve/\\x"] {
            let text = render(Path::new(folder), None).unwrap();
            assert_eq!(recorded(&text), Some(PathBuf::from(folder)), "{text}");
        }
        assert_eq!(recorded("[env]\n"), None);
    }

    #[test]
    fn an_unchanged_file_is_not_written() {
        let root = std::env::temp_dir().join(format!("xtask-record-{}", std::process::id()));
        fs::create_dir_all(root.join(".cargo")).unwrap();
        let folder = Path::new("/opt/libtorch");
        assert!(write(&root, folder, None).unwrap());
        assert!(!write(&root, folder, None).unwrap());
        assert!(write(&root, folder, Some("g++")).unwrap());
        assert_eq!(read(&root).as_deref(), Some(folder));
        assert_eq!(fs::read_dir(root.join(".cargo")).unwrap().count(), 1);
        fs::remove_dir_all(&root).unwrap();
    }
}
