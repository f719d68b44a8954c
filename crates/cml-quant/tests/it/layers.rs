//! Convolutions, pools, residual sums and moves of data, computed by hand: the
//! forward pass and the graph could share a mistake.

use cml_ir::{Op, interpret};
use cml_quant::{ActQuantizer, Conv2d, LayerId, Linear, Network, Pool, PoolKind, WeightQuantizer, to_graph};
use ndarray::{Array4, array};

/// Unsigned 3 bits of scale 1/2; code 2 stands for 0.0.
fn half_steps() -> ActQuantizer {
    ActQuantizer::new(3, false, false, 0.5, 2).unwrap()
}

/// Checks the scores of what `build` makes of a quantized input.
fn check(
    shape: &[usize],
    sample: &[f32],
    build: impl FnOnce(&mut Network, LayerId) -> LayerId,
    expected: &[f32],
) -> Network {
    let mut net = Network::new("hand", shape.to_vec());
    let x = net.quantize("q", net.input(), half_steps()).unwrap();
    let y = build(&mut net, x);
    net.set_output(y, &[]).unwrap();
    assert_eq!(net.forward(sample).unwrap(), expected, "forward");
    let graph = to_graph(&net).unwrap();
    let codes = interpret(&graph, &[graph.quantize_input(sample).unwrap()]).unwrap();
    let (_, _, spec) = graph.outputs().next().unwrap();
    assert_eq!(spec.dequantize_all(&codes[0]), expected, "graph");
    assert_eq!(codes[0].shape(), net.layer(y).shape);
    net
}

fn pool(kind: PoolKind, kernel: [usize; 2]) -> Pool {
    Pool {
        kind,
        kernel,
        stride: kernel,
        padding: [0; 4],
    }
}

/// Two channels of 1 by 1, scales 1 and 0.25, codes 2 and -3.
fn pointwise(bias: Option<Vec<f32>>) -> Conv2d {
    let weights = Array4::from_shape_vec((2, 1, 1, 1), vec![2.0, -0.75]).unwrap();
    let quantizer = WeightQuantizer::new(3, true, vec![1.0, 0.25]).unwrap();
    Conv2d::new(weights, bias, quantizer).unwrap()
}

#[test]
fn padding_of_a_convolution_is_zero_whatever_the_zero_point() {
    // Codes [[1, 2], [3, -1]].
    let weights = Array4::from_shape_vec((1, 1, 2, 2), vec![0.5, 1.0, 1.5, -0.5]).unwrap();
    let quantizer = WeightQuantizer::new(3, true, vec![0.5]).unwrap();
    let conv = Conv2d::new(weights, Some(vec![0.25]), quantizer).unwrap();
    // Top, left, bottom, right: one row above, one column to the right.
    let conv = conv.with_padding([1, 0, 0, 1]).with_stride([1, 2]);
    // Relative codes 1 -2 4 / 2 0 -1; with padding 0 0 0 0 / 1 -2 4 0 / 2 0 -1 0.
    // 3 + 2 = 5 and 12; 1 - 4 + 6 = 3 and 4 - 3 = 1; each * 0.25 + 0.25.
    let net = check(
        &[1, 2, 3],
        &[0.5, -1.0, 2.0, 1.0, 0.0, -0.5],
        |net, x| net.conv2d("conv", x, conv).unwrap(),
        &[1.5, 3.25, 1.0, 0.5],
    );
    let graph = to_graph(&net).unwrap();
    let mut convs = graph.nodes().filter_map(|(_, n)| match &n.op {
        Op::Conv2d(c) => Some((c.pad_value, c.bias.clone())),
        _ => None,
    });
    // The correction is minus the zero point times 1 + 2 + 3 - 1.
    assert_eq!(convs.next(), Some((2, vec![-10])));
}

#[test]
fn groups_of_a_convolution_do_not_mix() {
    let weights = Array4::from_shape_vec((4, 1, 1, 1), vec![1.0, 2.0, 3.0, -1.0]).unwrap();
    let quantizer = WeightQuantizer::new(3, true, vec![1.0]).unwrap();
    let conv = Conv2d::new(weights, None, quantizer).unwrap().with_groups(2);
    check(
        &[2, 1, 1],
        &[1.0, -0.5],
        |net, x| net.conv2d("conv", x, conv).unwrap(),
        &[1.0, 2.0, -1.5, 0.5],
    );
}

