//! Wide levels: 4,096 lookups in one level, singly and amortized, encrypted and compared with the interpreter.
//!
//! `cargo bench -p cml-exec --bench wide -- [BITS]..`, by default 4, 6 and 8. Levels that take long are run with fewer lookups singly.

use cml_exec::Server;
use cml_ir::{Conv2d, Graph, GraphBuilder, InputSpec, Interval, Lut, OutputSpec, Tensor, interpret};
use cml_keys::Client;
use cml_tfhe::optimizer::{Capabilities, Goal};
use cml_tfhe::{Options, lower};
use std::sync::Arc;
use std::time::Instant;

/// Outputs are a square of so many lookups.
const SIDE: usize = 64;
/// Weights of a window: their squares have the sum 64.
const WINDOW: usize = 8;

fn main() {
    let asked: Vec<u32> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let bits = if asked.is_empty() { vec![4, 6, 8] } else { asked };
    for bits in bits {
        run(bits, SIDE, true);
        run(bits, if bits < 8 { 16 } else { 8 }, false);
    }
}

/// A level that makes values of an input, and one that looks up sums of 64 squared weights with so many bits.
fn graph(bits: u32, side: usize) -> Graph {
    let values = 1_i64 << bits;
    let mut b = GraphBuilder::new("wide");
    let spec = InputSpec::new(1.0, 0, Interval::new(0, 7));
    // Four bits have no room for 64 terms: one weight of 7 and 15 of 1 have the same squares.
    let (window, most) = if bits < 6 { (4, 1) } else { (WINDOW, values / 64) };
    let width = side + window - 1;
    let mut weights = vec![1; window * window];
    if bits < 6 {
        weights = vec![0; window * window];
        weights[0] = 7;
        weights[1..9].fill(1);
    }
    let x = b.input("x", vec![1, width, width], spec).expect("an input");
    let wires = b
        .lut(
            "wires",
            x,
            Lut::from_fn(Interval::new(0, 7), |v| v.min(most.max(1))),
        )
        .expect("a lookup");
    let conv = Conv2d {
        weights: Tensor::new(vec![1, 1, window, window], weights).expect("a kernel"),
        bias: vec![0],
        stride: [1, 1],
        padding: [0; 4],
        pad_value: 0,
        groups: 1,
    };
    let sums = b.conv2d("sums", wires, conv).expect("a convolution");
    // A value for each, so that all count.
    let table = move |v: i64| (v * 5) % (values - 1);
    let looked_up = b
        .lut("wide", sums, Lut::from_fn(Interval::new(0, values - 1), table))
        .expect("a lookup");
    b.output("y", looked_up, OutputSpec::identity())
        .expect("an output");
    b.finish().expect("a graph")
}

fn run(bits: u32, side: usize, amortized: bool) {
    let graph = graph(bits, side);
    let options = Options {
        goal: Goal {
            capabilities: Capabilities {
                amortized,
                ..Capabilities::default()
            },
            ..Goal::default()
        },
        fuse: false,
        ..Options::default()
    };
    let start = Instant::now();
    let circuit = lower(&graph, &cml_bitwidth::analyze(&graph), &options).expect("parameters");
    let compiled = start.elapsed().as_secs_f64();
    println!("{bits} bits, compiled in {compiled:.2} s\n{circuit}");
    let spec = cml_tfhe::client_spec(&circuit).expect("a spec");
    let (client, key) = Client::generate(Arc::new(spec), &mut |_| {}).expect("randomness");
    println!(
        "keys {:.1} MB",
        circuit.parameters().server_key_bytes() as f64 / 1e6
    );
    let server = Server::new(&circuit, &key, &mut |_| {}).expect("own key");
    let shape = circuit.inputs()[0].shape.clone();
    let count: usize = shape.iter().product();
    let codes = (0..count as i64).map(|i| (i * i * 31 + i * 7) % 8).collect();
    let input = vec![Tensor::new(shape, codes).expect("a sample")];
    let wanted = interpret(&graph, &input).expect("a sample");
    let encrypted = client.encrypt(&[input]).expect("randomness");
    let start = Instant::now();
    // The second level begins when the first one is done.
    let (first, mut done, mut second) = (circuit.levels()[0].rotations.len(), 0, start);
    let mut report = |count| {
        done += count;
        if done <= first {
            second = Instant::now();
        }
    };
    let results = server.run(&encrypted, &mut report).expect("own sample");
    let seconds = second.elapsed().as_secs_f64();
    let results = client.decrypt(&results).expect("own results");
    let wrong = results[0][0]
        .data()
        .iter()
        .zip(wanted[0].data())
        .filter(|(a, b)| a != b)
        .count();
    let threads = rayon::current_num_threads() as f64;
    println!(
        "{} lookups in {seconds:.2} s: {:.2} ms a lookup and core; {wrong} differ\n",
        side * side,
        seconds * threads / (side * side) as f64 * 1e3
    );
    assert_eq!(wrong, 0);
}
