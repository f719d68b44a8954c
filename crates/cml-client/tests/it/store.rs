//! Keys in a folder.

use crate::network::{hex, spec};
use cml_client::{KeyStore, RemoteError};
use cml_scheme::Progress;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn none(_: Progress) {}

fn names(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn keys_are_drawn_once_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    let store = KeyStore::open(&path).unwrap();
    let first = store.keys(spec("net"), &mut none).unwrap();
    let again = KeyStore::open(&path)
        .unwrap()
        .keys(spec("net"), &mut none)
        .unwrap();
    assert!(first.new && !again.new);
    assert_eq!(first.client.key().binding, again.client.key().binding);
    let hash = hex(spec("net").circuit());
    assert_eq!(names(&path), [".lock", &hash], "nothing else is left");
    let keys = store.folder_of(spec("net").circuit());
    assert_eq!(names(&keys), ["client.key", "net.cmls", "server.key"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&keys)), (0o700, 0o700));
        assert_eq!(mode(&keys.join("client.key")), 0o600);
        let change = |path: &std::path::Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            store.keys(spec("net"), &mut none).map(|_| ())
        };
        let refused = change(&keys, 0o770);
        assert!(
            matches!(refused, Err(RemoteError::Mode { mode: 0o770, .. })),
            "{refused:?}"
        );
        change(&keys, 0o700).unwrap();
        let refused = change(&keys.join("client.key"), 0o644);
        assert!(
            matches!(refused, Err(RemoteError::SecretMode { mode: 0o644, .. })),
            "{refused:?}"
        );
        change(&keys.join("client.key"), 0o600).unwrap();
    }
}

#[test]
fn a_folder_without_all_of_its_files_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = KeyStore::open(folder.path()).unwrap();
    let keys = store.keys(spec("net"), &mut none).unwrap();
    for name in ["server.key", "client.key", "net.cmls"] {
        std::fs::remove_file(keys.server_key.with_file_name(name)).unwrap();
        let message = store
            .keys(spec("net"), &mut none)
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn secret_keys_can_be_under_a_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let open = || KeyStore::open(folder.path()).unwrap();
    let locked = || open().with_passphrase("correct horse".to_owned().into());
    let first = locked().keys(spec("net"), &mut none).unwrap();
    let again = locked().keys(spec("net"), &mut none).unwrap();
    assert_eq!(first.client.key().binding, again.client.key().binding);
    let refused = open().keys(spec("net"), &mut none).map(|_| ());
    assert!(
        matches!(refused, Err(RemoteError::Passphrase { .. })),
        "{refused:?}"
    );
    let wrong = open().with_passphrase("horse".to_owned().into());
    let message = wrong
        .keys(spec("net"), &mut none)
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(message.contains("the passphrase is wrong"), "{message}");
    assert_eq!(open().is_locked(spec("net").circuit()).unwrap(), Some(true));
    assert_eq!(open().is_locked(spec("other").circuit()).unwrap(), None);
}

#[test]
fn a_passphrase_for_a_key_in_the_clear_is_no_guard() {
    let folder = tempfile::tempdir().unwrap();
    let open = || KeyStore::open(folder.path()).unwrap();
    open().keys(spec("net"), &mut none).unwrap();
    assert_eq!(open().is_locked(spec("net").circuit()).unwrap(), Some(false));
    let store = open().with_passphrase("correct horse".to_owned().into());
    let refused = store.keys(spec("net"), &mut none).map(|_| ());
    assert!(
        matches!(refused, Err(RemoteError::NoPassphrase { .. })),
        "{refused:?}"
    );
}

#[test]
fn keys_of_two_pairs_are_found_before_anything_is_sent() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = KeyStore::open(one.path()).unwrap();
    let mine = store.keys(spec("net"), &mut none).unwrap().server_key;
    let theirs = KeyStore::open(two.path()).unwrap();
    let theirs = theirs.keys(spec("net"), &mut none).unwrap().server_key;
    std::fs::copy(theirs, mine).unwrap();
    let refused = store.keys(spec("net"), &mut none).map(|_| ());
    assert!(matches!(refused, Err(RemoteError::KeyPair { .. })), "{refused:?}");
}

const VARIABLE: &str = "CML_CLIENT_TEST_STORE";

/// Does nothing but in a process that the next test started: draws keys, and never gets done.
#[test]
fn slow_draw() {
    if let Some(folder) = std::env::var_os(VARIABLE) {
        let store = KeyStore::open(folder.as_ref()).unwrap();
        let wait = &mut |_: Progress| std::thread::sleep(Duration::from_secs(600));
        let _ = store.keys(spec("net"), wait);
    }
}

