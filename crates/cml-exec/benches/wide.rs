//! Wide levels, singly and amortized, encrypted and compared with the interpreter: 4,096 lookups in one level, and a
//! convolutional network on images of 28 x 28 with 1,448 lookups of 64 values.
//!
//! `cargo bench -p cml-exec --bench wide -- [BITS].. [cnn]`, by default 4, 6 and 8 bits. Singly fewer lookups are run.

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
    let cnn = std::env::args().any(|arg| arg == "cnn");
    let bits = if asked.is_empty() && !cnn {
        vec![4, 6, 8]
    } else {
        asked
    };
    for bits in bits {
        run(&graph(bits, SIDE), 1, true);
        run(&graph(bits, if bits < 8 { 16 } else { 8 }), 1, false);
    }
    if cnn {
        run(&network(), 8, true);
        run(&network(), 1, false);
    }
}

/// Two convolutions and two dense layers, of arbitrary sparse weights: accumulators of 64 values.
fn network() -> Graph {
    let mut state = 1_u64;
    let mut next = move |limit: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    // Codes 0 to 3 times 21 weights of 1 or -1.
    let mut weights = |outputs: usize, inputs: usize| {
        let mut all = vec![0; outputs * inputs];
        for row in all.chunks_exact_mut(inputs) {
            let mut left = 21.min(inputs);
            while left > 0 {
                let place = next(inputs);
                if row[place] == 0 {
                    row[place] = if next(2) == 0 { 1 } else { -1 };
                    left -= 1;
                }
            }
        }
        all
    };
    let tensor =
        |shape: &[usize], data| Tensor::new(shape.to_vec(), data).expect("as many as the shape says");
    let conv = |channels: usize, inputs: usize, size: usize, stride: usize, weights| Conv2d {
        weights: tensor(&[channels, inputs, size, size], weights),
        bias: vec![0; channels],
        stride: [stride; 2],
        padding: [0; 4],
        pad_value: 0,
        groups: 1,
    };
    // A different value for each of many accumulators, as a quantized ReLU has it.
    let codes = || Lut::from_fn(Interval::new(-63, 63), |v| ((v + 2) / 4).clamp(0, 3));
    let mut b = GraphBuilder::new("cnn");
    let x = b
        .input("x", vec![1, 28, 28], InputSpec::new(1.0, 0, Interval::new(0, 3)))
        .expect("an input");
    let x = b
        .conv2d("conv1", x, conv(4, 1, 5, 2, weights(4, 25)))
        .expect("a convolution");
    let x = b.lut("relu1", x, codes()).expect("lookups");
    let x = b
        .conv2d("conv2", x, conv(8, 4, 3, 1, weights(8, 36)))
        .expect("a convolution");
    let x = b.lut("relu2", x, codes()).expect("lookups");
    let x = b.reshape("flat", x, vec![800]).expect("a vector");
    let x = b
        .dot("fc1", x, tensor(&[128, 800], weights(128, 800)), vec![0; 128])
        .expect("a layer");
    let x = b.lut("relu3", x, codes()).expect("lookups");
    let y = b
        .dot("fc2", x, tensor(&[10, 128], weights(10, 128)), vec![0; 10])
        .expect("a layer");
    b.output("y", y, OutputSpec::identity()).expect("an output");
    b.finish().expect("a graph")
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

fn run(graph: &Graph, samples: u32, amortized: bool) {
    let options = Options {
        goal: Goal {
            samples_at_once: samples,
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
    let circuit = lower(graph, &cml_bitwidth::analyze(graph), &options).expect("parameters");
    let compiled = start.elapsed().as_secs_f64();
    println!("{}, compiled in {compiled:.2} s\n{circuit}", graph.name());
    let spec = cml_tfhe::client_spec(&circuit).expect("a spec");
    let (client, key) = Client::generate(Arc::new(spec), &mut |_| {}).expect("randomness");
    println!(
        "keys {:.1} MB",
        circuit.parameters().server_key_bytes() as f64 / 1e6
    );
    let server = Server::new(&circuit, &key, &mut |_| {}).expect("own key");
    let input = &circuit.inputs()[0];
    let (count, most) = (
        input.shape.iter().product::<usize>() as i64,
        input.spec.range.hi + 1,
    );
    let sample = |number: i64| {
        let codes = (0..count)
            .map(|i| (i * i * 31 + i * (7 + number)) % most)
            .collect();
        vec![Tensor::new(input.shape.clone(), codes).expect("a sample")]
    };
    let inputs: Vec<Vec<Tensor>> = (0..i64::from(samples)).map(sample).collect();
    let encrypted = client.encrypt(&inputs).expect("randomness");
    let rotations: Vec<usize> = circuit
        .levels()
        .iter()
        .map(|l| l.rotations.len() * samples as usize)
        .collect();
    let last = rotations.last().copied().unwrap_or(0);
    let before: usize = rotations.iter().sum::<usize>() - last;
    let start = Instant::now();
    // The last level begins when those before it are done.
    let (mut done, mut last_start) = (0, start);
    let mut report = |count| {
        done += count;
        if done <= before {
            last_start = Instant::now();
        }
    };
    let results = server.run(&encrypted, &mut report).expect("own samples");
    let (seconds, of_last) = (start.elapsed().as_secs_f64(), last_start.elapsed().as_secs_f64());
    let results = client.decrypt(&results).expect("own results");
    let wanted = inputs
        .iter()
        .map(|input| interpret(graph, input).expect("a sample"));
    let wrong = results.iter().zip(wanted).filter(|(a, b)| *a != b).count();
    let threads = rayon::current_num_threads() as f64;
    println!(
        "{:.2} s a sample; {:.2} ms a lookup and core in the last level; {wrong} of {samples} samples differ\n",
        seconds / f64::from(samples),
        of_last * threads / last as f64 * 1e3
    );
    assert_eq!(wrong, 0);
}
