//! Accumulators that are wider than any lookup, exactly.

use crate::networks::scatter;
use cml_bitwidth::analyze;
use cml_exec::Server;
use cml_file::Artifact;
use cml_ir::{Graph, GraphBuilder, InputSpec, Interval, Lut, OutputSpec, Tensor, interpret};
use cml_keys::Client;
use cml_tfhe::{Circuit, Noise, Options, Simulator, client_spec, lower};

/// A staircase of so many levels, each `step` values wide, on sums of so many inputs of 8 bits with weights of up to `most`; two
/// layers, the second on the first.
fn stairs(inputs: usize, most: i64, (levels, step): (i64, i64)) -> Graph {
    let mut b = GraphBuilder::new("stairs");
    let codes = InputSpec::new(1.0, 0, Interval::new(0, 255));
    let x = b.input("x", vec![inputs], codes).unwrap();
    let weights = (0..3 * inputs).map(|i| scatter(i, -most, most)).collect();
    let weights = Tensor::new(vec![3, inputs], weights).unwrap();
    let sums = b.dot("sums", x, weights, vec![100, -77, 3]).unwrap();
    let reach = inputs as i64 * most * 255;
    let lut = Lut::from_fn(Interval::new(-reach, reach), |v| {
        (v + levels * step / 2).div_euclid(step).clamp(0, levels - 1)
    });
    let hidden = b.lut("act", sums, lut).unwrap();
    let weights = Tensor::new(vec![2, 3], vec![1, -1, 2, -2, 1, 1]).unwrap();
    let y = b.dot("head", hidden, weights, vec![0, 1]).unwrap();
    b.output("y", y, OutputSpec::identity()).unwrap();
    b.finish().unwrap()
}

fn samples(graph: &Graph, count: usize) -> Vec<Vec<Tensor>> {
    let (_, node, _) = graph.inputs().next().unwrap();
    let size = node.ty.shape[0];
    let one = |at: usize| {
        let codes = (0..size).map(|e| scatter(size * at + e, 0, 255)).collect();
        vec![Tensor::new(vec![size], codes).unwrap()]
    };
    (0..count).map(one).collect()
}

fn lowered(graph: &Graph) -> Circuit {
    let circuit = lower(graph, &analyze(graph), &Options::default()).unwrap();
    println!("{circuit}");
    // Reading checks everything anew.
    let bytes = circuit.to_bytes().unwrap();
    assert_eq!(Circuit::from_bytes("circuit", &bytes, ()).unwrap(), circuit);
    circuit
}

#[test]
fn wide_accumulators_are_exact_in_the_clear() {
    for (inputs, most, stairs_of) in [
        (64, 12, (8, 700)),
        (40, 3, (16, 77)),
        (300, 3, (4, 9000)),
        (64, 30, (64, 50)),
    ] {
        let graph = stairs(inputs, most, stairs_of);
        let circuit = lowered(&graph);
        assert!(circuit.is_exact());
        let (mut exact, mut noisy) = (
            Simulator::new(&circuit, Noise::Exact),
            Simulator::new(&circuit, Noise::Sampled(1)),
        );
        for sample in samples(&graph, 200) {
            let expected = interpret(&graph, &sample).unwrap();
            assert_eq!(exact.run(&sample).unwrap(), expected);
            assert_eq!(noisy.run(&sample).unwrap(), expected);
        }
    }
}

#[test]
fn wide_accumulators_are_exact_when_encrypted() {
    let graph = stairs(64, 12, (8, 700));
    let circuit = lowered(&graph);
    let (client, key) = Client::generate(client_spec(&circuit).unwrap(), &mut |_| {}).unwrap();
    let server = Server::new(&circuit, &key, &mut |_| {}).unwrap();
    let samples = samples(&graph, 4);
    let outputs = server
        .run(&client.encrypt(&samples).unwrap(), &mut |_| {})
        .unwrap();
    for (sample, found) in samples.iter().zip(client.decrypt(&outputs).unwrap()) {
        assert_eq!(found, interpret(&graph, sample).unwrap());
    }
}
