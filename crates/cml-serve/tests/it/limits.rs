//! Limits: reached, told, and given back.

use crate::http::{Call, connect};
use crate::world::{Running, clear, config, limits, world};
use cml_scheme::artifact;
use cml_serve::Limits;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

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
        .refused(413, "too_large", "the body has");
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
            receiving_bytes: 4 << 10,
            body_time: Duration::from_secs(60),
            ..limits()
        },
    );
    // What can never be received is not asked for again, and clients are told before.
    let most = server.send(&Call::get("/v1/models")).json()["models"][0]["max_samples"].clone();
    let most = usize::try_from(most.as_u64().unwrap()).unwrap();
    let call = party.infer(&vec![2; most]);
    assert!(call.body.len() <= 4 << 10);
    server
        .send(&party.infer(&vec![2; most + 1]))
        .refused(413, "too_large", "limit");
    assert_eq!(party.decrypt(&server.send(&call)), clear(&vec![2; most]));
    // A body of unknown length may be as long as all of the room.
    let mut stream = connect(server.address).unwrap();
    send_chunked(&mut stream, &call);
    let reply = call.reply(&mut stream).unwrap();
    assert_eq!(party.decrypt(&reply), clear(&vec![2; most]));
    // One that takes its time has the room as long. On a busy machine it may have come while another one had it, and was
    // refused itself: then it starts again.
    loop {
        let mut slow = connect(server.address).unwrap();
        slow.write_all(call.head().as_bytes()).unwrap();
        slow.write_all(&call.body[..100]).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let busy = server.send(&call);
        if busy.status == 200 {
            continue;
        }
        busy.refused(429, "busy", "KiB");
        let _ = slow.write_all(&call.body[100..]);
        if call.reply(&mut slow).is_ok_and(|reply| reply.status == 200) {
            break;
        }
    }
    assert_eq!(server.send(&call).status, 200);
}

/// Sends a request without saying how long it is.
fn send_chunked(stream: &mut TcpStream, call: &Call) {
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n",
        call.path
    );
    stream.write_all(head.as_bytes()).unwrap();
    for chunk in call.body.chunks(1000) {
        let piece = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
        // A server that has had enough need not read the rest.
        let _ = stream.write_all(&piece);
    }
    let _ = stream.write_all(b"0\r\n\r\n");
}

