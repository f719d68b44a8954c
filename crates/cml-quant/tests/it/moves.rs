//! Maxima, padding, differences and moves of elements, by hand.

use crate::files::{forge, refused, sample, structure_of, tensors};
use cml_ir::interpret;
use cml_quant::{
    ActQuantizer, Concat, Conv2d, Layer, LayerId, Linear, Network, Pad, Pool, PoolKind, Slice, Transpose,
    Univariate, WeightQuantizer, accumulators, to_graph,
};
use ndarray::{Array4, array};
use serde_json::{Value, json};

/// Unsigned 3 bits of scale 1; code 2 stands for 0.0: -2 to 5.
fn codes() -> ActQuantizer {
    ActQuantizer::new(3, false, false, 1.0, 2).unwrap()
}

/// Scores of what `build` makes of the codes of a sample, by the float network, the forward pass and
/// the graph.
fn check(
    shape: &[usize],
    sample: &[f32],
    build: impl Fn(&mut Network, LayerId) -> LayerId,
    expected: &[f32],
) {
    let mut float = Network::new("hand", shape.to_vec());
    let x = float.input();
    let y = build(&mut float, x);
    float.set_output(y, &[]).unwrap();
    assert_eq!(float.forward(sample).unwrap(), expected, "float");
    let mut net = Network::new("hand", shape.to_vec());
    let x = net.quantize("q", net.input(), codes()).unwrap();
    let y = build(&mut net, x);
    net.set_output(y, &[]).unwrap();
    assert_eq!(net.forward(sample).unwrap(), expected, "forward");
    let graph = to_graph(&net).unwrap();
    let found = interpret(&graph, &[graph.quantize_input(sample).unwrap()]).unwrap();
    let (_, _, spec) = graph.outputs().next().unwrap();
    assert_eq!(spec.dequantize_all(&found[0]), expected, "graph");
    assert_eq!(found[0].shape(), net.layer(y).shape);
}

fn pool(kind: PoolKind, kernel: [usize; 2], stride: [usize; 2], padding: [usize; 4]) -> Pool {
    Pool {
        kind,
        kernel,
        stride,
        padding,
    }
}

#[test]
fn maxima_and_padding() {
    let sample = [1.0, -2.0, 3.0, -1.0, 5.0, -2.0];
    let pooled = |pool: Pool| move |net: &mut Network, x| net.pool("pool", x, pool).unwrap();
    // Rows 1 -2 3 / -1 5 -2.
    let check = |pool, expected: &[f32]| check(&[1, 2, 3], &sample, pooled(pool), expected);
    check(pool(PoolKind::Max, [2, 2], [1, 1], [0; 4]), &[5.0, 5.0]);
    check(
        pool(PoolKind::Max, [1, 2], [1, 2], [0, 1, 0, 0]),
        &[1.0, 3.0, -1.0, 5.0],
    );
    check(
        pool(PoolKind::Max, [2, 1], [1, 1], [1, 0, 1, 0]),
        &[1.0, -2.0, 3.0, 1.0, 5.0, 3.0, -1.0, 5.0, -2.0],
    );
    // Padding is less than all: the only element of a window is the largest.
    check(pool(PoolKind::Max, [2, 2], [2, 3], [0, 1, 0, 1]), &[1.0, 3.0]);
    check(
        pool(PoolKind::Max, [1, 1], [1, 2], [0; 4]),
        &[1.0, 3.0, -1.0, -2.0],
    );
    check(pool(PoolKind::Sum, [2, 2], [2, 2], [0, 1, 0, 0]), &[0.0, 4.0]);
    check(pool(PoolKind::Average, [2, 2], [2, 2], [0, 1, 0, 0]), &[0.0, 1.0]);
}

#[test]
fn moves_by_hand() {
    // Channels 1 2 / 3 4 / 5 -1.
    let sample = [1.0, 2.0, 3.0, 4.0, 5.0, -1.0];
    let check = |layer: Layer, expected: &[f32]| {
        let build = |net: &mut Network, x| net.push("move", layer.clone(), &[x]).unwrap();
        check(&[3, 2], &sample, build, expected);
    };
    check(
        Layer::Transpose(Transpose { perm: vec![1, 0] }),
        &[1.0, 3.0, 5.0, 2.0, 4.0, -1.0],
    );
    let slice = |starts: [usize; 2], ends: [usize; 2], steps: [usize; 2]| {
        Layer::Slice(Slice {
            starts: starts.to_vec(),
            ends: ends.to_vec(),
            steps: steps.to_vec(),
        })
    };
    check(slice([0, 1], [3, 2], [2, 1]), &[2.0, -1.0]);
    check(slice([1, 0], [3, 2], [1, 3]), &[3.0, 5.0]);
    check(slice([0, 0], [3, 2], [1, 1]), &sample);
    let border = Layer::Pad(Pad {
        padding: vec![[0, 1], [1, 0]],
    });
    check(
        border,
        &[0.0, 1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 5.0, -1.0, 0.0, 0.0, 0.0],
    );
}

