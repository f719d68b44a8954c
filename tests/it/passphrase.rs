//! Secret keys under a passphrase.

use crate::keys::tiny;

use cml_file::Artifact;
use cml_keys::BoundClientKeys;
use cml_keys::artifact::{LOCKED_CLIENT_KEY, LockedClientKeys};
use cml_keys::random::System;
use cml_scheme::ArtifactError;
use cml_scheme::artifact::split_binding;
use cml_tfhe::Circuit;
use std::path::Path;

const HEADER: usize = 56;
/// Binding, then the costs of Argon2.
const COSTS: usize = 48;

/// A folder with `client.key` of the tiny circuit, and the same one under the passphrase `open`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("client.key"), &tiny().clients[0].client_key).unwrap();
    let key = BoundClientKeys::read(&path("client.key"), &tiny().circuit).unwrap();
    lock(&path("locked.key"), &key);
    folder
}

fn lock(path: &Path, key: &BoundClientKeys) {
    let locked = LockedClientKeys::seal("locked.key", key, b"open", &mut System::new()).unwrap();
    locked.write(path).unwrap();
}

fn unlock(path: &Path, circuit: &Circuit, passphrase: &[u8]) -> Result<BoundClientKeys, ArtifactError> {
    LockedClientKeys::read(path, ())?.open(circuit, passphrase)
}

fn message(path: &Path, passphrase: &str) -> String {
    let read = unlock(path, &tiny().circuit, passphrase.as_bytes());
    read.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn the_passphrase_opens_it_and_no_other() {
    let folder = folder();
    let path = folder.path().join("locked.key");
    let key = unlock(&path, &tiny().circuit, b"open").unwrap();
    let plain = BoundClientKeys::read(&folder.path().join("client.key"), &tiny().circuit).unwrap();
    assert_eq!(key.binding, plain.binding);
    assert_eq!(key.value.to_bytes(), plain.value.to_bytes());
    for wrong in ["", "Open", "open "] {
        let message = message(&path, wrong);
        assert!(
            message.ends_with("locked.key: the passphrase is wrong, or the file was altered"),
            "{message}"
        );
    }

    // The key is not in the file, but what it belongs to is.
    let file = std::fs::read(&path).unwrap();
    let secret = plain.value.to_bytes();
    assert!(!file.windows(16).any(|w| w == &secret[..16]));
    let payload = cml_file::read_file(LOCKED_CLIENT_KEY, &path).unwrap();
    let (binding, _) = split_binding("locked.key", LOCKED_CLIENT_KEY, &payload).unwrap();
    assert_eq!(binding, tiny().clients[0].binding);
    let message = BoundClientKeys::read(&path, &tiny().circuit)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("is a client key under a passphrase, needs a client key"),
        "{message}"
    );
    let message = unlock(&path, &tiny().other, b"open").unwrap_err().to_string();
    assert!(message.contains("belongs to another circuit"), "{message}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // Salt and nonce are drawn for each file.
    lock(&path, &key);
    let again = std::fs::read(&path).unwrap();
    assert_ne!(file[HEADER + COSTS + 12..], again[HEADER + COSTS + 12..]);
}

#[test]
fn altered_files_are_refused_and_costs_are_bounded() {
    let folder = folder();
    let path = folder.path().join("locked.key");
    let file = std::fs::read(&path).unwrap();
    let alter = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut payload = file[HEADER..].to_vec();
        change(&mut payload);
        std::fs::write(&path, cml_file::encode(LOCKED_CLIENT_KEY, &payload)).unwrap();
        message(&path, "open")
    };
    // Id of the keys, salt, nonce, key, tag: the cipher vouches for all of them.
    let last = file.len() - HEADER - 1;
    for at in [40, COSTS + 12, COSTS + 30, COSTS + 60, last] {
        let message = alter(&|p| p[at] ^= 1);
        assert!(message.contains("the file was altered"), "{at}: {message}");
    }
    let cost = |number: usize, value: u32| {
        alter(&|p| p[COSTS + 4 * number..][..4].copy_from_slice(&value.to_le_bytes()))
    };
    assert!(cost(0, u32::MAX).contains("asks for 4294967295 KiB of memory, supported are 8 to 1048576"));
    assert!(cost(0, 0).contains("asks for 0 KiB"));
    assert!(cost(1, 17).contains("asks for 17 passes, supported are 1 to 16"));
    assert!(cost(2, 0).contains("asks for 0 lanes"));
    assert!(alter(&|p| p.truncate(COSTS + 51)).contains("51 bytes, needs more than 52"));
    assert!(alter(&|p| p.truncate(COSTS + 60)).contains("the file was altered"));
}
