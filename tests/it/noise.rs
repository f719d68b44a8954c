//! Lookups go wrong as often as the noise model predicts.
//!
//! The circuits here have tables that are permutations fixing 0 on one value more
//! than a power of two: they change everywhere, so their half period `P` is that
//! power. Then every change lies halfway between two points, exactly, and whatever
//! is read beyond an end is another value (`f(0) + f(P) - f(P - 1)` below, `f(0) +
//! f(P) - f(1)` above): a reading is wrong if and only if its noise leaves
//! `[-1/4P, 1/4P]`. `expected_log2_p_fail` claims the probability of just that for Gaussian noise; `log2_p_fail`, which is
//! promised, is larger.
//!
//! A result is wrong if exactly one of the readings before it is wrong, and
//! right if none is. With independent readings of failure probabilities `p_i`,
//! the probability of a wrong result lies between `S - (S^2 - Q)` and `S`, where
//! `S` is the sum of `p_i` and `Q` that of their squares. Of `n` independent
//! results `W` are wrong; accepted is
//!
//! `n (S - S^2 + Q) - 5 s <= W <= n S + 5 s`, `s = sqrt(n S)`,
//!
//! where `s` is at least the standard deviation. Right code fails five standard
//! deviations for about one seed in 10^6. With `n S >= 400`, as asserted below,
//! the bounds are 25% either way at most; at the rates here that is what a noise
//! does whose standard deviation is off by 10%.

use crate::networks::{lowered, sample, scatter};
use cml_bitwidth::analyze;
use cml_exec::Server;
use cml_ir::{Graph, GraphBuilder, InputSpec, Interval, Lut, OutputSpec, Tensor, interpret};
use cml_keys::Client;
use cml_tfhe::noise::Reader;
use cml_tfhe::optimizer::Goal;
use cml_tfhe::{Circuit, Noise, Options, Simulator, client_spec, lower};

fn loose(graph: &Graph, budget_log2: f64) -> Circuit {
    loose_with(graph, budget_log2, 0.0)
}

/// With two parameter sets, if they take less than this share of the time of one.
fn loose_with(graph: &Graph, budget_log2: f64, second_set_below: f64) -> Circuit {
    let options = Options {
        goal: Goal {
            budget_log2,
            second_set_below,
            ..Goal::default()
        },
        // The levels are what is tested.
        fuse: false,
        ..Options::default()
    };
    lower(graph, &analyze(graph), &options).unwrap()
}

/// A permutation of `0..values` that fixes 0.
fn permutation(values: i64) -> Lut {
    Lut::from_fn(Interval::new(0, values - 1), |v| 7 * v % values)
}

fn digits(b: &mut GraphBuilder, count: usize, top: i64) -> cml_ir::NodeId {
    b.input("x", vec![count], InputSpec::new(1.0, 0, Interval::new(0, top)))
        .unwrap()
}

/// `count` lookups on fresh encryptions of 257 values.
fn one_level(count: usize) -> Graph {
    let mut b = GraphBuilder::new("one_level");
    let x = digits(&mut b, count, 256);
    let y = b.lut("act", x, permutation(257)).unwrap();
    b.output("y", y, OutputSpec::identity()).unwrap();
    b.finish().unwrap()
}

/// Three digits are looked up, put together with weights 1, 4 and 11, and
/// looked up again: the second lookup reads amplified noise.
fn two_levels() -> Graph {
    let mut b = GraphBuilder::new("two_levels");
    let x = digits(&mut b, 3, 4);
    let digits = b.lut("digits", x, permutation(5)).unwrap();
    let weights = Tensor::new(vec![1, 3], vec![1, 4, 11]).unwrap();
    let number = b.dot("number", digits, weights, vec![0]).unwrap();
    let y = b.lut("act", number, permutation(65)).unwrap();
    b.output("y", y, OutputSpec::identity()).unwrap();
    b.finish().unwrap()
}

/// Failure probability of each reading of one inference, if the variance of
/// its noise is that of the model times a factor near 1.
fn predicted(circuit: &Circuit, variance_factor: f64) -> Vec<f64> {
    let each = circuit.demands().into_iter().flat_map(|demand| {
        let (count, period) = match demand.requirement.reader {
            Reader::Lookup => {
                let (period, scale) = (demand.requirement.half_period, demand.requirement.scale);
                assert!(period.is_multiple_of(scale), "{demand:?}");
                (demand.rotations.len(), period / scale)
            }
            Reader::Client { .. } => (circuit.output_count(), 1),
        };
        assert!(period.is_power_of_two(), "{demand:?}");
        // Near enough: log p moves like z^2, by a little less in fact.
        let expected = circuit.expected_log2_p_fail(&demand);
        let p = expected.exp2().powf(1.0 / variance_factor);
        std::iter::repeat_n(p, count)
    });
    each.collect()
}

/// Bounds on the rate of wrong results, from the failure probabilities of
/// their readings.
fn rates(readings: &[f64]) -> (f64, f64) {
    let sum: f64 = readings.iter().sum();
    let squares: f64 = readings.iter().map(|p| p * p).sum();
    (sum - sum * sum + squares, sum)
}

