//! Files of the first formats that were frozen, under `tests/fixtures/v1`: they are read for ever.
//!
//! Encrypted inputs are of version 2: those of version 1 could hold a part of their values in clear, and are refused.
//!
//! Keys are of the version that knows amortized rotations: version 3 of secret keys. The server key has
//! 4 MB, so it is drawn again from a seed, and its file is held by its SHA-256.
//!
//! A change that fails here needs a reader for the old format, not new files. With `CML_FREEZE=FOLDER` the test
//! writes a set of its own formats into an empty folder instead: for the next version.

use crate::keys::tiny_graph;
use crate::networks::{lowered_in_two_sets, mlp, sample};
use cml_exec::Server;
use cml_file::Artifact;
use cml_ir::{Graph, Tensor, interpret};
use cml_keys::artifact::LockedClientKeys;
use cml_keys::insecure::Deterministic;
use cml_keys::random::System;
use cml_keys::{BoundClientKeys, Client};
use cml_quant::{read_network, to_graph};
use cml_scheme::artifact::{EncryptedInputs, EncryptedOutputs};
use cml_scheme::{Bound, ClientSpec, ServerKeys};
use cml_tfhe::optimizer::{Goal, Objective};
use cml_tfhe::{Circuit, Noise, Options, Simulator, client_spec, lower};
use std::path::{Path, PathBuf};

const PASSPHRASE: &[u8] = b"correct horse battery staple";
/// Seed of the keys: everybody can draw them.
const SEED: u128 = 0x005e_ed0f_601d;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1")
}

/// All inputs of the small graph.
fn inputs() -> Vec<Vec<Tensor>> {
    let sample = |x: &[i64; 2]| vec![Tensor::new(vec![2], x.to_vec()).unwrap()];
    [[0, 0], [1, 0], [0, 1], [1, 1]].iter().map(sample).collect()
}

/// The client of the fixtures, and its server key.
fn keys(spec: ClientSpec) -> (Client, Bound<ServerKeys>) {
    Client::generate_with(spec, &mut Deterministic::new(SEED), &mut |_| {}).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    format!("{}\n", cml_file::to_hex(&Sha256::digest(bytes)))
}

/// Writes the files of a small circuit with the smallest keys.
fn freeze(folder: &Path) {
    let graph = tiny_graph("golden");
    let options = Options {
        goal: Goal {
            objective: Objective::KeySize,
            ..Goal::default()
        },
        ..Options::default()
    };
    let circuit = lower(&graph, &cml_bitwidth::analyze(&graph), &options).unwrap();
    let at = |name: &str| folder.join(name);
    graph.write(&at("net.cmlg")).unwrap();
    circuit.write(&at("net.cmlc")).unwrap();
    let spec = client_spec(&circuit).unwrap();
    spec.write(&at("net.cmls")).unwrap();
    let (client, server_key) = keys(spec);
    client.key().write(&at("client.key")).unwrap();
    LockedClientKeys::seal("locked.key", client.key(), PASSPHRASE, &mut System::new())
        .unwrap()
        .write(&at("locked.key"))
        .unwrap();
    let file = server_key.to_bytes().unwrap();
    std::fs::write(at("server.key.sha256"), sha256(&file)).unwrap();
    let encrypted = client.encrypt(&inputs()).unwrap();
    encrypted.write(&at("in.ct")).unwrap();
    let server = Server::new(&circuit, &server_key, &mut |_| {}).unwrap();
    let results = server.run(&encrypted, &mut |_| {}).unwrap();
    results.write(&at("out.ct")).unwrap();

    let two = lowered_in_two_sets(&to_graph(&mlp()).unwrap());
    two.write(&at("two.cmlc")).unwrap();
    client_spec(&two).unwrap().write(&at("two.cmls")).unwrap();
}

