//! What clients do, and what they get.

use crate::http::Call;
use crate::world::{Running, clear, config, hex, limits, world};
use cml_file::Artifact;
use cml_scheme::ClientSpec;
use cml_scheme::artifact::EncryptedInputs;
use cml_serve::{Limits, Model};
use std::time::Duration;

const ALL: [u8; 4] = [0, 1, 2, 3];

#[test]
fn the_results_are_those_of_a_local_run() {
    let (server, [party, ..]) = (Running::start(), &world().parties);
    let models = server.send(&Call::get("/v1/models")).json();
    let model = &models["models"][0];
    assert_eq!((&model["name"], &model["exact"]), (&"tiny".into(), &true.into()));
    let hash = hex(&party.binding.circuit);
    assert_eq!(model["hash"], *hash);
    assert_eq!(model["key_bytes"], party.key.len());
    assert_eq!(model["input_bytes"], party.inputs(&[0]).len());

    let spec = server.send(&Call::get(&format!("/v1/models/{hash}")));
    let spec = ClientSpec::from_bytes("reply", &spec.body, ()).unwrap();
    assert_eq!(spec, *party.client.spec());

    server
        .send(&party.infer(&ALL))
        .refused(404, "unknown_key", &party.id());
    let stored = server.send(&party.put());
    assert_eq!((stored.status, &stored.json()["state"]), (201, &"stored".into()));
    assert_eq!(server.send(&party.put()).status, 200);

    let call = party.infer(&ALL);
    let reply = server.send(&call);
    assert_eq!(party.decrypt(&reply), clear(&ALL));
    let one = server.send(&party.infer(&[1]));
    assert_eq!(model["output_bytes"], one.body.len());
    let inputs = EncryptedInputs::from_bytes("in.ct", &call.body, &world().circuit).unwrap();
    let local = party.server.run(&inputs, &mut |_| {}).unwrap();
    assert_eq!(*local.to_bytes().unwrap(), reply.body);

    let delete = Call::new("DELETE", &format!("/v1/keys/{}", party.id()), Vec::new());
    assert_eq!(server.send(&delete).status, 204);
    server.send(&delete).refused(404, "unknown_key", "no such key");
    server.send(&party.infer(&ALL)).refused(404, "unknown_key", "");
    assert_eq!(server.send(&party.put()).status, 201);
    assert_eq!(party.decrypt(&server.send(&party.infer(&ALL))), clear(&ALL));
    assert_eq!(server.send(&Call::get("/healthz")).text(), "ok\n");
    assert!(server.count("cml_samples_total") >= 9.0);
    assert_eq!(server.count("cml_keys"), 1.0);
}

#[test]
fn requests_of_many_samples_take_several_turns() {
    let [party, second, _] = &world().parties;
    let server = Running::knowing(party, limits());
    assert_eq!(server.send(&second.put()).status, 201);
    let samples: Vec<u8> = (0..150).map(|i| (i % 7) as u8 & 3).collect();
    let long = server.send(&party.infer(&samples).with("prefer", "respond-async"));
    // A key that waits has its turn before the long job is over.
    let short = server.send(&second.infer(&ALL));
    assert_eq!(second.decrypt(&short), clear(&ALL));
    assert_eq!(party.decrypt(&server.wait(&long)), clear(&samples));
    assert!(server.count("cml_batches_total") >= 4.0);
}

#[test]
fn long_work_becomes_a_job() {
    let [party, second, _] = &world().parties;
    let server = Running::knowing(
        party,
        Limits {
            wait: Duration::ZERO,
            ..limits()
        },
    );
    let accepted = server.send(&party.infer(&ALL));
    let job = accepted.json()["job"].as_str().unwrap().to_owned();
    assert_eq!(accepted.header("location"), Some(&*format!("/v1/jobs/{job}")));
    assert_eq!(party.decrypt(&server.wait(&accepted)), clear(&ALL));
    // It can be fetched again.
    assert_eq!(party.decrypt(&server.wait(&accepted)), clear(&ALL));
    server
        .send(&Call::get(&format!("/v1/jobs/{}", "0".repeat(32))))
        .refused(404, "unknown_job", "");
    server
        .send(&Call::get("/v1/jobs/x"))
        .refused(404, "unknown_job", "");
    drop((server, second));

    let server = Running::knowing(
        party,
        Limits {
            answer_time: Duration::ZERO,
            ..limits()
        },
    );
    let accepted = server.send(&party.infer(&ALL).with("prefer", "wait=1, respond-async"));
    let reply = loop {
        let reply = server.wait(&accepted);
        if reply.status != 200 {
            break reply;
        }
    };
    reply.refused(410, "expired", "gone");
}