fn check_rate(wrong: usize, n: usize, (low, high): (f64, f64)) {
    let (n, wrong) = (n as f64, wrong as f64);
    let least = n * low - 5.0 * (n * low).sqrt();
    let most = n * high + 5.0 * (n * high).sqrt();
    assert!(
        (least..=most).contains(&wrong),
        "{wrong} of {n} wrong, {least:.0} to {most:.0} expected"
    );
}

fn check_simulated(graph: &Graph, budget_log2: f64, n: usize, seed: u64) {
    check_circuit(graph, &loose(graph, budget_log2), n, seed);
}

fn check_circuit(graph: &Graph, circuit: &Circuit, n: usize, seed: u64) {
    circuit.validate().unwrap();
    let (low, high) = rates(&predicted(circuit, 1.0));
    assert!(n as f64 * high >= 400.0, "{n} samples at rate {high}");
    let mut simulator = Simulator::new(circuit, Noise::Sampled(seed));
    let (_, node, spec) = graph.inputs().next().unwrap();
    let count = node.ty.shape[0];
    let mut wrong = 0;
    for at in 0..n {
        let codes = (0..count)
            .map(|e| scatter(count * at + e, spec.range.lo, spec.range.hi))
            .collect();
        let inputs = [Tensor::new(vec![count], codes).unwrap()];
        wrong += usize::from(simulator.run(&inputs).unwrap() != interpret(graph, &inputs).unwrap());
    }
    check_rate(wrong, n, (low, high));
}

#[test]
fn lookups_of_fresh_values_fail_at_the_predicted_rate() {
    check_simulated(&one_level(1), -6.0, 120_000, 1);
    check_simulated(&one_level(1), -3.0, 20_000, 2);
}

#[test]
fn lookups_of_weighted_results_fail_at_the_predicted_rate() {
    check_simulated(&two_levels(), -6.0, 60_000, 3);
}

#[test]
fn lookups_with_two_parameter_sets_fail_at_the_predicted_rate() {
    let graph = two_levels();
    let circuit = loose_with(&graph, -6.0, 1.0);
    assert_eq!(circuit.parameters().count(), 2, "{circuit}");
    check_circuit(&graph, &circuit, 60_000, 5);
}

#[test]
fn sampled_noise_depends_on_its_seed_alone() {
    let graph = one_level(4);
    let circuit = loose(&graph, -2.0);
    let inputs = [Tensor::new(vec![4], vec![1, 5, 9, 15]).unwrap()];
    let runs = |seed| {
        let mut simulator = Simulator::new(&circuit, Noise::Sampled(seed));
        (0..50)
            .map(|_| simulator.run(&inputs).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(runs(1), runs(1));
    assert_ne!(runs(1), runs(2));
}

/// At 2^-40 a lookup, an error in these samples has a chance below 2^-20.
#[test]
fn the_default_budget_leaves_no_error() {
    for graph in [one_level(4), two_levels(), crate::networks::conv_residual()] {
        let circuit = lowered(&graph);
        let mut simulator = Simulator::new(&circuit, Noise::Sampled(4));
        for at in 0..2_000 {
            let inputs = sample(&graph, at);
            assert_eq!(
                simulator.run(&inputs).unwrap(),
                interpret(&graph, &inputs).unwrap(),
                "sample {at}"
            );
        }
    }
}

/// Real ciphertexts. Keys and noise are drawn anew in each run, and each
/// lookup takes milliseconds: the bounds are five standard deviations beyond
/// the rates at a variance 15% off either way. That finds a variance that is
/// half or twice the model's; the tests of `cml-tfhe` measure it closely.
#[test]
fn encrypted_lookups_fail_at_the_predicted_rate() {
    const PARALLEL: usize = 16;
    const SAMPLES: usize = 64;
    let graph = one_level(PARALLEL);
    let circuit = loose(&graph, -2.0);
    let (client, key) = Client::generate(client_spec(&circuit).unwrap(), &mut |_| {}).unwrap();
    let server = Server::new(&circuit, &key, &mut |_| {}).unwrap();
    let samples: Vec<Vec<Tensor>> = (0..SAMPLES)
        .map(|at| {
            let codes = (0..PARALLEL).map(|e| scatter(PARALLEL * at + e, 0, 16)).collect();
            vec![Tensor::new(vec![PARALLEL], codes).unwrap()]
        })
        .collect();
    let outputs = server
        .run(&client.encrypt(&samples).unwrap(), &mut |_| {})
        .unwrap();
    let decrypted = client.decrypt(&outputs).unwrap();
    let wrong = samples.iter().zip(&decrypted).map(|(sample, found)| {
        let expected = interpret(&graph, sample).unwrap();
        expected[0]
            .data()
            .iter()
            .zip(found[0].data())
            .filter(|(a, b)| a != b)
            .count()
    });
    // Each lookup with its output is one result.
    let rate = |factor| predicted(&circuit, factor).iter().sum::<f64>() / PARALLEL as f64;
    let (low, high) = (rate(0.85), rate(1.15));
    check_rate(wrong.sum(), PARALLEL * SAMPLES, (low, high));
}