#[test]
fn files_of_version_1_are_read_for_ever() {
    if let Some(folder) = std::env::var_os("CML_FREEZE") {
        return freeze(Path::new(&folder));
    }
    let at = |name: &str| fixtures().join(name);
    let graph = Graph::read(&at("net.cmlg"), ()).unwrap();
    let expected: Vec<Vec<Tensor>> = inputs().iter().map(|x| interpret(&graph, x).unwrap()).collect();

    let circuit: Circuit = Circuit::read(&at("net.cmlc"), ()).unwrap();
    let spec = ClientSpec::read(&at("net.cmls"), ()).unwrap();
    assert!(client_spec(&circuit).unwrap().agrees_with(&spec));
    let key = BoundClientKeys::read(&at("client.key"), &spec).unwrap();
    let locked = LockedClientKeys::read(&at("locked.key"), ())
        .unwrap()
        .open(&spec, PASSPHRASE)
        .unwrap();
    assert_eq!(*locked.value.to_bytes(), *key.value.to_bytes());
    let (drawn, server_key) = keys(spec.clone());
    assert_eq!(drawn.key().binding, key.binding);
    assert_eq!(*drawn.key().value.to_bytes(), *key.value.to_bytes());
    let client = Client::new(spec, key).unwrap();

    // What was computed then, and what is computed now from what was encrypted then.
    let then = EncryptedOutputs::read(&at("out.ct"), &circuit).unwrap();
    assert_eq!(client.decrypt(&then).unwrap(), expected);
    let encrypted = EncryptedInputs::read(&at("in.ct"), &circuit).unwrap();
    let file = server_key.to_bytes().unwrap();
    let held = std::fs::read_to_string(at("server.key.sha256")).unwrap();
    assert_eq!(sha256(&file), held, "files of server keys have changed");
    let server_key = Bound::<ServerKeys>::from_bytes("server.key", &file, &circuit).unwrap();
    let server = Server::new(&circuit, &server_key, &mut |_| {}).unwrap();
    let now = server.run(&encrypted, &mut |_| {}).unwrap();
    assert_eq!(client.decrypt(&now).unwrap(), expected);
}

#[test]
fn circuits_with_two_parameter_sets_are_read_for_ever() {
    if std::env::var_os("CML_FREEZE").is_some() {
        return;
    }
    let at = |name: &str| fixtures().join(name);
    let circuit = Circuit::read(&at("two.cmlc"), ()).unwrap();
    assert_eq!(circuit.parameters().count(), 2);
    let spec = ClientSpec::read(&at("two.cmls"), ()).unwrap();
    assert!(client_spec(&circuit).unwrap().agrees_with(&spec));
    let graph = to_graph(&mlp()).unwrap();
    let mut simulator = Simulator::new(&circuit, Noise::Exact);
    for number in 0..20 {
        let inputs = sample(&graph, number);
        assert_eq!(
            simulator.run(&inputs).unwrap(),
            interpret(&graph, &inputs).unwrap()
        );
    }
}

#[test]
fn networks_of_version_1_are_read_for_ever() {
    let network = read_network(&fixtures().join("iris.safetensors")).unwrap();
    let graph = Graph::read(&fixtures().join("iris.cmlg"), ()).unwrap();
    let translated = cml_ir::optimize(&cml_quant::to_graph(&network).unwrap()).unwrap();
    assert_eq!(
        cml_ir::graph_hash(&translated).unwrap(),
        cml_ir::graph_hash(&graph).unwrap()
    );
    // Files are the same bytes for ever, too: hashes of graphs are kept elsewhere.
    for name in ["checkerboard.cmlg", "digits.cmlg", "iris.cmlg", "net.cmlg"] {
        let bytes = std::fs::read(fixtures().join(name)).unwrap();
        let graph = Graph::from_bytes(name, &bytes, ()).unwrap();
        assert!(*graph.to_bytes().unwrap() == bytes, "{name}");
        let text = cml_ir::graph_to_text(&graph);
        assert!(cml_ir::graph_from_text(&text).unwrap() == graph, "{name}");
    }
}
