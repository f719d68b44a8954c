//! Networks that cannot become graphs, and parts that cannot become networks.

use cml_quant::{ActQuantizer, LayerId, Linear, Network, QuantError, Univariate, WeightQuantizer, to_graph};
use ndarray::{Array2, array};

fn act() -> ActQuantizer {
    ActQuantizer::constant(3).unwrap()
}

fn dense(bias: Option<Vec<f32>>) -> Linear {
    Linear::new(
        array![[0.5, -0.5], [1.0, 0.3]],
        bias,
        WeightQuantizer::constant(3).unwrap(),
    )
    .unwrap()
}

/// A network of one quantizer on the input, then what `build` adds; returns
/// what both the translation and the forward pass say.
fn messages(build: impl FnOnce(&mut Network, LayerId) -> LayerId) -> (String, Option<String>) {
    let mut net = Network::new("net", vec![2]);
    let x = net.quantize("q", net.input(), act()).unwrap();
    let y = build(&mut net, x);
    net.set_output(y, &[]).unwrap();
    let message = |e: QuantError| e.to_string();
    (
        to_graph(&net).map_err(message).unwrap_err(),
        net.forward(&[0.1, 0.2]).map_err(message).err(),
    )
}

#[test]
fn a_missing_quantizer_is_named_with_its_neighbours() {
    let check = |from: &str, build: fn(&mut Network, LayerId) -> LayerId| {
        let expected =
            format!("layer fc2 reads {from}, which has no quantizer: put one between {from} and fc2");
        let (graph, forward) = messages(build);
        assert_eq!(graph, expected);
        assert_eq!(forward, Some(expected));
    };
    check("fc1", |net, x| {
        let x = net.linear("fc1", x, dense(Some(vec![0.5, 0.5]))).unwrap();
        net.linear("fc2", x, dense(None)).unwrap()
    });
    check("relu", |net, x| {
        let x = net.linear("fc1", x, dense(None)).unwrap();
        let x = net.function("relu", x, Univariate::Relu).unwrap();
        net.linear("fc2", x, dense(None)).unwrap()
    });
}

#[test]
fn a_raw_input_needs_exactly_one_quantizer() {
    let mut raw = Network::new("net", vec![2]);
    let y = raw.linear("fc1", raw.input(), dense(None)).unwrap();
    raw.set_output(y, &[]).unwrap();
    let expected = "layer fc1 reads x, which has no quantizer: put one between x and fc1";
    assert_eq!(to_graph(&raw).unwrap_err().to_string(), expected);
    assert_eq!(raw.forward(&[0.0, 0.0]).unwrap_err().to_string(), expected);

    let (graph, _) = messages(|net, _| net.quantize("q2", net.input(), act()).unwrap());
    assert_eq!(graph, "the input has 2 readers, needs exactly one quantizer");

    let mut none = Network::new("net", vec![2]);
    none.set_output(none.input(), &[]).unwrap();
    assert_eq!(
        to_graph(&none).unwrap_err().to_string(),
        "network net is float: quantize it first (cml quantize --bits)"
    );
}

#[test]
fn an_output_that_ends_with_a_function_is_refused() {
    let (graph, _) = messages(|net, x| {
        let x = net.linear("fc1", x, dense(None)).unwrap();
        net.function("act", x, Univariate::Relu).unwrap()
    });
    assert_eq!(
        graph,
        "output act ends with relu: put a quantizer after it, or leave it to the client"
    );
}

#[test]
fn a_network_without_output_is_refused() {
    let mut net = Network::new("lonely", vec![2]);
    net.quantize("q", net.input(), act()).unwrap();
    assert_eq!(
        to_graph(&net).unwrap_err().to_string(),
        "network lonely has no output"
    );
    assert_eq!(
        net.forward(&[0.0, 0.0]).unwrap_err().to_string(),
        "network lonely has no output"
    );
}

