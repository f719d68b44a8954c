//! Places to write to, checked before the work that fills them.

use anyhow::bail;
use cml_file::peek_tag;
use cml_keys::artifact::{CLIENT_KEY, LOCKED_CLIENT_KEY};
use std::path::{Path, PathBuf};

/// Folder of a path.
pub(crate) fn folder(path: &Path) -> &Path {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// A command does not write over what it reads, nor over a secret key; and as [`check_place`].
pub(crate) fn check(path: &Path, reads: &[&Path]) -> anyhow::Result<()> {
    check_place(path, reads)?;
    if let Ok(tag) = peek_tag(path)
        && [CLIENT_KEY.tag, LOCKED_CLIENT_KEY.tag].contains(&tag)
    {
        bail!("{}: holds a secret key, which cannot be replaced", path.display());
    }
    Ok(())
}

/// Long work should not end with a folder that is not there, or a place that holds no file.
pub(crate) fn check_place(path: &Path, reads: &[&Path]) -> anyhow::Result<()> {
    let folder = folder(path);
    if !folder.is_dir() {
        bail!("{}: folder {} does not exist", path.display(), folder.display());
    }
    if path.exists() && !path.is_file() {
        bail!("{}: is there and is no regular file", path.display());
    }
    if reads.iter().any(|read| is_same(path, read)) {
        bail!(
            "{}: is read by this command, and cannot be written",
            path.display()
        );
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
        check(&at("file"), &[]).unwrap();
        check(&at("new"), &[&at("file")]).unwrap();
        let refused = |path: PathBuf| check(&path, &[]).unwrap_err().to_string();
        assert!(refused(at("missing/new")).ends_with("missing does not exist"));
        assert!(refused(at("file/new")).ends_with("file does not exist"));
        assert!(refused(world.path().to_owned()).ends_with("is there and is no regular file"));
        let own = check(&at("./file"), &[&at("file")]).unwrap_err().to_string();
        assert!(own.ends_with("is read by this command, and cannot be written"));
        let key = cml_file::encode(CLIENT_KEY, &[0; 9]);
        std::fs::write(at("key"), key).unwrap();
        assert!(refused(at("key")).ends_with("holds a secret key, which cannot be replaced"));
        check_place(&at("key"), &[]).unwrap();
        assert!(is_same(&at("new"), &at("./new")) && !is_same(&at("new"), &at("file")));
        assert!(!is_same(&at("a/new"), &at("b/new")));
    }
}
