//! Nothing that a server sends is trusted.

use crate::answers::{Liar, Reply};
use crate::network::{circuit, hex, spec};
use cml_client::{KeyStore, Options, RemoteError, Service};
use cml_exec::Server;
use cml_file::Artifact;
use cml_scheme::{Bound, Ciphertext, SeededCiphertexts, ServerKeys};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

fn options() -> Options {
    Options {
        patience: Duration::from_secs(2),
        timeout: Duration::from_secs(30),
        ..Options::default()
    }
}

fn models() -> Reply {
    let hash = hex(spec("honest").circuit());
    let list = format!(r#"{{"models":[{{"hash":"{hash}","name":"honest"}}]}}"#);
    (200, "", list.into_bytes())
}

fn json(status: u16, body: &str) -> Reply {
    (status, "", body.as_bytes().to_vec())
}

/// A folder with keys, drawn once.
fn keys() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyStore::open(folder.path()).unwrap();
        store.keys(spec("honest"), &mut |_| {}).unwrap();
        folder
    });
    folder.path()
}

/// What comes of asking a server that answers requests for inferences and jobs so.
fn predict(infer: impl Fn(&str, &[u8]) -> Reply + Send + 'static) -> (Result<(), RemoteError>, Liar) {
    let file = spec("honest").to_bytes().unwrap().to_vec();
    let liar = Liar::start(move |asked, body| match asked {
        "GET /v1/models" => models(),
        _ if asked.starts_with("GET /v1/models/") => (200, "", file.to_vec()),
        _ if asked.starts_with("PUT /v1/keys/") => json(201, "{}"),
        _ => infer(asked, body),
    });
    let service = Service::connect(&liar.url, options()).unwrap();
    let store = KeyStore::open(keys()).unwrap();
    let session = service.session(None, &store, &mut |_| {}).unwrap();
    let result = session.predict(&[vec![1.0, 0.0], vec![0.0, 1.0]]);
    (result.map(|_| ()), liar)
}

fn refused(result: Result<(), RemoteError>, expected: &str) {
    let message = result.expect_err(expected).to_string();
    assert!(
        message.contains(expected),
        "{message:?} does not say {expected:?}"
    );
    assert!(!message.contains('\u{1b}'), "{message:?}");
}

