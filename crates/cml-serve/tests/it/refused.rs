//! What is not let in, and what it is told.

use crate::http::{Call, Reply, connect};
use crate::world::{Running, config, hex, limits, world};
use cml_scheme::artifact;
use cml_serve::{Config, Limits, Tokens};
use std::io::{Read, Write};
use std::time::Duration;

/// A file of the right frame whose length says something else.
fn lying(file: &[u8], length: u64) -> Vec<u8> {
    let mut file = file.to_vec();
    file[16..24].copy_from_slice(&length.to_le_bytes());
    file
}

#[test]
fn wrong_tokens() {
    let party = &world().parties[0];
    let data = tempfile::tempdir().unwrap();
    let config = Config {
        tokens: Tokens::parse("the-token-of-one-caller\nthe-token-of-another\n").unwrap(),
        ..config(data.path(), limits())
    };
    let server = Running::on(data, config, None);
    let bearer = |call: Call, token: &str| call.with("authorization", &format!("Bearer {token}"));
    let job = Call::get(&format!("/v1/jobs/{}", "0".repeat(32)));
    let delete = Call::new("DELETE", &format!("/v1/keys/{}", party.id()), Vec::new());
    for call in [
        Call::get("/v1/models"),
        Call::get(&format!("/v1/models/{}", hex(&party.binding.circuit))),
        party.put(),
        party.infer(&[1]),
        job,
        delete.clone(),
    ] {
        let reply = server.send(&call);
        reply.refused(401, "unauthorized", "is needed");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        let wrong = server.send(&bearer(call, "the-token-of-nobody"));
        wrong.refused(401, "unauthorized", "not known");
    }
    assert_eq!(server.send(&Call::get("/healthz")).status, 200);
    let (one, another) = ("the-token-of-one-caller", "the-token-of-another");
    assert_eq!(server.send(&bearer(party.put(), one)).status, 201);
    assert_eq!(server.send(&bearer(party.infer(&[1]), one)).status, 200);
    // Keys and jobs are those of their callers.
    server
        .send(&bearer(delete.clone(), another))
        .refused(404, "unknown_key", "");
    let asked = bearer(party.infer(&[1]), one).with("prefer", "respond-async");
    let location = server.send(&asked).header("location").unwrap().to_owned();
    server
        .send(&bearer(Call::get(&location), another))
        .refused(404, "unknown_job", "");
    assert_eq!(server.send(&bearer(delete, one)).status, 204);
}

#[test]
fn keys_and_inputs_of_others() {
    let (party, stranger) = (&world().parties[0], &world().stranger);
    let server = Running::knowing(party, limits());
    let id = party.id();
    server
        .send(&stranger.put())
        .refused(409, "foreign", "not served here");
    let under_another = Call::put(&format!("/v1/keys/{id}"), stranger.key.clone());
    server
        .send(&under_another)
        .refused(409, "foreign", &stranger.id());
    // The file of another key under this id, without damage.
    let (head, payload) = party.key.split_at(56);
    let mut payload = payload.to_vec();
    payload[1000] ^= 1;
    let other = cml_file::encode(artifact::SERVER_KEY, &payload);
    assert_ne!(head, &other[..56]);
    let other = Call::put(&format!("/v1/keys/{id}"), other);
    server
        .send(&other)
        .refused(400, "malformed", "its id is not the hash of the key in it");

    let mut call = stranger.infer(&[1]);
    server.send(&call).refused(404, "unknown_model", "");
    call.path = party.infer(&[1]).path;
    server.send(&call).refused(409, "foreign", "another circuit");
    assert_eq!(party.decrypt(&server.send(&party.infer(&[3]))), [0]);
}

#[test]
fn damaged_files() {
    let party = &world().parties[0];
    let server = Running::knowing(party, limits());
    let infer = |body: Vec<u8>| {
        let mut call = party.infer(&[1]);
        call.body = body;
        server.send(&call)
    };
    let inputs = party.inputs(&[0, 1, 2]);
    let mut flipped = inputs.clone();
    *flipped.last_mut().unwrap() ^= 1;
    infer(flipped).refused(400, "malformed", "checksum");
    infer(inputs[..inputs.len() - 1].to_vec()).refused(400, "malformed", "truncated");
    infer(Vec::new()).refused(400, "malformed", "not a cml file");
    infer(party.key[..100].to_vec()).refused(400, "malformed", "needs an encrypted input");
    infer(lying(&inputs, 1 << 63)).refused(400, "malformed", "9223372036854775808 bytes, limit");
    // A checksum that fits, and a number of samples that does not.
    let mut payload = inputs[56..].to_vec();
    payload[48..52].copy_from_slice(&u32::MAX.to_le_bytes());
    let file = cml_file::encode(artifact::INPUTS, &payload);
    infer(file).refused(400, "malformed", "4294967295 samples");
    // Any bytes of the right length are ciphertexts: they run, and decrypt to noise.
    let mut payload = inputs[56..].to_vec();
    payload[52..].fill(0xff);
    let file = cml_file::encode(artifact::INPUTS, &payload);
    assert_eq!(party.decrypt(&infer(file)).len(), 3);

    let second = &world().parties[1];
    let put = |body: Vec<u8>| server.send(&Call::put(&second.put().path, body));
    let mut flipped = second.key.clone();
    *flipped.last_mut().unwrap() ^= 1;
    put(flipped).refused(400, "malformed", "checksum");
    put(second.key[..1000].to_vec()).refused(400, "malformed", "truncated");
    put(second.key[..30].to_vec()).refused(400, "malformed", "truncated");
    put(Vec::new()).refused(400, "malformed", "not a cml file");
    put(lying(&second.key, 1 << 63)).refused(400, "malformed", "9223372036854775808 bytes, limit");
    let short = second.key.len() as u64 - 57;
    put(lying(&second.key, short)).refused(400, "malformed", "bytes, the circuit's have");
    server.send(&second.infer(&[1])).refused(404, "unknown_key", "");
    assert_eq!(put(second.key.clone()).status, 201);
}

