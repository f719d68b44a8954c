//! Float networks, normalized inputs, and networks that are quantized in part.

use cml_ir::interpret;
use cml_quant::{
    ActQuantizer, Conv2d, LayerId, Linear, Network, Normalize, Pool, PoolKind, QuantError, Univariate,
    WeightQuantizer, accumulators, network_from_bytes, network_to_bytes, to_graph,
};
use ndarray::{Array4, array};

fn float_conv() -> Conv2d {
    let weights = Array4::from_shape_fn((2, 1, 2, 2), |(o, _, y, x)| (o * 4 + y * 2 + x) as f32 - 3.0);
    Conv2d::new(weights, Some(vec![0.5, -1.0]), None)
        .unwrap()
        .with_padding([1, 0, 0, 0])
}

/// `[1, 2, 2]`: normalization, convolution, ReLU, average, dense layer.
fn float_net() -> Network {
    let mut net = Network::new("float", vec![1, 2, 2]);
    let normalize = Normalize {
        offset: vec![1.0],
        factor: vec![0.5],
    };
    let x = net.normalize("x/norm", normalize).unwrap();
    let x = net.conv2d("conv", x, float_conv()).unwrap();
    let x = net.function("conv/relu", x, Univariate::Relu).unwrap();
    let pool = Pool {
        kind: PoolKind::Average,
        kernel: [2, 1],
        stride: [1, 1],
        padding: [0; 4],
    };
    let x = net.pool("pool", x, pool).unwrap();
    let x = net.flatten("flat", x).unwrap();
    let fc = Linear::new(array![[1.0, -0.5]], Some(vec![0.25]), None).unwrap();
    let y = net.linear("fc", x, fc).unwrap();
    net.set_output(y, &["score"]).unwrap();
    net
}

#[test]
fn a_float_network_by_hand() {
    let net = float_net();
    assert!(net.is_float());
    // Normalized: 0, 1, 2, 3. Kernels [-3 -2 -1 0] and [1 2 3 4] on rows
    // (border, 0 1) and (0 1, 2 3); biases 0.5 and -1:
    // 0 + 0.5 = 0.5 and -2 - 2 + 0.5 -> 0; 4 - 1 = 3 and 2 + 6 + 12 - 1 = 19.
    // Averages 0.25 and 11.
    assert_eq!(net.forward(&[1.0, 3.0, 5.0, 7.0]).unwrap(), [0.25 - 5.5 + 0.25]);
}

#[test]
fn a_float_network_comes_back_from_its_file() {
    let net = float_net();
    let back = network_from_bytes("test", &network_to_bytes(&net).unwrap()).unwrap();
    assert_eq!(back, net);
}

#[test]
fn a_float_network_is_no_graph() {
    let says = "network float is float: quantize it first (cml quantize --bits)";
    assert_eq!(to_graph(&float_net()).unwrap_err().to_string(), says);
}

/// A normalization whose features differ, a quantizer, a dense layer.
fn normalized(read: impl FnOnce(&mut Network, LayerId) -> Result<LayerId, QuantError>) -> Network {
    let mut net = Network::new("normalized", vec![2]);
    let normalize = Normalize {
        offset: vec![10.0, -0.3],
        factor: vec![0.1, 7.0],
    };
    let x = net.normalize("x/norm", normalize).unwrap();
    let x = read(&mut net, x).unwrap();
    let quantizer = WeightQuantizer::constant(3).unwrap();
    let y = Linear::new(array![[0.9, -0.4]], Some(vec![0.1]), quantizer).unwrap();
    let y = net.linear("fc", x, y).unwrap();
    net.set_output(y, &[]).unwrap();
    net
}

