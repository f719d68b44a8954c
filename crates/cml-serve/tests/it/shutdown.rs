//! The end of a server: nothing new, and everything that was accepted.

use crate::http::{Call, connect};
use crate::world::{Running, clear, limits, world};
use cml_serve::Limits;
use std::io::Write;
use std::time::Duration;

#[test]
fn accepted_work_is_finished_and_answered() {
    let party = &world().parties[0];
    let mut server = Running::knowing(
        party,
        Limits {
            linger: Duration::from_secs(30),
            ..limits()
        },
    );
    let samples = [3; 300];
    let job = server.send(&party.infer(&samples).with("prefer", "respond-async"));
    // A request that waits for its answer, and a connection that was there before the end.
    let call = party.infer(&[1, 2]);
    let mut waiting = connect(server.address).unwrap();
    waiting.write_all(call.head().as_bytes()).unwrap();
    waiting.write_all(&call.body).unwrap();
    while server.count("cml_waiting") < 1.0 && server.count("cml_samples_total") < 300.0 {
        std::thread::sleep(Duration::from_millis(2));
    }
    server.shut_down();
    let health = loop {
        let reply = server.send(&Call::get("/healthz"));
        if reply.status != 200 {
            break reply;
        }
    };
    health.refused(503, "shutting_down", "");
    let refused = server.send(&party.infer(&[1]));
    refused.refused(503, "shutting_down", "");
    assert!(refused.header("retry-after").is_some());
    server
        .send(&world().parties[1].put())
        .refused(503, "shutting_down", "");
    assert_eq!(party.decrypt(&call.reply(&mut waiting).unwrap()), clear(&[1, 2]));
    assert_eq!(party.decrypt(&server.wait(&job)), clear(&samples));
    // The last answer was fetched: no reason to linger.
    let start = std::time::Instant::now();
    server.join();
    assert!(start.elapsed() < Duration::from_secs(20));
    Call::get("/healthz").send(server.address).unwrap_err();
}

#[test]
fn idle_servers_end_at_once_and_unfetched_answers_are_waited_for_a_while() {
    let party = &world().parties[0];
    let mut server = Running::start();
    server.shut_down();
    server.join();
    let mut server = Running::knowing(party, limits());
    let job = server.send(&party.infer(&[3]).with("prefer", "respond-async"));
    assert_eq!(job.status, 202);
    server.shut_down();
    server.join();
}

#[test]
fn uploads_on_their_way_come_in() {
    let [party, second, _] = &world().parties;
    let mut server = Running::knowing(
        party,
        Limits {
            linger: Duration::from_secs(60),
            body_time: Duration::from_secs(60),
            ..limits()
        },
    );
    let put = second.put();
    let mut upload = connect(server.address).unwrap();
    let (first, rest) = put.body.split_at(put.body.len() / 2);
    upload.write_all(put.head().as_bytes()).unwrap();
    upload.write_all(first).unwrap();
    let incoming = server.data.path().join("incoming");
    while std::fs::read_dir(&incoming).unwrap().count() == 0 {
        std::thread::sleep(Duration::from_millis(2));
    }
    server.shut_down();
    while server.send(&Call::get("/healthz")).status == 200 {}
    upload.write_all(rest).unwrap();
    assert_eq!(put.reply(&mut upload).unwrap().status, 201);
    server.join();
    let keys = std::fs::read_dir(server.data.path().join("keys")).unwrap();
    assert_eq!(keys.count(), 2);
}
