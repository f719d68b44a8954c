//! Limits: reached, told, and given back.

use crate::http::Call;
use crate::world::{Running, clear, limits, world};
use cml_serve::Limits;

#[test]
fn a_full_queue() {
    let party = &world().parties[0];
    let server = Running::knowing(
        party,
        Limits {
            waiting: 3,
            ..limits()
        },
    );
    let call = party.infer(&[3; 200]).with("prefer", "respond-async");
    // All at once: much faster than one of them runs.
    let accepted: Vec<_> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(|| server.send(&call))).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let (taken, refused): (Vec<_>, Vec<_>) = accepted.iter().partition(|reply| reply.status == 202);
    assert!(!refused.is_empty(), "none of 8 was refused");
    for reply in refused {
        reply.refused(429, "queue_full", "limit 3");
        let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds));
    }
    for reply in taken {
        assert_eq!(party.decrypt(&server.wait(reply)), clear(&[3; 200]));
    }
    assert_eq!(server.send(&party.infer(&[1])).status, 200);
}

#[test]
fn jobs_and_answers_of_one_caller() {
    let party = &world().parties[0];
    let server = Running::knowing(
        party,
        Limits {
            caller_jobs: 2,
            ..limits()
        },
    );
    let later = || server.send(&party.infer(&[3]).with("prefer", "respond-async"));
    let kept = [later(), later()];
    let refused = later();
    refused.refused(429, "caller_limit", "2 jobs, limit 2");
    assert!(refused.header("retry-after").is_some());
    // An answer that was fetched makes way.
    assert_eq!(party.decrypt(&server.wait(&kept[0])), clear(&[3]));
    assert_eq!(later().status, 202);
    let location = kept[0].header("location").unwrap();
    server.send(&Call::get(location)).refused(410, "expired", "");
    assert_eq!(party.decrypt(&server.wait(&kept[1])), clear(&[3]));

    let call = party.infer(&[3]);
    assert_eq!(server.send(&call).status, 200);
    // Until they are written, results have all of their words' bytes.
    let circuit = &world().circuit;
    let results = circuit.output_count() as u64 * circuit.parameters().ciphertext_bytes();
    let one = call.body.len() as u64 + results + 64;
    let server = Running::knowing(
        party,
        Limits {
            job_bytes: 4 * one + 40,
            ..limits()
        },
    );
    assert_eq!(server.send(&party.infer(&[3])).status, 200);
    server
        .send(&party.infer(&[3; 2]))
        .refused(413, "too_large", "inputs and answer take");
    let kept = server.send(&party.infer(&[3]).with("prefer", "respond-async"));
    server
        .send(&party.infer(&[3]))
        .refused(429, "caller_limit", "bytes");
    assert_eq!(party.decrypt(&server.wait(&kept)), clear(&[3]));
    assert_eq!(server.send(&party.infer(&[3])).status, 200);
}

#[test]
fn room_to_receive() {
    let party = &world().parties[0];
    let server = Running::knowing(
        party,
        Limits {
            receiving_bytes: 1 << 10,
            ..limits()
        },
    );
    let busy = server.send(&party.infer(&[0; 100]));
    busy.refused(429, "busy", "KiB");
    assert_eq!(server.send(&party.infer(&[0])).status, 200);
}

#[test]
fn keys_and_their_bytes() {
    let [a, b, c] = &world().parties;
    let bytes = a.key.len() as u64;
    let server = Running::knowing(
        a,
        Limits {
            caller_keys: 2,
            ..limits()
        },
    );
    assert_eq!(server.send(&b.put()).status, 201);
    server.send(&c.put()).refused(403, "key_limit", "2 keys, limit 2");
    assert_eq!(server.send(&a.put()).status, 200);

    let server = Running::knowing(a, Limits { keys: 1, ..limits() });
    server
        .send(&b.put())
        .refused(507, "storage_full", "1 keys, limit 1");
    let delete = Call::new("DELETE", &a.put().path, Vec::new());
    assert_eq!(server.send(&delete).status, 204);
    assert_eq!(server.send(&b.put()).status, 201);

    let server = Running::knowing(
        a,
        Limits {
            disk_bytes: 2 * bytes - 1,
            ..limits()
        },
    );
    server.send(&b.put()).refused(507, "storage_full", "limit");
    assert_eq!(a.decrypt(&server.send(&a.infer(&[2]))), clear(&[2]));
}

#[test]
fn a_disk_that_cannot_be_written() {
    let [a, b, _] = &world().parties;
    let server = Running::knowing(a, limits());
    let incoming = server.data.path().join("incoming");
    std::fs::remove_dir_all(&incoming).unwrap();
    std::fs::write(&incoming, "").unwrap();
    let reply = server.send(&b.put());
    reply.refused(500, "internal", "cannot store a key");
    let folder = server.data.path().display().to_string();
    assert!(!reply.text().contains(&folder), "{}", reply.text());
    // Room that was taken is given back, and what is there still works.
    assert_eq!(server.count("cml_keys"), 1.0);
    assert_eq!(a.decrypt(&server.send(&a.infer(&[2]))), clear(&[2]));
    std::fs::remove_file(&incoming).unwrap();
    std::fs::create_dir(&incoming).unwrap();
    assert_eq!(server.send(&b.put()).status, 201);
}

#[test]
fn memory_for_one_key() {
    let parties = &world().parties;
    let server = Running::knowing(
        &parties[0],
        Limits {
            memory_bytes: world().circuit.parameters().evaluation_key_bytes(),
            ..limits()
        },
    );
    assert_eq!(server.send(&parties[1].put()).status, 201);
    for (turn, which) in [0, 1, 1, 0, 1].into_iter().enumerate() {
        let samples = [turn as u8 & 3];
        let reply = server.send(&parties[which].infer(&samples));
        assert_eq!(parties[which].decrypt(&reply), clear(&samples));
    }
    assert_eq!(server.count("cml_key_loads_total"), 4.0);
}

#[test]
fn a_key_that_is_damaged_on_disk_is_asked_for_again() {
    let party = &world().parties[0];
    let server = Running::knowing(party, limits());
    let mut keys = std::fs::read_dir(server.data.path().join("keys")).unwrap();
    let path = keys.next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    server
        .send(&party.infer(&[1]))
        .refused(404, "unknown_key", "no longer there");
    assert!(!path.exists());
    assert_eq!(server.send(&party.put()).status, 201);
    assert_eq!(party.decrypt(&server.send(&party.infer(&[1]))), clear(&[1]));
}
