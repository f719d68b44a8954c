//! Power cuts: `kill -9` in the middle of everything.

use crate::http::connect;
use crate::process::Process;
use crate::world::{ask_metrics, clear, world};
use std::io::Write;
use std::time::{Duration, Instant};

#[test]
fn a_killed_server_has_every_key_and_no_half_ones() {
    let [a, b, _] = &world().parties;
    let folder = tempfile::tempdir().unwrap();
    let files = |name: &str| {
        std::fs::read_dir(folder.path().join("data").join(name))
            .unwrap()
            .count()
    };
    let server = Process::start(folder.path());
    assert_eq!(server.send(&a.put()).status, 201);
    assert_eq!(a.decrypt(&server.send(&a.infer(&[2]))), clear(&[2]));

    // Half an upload, and an inference on its way.
    let put = b.put();
    let mut upload = connect(server.address).unwrap();
    upload.write_all(put.head().as_bytes()).unwrap();
    upload.write_all(&put.body[..put.body.len() / 2]).unwrap();
    let job = server.send(&a.infer(&[1; 100]).with("prefer", "respond-async"));
    assert_eq!(job.status, 202);
    let end = Instant::now() + Duration::from_secs(20);
    while files("incoming") == 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!((files("incoming"), files("keys")), (1, 1));
    server.kill();
    assert_eq!((files("incoming"), files("keys")), (1, 1));

    let server = Process::start(folder.path());
    assert_eq!((files("incoming"), files("keys")), (0, 1));
    assert_eq!(a.decrypt(&server.send(&a.infer(&[2, 3]))), clear(&[2, 3]));
    assert_eq!(a.decrypt(&server.wait(&job)), clear(&[1; 100]));
    server.send(&b.infer(&[1])).refused(404, "unknown_key", "");
    assert_eq!(server.send(&b.put()).status, 201);
    assert_eq!(server.send(&a.put()).status, 200);
    assert_eq!(b.decrypt(&server.send(&b.infer(&[1]))), clear(&[1]));
    assert!(server.terminate());
}

#[test]
fn a_key_that_was_acknowledged_survives_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for party in &world().parties {
        let server = Process::start(folder.path());
        assert_eq!(server.send(&party.put()).status, 201);
        server.kill();
    }
    let server = Process::start(folder.path());
    for party in &world().parties {
        assert_eq!(server.send(&party.put()).status, 200);
        assert_eq!(party.decrypt(&server.send(&party.infer(&[3]))), clear(&[3]));
    }
    // A file that is no key is left alone, and a key of a circuit that is not served is not used.
    assert!(server.terminate());
    let keys = folder.path().join("data").join("keys");
    std::fs::write(keys.join("notes.txt"), "x").unwrap();
    std::fs::write(
        keys.join(format!("{}-{}.key", "0".repeat(32), "0".repeat(16))),
        "x",
    )
    .unwrap();
    let server = Process::start(folder.path());
    assert_eq!(server.send(&world().parties[0].put()).status, 200);
    assert!(keys.join("notes.txt").exists());
}

#[test]
fn a_request_that_waits_breaks_with_the_server_and_leaves_nothing() {
    let party = &world().parties[0];
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    assert_eq!(server.send(&party.put()).status, 201);
    let call = party.infer(&[1; 400]);
    let mut waiting = connect(server.address).unwrap();
    waiting.write_all(call.head().as_bytes()).unwrap();
    waiting.write_all(&call.body).unwrap();
    // It has its place when its bytes count.
    while server
        .send(&ask_metrics())
        .text()
        .contains("\ncml_jobs_bytes 0\n")
    {}
    server.kill();
    assert!(call.reply(&mut waiting).is_err());
    let jobs = folder.path().join("data").join("jobs");
    assert_eq!(std::fs::read_dir(jobs).unwrap().count(), 0);
    let server = Process::start(folder.path());
    assert_eq!(party.decrypt(&server.send(&party.infer(&[3, 1]))), clear(&[3, 1]));
    assert!(server.terminate());
}
