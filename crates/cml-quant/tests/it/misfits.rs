//! Image layers, sums and concatenations that do not fit.

use cml_quant::{
    ActQuantizer, Conv2d, LayerId, Linear, Network, Pool, PoolKind, QuantError, Univariate, WeightQuantizer,
    to_graph,
};
use ndarray::{Array2, Array4};

fn act(scale: f32, zero_point: i64) -> ActQuantizer {
    ActQuantizer::new(3, true, true, scale, zero_point).unwrap()
}

fn conv(out: usize, per_group: usize, kernel: [usize; 2]) -> Conv2d {
    let weights = Array4::from_elem((out, per_group, kernel[0], kernel[1]), 0.5);
    Conv2d::new(weights, None, WeightQuantizer::constant(3).unwrap()).unwrap()
}

fn average(kernel: [usize; 2], stride: [usize; 2]) -> Pool {
    Pool {
        kind: PoolKind::Average,
        kernel,
        stride,
        padding: [0; 4],
    }
}

fn image() -> (Network, LayerId) {
    let mut net = Network::new("net", vec![2, 3, 4]);
    let x = net.quantize("q", net.input(), act(0.5, 0)).unwrap();
    (net, x)
}

/// What `push` says.
fn refused(push: impl FnOnce(&mut Network, LayerId) -> Result<LayerId, QuantError>, expected: &str) {
    let (mut net, x) = image();
    assert_eq!(push(&mut net, x).unwrap_err().to_string(), expected);
    assert_eq!(net.layers().len(), 2);
}

/// What the forward pass and the translation say.
fn meaningless(build: impl FnOnce(&mut Network, LayerId) -> LayerId, expected: &str) {
    let (mut net, x) = image();
    let y = build(&mut net, x);
    net.set_output(y, &[]).unwrap();
    assert_eq!(net.forward(&[0.25; 24]).unwrap_err().to_string(), expected);
    assert_eq!(to_graph(&net).unwrap_err().to_string(), expected);
}

#[test]
fn shapes_are_checked() {
    refused(
        |net, x| net.conv2d("c", x, conv(1, 3, [1, 1])),
        "layer c: input channels: needs 3, has 2",
    );
    refused(
        |net, x| net.conv2d("c", x, conv(3, 1, [1, 1]).with_groups(2)),
        "layer c: groups: needs a divisor of 3, has 2",
    );
    refused(
        |net, x| net.conv2d("c", x, conv(1, 2, [6, 1]).with_padding([1, 0, 1, 0])),
        "layer c: window: needs within 3 by 4, padded by [1, 0, 1, 0], has 6 by 1",
    );
    refused(
        |net, x| net.conv2d("c", x, conv(1, 2, [1, 1]).with_stride([1, 0])),
        "layer c: stride: needs at least 1, has [1, 0]",
    );
    refused(
        |net, x| {
            let big = [1 << 11; 4];
            net.conv2d("c", x, conv(1, 2, [1, 1]).with_padding(big))
        },
        "layer c: result: needs 1 to 4194304 elements, has [1, 4099, 4100]",
    );
    refused(
        |net, x| net.pool("p", x, average([4, 1], [1, 1])),
        "layer p: window: needs within 3 by 4, padded by [0, 0, 0, 0], has 4 by 1",
    );
    refused(
        |net, x| net.reshape("r", x, vec![5, 5]),
        "layer r: shape: needs 24 elements, as [2, 3, 4], has [5, 5]",
    );
    refused(
        |net, x| {
            let weights = Array2::from_elem((1, 24), 0.5);
            let linear = Linear::new(weights, None, WeightQuantizer::constant(3)?)?;
            net.linear("fc", x, linear)
        },
        "layer fc: input: needs [24], has [2, 3, 4]",
    );
    refused(
        |net, _| net.concat("cat", &[]),
        "layer cat: operands: needs 1 or more, has 0",
    );
}

