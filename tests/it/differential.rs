//! Interpreter, passes, lowering and simulator compute the same.

use crate::networks::{lowered, mlp, sample};
use crate::random::{Recipe, fixed, recipes};
use cml_bitwidth::analyze;
use cml_file::Artifact;
use cml_ir::{
    Graph, GraphBuilder, InputSpec, Interval, Lut, OutputSpec, Tensor, graph_hash, interpret, optimize,
};
use cml_quant::{ActQuantizer, Linear, Network, WeightQuantizer, to_graph};
use cml_tfhe::optimizer::Goal;
use cml_tfhe::{Circuit, LowerError, Noise, Options, Simulator, Way, lower};
use ndarray::Array2;
use proptest::test_runner::{TestCaseError, TestRunner};
use std::cell::Cell;

const SAMPLES: usize = 8;

/// What must hold of every lowered circuit, whatever the inputs.
fn check_circuit(graph: &Graph, circuit: &Circuit) {
    circuit.validate().unwrap();
    assert_eq!(*circuit.graph_hash(), graph_hash(graph).unwrap());
    assert!(circuit.worst_log2_p_fail() <= Options::default().goal.budget_log2);
    // Those that take digits off are beside the graph's.
    let digits = circuit.ways().into_iter().map(|(_, way)| match way {
        Way::Digits { lookups, .. } => lookups,
        Way::Exact | Way::Approximate { .. } => 0,
    });
    assert!(circuit.lookup_count() - digits.sum::<usize>() <= analyze(graph).lookups());
    let bytes = circuit.to_bytes().unwrap();
    let back = Circuit::from_bytes("copy", &bytes, ()).unwrap();
    assert_eq!(&back, circuit);
    assert_eq!(back.to_bytes().unwrap(), bytes);
    assert_eq!(back.hash(), circuit.hash());
    assert_eq!(back.to_string(), circuit.to_string());
}

/// The message of a graph that cannot be lowered names a layer of the graph,
/// its width and the limit.
fn check_refusal(graph: &Graph, error: &LowerError) {
    let LowerError::TooWide {
        layer, values, bits, ..
    } = error
    else {
        panic!("unexpected: {error}");
    };
    assert!(
        layer == "output" || graph.nodes().any(|(_, n)| n.name == *layer),
        "no layer {layer} in\n{graph}"
    );
    let start = format!("layer {layer}: its accumulator has {values} values ({bits} bits): ");
    let message = error.to_string();
    assert!(
        message.starts_with(&start) && message.contains("the most are "),
        "{message}"
    );
}

fn check(recipe: &Recipe, samples_at_once: u32) -> Result<Circuit, LowerError> {
    let graph = recipe.build();
    let optimized = optimize(&graph).unwrap();
    let compiled = if recipe.optimize { &optimized } else { &graph };
    let options = Options {
        fuse: recipe.optimize,
        goal: Goal {
            // Wherever a second one helps at all.
            second_set_below: 1.0,
            samples_at_once,
            ..Goal::default()
        },
        ..Options::default()
    };
    let circuit =
        lower(compiled, &analyze(compiled), &options).inspect_err(|error| check_refusal(compiled, error))?;
    check_circuit(compiled, &circuit);
    let mut simulator = Simulator::new(&circuit, Noise::Exact);
    for at in 0..SAMPLES {
        let inputs = sample(&graph, at);
        let expected = interpret(&graph, &inputs).unwrap();
        assert_eq!(
            interpret(&optimized, &inputs).unwrap(),
            expected,
            "passes on {inputs:?}"
        );
        assert_eq!(
            simulator.run(&inputs).unwrap(),
            expected,
            "circuit on {inputs:?}\n{graph}{circuit}"
        );
    }
    Ok(circuit)
}

#[test]
fn random_graphs_compute_the_same_at_every_stage() {
    const CASES: u32 = 200;
    let (refused, lookups, two_sets) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let result = TestRunner::new(fixed(CASES, 3)).run(&recipes(), |recipe| {
        match std::panic::catch_unwind(|| check(&recipe, 1)) {
            Ok(Ok(circuit)) => {
                lookups.set(lookups.get() + circuit.lookup_count());
                two_sets.set(two_sets.get() + usize::from(circuit.parameters().count() > 1));
            }
            Ok(Err(_)) => refused.set(refused.get() + 1),
            Err(_) => return Err(TestCaseError::fail("see the panic above")),
        }
        Ok(())
    });
    result.unwrap_or_else(|e| panic!("{e}"));
    assert!(
        refused.get() <= CASES / 50,
        "{} of {CASES} graphs were too wide",
        refused.get()
    );
    assert!(
        two_sets.get() >= CASES as usize / 10,
        "only {} circuits with two parameter sets",
        two_sets.get()
    );
    assert!(
        // What the passes leave of some 20 a graph.
        lookups.get() >= 8 * CASES as usize,
        "only {} lookups in {CASES} graphs",
        lookups.get()
    );
}

