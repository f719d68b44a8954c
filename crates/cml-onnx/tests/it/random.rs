//! Random graphs of every operator with random operands and attributes: a network that has a graph, or a report.

use crate::wire::{Attr, File};
use crate::world::fixed;
use cml_onnx::{OnnxError, Options, import_bytes};
use proptest::prelude::*;

const OPERATORS: &[&str] = &[
    "Gemm",
    "MatMul",
    "Conv",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "BatchNormalization",
    "AveragePool",
    "MaxPool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "ReduceMean",
    "ReduceSum",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Slice",
    "Pad",
    "Concat",
    "Clip",
    "PRelu",
    "Pow",
    "Relu",
    "Sigmoid",
    "Erf",
    "Log",
    "Reciprocal",
    "Cast",
    "Shape",
    "Gather",
    "ConstantOfShape",
    "Identity",
    "QuantizeLinear",
    "DequantizeLinear",
    "q:Quant",
    "q:BipolarQuant",
    "q:Trunc",
    "Softmax",
    "Split",
    "Tile",
    "Expand",
    "DepthToSpace",
    "SpaceToDepth",
    "Resize",
    "Upsample",
    "ReduceMax",
    "Min",
    "Max",
    "Sum",
    "Less",
    "GreaterOrEqual",
    "Equal",
    "Where",
    "Not",
    "And",
    "Mish",
    "Shrink",
    "Celu",
    "Mul",
    "Sub",
    "qonnx.custom_op.channels_last:Conv",
    "qonnx.custom_op.channels_last:MaxPool",
    "qonnx.custom_op.channels_last:BatchNormalization",
];

const CONSTANTS: &[&str] = &[
    "f0", "f1", "f2", "f22", "f2233", "f21", "half", "four", "zero", "i1", "i2", "i3", "big", "none", "b8",
    "b22", "_", "missing",
];

/// The constants of every file.
fn file(opset: u64) -> File {
    let shape = if opset.is_multiple_of(2) {
        &[1, 2, 4, 4][..]
    } else {
        &[-1, 2][..]
    };
    let mut file = File::new(shape)
        .floats("f0", &[], &[1.5])
        .floats("f1", &[1], &[-0.5])
        .floats("f2", &[2], &[0.5, -2.0])
        .floats("f22", &[2, 2], &[0.5, -0.5, 1.0, 0.0])
        .floats("f2233", &[2, 2, 3, 3], &[0.5; 36])
        .floats("f21", &[2, 1, 1], &[0.25, 3.0])
        .floats("half", &[], &[0.5])
        .floats("four", &[], &[4.0])
        .floats("zero", &[], &[0.0])
        .ints("i1", &[1], &[1])
        .ints("i2", &[2], &[0, -1])
        .ints("i3", &[8], &[0, 0, 1, 1, 0, 0, 1, 2])
        .ints("big", &[2], &[i64::MAX, i64::MIN])
        .ints("none", &[0], &[])
        .bytes8("b8", &[], true, &[3])
        .bytes8("b22", &[2, 2], true, &[-128, 127, 0, 5]);
    file.opset = opset;
    file
}

#[derive(Clone, Debug)]
struct Random {
    op: usize,
    /// Above the number of constants: a result.
    inputs: Vec<usize>,
    list: Vec<i64>,
    number: i64,
}

fn node() -> impl Strategy<Value = Random> {
    let number =
        || prop_oneof![8 => -3i64..6, 1 => Just(i64::MAX), 1 => Just(i64::MIN), 1 => Just(1i64 << 40)];
    // The first operand is a result more often than not.
    let input = 0..CONSTANTS.len() + 4;
    let first = prop_oneof![3 => CONSTANTS.len()..CONSTANTS.len() + 4, 1 => 0..CONSTANTS.len()];
    let inputs = (first, prop::collection::vec(input, 0..5)).prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        rest
    });
    (
        0..OPERATORS.len(),
        inputs,
        prop::collection::vec(number(), 0..5),
        number(),
    )
        .prop_map(|(op, inputs, list, number)| Random {
            op,
            inputs,
            list,
            number,
        })
}

fn build(opset: u64, nodes: &[Random]) -> Vec<u8> {
    let mut file = file(opset);
    for (at, node) in nodes.iter().enumerate() {
        // Results before this one, the latest first; the input is the oldest.
        let name = |i: &usize| match i.checked_sub(CONSTANTS.len()) {
            None => CONSTANTS[*i].to_owned(),
            Some(back) if back < at => format!("n{}", at - 1 - back),
            Some(_) => "x".to_owned(),
        };
        let inputs: Vec<String> = node.inputs.iter().map(name).collect();
        let mut attributes: Vec<(&str, Attr<'_>)> = Vec::new();
        for (bit, name) in [
            "axis",
            "group",
            "keepdims",
            "to",
            "transB",
            "ceil_mode",
            "count_include_pad",
            "signed",
            "narrow",
            "blocksize",
        ]
        .into_iter()
        .enumerate()
        {
            if (node.number.unsigned_abs() + node.op as u64) >> bit & 1 == 1 {
                attributes.push((name, Attr::Int(node.number)));
            }
        }
        for (bit, name) in [
            "axes",
            "perm",
            "pads",
            "kernel_shape",
            "strides",
            "dilations",
            "starts",
            "ends",
            "split",
        ]
        .into_iter()
        .enumerate()
        {
            if (node.list.len() + node.inputs.len() + bit).is_multiple_of(3) {
                attributes.push((name, Attr::Ints(&node.list)));
            }
        }
        let output = if at + 1 == nodes.len() {
            "y".to_owned()
        } else {
            format!("n{at}")
        };
        file = file.node(OPERATORS[node.op], &inputs.join(" "), &output, &attributes);
    }
    file.build()
}

proptest! {
    #![proptest_config(fixed(2000, 11))]

    #[test]
    fn any_graph_is_a_network_or_a_report(opset in 7u64..28, nodes in prop::collection::vec(node(), 1..7)) {
        match import_bytes(&build(opset, &nodes), None, &Options::default()) {
            Ok(imported) if imported.network.is_float() => {
                let sample = vec![0.5; imported.network.input_len()];
                prop_assert!(imported.network.forward(&sample).is_ok());
            }
            Ok(imported) => prop_assert!(cml_quant::to_graph(&imported.network).is_ok()),
            Err(OnnxError::Obstacles(report)) => prop_assert!(!report.obstacles.is_empty()),
            Err(_) => {}
        }
    }
}