#[test]
fn an_accumulator_beyond_exact_floats_is_refused() {
    let build = |fan_in: usize| {
        let mut net = Network::new("wide", vec![fan_in]);
        let q = ActQuantizer::new(12, false, false, 0.001, 0).unwrap();
        let x = net.quantize("q", net.input(), q).unwrap();
        let weights = Array2::from_elem((1, fan_in), 1.0);
        let fc = Linear::new(weights, None, WeightQuantizer::constant(13).unwrap()).unwrap();
        let x = net.linear("fc", x, fc).unwrap();
        let y = net.quantize("q1", x, q).unwrap();
        net.set_output(y, &[]).unwrap();
        to_graph(&net)
    };
    // 4095 * 4095 is below 2^24, twice that is not.
    build(1).unwrap();
    assert_eq!(
        build(2).unwrap_err().to_string(),
        format!(
            "layer q1: accumulator reaches {}, limit 16777216 for exact float arithmetic",
            2 * 4095 * 4095
        )
    );
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let says = |result: Result<(), QuantError>, expected: &str| {
        assert_eq!(result.unwrap_err().to_string(), expected);
    };
    let act =
        |bits, signed, narrow, scale, zero| ActQuantizer::new(bits, signed, narrow, scale, zero).map(|_| ());
    says(
        act(0, false, false, 1.0, 0),
        "activation quantizer of 0 bits, needs 1 to 16",
    );
    says(
        act(1, true, true, 1.0, 0),
        "activation quantizer of 1 bits, needs 2 to 16",
    );
    says(
        act(17, true, true, 1.0, 0),
        "activation quantizer of 17 bits, needs 2 to 16",
    );
    for scale in [0.0, -1.0, f32::INFINITY, f32::NAN] {
        let expected = format!("activation scale is {scale}, must be finite and positive");
        says(act(3, true, true, scale, 0), &expected);
        let expected = format!("weight scale is {scale}, must be finite and positive");
        says(
            WeightQuantizer::new(3, true, vec![0.5, scale]).map(|_| ()),
            &expected,
        );
    }
    says(
        act(3, true, true, 1.0, -4),
        "layer quantizer: zero point: needs -3..3, has -4",
    );
    act(3, true, false, 1.0, -4).unwrap();

    let linear = |weights: Array2<f32>, bias, scales: usize| {
        Linear::new(
            weights,
            bias,
            WeightQuantizer::new(3, true, vec![0.5; scales]).unwrap(),
        )
        .map(|_| ())
    };
    says(
        linear(array![[1.0, f32::NAN]], None, 1),
        "weight is NaN, must be finite",
    );
    says(
        linear(array![[1.0]], Some(vec![f32::INFINITY]), 1),
        "bias is inf, must be finite",
    );
    says(
        linear(array![[1.0]], Some(vec![0.0, 0.0]), 1),
        "layer linear: bias: needs 1, has 2",
    );
    says(
        linear(array![[1.0], [1.0], [1.0]], None, 2),
        "layer linear: weight scales: needs 1 or 3, has 2",
    );
    says(
        linear(Array2::zeros((0, 3)), None, 1),
        "layer linear: weights: needs at least one, has [0, 3]",
    );
}

#[test]
fn a_network_checks_names_and_sizes() {
    let mut net = Network::new("net", vec![3]);
    let q = net.quantize("q", net.input(), act()).unwrap();
    for name in ["", "x", "q"] {
        let error = net.quantize(name, q, act()).unwrap_err().to_string();
        assert_eq!(error, format!("layer name {name:?} is taken or empty"));
    }
    let error = net.linear("fc", q, dense(None)).unwrap_err().to_string();
    assert_eq!(error, "layer fc: input: needs [2], has [3]");
    let error = net.set_output(q, &["a", "b"]).unwrap_err().to_string();
    assert_eq!(error, "layer q: labels: needs 0 or 3, has 2");
    net.set_output(q, &[]).unwrap();
    let error = net.forward(&[1.0]).unwrap_err().to_string();
    assert_eq!(error, "layer x: input values: needs 3, has 1");
    let error = net.forward(&[1.0, f32::NAN, 0.0]).unwrap_err().to_string();
    assert_eq!(error, "input is NaN, must be finite");
}
