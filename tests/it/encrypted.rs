//! Real keys: what comes back is what the interpreter computes, and everything
//! goes through files.

use crate::networks::{lowered, lowered_amortized, lowered_in_two_sets, mlp, sample};
use crate::random::{fixed, recipes};
use cml_exec::{Server, plan};
use cml_file::Artifact;
use cml_ir::{Graph, Op, Tensor, interpret, optimize};
use cml_keys::{BoundClientKeys, Client};
use cml_quant::to_graph;
use cml_scheme::artifact::{EncryptedInputs, EncryptedOutputs};
use cml_scheme::{Bound, ClientSpec, ServerKeys};
use cml_tfhe::{Circuit, client_spec};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::path::Path;

/// The client's first step, without the circuit: keys and encrypted samples. Returns nothing but
/// files.
fn client_encrypts(folder: &Path, samples: &[Vec<Tensor>]) {
    let spec = ClientSpec::read(&folder.join("net.cmls"), ()).unwrap();
    let (client, server_key) = Client::generate(spec, &mut |_| {}).unwrap();
    client.key().write(&folder.join("client.key")).unwrap();
    server_key.write(&folder.join("server.key")).unwrap();
    client
        .encrypt(samples)
        .unwrap()
        .write(&folder.join("in.ct"))
        .unwrap();
}

/// The server's step: sees circuit, server key and inputs only. Returns the
/// lookups that it reported.
fn server_runs(folder: &Path) -> usize {
    let circuit = Circuit::read(&folder.join("net.cmlc"), ()).unwrap();
    let key = Bound::<ServerKeys>::read(&folder.join("server.key"), &circuit).unwrap();
    let server = Server::new(&circuit, &key, &mut |_| {}).unwrap();
    let inputs = EncryptedInputs::read(&folder.join("in.ct"), &circuit).unwrap();
    let mut done = 0;
    let outputs = server.run(&inputs, &mut |lookups| done += lookups).unwrap();
    outputs.write(&folder.join("out.ct")).unwrap();
    done
}

/// The client's second step, with its key from the file.
fn client_decrypts(folder: &Path) -> Vec<Vec<Tensor>> {
    let spec = ClientSpec::read(&folder.join("net.cmls"), ()).unwrap();
    let key = BoundClientKeys::read(&folder.join("client.key"), &spec).unwrap();
    let outputs = EncryptedOutputs::read(&folder.join("out.ct"), &spec).unwrap();
    Client::new(spec, key).unwrap().decrypt(&outputs).unwrap()
}

/// Runs distinct samples of a graph encrypted and compares with `original`.
fn check(original: &Graph, compiled: &Graph, count: usize) {
    check_circuit(original, &lowered(compiled), count);
}

fn check_circuit(original: &Graph, circuit: &Circuit, count: usize) {
    let samples: Vec<Vec<Tensor>> = (0..count).map(|at| sample(original, at)).collect();
    let distinct: std::collections::BTreeSet<String> = samples.iter().map(|s| format!("{s:?}")).collect();
    assert!(distinct.len() >= 20, "{} distinct inputs", distinct.len());
    let folder = tempfile::tempdir().unwrap();
    circuit.write(&folder.path().join("net.cmlc")).unwrap();
    client_spec(circuit)
        .unwrap()
        .write(&folder.path().join("net.cmls"))
        .unwrap();
    client_encrypts(folder.path(), &samples);
    let done = server_runs(folder.path());
    assert_eq!(done, count * circuit.rotation_count());
    let expected: Vec<Vec<Tensor>> = samples.iter().map(|s| interpret(original, s).unwrap()).collect();
    let varied: std::collections::BTreeSet<String> = expected.iter().map(|t| format!("{t:?}")).collect();
    assert!(
        varied.len() >= 5,
        "{} distinct results would prove little",
        varied.len()
    );
    assert_eq!(client_decrypts(folder.path()), expected, "{circuit}");
}

#[test]
fn an_encrypted_mlp_computes_what_the_interpreter_does() {
    let graph = to_graph(&mlp()).unwrap();
    check(&graph, &optimize(&graph).unwrap(), 30);
}

#[test]
fn two_parameter_sets_compute_what_the_interpreter_does() {
    let graph = to_graph(&mlp()).unwrap();
    let circuit = lowered_in_two_sets(&graph);
    let sets = circuit.parameters();
    assert_eq!(sets.count(), 2, "{circuit}");
    assert!(circuit.to_string().contains("parameters 2"), "{circuit}");
    let plan = plan(&circuit);
    assert_eq!(plan.server_key_bytes, sets.server_key_bytes());
    assert!(plan.layers.iter().all(|layer| layer.seconds > 0.0), "{plan:?}");
    check_circuit(&graph, &circuit, 30);
}

#[test]
fn amortized_rotations_compute_what_the_interpreter_does() {
    let graph = to_graph(&mlp()).unwrap();
    let circuit = lowered_amortized(&graph, 700);
    let sets = circuit.parameters();
    assert!(circuit.to_string().contains(", amortized"), "{circuit}");
    let plan = plan(&circuit);
    assert_eq!(plan.server_key_bytes, sets.server_key_bytes());
    assert_eq!(plan.samples_at_once, 700);
    assert!(plan.layers.iter().all(|layer| layer.seconds > 0.0), "{plan:?}");
    check_circuit(&graph, &circuit, 30);
}

/// The first random graph with a sum of two values, a concatenation, two
/// levels and few lookups.
#[test]
fn an_encrypted_random_graph_computes_what_the_interpreter_does() {
    let mut runner = TestRunner::new(fixed(1, 5));
    let fits = |graph: &Graph| {
        let has = |wanted: fn(&Op) -> bool| graph.nodes().any(|(_, n)| wanted(&n.op));
        let sums = has(|op| matches!(op, Op::Add | Op::Sub));
        let concats = has(|op| matches!(op, Op::Concat { .. }));
        let inputs: usize = graph
            .inputs()
            .map(|(_, n, _)| n.ty.shape.iter().product::<usize>())
            .sum();
        sums && concats && inputs >= 3 && {
            let circuit = lowered(graph);
            circuit.levels().len() >= 2 && (4..=8).contains(&circuit.lookup_count())
        }
    };
    for _ in 0..500 {
        let graph = recipes().new_tree(&mut runner).unwrap().current().build();
        let optimized = optimize(&graph).unwrap();
        if fits(&optimized) {
            return check(&graph, &optimized, 24);
        }
    }
    panic!("no random graph fits");
}
