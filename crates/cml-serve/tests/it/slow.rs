//! Clients that take their time, and clients that go away.

use crate::http::{Call, connect};
use crate::world::{Running, clear, limits, world};
use cml_serve::Limits;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

fn impatient() -> Limits {
    Limits {
        header_time: Duration::from_millis(300),
        body_time: Duration::from_millis(300),
        ..limits()
    }
}

/// Sends a call so many bytes at a time, until there is an answer or an end.
fn drip(server: &Running, call: &Call, step: usize) -> Option<crate::http::Reply> {
    let mut stream = connect(server.address).unwrap();
    let bytes = [call.head().as_bytes(), &call.body].concat();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    for piece in bytes.chunks(step) {
        if stream.write_all(piece).is_err() {
            break;
        }
        match stream.peek(&mut [0]) {
            Ok(_) => break,
            Err(_) => continue,
        }
    }
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    call.reply(&mut stream).ok()
}

#[test]
fn slow_bodies_and_slow_heads_are_cut() {
    let [party, second, _] = &world().parties;
    let server = Running::knowing(party, impatient());
    let mut call = party.infer(&[0; 100]);
    let body = std::mem::take(&mut call.body);
    let head = call.head().len();
    call.body = body;
    // The head at once, the body byte by byte: each comes in time, all together do not.
    let slow = {
        let mut stream = connect(server.address).unwrap();
        stream.write_all(call.head().as_bytes()).unwrap();
        stream.set_nodelay(true).unwrap();
        for byte in call.body.chunks(1) {
            if stream.write_all(byte).is_err() || head == 0 {
                break;
            }
            stream.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
            if stream.peek(&mut [0]).is_ok() {
                break;
            }
        }
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        call.reply(&mut stream).unwrap()
    };
    slow.refused(408, "too_slow", "needs");
    // A body that stops.
    let mut stream = connect(server.address).unwrap();
    let put = second.put();
    stream.write_all(put.head().as_bytes()).unwrap();
    stream.write_all(&put.body[..100_000]).unwrap();
    put.reply(&mut stream).unwrap().refused(408, "too_slow", "needs");
    server.send(&second.infer(&[1])).refused(404, "unknown_key", "");
    // A head that takes too long gets no answer of ours, but an end.
    let start = Instant::now();
    let reply = drip(&server, &Call::get("/healthz"), 1);
    assert!(reply.is_none_or(|reply| reply.status >= 400));
    assert!(start.elapsed() < Duration::from_secs(8));
    // A connection without a request ends, too.
    let mut idle = connect(server.address).unwrap();
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    assert_eq!(party.decrypt(&server.send(&party.infer(&[2]))), clear(&[2]));
}

#[test]
fn who_does_not_take_answers_is_cut() {
    let party = &world().parties[0];
    let server = Running::knowing(
        party,
        Limits {
            send_time: Duration::from_millis(300),
            ..limits()
        },
    );
    let job = server.send(&party.infer(&[1; 200]).with("prefer", "respond-async"));
    assert_eq!(server.wait(&job).status, 200);
    // More answers than all buffers on the way hold, and none is read.
    let mut stream = connect(server.address).unwrap();
    let path = job.header("location").unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.repeat(100).as_bytes()).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    // The one that asks is open.
    while server.count("cml_connections") != 1.0 {
        assert!(Instant::now() < end, "the connection is still open");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(stream);
}

#[test]
fn slow_clients_do_not_stop_others() {
    let party = &world().parties[0];
    let server = Running::knowing(party, impatient());
    let put = party.put();
    let slow: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = connect(server.address).unwrap();
            stream.write_all(&put.head().as_bytes()[..20]).unwrap();
            stream
        })
        .collect();
    assert_eq!(party.decrypt(&server.send(&party.infer(&[2]))), clear(&[2]));
    drop(slow);
}

#[test]
fn connections_are_limited() {
    let party = &world().parties[0];
    let server = Running::knowing(
        party,
        Limits {
            connections: 2,
            ..impatient()
        },
    );
    let idle: Vec<_> = (0..10).map(|_| connect(server.address).unwrap()).collect();
    // Its turn comes when those before it were cut.
    assert_eq!(party.decrypt(&server.send(&party.infer(&[2]))), clear(&[2]));
    drop(idle);
}

#[test]
fn who_goes_away_gives_up_the_turn() {
    let [party, second, _] = &world().parties;
    let server = Running::knowing(party, limits());
    assert_eq!(server.send(&second.put()).status, 201);
    let long = server.send(&party.infer(&[1; 64]).with("prefer", "respond-async"));
    for _ in 0..20 {
        let call = second.infer(&[0; 512]);
        let mut stream = connect(server.address).unwrap();
        stream.write_all(call.head().as_bytes()).unwrap();
        stream.write_all(&call.body).unwrap();
    }
    // Uploads that break off leave nothing.
    let third = world().parties[2].put();
    let mut stream = connect(server.address).unwrap();
    stream.write_all(third.head().as_bytes()).unwrap();
    stream.write_all(&third.body[..third.body.len() / 2]).unwrap();
    drop(stream);
    assert_eq!(party.decrypt(&server.wait(&long)), clear(&[1; 64]));
    assert_eq!(party.decrypt(&server.send(&party.infer(&[2]))), clear(&[2]));
    let end = Instant::now() + Duration::from_secs(20);
    let files = || {
        std::fs::read_dir(server.data.path().join("incoming"))
            .unwrap()
            .count()
    };
    while (files() > 0 || server.count("cml_waiting") > 0.0) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!((files(), server.count("cml_waiting")), (0, 0.0));
    assert_eq!(server.count("cml_keys"), 2.0);
    // Of the work that nobody waits for, at most what had begun was done.
    assert!(server.count("cml_samples_total") < 20.0 * 512.0);
}