#[test]
fn normalization_is_part_of_the_input() {
    let q = ActQuantizer::new(4, true, false, 0.125, 1).unwrap();
    let net = normalized(|net, x| net.quantize("x/quant", x, q));
    let spec = net.input_spec().unwrap();
    assert_eq!(spec.scale, [0.125f32 / 0.1, 0.125 / 7.0]);
    assert_eq!(spec.offset, [10.0, -0.3]);
    let samples = array![
        [10.0f32, -0.3],
        [11.3, 0.0],
        [-100.0, 100.0],
        [f32::MAX, f32::MIN],
        [9.1, -0.31]
    ];
    let codes = net.input_codes(samples.view()).unwrap();
    // 0 and 0; 1.04 steps and 16.8; beyond both ends; beyond; -0.72 and -0.56.
    assert_eq!(codes, array![[1, 1], [2, 7], [-8, 7], [7, -8], [0, 0]]);
    let graph = to_graph(&net).unwrap();
    for (sample, codes) in samples.rows().into_iter().zip(codes.rows()) {
        let sample = sample.to_vec();
        let tensor = graph.quantize_input(&sample).unwrap();
        assert_eq!(tensor.data(), codes.to_vec());
        let y = interpret(&graph, &[tensor]).unwrap();
        let (_, _, spec) = graph.outputs().next().unwrap();
        assert_eq!(spec.dequantize_all(&y[0]), net.forward(&sample).unwrap());
    }
    let message = |features: ndarray::Array2<f32>| net.input_codes(features.view()).unwrap_err().to_string();
    assert_eq!(message(array![[1.0]]), "layer x: input values: needs 2, has 1");
    assert_eq!(message(array![[1.0, f32::NAN]]), "input is NaN, must be finite");
}

#[test]
fn channels_of_an_image_are_normalized_one_by_one() {
    let mut net = Network::new("planes", vec![2, 1, 2]);
    let normalize = Normalize {
        offset: vec![0.0, 1.0],
        factor: vec![1.0],
    };
    let x = net.normalize("x/norm", normalize).unwrap();
    let q = ActQuantizer::new(3, true, false, 1.0, 0).unwrap();
    let x = net.quantize("x/quant", x, q).unwrap();
    net.set_output(x, &[]).unwrap();
    assert_eq!(net.forward(&[0.0, 1.0, 0.0, 1.0]).unwrap(), [0.0, 1.0, -1.0, 0.0]);
}

#[test]
fn a_normalization_that_no_quantizer_follows_is_refused() {
    let net = normalized(|_, x| Ok(x));
    let says = "layer fc reads x/norm, which has no quantizer: put one between x/norm and fc";
    assert_eq!(to_graph(&net).unwrap_err().to_string(), says);
    assert_eq!(net.forward(&[0.0; 2]).unwrap_err().to_string(), says);
}

#[test]
fn a_normalization_that_does_not_fit_is_refused() {
    let mut net = Network::new("net", vec![2]);
    let mut says = |offset: &[f32], factor: &[f32], expected: &str| {
        let (offset, factor) = (offset.to_vec(), factor.to_vec());
        let error = net.normalize("n", Normalize { offset, factor }).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    says(&[0.0; 3], &[1.0], "layer n: offsets: needs 1 or 2, has 3");
    says(&[0.0], &[], "layer n: factors: needs 1 or 2, has 0");
    says(&[f32::NAN], &[1.0], "input offset is NaN, must be finite");
    for factor in [0.0, -1.0, f32::NAN] {
        let expected = format!("layer n: factor: needs a finite and positive number, has {factor}");
        says(&[0.0], &[factor], &expected);
    }
    let relu = net.function("relu", net.input(), Univariate::Relu).unwrap();
    let layer = cml_quant::Layer::Normalize(Normalize {
        offset: vec![0.0],
        factor: vec![1.0],
    });
    assert_eq!(
        net.push("late", layer, &[relu]).unwrap_err().to_string(),
        "layer late: operand: needs the raw input x, has relu"
    );
}

#[test]
fn a_network_that_is_quantized_in_part_is_refused() {
    let mut net = Network::new("part", vec![2]);
    let x = net.quantize("x/quant", net.input(), ActQuantizer::constant(3).unwrap());
    let fc = Linear::new(array![[0.5, -1.0]], None, None).unwrap();
    let y = net.linear("fc", x.unwrap(), fc).unwrap();
    net.set_output(y, &[]).unwrap();
    let says = "layer fc has float weights, but other layers are quantized: its weights need a quantizer";
    assert_eq!(to_graph(&net).unwrap_err().to_string(), says);
    assert_eq!(net.forward(&[0.0; 2]).unwrap_err().to_string(), says);
    assert_eq!(accumulators(&net).unwrap_err().to_string(), says);
}