#[test]
fn bad_requests() {
    let party = &world().parties[0];
    let few = Limits {
        samples: 5,
        ..limits()
    };
    let server = Running::knowing(party, few);
    for id in [
        "x",
        &party.id().to_uppercase(),
        &format!("{}0", party.id()),
        "..%2f..%2fetc",
    ] {
        let put = Call::put(&format!("/v1/keys/{id}"), party.key.clone());
        server
            .send(&put)
            .refused(400, "malformed", "32 hexadecimal digits");
        server
            .send(&Call::get(&format!("/v1/models/{id}")))
            .refused(404, "unknown_model", "");
    }
    server
        .send(&Call::new("DELETE", "/v1/models", Vec::new()))
        .refused(405, "method_not_allowed", "");
    server.send(&Call::get("/v1")).refused(404, "not_found", "");
    for encoding in ["gzip", "br", "identity, gzip"] {
        for call in [party.put(), party.infer(&[1])] {
            let call = call.with("content-encoding", encoding);
            server
                .send(&call)
                .refused(415, "unsupported_encoding", "needs none");
        }
    }
    assert_eq!(
        server
            .send(&party.infer(&[1]).with("content-encoding", "identity"))
            .status,
        200
    );
    server
        .send(&party.infer(&[0; 6]))
        .refused(413, "too_large", "limit");
    let mut long = party.put();
    long.body.push(0);
    server.send(&long).refused(413, "too_large", "limit");

    for length in ["9223372036854775808", "1099511627776"] {
        for mut call in [party.put(), party.infer(&[1])] {
            call = call.with("content-length", length);
            call.body.truncate(100);
            server.send(&call).refused(413, "too_large", length);
        }
    }
    // No number at all: the connection's own check, without a body of ours.
    for length in ["18446744073709551616", "18446744073709551615", "-1", "ten"] {
        let call = party.infer(&[1]).with("content-length", length);
        let mut stream = connect(server.address).unwrap();
        stream.write_all(call.head().as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1);
        assert!(matches!(status, Some("400" | "431")), "{length}: {answer}");
    }
    // A chunk of 2^63 bytes.
    let mut stream = connect(server.address).unwrap();
    let path = party.infer(&[1]).path;
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
    stream
        .write_all(format!("{head}8000000000000000\r\nabc").as_bytes())
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let reply = party.infer(&[1]).reply(&mut stream).unwrap();
    reply.refused(400, "malformed", "breaks off");
    assert_eq!(server.send(&party.infer(&[2])).status, 200);
}

/// The answer to a head alone, of a caller that sends the body only when it is asked for.
fn expecting(server: &Running, call: &Call) -> Reply {
    let mut stream = connect(server.address).unwrap();
    let call = call.clone().with("expect", "100-continue");
    stream.write_all(call.head().as_bytes()).unwrap();
    call.reply(&mut stream).unwrap()
}

