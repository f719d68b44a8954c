//! Files that are damaged or hostile: one clear error each, and no panic.

use crate::wire::{Attr, File, block, number, quantized, tensor, varint};
use crate::world::{fixed, vector};
use cml_onnx::{InputData, OnnxError, Options, import, import_bytes};
use proptest::prelude::*;
use std::fs;

fn sample(name: &str) -> Vec<u8> {
    fs::read(vector(name)).unwrap()
}

fn error(bytes: &[u8]) -> OnnxError {
    import_bytes(bytes, None, &Options::default()).unwrap_err()
}

fn check(bytes: &[u8], expected: &str) {
    let message = error(bytes).to_string();
    assert!(message.contains(expected), "{expected:?} in {message:?}");
}

#[test]
fn truncated_files_are_refused_at_every_length() {
    // Files that end with the default operator set: without its last byte nothing is complete.
    for name in ["mlp2.qcdq.onnx", "float_cnn.onnx"] {
        let bytes = sample(name);
        for len in 0..bytes.len() {
            let error = error(&bytes[..len]);
            assert!(matches!(error, OnnxError::Format(_)), "{name} at {len}: {error}");
        }
    }
}

#[test]
fn files_that_are_something_else() {
    check(b"", "no graph");
    check(b"PK\x03\x04 not at all", "not a complete ONNX file");
    check(&[0xff; 64], "not a complete ONNX file");
    assert!(matches!(
        import("nowhere.onnx".as_ref(), &Options::default()),
        Err(OnnxError::Io { .. })
    ));
}

#[test]
fn graphs_that_are_none() {
    let cycle = File::new(&[1, 2])
        .node("Add", "x b", "a", &[])
        .node("Relu", "a", "b", &[])
        .node("Relu", "b", "y", &[]);
    check(&cycle.build(), "cycle through a");
    let itself = File::new(&[1, 2]).node("Add", "x y", "y", &[]);
    check(&itself.build(), "cycle through y");
    let twice = File::new(&[1, 2])
        .node("Relu", "x", "y", &[])
        .node("Tanh", "x", "y", &[]);
    check(&twice.build(), "\"y\" has two sources");
    let missing = File::new(&[1, 2]).node("Gemm", "x w", "y", &[]);
    check(
        &missing.build(),
        "\"w\", which no node, input or initializer provides",
    );
    check(&File::new(&[1, 2]).build(), "no nodes");
    let elsewhere = File::new(&[1, 2]).node("Relu", "x", "z", &[]);
    check(&elsewhere.build(), "an output that no node provides");
    // Any order of nodes is a graph.
    let reversed = File::new(&[1, 2])
        .node("Relu", "a", "y", &[])
        .node("Tanh", "x", "a", &[]);
    import_bytes(&reversed.build(), None, &Options::default()).unwrap();
}

