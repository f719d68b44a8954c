//! A disk that is really full: one of its own for a command, of a few pages.

use crate::served::Served;
use crate::world::World;
use std::process::{Command, Output};

/// Mounts a disk of `$0` bytes on `$1`, runs the rest, and says last what is on the disk.
const SCRIPT: &str = r#"
mount -t tmpfs -o mode=0700,size="$0" tmpfs "$1" || exit 99
folder="$1"; shift; "$@"; code=$?
find "$folder" -type f; exit $code
"#;

/// `cml` with a disk of so many bytes as the folder `keys`; none if this machine does not let tests make disks.
fn on_disk_of(bytes: u64, world: &World, line: &str) -> Option<Output> {
    let _ = std::fs::create_dir(world.path("keys"));
    let output = Command::new("unshare")
        .current_dir(world.folder.path())
        .env_remove("CML_PASSPHRASE")
        .env_remove("CML_TOKEN")
        .args(["--map-root-user", "--mount", "sh", "-c", SCRIPT])
        .args([&bytes.to_string(), "keys", env!("CARGO_BIN_EXE_cml")])
        .args(line.split_whitespace())
        .output();
    let output = output.ok().filter(|output| output.status.code() != Some(99));
    let output = output.filter(|output| !String::from_utf8_lossy(&output.stderr).starts_with("unshare:"));
    if output.is_none() {
        eprintln!("NOT TESTED: no mount namespace on this machine, so no disk that is full");
    }
    output
}

/// One line that says what is wrong, beside notes, exit code 1, and these files left.
#[track_caller]
fn failed(output: &Output, says: &str, left: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    let lines = error
        .trim_end()
        .lines()
        .filter(|line| !line.starts_with("note: "));
    assert_eq!(lines.count(), 1, "{error}");
    assert!(
        error.contains(says) && error.contains("No space left on device"),
        "{error}"
    );
    let files = String::from_utf8_lossy(&output.stdout);
    assert_eq!(files.lines().collect::<Vec<_>>(), left);
}

fn compiled() -> World {
    let world = World::new();
    world.json("quantize net.safetensors -o net.cmlg");
    world.json("compile net.cmlg -o net.cmlc");
    world
}

#[test]
fn key_generation_leaves_two_keys_or_none() {
    let world = compiled();
    world.json("keygen net.cmlc");
    let server_key = std::fs::metadata(world.path("server.key")).unwrap().len();
    let line = "keygen net.cmlc --client-key keys/client.key --server-key keys/server.key";
    // Neither fits, and then all of the larger one.
    for (room, says) in [
        (64 << 10, "keys/server.key"),
        (server_key.next_multiple_of(4096), "keys/client.key"),
    ] {
        let Some(output) = on_disk_of(room, &world, line) else {
            return;
        };
        failed(&output, says, &[]);
    }
}

#[test]
fn a_client_without_room_for_its_keys_leaves_none() {
    let world = compiled();
    world.json("keygen net.cmlc");
    let server_key = std::fs::metadata(world.path("server.key")).unwrap().len();
    let server = Served::start(&world, "--model net.cmlc --data server");
    let line = format!("client predict points.csv --server {} --keys keys", server.url);
    // The description of the circuit and a part of the key; both, and no secret key.
    for room in [64 << 10, server_key.next_multiple_of(4096) + 4096] {
        let Some(output) = on_disk_of(room, &world, &line) else {
            return;
        };
        failed(&output, "keys", &["keys/.lock"]);
    }
    // With room it works.
    let room = server_key + (64 << 10);
    let Some(output) = on_disk_of(room, &world, &line) else {
        return;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
