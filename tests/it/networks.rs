//! Small networks by hand.

use cml_bitwidth::analyze;
use cml_ir::{Conv2d, Graph, GraphBuilder, InputSpec, Interval, Lut, Op, OutputSpec, Steps, SumPool, Tensor};
use cml_quant::{ActQuantizer, Linear, Network, Univariate, WeightQuantizer};
use cml_tfhe::optimizer::Goal;
use cml_tfhe::{Circuit, Options, lower};
use ndarray::{Array2, array};

fn layer(weights: Array2<f32>, bias: Option<Vec<f32>>) -> Linear {
    Linear::new(weights, bias, WeightQuantizer::constant(3).unwrap()).unwrap()
}

/// 2-4-3-2, constant 3-bit quantizers: the seeds' network in small.
pub(crate) fn mlp() -> Network {
    let act = || ActQuantizer::constant(3).unwrap();
    let mut net = Network::new("mlp", vec![2]);
    let x = net.quantize("x/quant", net.input(), act()).unwrap();
    let fc1 = array![[0.9, -0.4], [-0.7, 0.6], [0.3, 1.2], [0.0, -0.8]];
    let x = net
        .linear("fc1", x, layer(fc1, Some(vec![0.1, -0.05, 0.2, 0.3])))
        .unwrap();
    let x = net.function("fc1/relu", x, Univariate::Relu).unwrap();
    let x = net.quantize("fc1/quant", x, act()).unwrap();
    let fc2 = array![
        [0.6, -0.3, 0.0, 0.9],
        [-1.0, 0.4, 0.7, 0.0],
        [0.2, 0.5, -0.6, 0.4]
    ];
    let x = net.linear("fc2", x, layer(fc2, None)).unwrap();
    let x = net.quantize("fc2/quant", x, act()).unwrap();
    let fc3 = array![[0.8, -0.5, 0.3], [-0.6, 0.7, 0.2]];
    let x = net.linear("fc3", x, layer(fc3, Some(vec![0.05, -0.1]))).unwrap();
    net.set_output(x, &["white", "black"]).unwrap();
    net
}

/// A table that clips to `0..=top` after halving.
fn halve(top: i64) -> Lut {
    Lut::from_fn(Interval::new(-100, 100), |v| v.div_euclid(2).clamp(0, top))
}

/// A convolution with a padding code, a residual sum, a pool, a dense layer.
pub(crate) fn conv_residual() -> Graph {
    let mut b = GraphBuilder::new("conv_residual");
    let x = b
        .input(
            "image",
            vec![1, 3, 3],
            InputSpec::new(0.25, 1, Interval::new(0, 3)),
        )
        .unwrap();
    let conv = Conv2d {
        weights: Tensor::new(vec![2, 1, 2, 2], vec![1, -1, 2, 0, -1, 1, 0, 1]).unwrap(),
        bias: vec![0, -1],
        stride: [1, 1],
        padding: [0, 0, 1, 1],
        pad_value: 1,
        groups: 1,
    };
    let acc = b.conv2d("conv", x, conv).unwrap();
    let act = b.lut("conv/act", acc, halve(2)).unwrap();
    let other = Lut::per_channel(vec![
        Steps::from_fn(Interval::new(-10, 10), |v| i64::from(v > 0)),
        Steps::from_fn(Interval::new(-10, 10), |v| i64::from(v % 2 == 0)),
    ]);
    let gate = b.lut("conv/gate", acc, other.unwrap()).unwrap();
    let sum = b.add("residual", act, gate).unwrap();
    let pool = SumPool {
        kernel: [2, 2],
        stride: [1, 1],
    };
    let pooled = b.sum_pool("pool", sum, pool).unwrap();
    let act = b.lut("pool/act", pooled, halve(3)).unwrap();
    let flat = b.reshape("flat", act, vec![8]).unwrap();
    let weights = vec![1, -1, 0, 2, 1, 0, -2, 1, 0, 1, 1, -1, 2, -1, 0, 1];
    let y = b
        .dot(
            "head",
            flat,
            Tensor::new(vec![2, 8], weights).unwrap(),
            vec![0, 3],
        )
        .unwrap();
    let spec = OutputSpec {
        zero_point: 0,
        scale: vec![0.5],
        offset: vec![0.0, 0.25],
        labels: vec![],
        ..OutputSpec::identity()
    };
    b.output("y", y, spec).unwrap();
    b.finish().unwrap()
}

