//! A client that insists: circuits that promise less are refused before keys are drawn or anything is encrypted.

use crate::answers::Liar;
use crate::network::{circuit_with, hex};
use cml_client::{KeyStore, MaxFailure, Options, RemoteError, Requirements, Service};
use cml_file::Artifact;
use cml_scheme::ClientSpec;
use cml_scheme::artifact::SPEC;
use cml_tfhe::optimizer::Goal;
use std::path::Path;

/// The client spec of a circuit with this budget, as log2 of the failure probability of a lookup.
fn spec(budget_log2: f64, is_exact: bool) -> ClientSpec {
    let options = cml_tfhe::Options {
        goal: Goal {
            budget_log2,
            ..Goal::default()
        },
        fuse: is_exact,
        approximate: [("relu".to_owned(), u64::from(!is_exact))].into(),
        ..cml_tfhe::Options::default()
    };
    let spec = cml_tfhe::client_spec(&circuit_with("promising", &options)).unwrap();
    assert_eq!(spec.is_exact(), is_exact);
    spec
}

const STRICT: Requirements = Requirements {
    strict: true,
    max_failure: None,
};

fn at_most(log2: f64) -> Requirements {
    Requirements {
        strict: false,
        max_failure: MaxFailure::of_log2(log2),
    }
}

/// Opens a session with a server that answers with this spec; also what it was asked.
fn session(
    spec: &ClientSpec,
    file: Vec<u8>,
    requirements: Requirements,
    keys: &Path,
) -> (Result<(), RemoteError>, Vec<String>) {
    let hash = hex(spec.circuit());
    let list = format!(r#"{{"models":[{{"hash":"{hash}","name":"promising"}}]}}"#);
    let server = Liar::start(move |asked, _| match asked {
        "GET /v1/models" => (200, "", list.clone().into_bytes()),
        _ => (200, "", file.clone()),
    });
    let options = Options {
        requirements,
        ..Options::default()
    };
    let service = Service::connect(&server.url, options).unwrap();
    let store = KeyStore::open(keys).unwrap();
    let session = service.session(None, &store, &mut |_| {}).map(|_| ());
    let asked = server.asked.lock().unwrap().clone();
    (session, asked)
}

#[test]
fn circuits_that_promise_less_are_refused_before_keys_are_drawn() {
    let (usual, strict, approximate) = (spec(-40.0, true), spec(-128.0, true), spec(-128.0, false));
    let (has, folder) = (usual.inference_log2_p_fail(), tempfile::tempdir().unwrap());
    for (spec, requirements, says) in [
        (
            &usual,
            STRICT,
            "network promising promises that a lookup fails with less than 2^-40, the client requires 2^-128",
        ),
        (
            &approximate,
            STRICT,
            "promises approximate results, the client requires exact ones",
        ),
        (
            &usual,
            at_most(has - 0.01),
            "promises that an inference fails less than once in",
        ),
        (&strict, at_most(-1000.0), "the client requires 2^-1000"),
    ] {
        let file = spec.to_bytes().unwrap().to_vec();
        let (refused, asked) = session(spec, file, requirements, folder.path());
        let error = refused.expect_err(says);
        assert!(matches!(error, RemoteError::Promise { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
        let drawn = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(drawn, 0, "no keys for a promise that is not enough");
        assert_eq!(asked.len(), 2, "{asked:?}");
    }
    assert!(at_most(has).check(&usual).is_ok());
    assert!(STRICT.check(&strict).is_ok() && Requirements::default().check(&approximate).is_ok());
}

/// What counts is the less of what the server says now and what it said when the keys were drawn: one of them is
/// not true.
#[test]
fn a_server_cannot_promise_more_than_when_the_keys_were_drawn() {
    let (spec, folder) = (spec(-40.0, true), tempfile::tempdir().unwrap());
    let honest = spec.to_bytes().unwrap().to_vec();
    let (drawn, _) = session(&spec, honest.clone(), Requirements::default(), folder.path());
    drawn.unwrap();
    let payload = cml_file::decode(SPEC, "own", &honest).unwrap();
    let usual = (-40.0_f64).to_le_bytes();
    let at = payload.windows(8).position(|w| w == usual).unwrap();
    let mut better = payload.to_vec();
    better[at..at + 8].copy_from_slice(&(-128.0_f64).to_le_bytes());
    let better = cml_file::encode(SPEC, &better);
    let (again, _) = session(&spec, better.clone(), Requirements::default(), folder.path());
    again.unwrap();
    let (refused, _) = session(&spec, better, STRICT, folder.path());
    assert!(matches!(refused, Err(RemoteError::Promise { .. })), "{refused:?}");
}