#[test]
fn differences_and_joins_along_an_axis() {
    let mirrored = |net: &mut Network, x| {
        net.push("t", Layer::Transpose(Transpose { perm: vec![1, 0] }), &[x])
            .unwrap()
    };
    let sample = [1.0, 2.0, 3.0, 4.0];
    let sub = |net: &mut Network, x| {
        let t = mirrored(net, x);
        net.sub("sub", x, t).unwrap()
    };
    check(&[2, 2], &sample, sub, &[0.0, -1.0, 1.0, 0.0]);
    let concat = |net: &mut Network, x| {
        let t = mirrored(net, x);
        net.concat_along("cat", &[x, t], 1).unwrap()
    };
    check(
        &[2, 2],
        &sample,
        concat,
        &[1.0, 2.0, 1.0, 3.0, 3.0, 4.0, 2.0, 4.0],
    );
}

#[test]
fn a_maximum_counts_the_differences_that_it_looks_up() {
    let mut net = Network::new("net", vec![1, 2, 2]);
    let x = net.quantize("q", net.input(), codes()).unwrap();
    let y = net
        .pool("pool", x, pool(PoolKind::Max, [2, 2], [1, 1], [0; 4]))
        .unwrap();
    net.set_output(y, &[]).unwrap();
    let found = accumulators(&net).unwrap();
    assert_eq!(
        (found[0].layer.as_str(), found[0].values, found[0].lookup),
        ("pool", 15, true)
    );
    let graph = to_graph(&net).unwrap();
    let widest = graph
        .nodes()
        .map(|(_, n)| n.ty.range.hi - n.ty.range.lo + 1)
        .max();
    assert_eq!(widest, Some(15));
    let (_, last) = graph.nodes().last().unwrap();
    assert_eq!((last.ty.range.lo, last.ty.range.hi), (0, 7));
}

/// A convolution with two channels, each with its own scale and bias, then `build`.
fn after_conv(build: impl Fn(&mut Network, LayerId) -> LayerId) -> Result<Network, String> {
    let mut net = Network::new("net", vec![1, 2, 2]);
    let x = net.quantize("q", net.input(), codes()).unwrap();
    let weights = Array4::from_shape_vec((2, 1, 1, 1), vec![2.0, -0.75]).unwrap();
    let quantizer = WeightQuantizer::new(3, true, vec![1.0, 0.25]).unwrap();
    let conv = Conv2d::new(weights, Some(vec![1.0, -1.0]), quantizer).unwrap();
    let x = net.conv2d("conv", x, conv).unwrap();
    let y = build(&mut net, x);
    net.set_output(y, &[]).unwrap();
    let message = to_graph(&net).map_err(|e| e.to_string()).err();
    assert_eq!(
        net.forward(&[1.0, 2.0, 3.0, -1.0])
            .map_err(|e| e.to_string())
            .err(),
        message
    );
    message.map_or(Ok(net), Err)
}

#[test]
fn what_needs_codes_says_so() {
    let unquantized = "which has no quantizer: put one between conv and y";
    let check = |layer: Layer, expected: &str| {
        let message = after_conv(|net, x| net.push("y", layer.clone(), &[x]).unwrap()).unwrap_err();
        assert!(message.contains(expected), "{message}");
    };
    check(
        Layer::Pool(pool(PoolKind::Max, [2, 2], [1, 1], [0; 4])),
        unquantized,
    );
    check(
        Layer::Pool(pool(PoolKind::Sum, [2, 2], [1, 1], [1, 0, 0, 0])),
        unquantized,
    );
    check(
        Layer::Pad(Pad {
            padding: vec![[0, 1]; 3],
        }),
        unquantized,
    );
    check(
        Layer::Transpose(Transpose { perm: vec![1, 0, 2] }),
        "layer y: perm: needs axis 0 first, whose channels differ in scale, bias or function, or a quantizer before",
    );
    after_conv(|net, x| {
        net.push("y", Layer::Transpose(Transpose { perm: vec![0, 2, 1] }), &[x])
            .unwrap()
    })
    .unwrap();
    let second = Layer::Slice(Slice {
        starts: vec![1, 0, 0],
        ends: vec![2, 2, 2],
        steps: vec![1; 3],
    });
    let net = after_conv(|net, x| net.push("y", second.clone(), &[x]).unwrap()).unwrap();
    assert_eq!(
        net.forward(&[1.0, 2.0, 3.0, -1.0]).unwrap(),
        [-1.75, -2.5, -3.25, -0.25]
    );
}