#[test]
fn bodies_of_unknown_length_have_the_same_limit() {
    let party = &world().parties[0];
    let limits = Limits {
        samples: 100,
        ..limits()
    };
    let server = Running::knowing(party, limits);
    let mut call = party.infer(&[1; 100]);
    for (more, status) in [(0, 200), (1, 413), (100_000, 413)] {
        call.body.resize(party.inputs(&[1; 100]).len() + more, 0);
        let mut stream = connect(server.address).unwrap();
        send_chunked(&mut stream, &call);
        let reply = call.reply(&mut stream).unwrap();
        assert_eq!(reply.status, status, "{}", reply.text());
        assert!(status == 200 || reply.json()["code"] == "too_large");
    }
    // What was received counts, also of those that were refused.
    let least = 2 * party.inputs(&[1; 100]).len() + party.key.len();
    assert!(server.count("cml_received_bytes_total") >= least as f64);
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
fn the_key_that_was_not_used_for_longest_is_dropped() {
    let parties = &world().parties;
    let server = Running::knowing(
        &parties[0],
        Limits {
            memory_bytes: 2 * world().circuit.parameters().evaluation_key_bytes(),
            ..limits()
        },
    );
    for party in &parties[1..] {
        assert_eq!(server.send(&party.put()).status, 201);
    }
    for which in [0, 1, 0, 2, 0] {
        let reply = server.send(&parties[which].infer(&[1]));
        assert_eq!(parties[which].decrypt(&reply), clear(&[1]));
    }
    // The first is older than the second, but was used after it.
    assert_eq!(server.count("cml_key_loads_total"), 3.0);
    let bytes = server.count("cml_key_memory_bytes");
    let delete = Call::new("DELETE", &parties[0].put().path, Vec::new());
    assert_eq!(server.send(&delete).status, 204);
    until("a deleted key is in memory", || {
        server.count("cml_key_memory_bytes") == bytes / 2.0
    });
}

/// A key under the id of another one, in a file without damage.
fn squatting(key: &[u8], id: &[u8; 16]) -> Vec<u8> {
    let mut payload = key[56..].to_vec();
    payload[32..48].copy_from_slice(id);
    cml_file::encode(artifact::SERVER_KEY, &payload)
}

/// Whoever stores a key under the id of another one makes noise of the other's results, and nobody notices.
#[test]
fn nobody_takes_the_id_of_a_key_that_was_deleted() {
    let [a, b, _] = &world().parties;
    let server = Running::knowing(a, limits());
    assert_eq!(a.decrypt(&server.send(&a.infer(&[3]))), clear(&[3]));
    let delete = Call::new("DELETE", &a.put().path, Vec::new());
    assert_eq!(server.send(&delete).status, 204);
    let squat = Call::put(&a.put().path, squatting(&b.key, &a.binding.keys));
    server
        .send(&squat)
        .refused(400, "malformed", "its id is not the hash of the key in it");
    server.send(&a.infer(&[3])).refused(404, "unknown_key", "");
    assert_eq!(server.count("cml_keys"), 0.0);
    // Its owner can have it again, and then, too, nobody else can.
    assert_eq!(server.send(&a.put()).status, 201);
    server
        .send(&squat)
        .refused(400, "malformed", "its id is not the hash of the key in it");
    assert_eq!(a.decrypt(&server.send(&a.infer(&[3]))), clear(&[3]));
}

/// A file may have come by another way than over HTTP: its id is compared when the key is used.
#[test]
fn a_key_under_another_id_is_not_used() {
    let [a, b, _] = &world().parties;
    let mut server = Running::knowing(a, limits());
    server.shut_down();
    server.join();
    let data = std::mem::replace(&mut server.data, tempfile::tempdir().unwrap());
    let keys = data.path().join("keys");
    let file = std::fs::read_dir(keys).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, squatting(&b.key, &a.binding.keys)).unwrap();
    let config = config(data.path(), limits());
    let server = Running::on(data, config, None);
    assert_eq!(server.count("cml_keys"), 1.0);
    server.send(&a.put()).refused(409, "key_conflict", &a.id());
    server
        .send(&a.infer(&[3]))
        .refused(404, "unknown_key", "no longer there");
    assert!(!file.exists());
    assert_eq!(server.send(&a.put()).status, 201);
    assert_eq!(a.decrypt(&server.send(&a.infer(&[3]))), clear(&[3]));
}

/// Waits until something is so.
#[track_caller]
fn until(otherwise: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "{otherwise}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_key_that_cannot_be_read_now_is_read_again() {
    let party = &world().parties[0];
    let server = Running::knowing(party, limits());
    let mut keys = std::fs::read_dir(server.data.path().join("keys")).unwrap();
    let path = keys.next().unwrap().unwrap().path();
    let aside = server.data.path().join("aside");
    let later = || server.send(&party.infer(&[1]).with("prefer", "respond-async"));
    // A folder in its place: an error as those of a system that has too many open files.
    std::fs::rename(&path, &aside).unwrap();
    std::fs::create_dir(&path).unwrap();
    let jobs = [later(), later()];
    until("no error", || server.count("cml_key_load_errors_total") >= 1.0);
    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(&aside, &path).unwrap();
    for job in &jobs {
        assert_eq!(party.decrypt(&server.wait(job)), clear(&[1]));
    }
    assert_eq!(server.count("cml_jobs_failed_total"), 0.0);
    drop(server);

    let server = Running::knowing(party, limits());
    let mut keys = std::fs::read_dir(server.data.path().join("keys")).unwrap();
    let path = keys.next().unwrap().unwrap().path();
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let job = server.send(&party.infer(&[1]).with("prefer", "respond-async"));
    server
        .wait(&job)
        .refused(410, "failed", "the server cannot read a key");
    assert_eq!(server.count("cml_jobs_failed_total"), 1.0);
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