/// A process that is killed when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_a_killed_process_drew_is_removed_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let drawing = || {
        names(folder.path())
            .into_iter()
            .filter(|name| name.starts_with(".new-"))
            .count()
    };
    let start = |count| {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["store::slow_draw", "--exact"])
            .env(VARIABLE, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while drawing() < count {
            assert!(child.try_wait().unwrap().is_none(), "no keys are drawn");
            std::thread::sleep(Duration::from_millis(5));
        }
        Killed(child)
    };
    let (killed, at_work) = (start(1), start(2));
    drop(killed);
    // One of them is still at work.
    KeyStore::open(folder.path()).unwrap();
    assert_eq!(drawing(), 2);
    drop(at_work);
    let store = KeyStore::open(folder.path()).unwrap();
    assert_eq!(drawing(), 0);
    assert!(store.keys(spec("net"), &mut none).unwrap().new);
}

/// A folder of keys of somebody else, or one with a file or folder of somebody else, is not one's own.
#[cfg(unix)]
#[test]
fn keys_of_another_owner_are_refused() {
    use std::os::unix::fs::chown;
    let folder = tempfile::tempdir().unwrap();
    let store = KeyStore::open(folder.path()).unwrap();
    let keys = store.keys(spec("net"), &mut none).unwrap().server_key;
    if chown(&keys, Some(12345), None).is_err() {
        // Only root gives files away; the rule itself has a test of its own.
        return;
    }
    chown(&keys, Some(0), None).unwrap();
    let files = ["server.key", "client.key", "net.cmls"].map(|name| keys.with_file_name(name));
    for path in files.iter().map(std::path::PathBuf::as_path).chain(keys.parent()) {
        chown(path, Some(12345), None).unwrap();
        let refused = store.keys(spec("net"), &mut none).map(|_| ());
        assert!(
            matches!(refused, Err(RemoteError::Owner { owner: 12345, .. })),
            "{}: {refused:?}",
            path.display()
        );
        chown(path, Some(0), None).unwrap();
        store.keys(spec("net"), &mut none).unwrap();
    }
    chown(folder.path(), Some(12345), None).unwrap();
    let refused = KeyStore::open(folder.path()).map(|_| ());
    assert!(
        matches!(refused, Err(RemoteError::Owner { owner: 12345, .. })),
        "{refused:?}"
    );
}

/// Where a link leads can change after it was looked at.
#[cfg(unix)]
#[test]
fn links_inside_a_folder_of_keys_are_refused() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let (path, linked) = (folder.path().join("keys"), folder.path().join("linked"));
    let store = KeyStore::open(&path).unwrap();
    let keys = store.keys(spec("net"), &mut none).unwrap().server_key;
    // The folder itself may be anywhere.
    symlink(&path, &linked).unwrap();
    let store = KeyStore::open(&linked).unwrap();
    assert!(!store.keys(spec("net"), &mut none).unwrap().new);
    let refused = |at: &std::path::Path| {
        let moved = folder.path().join("moved");
        std::fs::rename(at, &moved).unwrap();
        symlink(&moved, at).unwrap();
        for refused in [
            store.keys(spec("net"), &mut none).map(|_| ()),
            store.is_locked(spec("net").circuit()).map(|_| ()),
        ] {
            let is_about_links = matches!(refused, Err(RemoteError::Kind { .. }));
            let is_asked = !at.ends_with("net.cmls") && !at.ends_with("server.key");
            assert!(
                is_about_links || (!is_asked && refused.is_ok()),
                "{at:?}: {refused:?}"
            );
        }
        std::fs::remove_file(at).unwrap();
        std::fs::rename(&moved, at).unwrap();
        store.keys(spec("net"), &mut none).unwrap();
    };
    for name in ["server.key", "client.key", "net.cmls"] {
        refused(&keys.with_file_name(name));
    }
    refused(keys.parent().unwrap());
}

/// A file that others could change counts only if they get at it.
#[cfg(unix)]
#[test]
fn files_that_others_can_change_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let store = KeyStore::open(folder.path()).unwrap();
    let keys = store.keys(spec("net"), &mut none).unwrap().server_key;
    let set = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set(&keys, 0o664);
    store.keys(spec("net"), &mut none).unwrap();
    set(keys.parent().unwrap(), 0o755);
    let refused = store.keys(spec("net"), &mut none).map(|_| ());
    assert!(
        matches!(refused, Err(RemoteError::FileMode { mode: 0o664, .. })),
        "{refused:?}"
    );
    set(&keys, 0o644);
    store.keys(spec("net"), &mut none).unwrap();
}