#[test]
fn wrong_ranks_and_attributes() {
    let gemm = |dims: &[i64], count: usize| {
        let file = File::new(&[1, 2]).floats("w", dims, &vec![1.0; count]);
        file.node("Gemm", "x w", "y", &[]).build()
    };
    check(&gemm(&[2], 2), "weights of shape [2]");
    check(&gemm(&[2, 2, 2], 8), "needs 2 axes");
    check(&gemm(&[], 1), "weights of shape []");
    check(&gemm(&[0, 2], 0), "weights of shape [0, 2]");
    check(&gemm(&[3, 2], 6), "for 3 features");
    let node = |op: &str, attributes: &[(&str, Attr<'_>)]| {
        File::new(&[1, 2, 3]).node(op, "x", "y", attributes).build()
    };
    check(
        &node("Flatten", &[("axis", Attr::Int(i64::MIN))]),
        "axis -9223372036854775808",
    );
    check(
        &node("Flatten", &[("axis", Attr::Float(1.0))]),
        "axis is no integer",
    );
    check(
        &node("Transpose", &[("perm", Attr::Ints(&[0, 1]))]),
        "perm [0, 1]",
    );
    check(
        &node("Transpose", &[("perm", Attr::Ints(&[0, 1, 1]))]),
        "name one twice",
    );
    check(
        &node("MaxPool", &[("kernel_shape", Attr::Ints(&[i64::MAX]))]),
        "kernel_shape",
    );
    check(
        &node("MaxPool", &[("kernel_shape", Attr::Ints(&[9]))]),
        "a kernel [1, 9]",
    );
    check(
        &node(
            "AveragePool",
            &[("kernel_shape", Attr::Ints(&[2])), ("strides", Attr::Ints(&[0]))],
        ),
        "strides",
    );
    check(&node("Elu", &[("alpha", Attr::Float(f32::NAN))]), "finite");
    check(&node("Gemm", &[]), "no weights");
}

#[test]
fn shapes_from_operands() {
    let reshape = |shape: &[i64]| {
        let file = File::new(&[1, 2, 3]).ints("s", &[shape.len() as i64], shape);
        import_bytes(
            &file.node("Reshape", "x s", "y", &[]).build(),
            None,
            &Options::default(),
        )
    };
    for (shape, sample) in [
        (&[1, 6][..], &[6][..]),
        (&[0, -1], &[6]),
        (&[-1, 3, 2], &[3, 2]),
        (&[0, 0, 1, 3], &[2, 1, 3]),
    ] {
        let network = reshape(shape).unwrap().network;
        assert_eq!(network.layer(network.output().unwrap()).shape, sample);
    }
    for shape in [
        &[1, 7][..],
        &[-1, -1],
        &[6],
        &[2, 3],
        &[0, 0, 0, 0],
        &[1, -6],
        &[i64::MAX, i64::MAX],
        &[],
    ] {
        assert!(reshape(shape).is_err(), "{shape:?}");
    }
}

#[test]
fn sizes_that_would_exhaust_memory() {
    let with = |tensor: &[u8]| {
        File::new(&[1, 2])
            .raw(tensor)
            .node("Gemm", "x w", "y", &[])
            .build()
    };
    check(&with(&tensor("w", &[1 << 40, 1 << 40], 1, &[0; 16])), "limit");
    check(&with(&tensor("w", &[1 << 30], 1, &[0; 16])), "limit");
    check(&with(&tensor("w", &[-1, 2], 1, &[0; 8])), "shape [-1, 2]");
    check(&with(&tensor("w", &[0, i64::MAX, i64::MAX], 1, &[])), "elements");
    check(
        &with(&tensor("w", &[2, 2], 1, &[0; 12])),
        "needs 16 bytes, has 12",
    );
    check(&with(&tensor("w", &[2, 2], 99, &[0; 16])), "type 99");
    // A length that the file does not have.
    let huge = [number(1, 8), varint(7 << 3 | 2), varint(1 << 45), vec![0; 8]].concat();
    check(&huge, "a field of 35184372088832 bytes");
    let huge = [number(1, 8), varint(7 << 3 | 2), varint(u64::MAX), vec![0; 8]].concat();
    check(&huge, "not a complete ONNX file");
    // Graphs in attributes of nodes in graphs.
    let mut nested = Vec::new();
    for _ in 0..20_000 {
        nested = block(1, &block(5, &block(6, &nested)));
        if nested.len() > 200_000 {
            break;
        }
    }
    check(&[number(1, 8), block(7, &nested)].concat(), "nesting");
    let many = block(7, &[0x0a, 0x00].repeat(3 << 20));
    check(&many, "file fields");
    // Shapes that nodes compute.
    let filled = File::new(&[1, 2]).ints("n", &[2], &[1 << 40, 1 << 40]);
    check(&filled.node("ConstantOfShape", "n", "y", &[]).build(), "limit");
    let grown = quantized(&[1, 2]).ints("p", &[4], &[0, 1 << 20, 0, 1 << 20]);
    let grown = grown
        .node("Pad", "x p", "a", &[])
        .node("Pad", "a p", "b", &[])
        .node("Pad", "b p", "y", &[]);
    check(&grown.build(), "elements");
}

fn damaged(name: &str, flips: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = sample(name);
    for &(at, bit) in flips {
        let at = at % bytes.len();
        bytes[at] ^= 1 << (bit % 8);
    }
    bytes
}

proptest! {
    #![proptest_config(fixed(800, 12))]

    #[test]
    fn flipped_bits_never_panic(
        file in prop::sample::select(vec![
            "mlp2.qonnx.onnx", "mlp4_po2.qcdq.onnx", "trunc.qonnx.onnx", "moves.qonnx.onnx", "float_block.onnx",
            "sequence.qcdq.onnx", "mlp_binary.qonnx.onnx", "inputs/joined.onnx", "inputs/apart.onnx",
            "inputs/moved.onnx", "inputs/features.onnx", "inputs/bipolar.onnx", "inputs/bits.onnx",
        ]),
        flips in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4),
        range in prop::option::of((-300.0f32..300.0, 0.01f32..300.0)),
        bits in prop::option::of(1u32..=16),
    ) {
        let range = range.map(|(lo, width)| [lo, lo + width]);
        let data = bits.or(range.map(|_| 8)).map(|_| InputData { range, bits });
        let _ = import_bytes(&damaged(file, &flips), None, &Options { name: None, data });
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = import_bytes(&bytes, None, &Options::default());
    }
}