/// Two inputs, concatenation, slice and difference, two outputs.
pub(crate) fn two_in_two_out() -> Graph {
    let mut b = GraphBuilder::new("two_in_two_out");
    let spec = |lo, hi| InputSpec::new(1.0, 0, Interval::new(lo, hi));
    let x = b.input("x", vec![3], spec(-2, 2)).unwrap();
    let z = b.input("z", vec![1], spec(0, 3)).unwrap();
    let square = b
        .lut("square", x, Lut::from_fn(Interval::new(-2, 2), |v| v * v))
        .unwrap();
    let both = b.push("both", Op::Concat { axis: 0 }, &[square, z]).unwrap();
    let tail = b
        .push(
            "tail",
            Op::Slice {
                axis: 0,
                start: 1,
                end: 4,
            },
            &[both],
        )
        .unwrap();
    let gap = b.sub("gap", tail, x).unwrap();
    let sign = b
        .lut("sign", gap, Lut::from_fn(Interval::new(-9, 9), i64::signum))
        .unwrap();
    b.output("signs", sign, OutputSpec::identity()).unwrap();
    b.output("gaps", gap, OutputSpec::identity()).unwrap();
    b.finish().unwrap()
}

/// The circuit of a graph at the default budget.
pub(crate) fn lowered(graph: &Graph) -> Circuit {
    lower(graph, &analyze(graph), &Options::default()).unwrap()
}

/// Lowered layer by layer, with amortized rotations as for so many samples at once.
pub(crate) fn lowered_amortized(graph: &Graph, samples_at_once: u32) -> Circuit {
    let options = Options {
        goal: Goal {
            samples_at_once,
            second_set_below: 1.0,
            ..Goal::default()
        },
        fuse: false,
        ..Options::default()
    };
    let circuit = lower(graph, &analyze(graph), &options).unwrap();
    assert!(circuit.parameters().amortized().is_some(), "{circuit}");
    circuit
}

/// Lowered layer by layer, with two parameter sets wherever a second one helps at all.
pub(crate) fn lowered_in_two_sets(graph: &Graph) -> Circuit {
    let options = Options {
        goal: Goal {
            second_set_below: 1.0,
            ..Goal::default()
        },
        fuse: false,
        ..Options::default()
    };
    lower(graph, &analyze(graph), &options).unwrap()
}

/// A number that differs for each `at`, in `lo..=hi`: samples without a
/// generator to seed.
pub(crate) fn scatter(at: usize, lo: i64, hi: i64) -> i64 {
    let mixed = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    lo + ((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33) as i64 % (hi - lo + 1)
}

/// Sample number `at` for a graph: one tensor for each input. The first two
/// are the ends of the ranges.
pub(crate) fn sample(graph: &Graph, at: usize) -> Vec<Tensor> {
    let tensor = |(i, (_, node, spec)): (usize, (_, &cml_ir::Node, &InputSpec))| {
        let count: usize = node.ty.shape.iter().product();
        let Interval { lo, hi } = spec.range;
        let value = |e| match at {
            0 => lo,
            1 => hi,
            _ => scatter(10_000 * at + 100 * i + e, lo, hi),
        };
        Tensor::new(node.ty.shape.clone(), (0..count).map(value).collect()).unwrap()
    };
    graph.inputs().enumerate().map(tensor).collect()
}