#[test]
fn pools_keep_what_each_channel_means() {
    // Relative codes 1, 2, 4, -1: sum 6, in channels 12 and -18, of scales
    // 0.5 and 0.125.
    let sample = [0.5, 1.0, 2.0, -0.5];
    let bias = vec![1.0, -2.0];
    let build = |kind| {
        let conv = pointwise(Some(bias.clone()));
        move |net: &mut Network, x| {
            let x = net.conv2d("conv", x, conv).unwrap();
            net.pool("pool", x, pool(kind, [2, 2])).unwrap()
        }
    };
    check(
        &[1, 2, 2],
        &sample,
        build(PoolKind::Sum),
        &[6.0 + 4.0, -2.25 - 8.0],
    );
    check(
        &[1, 2, 2],
        &sample,
        build(PoolKind::Average),
        &[1.5 + 1.0, -0.5625 - 2.0],
    );
}

/// `scale / n`, then times the integer: not the sum over `n`, and not times
/// `1 / n`.
#[test]
fn the_scale_of_an_average_is_rounded_once() {
    let q = ActQuantizer::new(3, false, false, 0.3, 2).unwrap();
    for n in 2..16 {
        check(
            &[1, 1, n],
            &[vec![9.0, 9.0], vec![0.0; n - 2]].concat(),
            |net, x| {
                let x = net.quantize("q1", x, q).unwrap();
                net.pool("pool", x, pool(PoolKind::Average, [1, n])).unwrap()
            },
            // Codes 7 (clamped) and 2: relative 5 + 5.
            &[10.0 * (0.3f32 / n as f32)],
        );
    }
}

#[test]
fn a_dense_layer_may_read_averages() {
    check(
        &[1, 1, 2],
        &[1.0, 2.0],
        |net, x| {
            let x = net.pool("pool", x, pool(PoolKind::Average, [1, 2])).unwrap();
            let x = net.flatten("flat", x).unwrap();
            let quantizer = WeightQuantizer::new(3, true, vec![1.0]).unwrap();
            let linear = Linear::new(array![[3.0]], None, quantizer).unwrap();
            net.linear("fc", x, linear).unwrap()
        },
        &[4.5],
    );
}

#[test]
fn flattened_accumulators_keep_the_scale_and_bias_of_their_channel() {
    let flat = |net: &mut Network, x| {
        let x = net.conv2d("conv", x, pointwise(Some(vec![1.0, -2.0]))).unwrap();
        net.flatten("flat", x).unwrap()
    };
    // Relative codes 1 and 2.
    check(&[1, 1, 2], &[0.5, 1.0], flat, &[2.0, 3.0, -2.375, -2.75]);
}

#[test]
fn rows_may_become_channels_but_channels_that_differ_may_not_mix() {
    let reshaped = |bias: Option<Vec<f32>>, shape: &[usize]| {
        let mut net = Network::new("hand", vec![1, 2, 2]);
        let x = net.quantize("q", net.input(), half_steps()).unwrap();
        let x = net.conv2d("conv", x, pointwise(bias)).unwrap();
        let y = net.reshape("rows", x, shape.to_vec()).unwrap();
        net.set_output(y, &[]).unwrap();
        (
            net.forward(&[0.5; 4]).map_err(|e| e.to_string()),
            to_graph(&net).map_err(|e| e.to_string()),
        )
    };
    let expected = [1.0, 1.0, 1.0, 1.0, -0.375, -0.375, -0.375, -0.375];
    for shape in [&[2, 2, 2][..], &[4, 2], &[8], &[2, 4], &[8, 1, 1]] {
        let (forward, graph) = reshaped(None, shape);
        assert_eq!(forward.unwrap(), expected);
        graph.unwrap();
    }
    let (forward, graph) = reshaped(None, &[1, 8]);
    let expected = "layer rows: shape: needs channels within those of [2, 2, 2], which differ in scale or \
                    bias, or a quantizer before, has [1, 8]";
    assert_eq!(forward.unwrap_err(), expected);
    assert_eq!(graph.unwrap_err(), expected);
}

#[test]
fn a_residual_sum_adds_codes_and_zero_points() {
    // Codes 3 and 7, then 3 + 3 and 7 + 7 and once more: zero point 6.
    let net = check(
        &[2],
        &[0.5, 9.0],
        |net, x| {
            let twice = net.add("twice", x, x).unwrap();
            net.add("thrice", twice, x).unwrap()
        },
        &[1.5, 7.5],
    );
    let graph = to_graph(&net).unwrap();
    assert_eq!(graph.outputs().next().unwrap().2.zero_point, 6);
}

#[test]
fn concatenation_is_along_the_channels() {
    check(
        &[2, 1],
        &[0.5, 1.0],
        |net, x| {
            let q = net.quantize("q1", x, half_steps()).unwrap();
            let row = net.reshape("row", q, vec![2, 1]).unwrap();
            net.concat("cat", &[row, x, x]).unwrap()
        },
        &[0.5, 1.0, 0.5, 1.0, 0.5, 1.0],
    );
}