/// With so many samples at once that narrow levels fill packs, too.
#[test]
fn random_graphs_compute_the_same_with_amortized_rotations() {
    const CASES: u32 = 40;
    let (amortized, both) = (Cell::new(0), Cell::new(0));
    let result = TestRunner::new(fixed(CASES, 5)).run(&recipes(), |recipe| {
        match std::panic::catch_unwind(|| check(&recipe, 700)) {
            Ok(Ok(circuit)) => {
                let sets = circuit.parameters();
                let wide = sets.amortized().is_some();
                assert_eq!(
                    wide,
                    circuit.levels().iter().any(|level| circuit.is_amortized(level))
                );
                amortized.set(amortized.get() + usize::from(wide));
                both.set(both.get() + usize::from(wide && !sets.single().is_empty()));
            }
            Ok(Err(_)) => {}
            Err(_) => return Err(TestCaseError::fail("see the panic above")),
        }
        Ok(())
    });
    result.unwrap_or_else(|e| panic!("{e}"));
    assert!(
        amortized.get() >= CASES as usize / 4 && both.get() > 0,
        "only {} amortized circuits, {} of both kinds",
        amortized.get(),
        both.get()
    );
}

fn one_dot(weight: i64) -> Graph {
    let mut b = GraphBuilder::new("wide");
    let x = b
        .input("x", vec![2], InputSpec::new(1.0, 0, Interval::new(0, 15)))
        .unwrap();
    let acc = b
        .dot(
            "fc",
            x,
            Tensor::new(vec![1, 2], vec![weight, 1]).unwrap(),
            vec![0],
        )
        .unwrap();
    let act = b
        .lut(
            "fc/act",
            acc,
            Lut::from_fn(Interval::new(0, 16 * weight), |v| v / 2),
        )
        .unwrap();
    b.output("y", act, OutputSpec::identity()).unwrap();
    b.finish().unwrap()
}

#[test]
fn a_graph_that_is_too_wide_is_refused_with_layer_width_and_limit() {
    let options = Options {
        // Two inputs of 16 values would do for a single lookup.
        fuse: false,
        ..Options::default()
    };
    let refusal = |graph: &Graph| lower(graph, &analyze(graph), &options).unwrap_err();
    let graph = one_dot(10_000);
    let error = refusal(&graph);
    check_refusal(&graph, &error);
    let message = error.to_string();
    assert!(
        message.starts_with("layer fc/act: its accumulator has 150016 values (18 bits): "),
        "{message}"
    );
    // The limit that it names is one: that many values can be lowered at these weights.
    let limit = message
        .split("the most are ")
        .nth(1)
        .and_then(|rest| rest.split(';').next())
        .and_then(|n| n.parse::<i64>().ok());
    let limit = limit.unwrap_or_else(|| panic!("no number in {message}"));
    assert!((100..150_016).contains(&limit), "{message}");
}

#[test]
fn widths_of_another_graph_are_refused() {
    let error = lower(&one_dot(2), &analyze(&one_dot(3)), &Options::default()).unwrap_err();
    assert!(matches!(error, LowerError::Widths(_)), "{error}");
}

/// Floats in, floats out: the network's forward pass, its graph and its
/// circuit agree on the test rows of a data set, and so do the classes.
fn check_on_data(net: &Network, dataset: &str) {
    let graph = to_graph(net).unwrap();
    let optimized = optimize(&graph).unwrap();
    let circuit = lowered(&optimized);
    check_circuit(&optimized, &circuit);
    let mut simulator = Simulator::new(&circuit, Noise::Exact);
    let spec = &circuit.outputs()[0].spec;
    let rows = cml_data::named(dataset, 0).unwrap().test;
    assert!(rows.len() >= 38);
    for (row, _) in rows.samples() {
        let row = row.to_vec();
        let expected = net.forward(&row).unwrap();
        let codes = simulator.run(&[graph.quantize_input(&row).unwrap()]).unwrap();
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(
            bits(&spec.dequantize_all(&codes[0])),
            bits(&expected),
            "row {row:?}"
        );
    }
}

#[test]
fn a_network_scores_a_checkerboard_the_same_at_every_stage() {
    check_on_data(&mlp(), "checkerboard.csv");
}

/// Per-channel weights and an input quantizer whose zero point is not 0.
#[test]
fn a_network_scores_iris_the_same_at_every_stage() {
    let weights = |out: usize, fan_in: usize| {
        Array2::from_shape_fn((out, fan_in), |(o, i)| ((7 * o + 5 * i) % 11) as f32 / 5.5 - 0.9)
    };
    let dense = |out, fan_in| {
        let weights = weights(out, fan_in);
        let quantizer = WeightQuantizer::per_channel(3, weights.view()).unwrap();
        Linear::new(
            weights,
            Some((0..out).map(|o| 0.1 * o as f32 - 0.2).collect()),
            quantizer,
        )
        .unwrap()
    };
    let mut net = Network::new("iris", vec![4]);
    let q = ActQuantizer::new(4, false, false, 0.6, 2).unwrap();
    let x = net.quantize("q", net.input(), q).unwrap();
    let x = net.linear("fc1", x, dense(5, 4)).unwrap();
    let q = ActQuantizer::new(2, false, false, 1.5, 0).unwrap();
    let x = net.quantize("q1", x, q).unwrap();
    let x = net.linear("fc2", x, dense(3, 5)).unwrap();
    net.set_output(x, &["setosa", "versicolor", "virginica"]).unwrap();
    check_on_data(&net, "iris");
}