#[test]
fn who_can_be_refused_by_the_head_need_not_send_the_body() {
    let [party, second, _] = &world().parties;
    let (put, infer) = (second.put(), party.infer(&[1]));
    let server = Running::knowing(
        party,
        Limits {
            keys: 1,
            receiving_bytes: 1 << 10,
            body_time: Duration::from_secs(60),
            ..limits()
        },
    );
    expecting(&server, &put).refused(507, "storage_full", "1 keys, limit 1");
    let nowhere = Call::put("/v1/keys/x", put.body.clone());
    expecting(&server, &nowhere).refused(400, "malformed", "hexadecimal");
    let none = Call::post(&format!("/v1/models/{}/infer", "0".repeat(64)), vec![0; 10]);
    expecting(&server, &none).refused(404, "unknown_model", "");
    for call in [&put, &infer] {
        let long = call.clone().with("content-length", "1099511627776");
        expecting(&server, &long).refused(413, "too_large", "limit");
        let packed = call.clone().with("content-encoding", "gzip");
        expecting(&server, &packed).refused(415, "unsupported_encoding", "");
    }
    let slow = || {
        let mut slow = connect(server.address).unwrap();
        slow.write_all(infer.head().as_bytes()).unwrap();
        slow.write_all(&infer.body[..60]).unwrap();
        slow
    };
    let mut holding = slow();
    // It has all of the room, or will have it soon; unless the request that asks for it was faster, and it was refused.
    while server.send(&infer).status == 200 {
        holding = slow();
        std::thread::sleep(Duration::from_millis(20));
    }
    expecting(&server, &infer).refused(429, "busy", "KiB");
    drop(holding);

    for limits in [
        Limits {
            waiting: 0,
            ..limits()
        },
        Limits {
            caller_jobs: 0,
            ..limits()
        },
        Limits {
            caller_keys: 1,
            ..limits()
        },
    ] {
        let server = Running::knowing(party, limits.clone());
        if limits.waiting == 0 {
            expecting(&server, &infer).refused(429, "queue_full", "0 jobs wait");
        } else if limits.caller_jobs == 0 {
            expecting(&server, &infer).refused(429, "caller_limit", "0 jobs, limit 0");
        } else {
            expecting(&server, &put).refused(403, "key_limit", "1 keys, limit 1");
        }
    }

    let data = tempfile::tempdir().unwrap();
    let config = Config {
        tokens: Tokens::parse("the-token-of-one-caller").unwrap(),
        ..config(data.path(), limits())
    };
    let server = Running::on(data, config, None);
    for call in [&put, &infer] {
        expecting(&server, call).refused(401, "unauthorized", "is needed");
    }

    // Who is not refused is asked for it.
    let server = Running::start();
    let call = put.with("expect", "100-continue");
    let mut stream = connect(server.address).unwrap();
    stream.write_all(call.head().as_bytes()).unwrap();
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&call.body).unwrap();
    assert_eq!(call.reply(&mut stream).unwrap().status, 201);
}

/// Counters tell about all callers: they are for none of them.
#[test]
fn counters_need_a_token_of_their_own() {
    let (asked, bearer) = (Call::get("/metrics"), |token: &str| {
        Call::get("/metrics").with("authorization", &format!("Bearer {token}"))
    });
    let refused = |server: &Running, call: &Call| {
        let reply = server.send(call);
        reply.refused(401, "unauthorized", "the counters need a token of their own");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    };
    let with = |tokens: Tokens, metrics_tokens: Tokens| {
        let data = tempfile::tempdir().unwrap();
        let config = Config {
            tokens,
            metrics_tokens,
            ..config(data.path(), limits())
        };
        Running::on(data, config, None)
    };
    let (of_caller, of_operator) = ("the-token-of-one-caller", "the-token-of-the-operator");
    let server = with(
        Tokens::parse(of_caller).unwrap(),
        Tokens::parse(of_operator).unwrap(),
    );
    for call in [&asked, &bearer(of_caller), &bearer("the-token-of-nobody")] {
        refused(&server, call);
    }
    let counters = server.send(&bearer(of_operator));
    assert_eq!(counters.status, 200);
    assert!(
        counters.text().contains("cml_requests_total"),
        "{}",
        counters.text()
    );
    // The operator's token opens nothing else.
    let models = Call::get("/v1/models").with("authorization", &format!("Bearer {of_operator}"));
    server.send(&models).refused(401, "unauthorized", "not known");
    // Without tokens for them nobody sees counters, wherever he is.
    for server in [
        with(Tokens::none(), Tokens::none()),
        with(Tokens::parse(of_caller).unwrap(), Tokens::none()),
    ] {
        for call in [&asked, &bearer(of_caller)] {
            refused(&server, call);
        }
    }
}

#[test]
fn configurations() {
    let data = tempfile::tempdir().unwrap();
    let open = |config: Config| cml_serve::Service::open(config).err().unwrap().to_string();
    let fine = || config(data.path(), limits());
    let message = open(Config {
        models: Vec::new(),
        ..fine()
    });
    assert_eq!(message, "no circuit, needs one at least");
    let twice = fine().models.into_iter().chain(fine().models).collect();
    let message = open(Config {
        models: twice,
        ..fine()
    });
    assert_eq!(message, "circuit tiny is given twice");
    let small = Limits {
        memory_bytes: 1000,
        ..limits()
    };
    let message = open(config(data.path(), small));
    assert!(message.ends_with("bytes, limit 1000"), "{message}");
    let small = Limits {
        job_bytes: 1000,
        ..limits()
    };
    let message = open(config(data.path(), small));
    assert!(message.ends_with("limit for one caller 250"), "{message}");
    let both = "the-token-of-one-caller";
    let message = open(Config {
        tokens: Tokens::parse(both).unwrap(),
        metrics_tokens: Tokens::parse(both).unwrap(),
        ..fine()
    });
    assert!(
        message.starts_with("a token of the callers is also one for the counters"),
        "{message}"
    );
    let service = cml_serve::Service::open(fine()).unwrap();
    assert!(open(fine()).ends_with("is used by another server"));
    drop(service);
    cml_serve::Service::open(fine()).unwrap();
    let file = data.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(open(config(&file, limits())).contains("file: "));
    assert_eq!(world().other.name(), "other");
}