#[test]
fn lists_of_models_that_are_none() {
    let connect = |reply: fn() -> Reply| {
        let liar = Liar::start(move |_, _| reply());
        Service::connect(&liar.url, options()).map(|_| ())
    };
    refused(connect(|| json(200, "hello")), "is no list of models");
    refused(
        connect(|| json(200, r#"{"models":[{"hash":"../x","name":"a"}]}"#)),
        "which is no SHA-256",
    );
    refused(connect(|| (200, "", vec![b' '; (1 << 20) + 1])), "limit");
    refused(
        connect(|| (307, "location: http://127.0.0.1:9/\r\n", Vec::new())),
        "the server answers 307",
    );
    refused(
        connect(|| json(401, r#"{"error":"who \u001b[31mare you","code":"unauthorized"}"#)),
        "401 unauthorized: who \u{fffd}[31mare you",
    );
    refused(
        connect(|| (500, "", vec![0xff; 1 << 20])),
        "the server answers 500",
    );
    refused(
        connect(|| (503, "retry-after: 100000\r\n", Vec::new())),
        "still busy after 0 s",
    );
}

#[test]
fn specs_of_another_circuit_or_changed_ones() {
    let session = |file: Vec<u8>| {
        let liar = Liar::start(move |asked, _| match asked {
            "GET /v1/models" => models(),
            _ => (200, "", file.to_vec()),
        });
        let service = Service::connect(&liar.url, options()).unwrap();
        let store = KeyStore::open(keys()).unwrap();
        service.session(None, &store, &mut |_| {}).map(|_| ())
    };
    session(spec("honest").to_bytes().unwrap().to_vec()).unwrap();
    refused(
        session(spec("other").to_bytes().unwrap().to_vec()),
        &format!("is of circuit {}", &hex(spec("other").circuit())[..8]),
    );
    refused(session(vec![7; 100]), "the server's client spec: not a cml file");

    // The same circuit, but another scale than when the keys were drawn.
    let file = spec("honest").to_bytes().unwrap().to_vec();
    let payload = cml_file::decode(cml_scheme::artifact::SPEC, "own", &file).unwrap();
    let half = 0.5_f32.to_le_bytes();
    let at = payload.windows(4).position(|w| w == half).unwrap();
    let mut changed = payload.to_vec();
    changed[at..at + 4].copy_from_slice(&0.25_f32.to_le_bytes());
    let changed = cml_file::encode(cml_scheme::artifact::SPEC, &changed);
    refused(session(changed), "differently than when the keys");
}

#[test]
fn keys_that_are_larger_than_agreed_are_not_drawn() {
    let file = spec("honest").to_bytes().unwrap().to_vec();
    let liar = Liar::start(move |asked, _| match asked {
        "GET /v1/models" => models(),
        _ => (200, "", file.to_vec()),
    });
    let options = Options {
        max_key_bytes: 1000,
        ..options()
    };
    let service = Service::connect(&liar.url, options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = KeyStore::open(folder.path()).unwrap();
    let session = service.session(None, &store, &mut |_| {});
    refused(session.map(|_| ()), "limit 1000");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn keys_are_sent_when_the_server_asks_and_not_forever() {
    let (result, liar) = predict(|_, _| json(404, r#"{"error":"no such key","code":"unknown_key"}"#));
    refused(result, "keys are unknown that were sent 3 times");
    assert_eq!(liar.count("PUT /v1/keys/"), 3);
    let (result, liar) = predict(|_, _| json(404, r#"{"error":"gone","code":"unknown_model"}"#));
    refused(result, "404 unknown_model: gone");
    assert_eq!(liar.count("PUT /v1/keys/"), 0);
}

/// A server, or a proxy in front of it, that is not there for a moment costs nothing but time.
#[test]
fn what_is_gone_for_a_moment_is_asked_again() {
    let gone_then_failed = |first: fn() -> Reply| {
        let asked = Mutex::new(0);
        let (result, liar) = predict(move |_, _| {
            *asked.lock().unwrap() += 1;
            match *asked.lock().unwrap() {
                1 => first(),
                _ => json(410, r#"{"error":"it broke","code":"failed"}"#),
            }
        });
        refused(result, "410 failed: it broke");
        assert_eq!(liar.count("POST /v1/models/"), 2);
    };
    gone_then_failed(|| (0, "", Vec::new()));
    gone_then_failed(|| json(502, "bad gateway"));
    gone_then_failed(|| json(504, ""));
    gone_then_failed(|| (503, "retry-after: 0\r\n", Vec::new()));
    // Jobs are asked for again too, and not forever.
    let (result, liar) = predict(|asked, _| match asked {
        "GET /v1/jobs/a-1" => (0, "", Vec::new()),
        _ => json(202, r#"{"job":"a-1"}"#),
    });
    refused(result, "GET http://127.0.0.1");
    assert!((2..10).contains(&liar.count("GET /v1/jobs/a-1")));
    let (result, _) = predict(|_, _| json(502, "bad gateway"));
    refused(result, "the server answers 502");
    // Nobody was there before.
    let liar = Liar::start(|_, _| (0, "", Vec::new()));
    Service::connect(&liar.url, options()).map(|_| ()).unwrap_err();
    assert_eq!(liar.count("GET"), 1);
}

#[test]
fn answers_that_stay_too_long_are_not_asked_for_again() {
    let (result, liar) = predict(|asked, _| match asked {
        "GET /v1/jobs/a-1" => (200, "", vec![0; 1 << 20]),
        _ => json(202, r#"{"job":"a-1"}"#),
    });
    refused(result, "is longer than the limit of");
    assert_eq!(liar.count("GET /v1/jobs/a-1"), 1);
}

/// A model that is called by the hash of another one is not that one.
#[test]
fn names_that_look_like_hashes() {
    let (hash, other) = (hex(spec("honest").circuit()), hex(spec("other").circuit()));
    let list = format!(r#"{{"models":[{{"hash":"{other}","name":"{hash}"}}]}}"#);
    let liar = Liar::start(move |_, _| (200, "", list.clone().into_bytes()));
    let service = Service::connect(&liar.url, options()).unwrap();
    let refused = service.model(Some(&hash)).map(|_| ());
    assert!(matches!(refused, Err(RemoteError::Model { .. })), "{refused:?}");
    let entry = service.model(Some(&other.to_uppercase())).unwrap();
    assert_eq!(hex(&entry.circuit), other);
}

#[test]
fn jobs_with_names_that_are_paths() {
    let (result, _) = predict(|_, _| json(202, r#"{"job":"../../v1/keys/x"}"#));
    refused(result, "names no job");
    let (result, liar) = predict(|asked, _| match asked {
        "GET /v1/jobs/a-1" => json(410, r#"{"error":"it broke","code":"failed"}"#),
        _ => json(202, r#"{"job":"a-1"}"#),
    });
    refused(result, "410 failed: it broke");
    assert_eq!(liar.count("GET /v1/jobs/a-1"), 1);
    // A server that crashed has forgotten its jobs; one that always has is left.
    let (result, liar) = predict(|asked, _| match asked {
        "GET /v1/jobs/a-1" => json(404, r#"{"error":"what job","code":"unknown_job"}"#),
        _ => json(202, r#"{"job":"a-1"}"#),
    });
    refused(result, "says again that a job is unknown");
    assert_eq!(liar.count("POST /v1/models/"), 4);
}

#[test]
fn results_that_are_too_long_too_few_or_of_others() {
    let (result, _) = predict(|_, _| (200, "", vec![0; 1 << 20]));
    refused(result, "limit");
    let (result, _) = predict(|_, _| (200, "", b"nonsense".to_vec()));
    refused(result, "the server's results: not a cml file");

    // Real results of these keys: of one sample, then of another client.
    let run = |change: fn(&mut Bound<Vec<Vec<Ciphertext>>>)| {
        let circuit = circuit("honest");
        let store = KeyStore::open(keys()).unwrap();
        let mine = store.keys(spec("honest"), &mut |_| {}).unwrap();
        let key = Bound::<ServerKeys>::read(&mine.server_key, &circuit).unwrap();
        let sample = spec("honest").quantize(&[&[1.0, 0.0]]).unwrap();
        let inputs: Bound<Vec<SeededCiphertexts>> = mine.client.encrypt(&[sample]).unwrap();
        let server = Server::new(&circuit, &key, &mut |_| {}).unwrap();
        let mut outputs = server.run(&inputs, &mut |_| {}).unwrap();
        change(&mut outputs);
        let folder = tempfile::tempdir().unwrap();
        outputs.write(&folder.path().join("out.ct")).unwrap();
        let bytes = Arc::new(Mutex::new(std::fs::read(folder.path().join("out.ct")).unwrap()));
        predict(move |_, _| (200, "", bytes.lock().unwrap().clone())).0
    };
    refused(run(|_| {}), "holds 1 results, 2 samples were sent");
    refused(
        run(|outputs| {
            let first = outputs.value[0].clone();
            outputs.value.push(first);
            outputs.binding.keys[0] ^= 1;
        }),
        "encrypted output belongs to",
    );
}