#[test]
fn shapes_of_several_operands_are_checked() {
    let (mut net, x) = image();
    let p = net.pool("p", x, average([1, 2], [1, 2])).unwrap();
    let f = net.flatten("f", x).unwrap();
    let says = |result: Result<LayerId, QuantError>, expected: &str| {
        assert_eq!(result.unwrap_err().to_string(), expected);
    };
    says(
        net.add("a", x, p),
        "layer a: second operand: needs [2, 3, 4], has [2, 3, 2]",
    );
    says(
        net.concat("a", &[x, p]),
        "layer a: operand: needs [2, 3, 4] but for axis 0, has [2, 3, 2]",
    );
    says(
        net.conv2d("a", f, conv(1, 2, [1, 1])),
        "layer a: input: needs [2, height, width], has [24]",
    );
    says(
        net.pool("a", f, average([1, 1], [1, 1])),
        "layer a: input: needs [channels, height, width], has [24]",
    );
}

#[test]
fn sums_and_concatenations_need_a_common_quantizer() {
    meaningless(
        |net, x| {
            let other = net.quantize("q1", x, act(0.25, 1)).unwrap();
            net.add("sum", x, other).unwrap()
        },
        "layer sum needs values of one scale: q has scale 0.5 zero point 0, q1 has scale 0.25 zero point 1; \
         give both a common quantizer",
    );
    meaningless(
        |net, x| {
            let other = net.quantize("q1", x, act(0.5, 1)).unwrap();
            net.concat("cat", &[x, x, other]).unwrap()
        },
        "layer cat needs values of one scale and zero point: q has scale 0.5 zero point 0, q1 has scale 0.5 \
         zero point 1; give both a common quantizer",
    );
    let raw = |from: &str, to: &str| {
        format!("layer {to} reads {from}, which has no quantizer: put one between {from} and {to}")
    };
    meaningless(
        |net, x| {
            let relu = net.function("relu", x, Univariate::Relu).unwrap();
            net.add("sum", x, relu).unwrap()
        },
        &raw("relu", "sum"),
    );
    meaningless(
        |net, x| {
            let relu = net.function("relu", x, Univariate::Relu).unwrap();
            net.concat("cat", &[x, relu]).unwrap()
        },
        &raw("relu", "cat"),
    );
    meaningless(
        |net, x| {
            let relu = net.function("relu", x, Univariate::Relu).unwrap();
            net.pool("pool", relu, average([1, 1], [1, 1])).unwrap()
        },
        &raw("relu", "pool"),
    );
}

#[test]
fn layers_on_the_raw_input_are_refused() {
    let check = |build: fn(&mut Network, LayerId) -> Result<LayerId, QuantError>| {
        let mut net = Network::new("net", vec![2, 3, 4]);
        let x = net.input();
        let y = build(&mut net, x).unwrap();
        net.set_output(y, &[]).unwrap();
        // A quantizer elsewhere: the network is not a float one.
        net.quantize("q", y, act(0.5, 0)).unwrap();
        for error in [to_graph(&net).unwrap_err(), net.forward(&[0.0; 24]).unwrap_err()] {
            assert_eq!(
                error.to_string(),
                "layer y reads x, which has no quantizer: put one between x and y"
            );
        }
    };
    check(|net, x| net.conv2d("y", x, conv(1, 2, [1, 1])));
    check(|net, x| net.pool("y", x, average([1, 1], [1, 1])));
    check(|net, x| net.flatten("y", x));
    check(|net, x| net.add("y", x, x));
    check(|net, x| net.concat("y", &[x]));
}

#[test]
fn integers_that_grow_without_end_are_an_error_not_an_overflow() {
    for zero_point in [0, 1] {
        let mut net = Network::new("net", vec![2]);
        let mut x = net.quantize("q", net.input(), act(0.5, zero_point)).unwrap();
        for i in 0..70 {
            x = net.add(&format!("double{i}"), x, x).unwrap();
        }
        net.set_output(x, &[]).unwrap();
        for error in [
            to_graph(&net).unwrap_err(),
            net.forward(&[9.0, -9.0]).unwrap_err(),
        ] {
            let message = error.to_string();
            assert!(message.starts_with("node double"), "{message}");
            assert!(message.contains("1099511627776"), "{message}");
        }
    }
}
