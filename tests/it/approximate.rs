//! Layers with slack, and what a plan says.

use crate::networks::{mlp, scatter};
use cml_bitwidth::analyze;
use cml_exec::{Server, plan as measured_plan};
use cml_ir::{Graph, GraphBuilder, InputSpec, Interval, Lut, OutputSpec, Tensor, interpret};
use cml_keys::Client;
use cml_quant::to_graph;
use cml_tfhe::noise::Reader;
use cml_tfhe::{Circuit, LowerError, Noise, Options, Simulator, client_spec, lower, lower_tuned};
use std::collections::BTreeMap;

const WIDTH: usize = 8;

/// A saturating staircase of 5 levels, 6 values wide each, on sums of two inputs.
fn stairs() -> Graph {
    let mut b = GraphBuilder::new("stairs");
    let x = b
        .input(
            "x",
            vec![2 * WIDTH],
            InputSpec::new(1.0, 0, Interval::new(-20, 20)),
        )
        .unwrap();
    let mut weights = vec![0; 2 * WIDTH * WIDTH];
    for i in 0..WIDTH {
        weights[i * 2 * WIDTH + 2 * i] = 1;
        weights[i * 2 * WIDTH + 2 * i + 1] = -1;
    }
    let weights = Tensor::new(vec![WIDTH, 2 * WIDTH], weights).unwrap();
    let sums = b.dot("sums", x, weights, vec![0; WIDTH]).unwrap();
    let lut = Lut::from_fn(Interval::new(-40, 40), |v| (v.div_euclid(6)).clamp(0, 4));
    let y = b.lut("act", sums, lut).unwrap();
    b.output("y", y, OutputSpec::identity()).unwrap();
    b.finish().unwrap()
}

fn with_slack(graph: &Graph, most: u64) -> Circuit {
    let options = Options {
        approximate: BTreeMap::from([("act".to_owned(), most)]),
        ..Options::default()
    };
    lower(graph, &analyze(graph), &options).unwrap()
}

fn inputs(at: usize) -> Vec<Tensor> {
    let codes = (0..2 * WIDTH)
        .map(|e| scatter(2 * WIDTH * at + e, -20, 20))
        .collect();
    vec![Tensor::new(vec![2 * WIDTH], codes).unwrap()]
}

/// How many results differ, all by one level.
fn differing(exact: &[Tensor], found: &[Tensor]) -> usize {
    let both = || exact[0].data().iter().zip(found[0].data());
    assert!(both().all(|(a, b)| (a - b).abs() <= 1), "{exact:?} {found:?}");
    both().filter(|(a, b)| a != b).count()
}

#[test]
fn slack_costs_at_most_one_level() {
    let graph = stairs();
    let exact = lower(&graph, &analyze(&graph), &Options::default()).unwrap();
    let loose = with_slack(&graph, u64::MAX);
    loose.validate().unwrap();
    assert!(exact.is_exact() && !loose.is_exact());
    assert!(loose.rotations().all(|r| r.slack == 6));
    assert!(loose.parameters().server_key_bytes() < exact.parameters().server_key_bytes());
    assert!(with_slack(&graph, 2).rotations().all(|r| r.slack == 2));
    let mut simulator = Simulator::new(&loose, Noise::Sampled(5));
    let mut differ = 0;
    for at in 0..4000 {
        let sample = inputs(at);
        differ += differing(
            &interpret(&graph, &sample).unwrap(),
            &simulator.run(&sample).unwrap(),
        );
    }
    // Noise of a value or two, on staircases of 6 values: some results differ, most do not.
    assert!((10..WIDTH * 1000).contains(&differ), "{differ} differ");
}

#[test]
fn an_encrypted_approximate_circuit_is_off_by_one_level_at_most() {
    let graph = stairs();
    let circuit = with_slack(&graph, u64::MAX);
    let (client, key) = Client::generate(client_spec(&circuit).unwrap(), &mut |_| {}).unwrap();
    let server = Server::new(&circuit, &key, &mut |_| {}).unwrap();
    let samples: Vec<Vec<Tensor>> = (0..40).map(inputs).collect();
    let outputs = server
        .run(&client.encrypt(&samples).unwrap(), &mut |_| {})
        .unwrap();
    for (sample, found) in samples.iter().zip(client.decrypt(&outputs).unwrap()) {
        differing(&interpret(&graph, sample).unwrap(), &found);
    }
}

#[test]
fn tuning_keeps_to_the_loss() {
    let graph = stairs();
    let widths = analyze(&graph);
    let tune = |max_loss: f64, loss: f64| {
        let mut asked = 0;
        let mut measure = |_: &Circuit| {
            asked += 1;
            Ok::<f64, LowerError>(loss)
        };
        let tuned = lower_tuned(&graph, &widths, &Options::default(), max_loss, &mut measure).unwrap();
        (tuned, asked)
    };
    let (tuned, asked) = tune(1.0, 0.5);
    assert_eq!((tuned.loss, asked), (0.5, 1));
    assert!(!tuned.circuit.is_exact());
    // No slack is good enough: the exact circuit, which loses nothing.
    let (tuned, asked) = tune(1.0, 1.5);
    assert_eq!(tuned.loss, 0.0);
    assert!(asked > 1 && tuned.circuit.is_exact());
}

