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

/// So many sums of 18 bits, of three digits each, and a staircase on each of them.
fn of_digits(parallel: usize) -> Graph {
    let mut b = GraphBuilder::new("of_digits");
    let codes = InputSpec::new(1.0, 0, Interval::new(0, 255));
    let x = b.input("x", vec![3 * parallel], codes).unwrap();
    let mut weights = vec![0; 3 * parallel * parallel];
    for row in 0..parallel {
        for (digit, weight) in [1, 256, 1024].into_iter().enumerate() {
            weights[row * 3 * parallel + 3 * row + digit] = weight;
        }
    }
    let weights = Tensor::new(vec![parallel, 3 * parallel], weights).unwrap();
    let sums = b.dot("sums", x, weights, vec![0; parallel]).unwrap();
    let lut = Lut::from_fn(Interval::new(0, 255 * 1281), |v| {
        CHANGES.iter().filter(|&&t| t <= v).count() as i64
    });
    let y = b.lut("act", sums, lut).unwrap();
    b.output("y", y, OutputSpec::identity()).unwrap();
    b.finish().unwrap()
}

const CHANGES: [i64; 7] = [40_011, 77_202, 100_077, 130_930, 177_453, 200_614, 251_111];

/// Sums right at changes, and right below: digits that are read wrongly are seen there.
fn at_changes(parallel: usize, at: usize) -> Vec<Tensor> {
    let digits = (0..parallel).flat_map(|e| {
        let number = parallel * at + e;
        let sum = CHANGES[number % CHANGES.len()] - scatter(number, 0, 1);
        let high = (sum / 1024).min(255);
        let middle = (sum - 1024 * high) / 256;
        [sum % 256, middle, high]
    });
    vec![Tensor::new(vec![3 * parallel], digits.collect()).unwrap()]
}

/// How often results are wrong: no more than what is promised of all readings, and no less than a
/// quarter of what is expected of those that take digits or give results. A change is missed by noise of one sign only, which is half of
/// them.
fn check_failures(circuit: &Circuit, parallel: usize, (wrong, count): (usize, usize)) {
    let demands = circuit.demands();
    let each = |p: &dyn Fn(&cml_tfhe::circuit::Demand) -> f64, every: usize| {
        let lookups = demands.iter().filter(|d| !d.rotations.is_empty());
        // Every second level only reads the bit above a digit.
        let of_level = lookups.filter(|d| {
            (d.rotations[0].0 + 1) % every == 0 || d.rotations[0].0 + 1 == circuit.levels().len()
        });
        of_level
            .map(|d| d.rotations.len() as f64 * p(d).exp2())
            .sum::<f64>()
            / parallel as f64
    };
    let most = each(&|d| circuit.log2_p_fail(d), 1) * count as f64;
    let least = 0.25 * each(&|d| circuit.expected_log2_p_fail(d), 2) * count as f64;
    let wrong = wrong as f64;
    assert!(least > 30.0, "{least} expected: too few samples");
    assert!(
        (least - 5.0 * least.sqrt()..=most + 5.0 * most.sqrt()).contains(&wrong),
        "{wrong} of {count} wrong, {least:.0} to {most:.0} expected\n{circuit}"
    );
}

fn wrong(graph: &Graph, sample: &[Tensor], found: &[Tensor]) -> usize {
    let expected = interpret(graph, sample).unwrap();
    let pairs = expected[0].data().iter().zip(found[0].data());
    pairs.filter(|(a, b)| a != b).count()
}

fn with_failures(parallel: usize, budget_log2: f64) -> (Graph, Circuit) {
    let graph = of_digits(parallel);
    let mut options = Options::default();
    options.goal.budget_log2 = budget_log2;
    let circuit = lower(&graph, &analyze(&graph), &options).unwrap();
    circuit.validate().unwrap();
    assert!(circuit.levels().len() > 2, "{circuit}");
    (graph, circuit)
}

#[test]
fn digits_fail_as_often_as_the_noise_model_says() {
    let (graph, circuit) = with_failures(4, -5.0);
    let mut simulator = Simulator::new(&circuit, Noise::Sampled(9));
    let mut failures = 0;
    let samples = 4000;
    for at in 0..samples {
        let sample = at_changes(4, at);
        failures += wrong(&graph, &sample, &simulator.run(&sample).unwrap());
    }
    check_failures(&circuit, 4, (failures, 4 * samples));
}

/// The same with real keys: an amplified noise that is not the model's would be seen here.
#[test]
fn encrypted_digits_fail_as_often_as_the_noise_model_says() {
    let (graph, circuit) = with_failures(8, -3.0);
    let (client, key) = Client::generate(client_spec(&circuit).unwrap(), &mut |_| {}).unwrap();
    let server = Server::new(&circuit, &key, &mut |_| {}).unwrap();
    let samples: Vec<Vec<Tensor>> = (0..50).map(|at| at_changes(8, at)).collect();
    let outputs = server
        .run(&client.encrypt(&samples).unwrap(), &mut |_| {})
        .unwrap();
    let results = client.decrypt(&outputs).unwrap();
    let failures = samples
        .iter()
        .zip(&results)
        .map(|(s, found)| wrong(&graph, s, found));
    check_failures(&circuit, 8, (failures.sum(), 8 * samples.len()));
}