#[test]
fn moves_that_do_not_fit_are_refused() {
    let check = |layer: Layer, expected: &str| {
        let mut net = Network::new("net", vec![2, 3, 4]);
        let found = net.push("y", layer, &[net.input()]).unwrap_err().to_string();
        assert_eq!(found, format!("layer y: {expected}"));
    };
    check(
        Layer::Transpose(Transpose { perm: vec![0, 0, 1] }),
        "perm: needs an order of 3 axes, has [0, 0, 1]",
    );
    check(
        Layer::Transpose(Transpose { perm: vec![0] }),
        "perm: needs an order of 3 axes, has [0]",
    );
    let slice = |starts: usize, ends: usize, steps: usize| {
        Layer::Slice(Slice {
            starts: vec![0, starts, 0],
            ends: vec![2, ends, 4],
            steps: vec![1, steps, 1],
        })
    };
    let needs = "slice: needs start < end <= 3 on axis 1, step at least 1, has";
    check(slice(1, 1, 1), &format!("{needs} 1 to 1, step 1"));
    check(slice(0, 4, 1), &format!("{needs} 0 to 4, step 1"));
    check(slice(0, 3, 0), &format!("{needs} 0 to 3, step 0"));
    let short = Layer::Slice(Slice {
        starts: vec![0; 3],
        ends: vec![1; 2],
        steps: vec![1; 3],
    });
    check(short, "ends: needs 3, has 2");
    check(
        Layer::Pad(Pad {
            padding: vec![[0, 0]],
        }),
        "padded axes: needs 3, has 1",
    );
    check(
        Layer::Pad(Pad {
            padding: vec![[usize::MAX, 1], [0, 0], [0, 0]],
        }),
        "result: needs 1 to 4194304 elements, has [18446744073709551615, 3, 4]",
    );
    check(Layer::Concat(Concat { axis: 3 }), "axis: needs below 3, has 3");
    check(
        Layer::Pool(pool(PoolKind::Max, [1, 2], [1, 1], [0, 0, 0, 2])),
        "padding: needs less than the kernel [1, 2] of a maximum, has [0, 0, 0, 2]",
    );
}

/// An affine function that grows is evaluated by the client; others need a quantizer.
#[test]
fn an_output_may_end_with_a_growing_affine_function() {
    let build = |scale: Vec<f32>| {
        let mut net = Network::new("net", vec![2]);
        let x = net.quantize("q", net.input(), codes()).unwrap();
        let quantizer = WeightQuantizer::new(3, true, vec![1.0]).unwrap();
        let fc = Linear::new(array![[1.0, 2.0], [0.0, -1.0]], Some(vec![0.5, -0.5]), quantizer).unwrap();
        let x = net.linear("fc", x, fc).unwrap();
        let offset = vec![1.0, 2.0];
        let y = net
            .function("norm", x, Univariate::Affine { scale, offset })
            .unwrap();
        net.set_output(y, &[]).unwrap();
        net
    };
    let net = build(vec![2.0, 0.5]);
    let graph = to_graph(&net).unwrap();
    let found = interpret(&graph, &[graph.quantize_input(&[1.0, 2.0]).unwrap()]).unwrap();
    let (_, _, spec) = graph.outputs().next().unwrap();
    assert_eq!(spec.dequantize_all(&found[0]), [12.0, 0.75]);
    assert_eq!(net.forward(&[1.0, 2.0]).unwrap(), [12.0, 0.75]);
    assert_eq!(
        to_graph(&build(vec![1.0, -1.0])).unwrap_err().to_string(),
        "output norm ends with affine: put a quantizer after it, or leave it to the client"
    );
}

/// Descriptions with a valid checksum in place of a ReLU.
#[test]
fn files_with_functions_and_moves_that_do_not_fit_are_refused() {
    let mut structure: Value = serde_json::from_str(&structure_of(&sample())).unwrap();
    let invalid = [
        (
            json!({"function": {"clip": {"lo": 1.0, "hi": 0.0}}}),
            "layer relu: clip",
        ),
        (
            json!({"function": {"elu": {"alpha": 1e300}}}),
            "layer relu: alpha",
        ),
        (
            json!({"function": {"prelu": {"slope": [0.5, 0.5]}}}),
            "layer relu: slopes",
        ),
        (json!({"transpose": {"perm": [1]}}), "layer relu: perm"),
        (
            json!({"slice": {"starts": [0], "ends": [2], "steps": [1]}}),
            "layer relu: slice",
        ),
        (json!({"pad": {"padding": [[u64::MAX, 1]]}}), "layer relu: result"),
        (json!({"concat": {"axis": 1}}), "layer relu: axis"),
        (json!("sub"), "layer relu: operands"),
    ];
    for (layer, expected) in invalid {
        structure["layers"][2]["layer"] = layer;
        refused(&forge(&structure.to_string(), &tensors()), expected);
    }
}