#[test]
fn callers_may_wait_for_less_time_but_not_for_more() {
    let party = &world().parties[0];
    let start = |wait: u64| {
        let data = tempfile::tempdir().unwrap();
        let mut config = config(data.path(), limits());
        config.limits.wait = Duration::from_secs(wait);
        config.models = vec![Model::with_estimate(world().circuit.clone(), 1.0).unwrap()];
        let server = Running::on(data, config, None);
        assert_eq!(server.send(&party.put()).status, 201);
        server
    };
    // Each sample is thought to take a second, until some were run.
    let server = start(3600);
    let send = |samples: &[u8], preference: &str| {
        let call = party.infer(samples).with("prefer", preference);
        let reply = server.send(&call);
        let status = reply.status;
        let reply = if status == 202 { server.wait(&reply) } else { reply };
        assert_eq!(party.decrypt(&reply), clear(samples));
        status
    };
    assert_eq!(send(&[1; 100], "wait=30"), 202);
    assert_eq!(send(&[1], "wait=0"), 202);
    assert_eq!(send(&[1], "respond-async, wait=30"), 202);
    assert_eq!(send(&[2], "wait=30"), 200);
    assert_eq!(send(&[1; 100], "wait=soon"), 200);
    drop(server);
    let server = start(0);
    let reply = server.send(&party.infer(&[3]).with("prefer", "wait=30"));
    assert_eq!(party.decrypt(&server.wait(&reply)), clear(&[3]));
}

#[test]
fn replayed_and_reordered_requests_give_the_same() {
    let [a, b, c] = &world().parties;
    let server = Running::knowing(a, limits());
    assert_eq!(server.send(&b.put()).status, 201);
    assert_eq!(server.send(&c.put()).status, 201);
    let mut calls = Vec::new();
    for (number, party) in [a, b, c, b, a, c].into_iter().enumerate() {
        let samples = vec![number as u8 & 3; number + 1];
        calls.push((party, party.infer(&samples), clear(&samples)));
    }
    let mut first = Vec::new();
    for (party, call, expected) in &calls {
        let reply = server.send(call);
        assert_eq!(party.decrypt(&reply), *expected);
        first.push(reply.body);
    }
    for at in [5, 0, 3, 1, 4, 2, 2, 0] {
        assert_eq!(server.send(&calls[at].1).body, first[at]);
    }
}

#[test]
fn two_hundred_clients_at_once() {
    let parties = &world().parties;
    let server = Running::knowing(&parties[0], limits());
    assert_eq!(server.send(&parties[1].put()).status, 201);
    std::thread::scope(|scope| {
        for number in 0..200_usize {
            let (server, party) = (&server, &parties[number % 2]);
            scope.spawn(move || {
                let samples = [(number % 4) as u8];
                let call = party.infer(&samples);
                let mut reply = server.send(&call);
                if reply.status == 202 {
                    reply = server.wait(&reply);
                }
                assert_eq!(party.decrypt(&reply), clear(&samples), "client {number}");
            });
        }
    });
    assert_eq!(server.count("cml_samples_total"), 200.0);
    assert!(server.count("cml_batches_total") < 150.0, "nothing ran together");
}

#[test]
fn one_key_uploaded_many_times_at_once_is_stored_once() {
    let (server, party) = (Running::start(), &world().parties[0]);
    let mut statuses: Vec<u16> = std::thread::scope(|scope| {
        let put = || server.send(&party.put()).status;
        let uploads: Vec<_> = (0..8).map(|_| scope.spawn(put)).collect();
        uploads.into_iter().map(|upload| upload.join().unwrap()).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);
    assert_eq!(server.count("cml_keys"), 1.0);
    let bytes = server.count("cml_key_disk_bytes");
    assert_eq!(bytes, party.key.len() as f64);
    let names = std::fs::read_dir(server.data.path().join("keys")).unwrap();
    assert_eq!(names.count(), 1);
}
