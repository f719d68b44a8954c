//! Post-training quantization.

use crate::float_random::float_networks;
use crate::random::fixed;
use cml_ir::interpret;
use cml_quant::{
    ActQuantizer, Layer, Linear, Network, PtqConfig, PtqMethod, QuantError, Univariate, WeightQuantizer,
    accumulators, quantize_network, to_graph,
};
use ndarray::{Array2, array};
use proptest::prelude::*;

fn config(bits: u32, method: PtqMethod) -> PtqConfig {
    PtqConfig {
        input_bits: bits,
        activation_bits: bits,
        weight_bits: bits.max(2),
        method,
        ..PtqConfig::default()
    }
}

fn squared_error(float: &Network, quantized: &Network, samples: &Array2<f32>) -> f64 {
    let outputs = |net: &Network| -> Vec<f32> {
        let rows = samples.rows().into_iter();
        rows.flat_map(|row| net.forward(&row.to_vec()).unwrap()).collect()
    };
    let pairs = outputs(float).into_iter().zip(outputs(quantized));
    pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

/// The quantized network is its integer graph.
fn check_exact(net: &Network, samples: &Array2<f32>) -> Result<(), TestCaseError> {
    let graph = to_graph(net).unwrap();
    for sample in samples.rows() {
        let sample = sample.to_vec();
        let codes = interpret(&graph, &[graph.quantize_input(&sample).unwrap()]).unwrap();
        let (_, _, spec) = graph.outputs().next().unwrap();
        let bits = |v: Vec<f32>| v.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        prop_assert_eq!(
            bits(spec.dequantize_all(&codes[0])),
            bits(net.forward(&sample).unwrap())
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(fixed(150, 7))]

    #[test]
    fn quantized_networks_are_exact_and_adaptive_is_no_worse(
        (recipe, samples) in float_networks(), bits in 1u32..6
    ) {
        let float = recipe.build();
        let min_max = quantize_network(&float, samples.view(), &config(bits, PtqMethod::MinMax)).unwrap();
        let adaptive = quantize_network(&float, samples.view(), &config(bits, PtqMethod::Adaptive)).unwrap();
        check_exact(&min_max, &samples)?;
        check_exact(&adaptive, &samples)?;
        let (most, has) = (squared_error(&float, &min_max, &samples), squared_error(&float, &adaptive, &samples));
        prop_assert!(has <= most * (1.0 + 1e-9), "{has} with adaptive, {most} with min-max");
    }

    #[test]
    fn bounds_are_kept(
        (recipe, samples) in float_networks(), bits in 1u32..5, looked_up in 2u64..80, put_out in 2u64..80,
        adaptive in any::<bool>()
    ) {
        let method = if adaptive { PtqMethod::Adaptive } else { PtqMethod::MinMax };
        let config = PtqConfig {
            max_accumulator_values: Some(looked_up),
            max_output_values: Some(put_out),
            ..config(bits, method)
        };
        let net = match quantize_network(&recipe.build(), samples.view(), &config) {
            // No room for a single weight, or a sum of codes takes more.
            Err(QuantError::Unbounded { has, limit, .. }) => {
                prop_assert!(has > limit && (limit == looked_up || limit == put_out));
                return Ok(());
            }
            net => net.unwrap(),
        };
        check_exact(&net, &samples)?;
        let output = &net.layer(net.output().unwrap()).name;
        for found in accumulators(&net).unwrap() {
            if found.lookup {
                prop_assert!(found.values <= looked_up, "{found:?}");
            } else if found.layer == *output {
                prop_assert!(found.values <= put_out, "{found:?}");
            }
        }
    }
}

/// `fc1`, ReLU, `fc2` on two inputs.
fn mlp() -> Network {
    let mut net = Network::new("mlp", vec![2]);
    let fc1 = Linear::new(array![[1.5, -0.5], [-0.7, 0.25]], Some(vec![0.5, 0.0]), None).unwrap();
    let x = net.linear("fc1", net.input(), fc1).unwrap();
    let x = net.function("fc1/relu", x, Univariate::Relu).unwrap();
    let fc2 = Linear::new(array![[1.0, 0.5]], None, None).unwrap();
    let y = net.linear("fc2", x, fc2).unwrap();
    net.set_output(y, &["score"]).unwrap();
    net
}

#[test]
fn min_max_is_that_of_the_seeds() {
    let samples = array![[-1.0, 0.5], [2.5, 1.0], [0.0, 0.0]];
    let net = quantize_network(&mlp(), samples.view(), &config(3, PtqMethod::MinMax)).unwrap();
    let names: Vec<&str> = net.layers().iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["x", "x/quant", "fc1", "fc1/relu", "fc1/quant", "fc2"]);
    let quantizer = |i: usize| match &net.layers()[i].layer {
        Layer::Quantize(q) => *q,
        other => panic!("{other:?}"),
    };
    let weights = |i: usize| match &net.layers()[i].layer {
        Layer::Linear(l) => (
            l.codes().unwrap().clone(),
            l.quantizer().unwrap().clone(),
            l.bias().map(<[f32]>::to_vec),
        ),
        other => panic!("{other:?}"),
    };
    // -1 to 2.5: scale 3.5 / 7, zero point 2.
    assert_eq!(quantizer(1), ActQuantizer::new(3, false, false, 0.5, 2).unwrap());
    // Scale 1.5 / 3; -0.7 / 0.5 = -1.4, 0.25 / 0.5 = 0.5 to the even 0.
    let q = WeightQuantizer::new(3, false, vec![0.5]).unwrap();
    assert_eq!(weights(2), (array![[3, -1], [-1, 0]], q, Some(vec![0.5, 0.0])));
    // Float: 1.5 * 2.5 - 0.5 + 0.5 = 3.75 at most, 0 at least.
    assert_eq!(
        quantizer(4),
        ActQuantizer::new(3, false, false, 3.75 / 7.0, 0).unwrap()
    );
    let q = WeightQuantizer::new(3, false, vec![1.0 / 3.0]).unwrap();
    // 0.5 * 3 = 1.5 to the even 2.
    let (codes, found, _) = weights(5);
    assert_eq!((codes, found), (array![[3, 2]], q));
    assert_eq!(net.labels(), ["score"]);
}

#[test]
fn a_grid_in_the_data_is_found() {
    // A step at 0.5 of inputs in [0, 1], steep: with codes of scale 1/3 or 1 nothing is lost.
    let mut net = Network::new("step", vec![1]);
    let fc1 = Linear::new(array![[40.0], [40.0]], Some(vec![-19.5, -20.5]), None).unwrap();
    let x = net.linear("fc1", net.input(), fc1).unwrap();
    let x = net.function("fc1/relu", x, Univariate::Relu).unwrap();
    let fc2 = Linear::new(array![[-1.0, 1.0], [1.0, -1.0]], Some(vec![0.5, -0.5]), None).unwrap();
    let y = net.linear("fc2", x, fc2).unwrap();
    net.set_output(y, &["low", "high"]).unwrap();
    let samples = Array2::from_shape_fn((401, 1), |(i, _)| i as f32 / 400.0);
    let class = |net: &Network, x: f32| {
        let scores = net.forward(&[x]).unwrap();
        scores[1] > scores[0]
    };
    let wrong = |method| {
        let quantized = quantize_network(&net, samples.view(), &config(2, method)).unwrap();
        samples
            .iter()
            .filter(|&&x| class(&quantized, x) != class(&net, x))
            .count()
    };
    assert!(wrong(PtqMethod::Adaptive) <= 2);
}

#[test]
fn the_same_comes_out_every_time() {
    let samples = Array2::from_shape_fn((50, 2), |(r, c)| ((r * 37 + c * 11) % 50) as f32 / 25.0 - 1.0);
    let quantized = || quantize_network(&mlp(), samples.view(), &PtqConfig::default()).unwrap();
    assert_eq!(quantized(), quantized());
}

#[test]
fn what_cannot_be_quantized_is_refused() {
    let says = |net: &Network, samples: Array2<f32>, config: &PtqConfig, expected: &str| {
        let error = quantize_network(net, samples.view(), config).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    let net = mlp();
    let good = || array![[0.5, 1.0]];
    let default = PtqConfig::default();
    let none = "layer x: calibration samples: needs at least 1, has 0";
    says(&net, Array2::zeros((0, 2)), &default, none);
    says(
        &net,
        array![[1.0]],
        &default,
        "layer x: input values: needs 2, has 1",
    );
    says(
        &net,
        array![[1.0, f32::NAN]],
        &default,
        "input is NaN, must be finite",
    );
    let quantized = quantize_network(&net, good().view(), &default).unwrap();
    let again = "layer x/quant is quantized already, needs a float network";
    says(&quantized, good(), &default, again);
    let mut open = Network::new("open", vec![2]);
    open.function("relu", open.input(), Univariate::Relu).unwrap();
    says(&open, good(), &default, "network open has no output");
    let bits = PtqConfig {
        weight_bits: 1,
        ..PtqConfig::default()
    };
    says(
        &net,
        good(),
        &bits,
        "quantization: weight_bits is 1, needs 2 to 16",
    );
    let bound = PtqConfig {
        max_accumulator_values: Some(3),
        ..config(3, PtqMethod::MinMax)
    };
    let narrow = "layer fc1: accumulator takes 8 values or more, limit 3";
    says(&net, good(), &bound, narrow);
}