/// A staircase of 256 levels, 16 values wide each, on sums of 100,000 values and more.
fn wide_stairs() -> Graph {
    let mut b = GraphBuilder::new("wide_stairs");
    let codes = InputSpec::new(1.0, 0, Interval::new(0, 255));
    let x = b.input("x", vec![64], codes).unwrap();
    let weights = (0..4 * 64).map(|i| scatter(i, -3, 3) * 4).collect();
    let weights = Tensor::new(vec![4, 64], weights).unwrap();
    let sums = b.dot("sums", x, weights, vec![100, -77, 3, 0]).unwrap();
    let lut = Lut::from_fn(Interval::new(-200_000, 200_000), |v| {
        v.div_euclid(16).clamp(0, 255)
    });
    let y = b.lut("act", sums, lut).unwrap();
    b.output("y", y, OutputSpec::identity()).unwrap();
    b.finish().unwrap()
}

/// The loosest circuit loses too much, and slack of a plateau has no parameters: between them there is a circuit.
#[test]
fn tuning_from_below_finds_the_loosest_that_is_good_enough() {
    let graph = wide_stairs();
    let widths = analyze(&graph);
    assert!(widths.widest().values > 60_000, "{:?}", widths.widest());
    let samples: Vec<Vec<Tensor>> = (0..200)
        .map(|at| {
            let codes = (0..64).map(|e| scatter(64 * at + e, 0, 255)).collect();
            vec![Tensor::new(vec![64], codes).unwrap()]
        })
        .collect();
    let expected: Vec<Tensor> = samples
        .iter()
        .map(|s| interpret(&graph, s).unwrap().remove(0))
        .collect();
    let mut losses = Vec::new();
    // Percentage of results that are not the interpreter's.
    let mut measure = |circuit: &Circuit| {
        let mut simulator = Simulator::new(circuit, Noise::Sampled(3));
        let run = |s: &Vec<Tensor>| simulator.run(s).unwrap().remove(0);
        let found: Vec<Tensor> = samples.iter().map(run).collect();
        let pairs = || {
            found
                .iter()
                .zip(&expected)
                .flat_map(|(a, b)| a.data().iter().zip(b.data()))
        };
        let loss = 100.0 * pairs().filter(|(a, b)| a != b).count() as f64 / pairs().count() as f64;
        losses.push(loss);
        Ok::<f64, LowerError>(loss)
    };
    let tuned = lower_tuned(&graph, &widths, &Options::default(), 2.0, &mut measure).unwrap();
    tuned.circuit.validate().unwrap();
    assert!(tuned.loss <= 2.0 && !tuned.circuit.is_exact());
    assert!(losses.len() > 1 && losses[0] > 2.0, "{losses:?}");
    assert!(tuned.circuit.rotations().all(|r| r.slack > 16));
}

#[test]
fn outputs_with_slack_leave_room_at_both_ends() {
    let graph = to_graph(&mlp()).unwrap();
    let name = graph.outputs().next().unwrap().1.name.clone();
    let options = Options {
        approximate: BTreeMap::from([(name, u64::MAX)]),
        ..Options::default()
    };
    let exact = lower(&graph, &analyze(&graph), &Options::default()).unwrap();
    let loose = lower(&graph, &analyze(&graph), &options).unwrap();
    let period = |circuit: &Circuit| {
        let output = &circuit.outputs()[0];
        let encoding = output.rows[0].encoding as usize;
        (output.slack, circuit.encodings()[encoding].half_period)
    };
    let ((none, before), (slack, after)) = (period(&exact), period(&loose));
    assert_eq!(none, 0);
    assert_eq!(after, before + slack);
    loose.validate().unwrap();
}

#[test]
fn a_plan_adds_up() {
    let graph = to_graph(&mlp()).unwrap();
    let options = Options {
        fuse: false,
        ..Options::default()
    };
    let circuit = lower(&graph, &analyze(&graph), &options).unwrap();
    let plan = measured_plan(&circuit);
    let (lookups, rotations): (usize, usize) = plan
        .layers
        .iter()
        .fold((0, 0), |(l, r), layer| (l + layer.lookups, r + layer.rotations));
    assert_eq!(lookups, circuit.lookup_count());
    assert_eq!(rotations, circuit.rotation_count());
    let sum: f64 = plan.layers.iter().map(|l| l.seconds).sum();
    assert!((sum / plan.seconds - 1.0).abs() < 1e-9);
    assert!(plan.limit_seconds <= plan.seconds * (1.0 + 1e-9));
    assert!((0.0..1.0).contains(&plan.keyswitch_share));
    assert_eq!(plan.server_key_bytes, circuit.parameters().server_key_bytes());
    assert_eq!(plan.input_bytes, circuit.input_key().seeded_bytes(2));
    let worst = circuit
        .demands()
        .iter()
        .filter(|d| d.requirement.reader == Reader::Lookup)
        .map(|d| circuit.log2_p_fail(d))
        .fold(f64::NEG_INFINITY, f64::max);
    let planned = plan.layers.iter().map(|l| l.log2_p_fail);
    assert_eq!(planned.fold(f64::NEG_INFINITY, f64::max), worst);
    // Where one layer decides alone, a bit less saves about half.
    let graph = stairs();
    let plan = measured_plan(&lower(&graph, &analyze(&graph), &Options::default()).unwrap());
    let share = plan.layers[0].one_bit_less_saves / plan.seconds;
    assert!((0.2..0.8).contains(&share), "{share}");
}
