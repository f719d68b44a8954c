//! Places to write to, checked before the work that fills them.

use anyhow::bail;
use std::path::{Path, PathBuf};

/// Folder of a path.
pub(crate) fn folder(path: &Path) -> &Path {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Long work should not end with a folder that is not there, or a place that holds no file.
pub(crate) fn check(path: &Path) -> anyhow::Result<()> {
    let folder = folder(path);
    if !folder.is_dir() {
        bail!("{}: folder {} does not exist", path.display(), folder.display());
    }
    if path.exists() && !path.is_file() {
        bail!("{}: is there and is no regular file", path.display());
    }
    Ok(())
}

/// Whether two paths are of one file, there or not.
pub(crate) fn is_same(a: &Path, b: &Path) -> bool {
    let place =
        |path: &Path| -> Option<PathBuf> { Some(folder(path).canonicalize().ok()?.join(path.file_name()?)) };
    a == b || place(a).is_some_and(|place_a| place(b) == Some(place_a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_checked() {
        let world = tempfile::tempdir().unwrap();
        let at = |name: &str| world.path().join(name);
        std::fs::write(at("file"), "x").unwrap();
        check(&at("file")).unwrap();
        check(&at("new")).unwrap();
        let refused = |path: PathBuf| check(&path).unwrap_err().to_string();
        assert!(refused(at("missing/new")).ends_with("missing does not exist"));
        assert!(refused(at("file/new")).ends_with("file does not exist"));
        assert!(refused(world.path().to_owned()).ends_with("is there and is no regular file"));
        assert!(is_same(&at("new"), &at("./new")) && !is_same(&at("new"), &at("file")));
        assert!(!is_same(&at("a/new"), &at("b/new")));
    }
}
