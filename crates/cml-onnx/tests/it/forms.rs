//! Forms in which exporters write the same: functions of files, metadata, several nodes of one value, moves.

use crate::wire::{Attr, File, quant, quantized};
use crate::world::outputs;
use cml_onnx::{OnnxError, Options, import_bytes};
use cml_quant::Network;

fn network(file: &File) -> Network {
    import_bytes(&file.build(), None, &Options::default())
        .unwrap_or_else(|e| panic!("{e}"))
        .network
}

fn check(file: &File, x: &[f32], y: &[f32]) {
    assert_eq!(network(file).forward(x).unwrap(), y);
}

fn refused(file: &File, words: &str) {
    let error = import_bytes(&file.build(), None, &Options::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains(words), "{words:?} in {error:?}");
}

#[test]
fn nodes_of_one_value_are_one_function() {
    let file = File::new(&[1, 3])
        .floats("c", &[], &[0.5])
        .node("Relu", "x", "a", &[])
        .node("Mul", "a x", "b", &[])
        .node("Greater", "x c", "g", &[])
        .node("Where", "g b x", "d", &[])
        .node("Sub", "d a", "y", &[]);
    let net = network(&file);
    let kinds: Vec<&str> = net.layers().iter().map(|l| l.layer.mnemonic()).collect();
    assert_eq!(kinds, ["input", "expression"]);
    // x^2 - x above 0.5, else x - relu(x).
    check(&file, &[2.0, 0.25, -1.0], &[2.0, 0.0, -1.0]);
}

#[test]
fn a_value_added_to_itself_stays_a_sum() {
    let file = quant(quantized(&[1, 2]), "x", "q", "s").node("Add", "q q", "y", &[]);
    let kinds: Vec<&str> = network(&file)
        .layers()
        .iter()
        .map(|l| l.layer.mnemonic())
        .collect();
    assert_eq!(kinds, ["input", "quantize", "add"]);
}

#[test]
fn functions_of_a_file_are_put_in_place() {
    let body = File::new(&[1, 2])
        .node("Relu", "a", "r", &[])
        .node("Neg", "r", "b", &[]);
    let file = File::new(&[1, 2])
        .function("Minus", &body)
        .node("own:Minus", "x", "m", &[])
        .node("Abs", "m", "y", &[]);
    check(&file, &[1.5, -2.0], &[1.5, 0.0]);
    // A function that calls itself.
    let body = File::new(&[1, 2]).node("own:Loop", "a", "b", &[]);
    let file = File::new(&[1, 2])
        .function("Loop", &body)
        .node("own:Loop", "x", "y", &[]);
    refused(&file, "nesting of functions has 17, limit 16");
    // Eight calls in each of eight functions.
    let mut file = File::new(&[1, 2]);
    for level in 0..8 {
        let mut body = File::new(&[1, 2]);
        for call in 0..8 {
            let (from, to) = (format!("v{call}"), format!("v{}", call + 1));
            let (from, to) = (
                if call == 0 { "a" } else { &from },
                if call == 7 { "b" } else { &to },
            );
            let op = if level == 7 {
                "Relu".to_owned()
            } else {
                format!("own:F{}", level + 1)
            };
            body = body.node(&op, from, to, &[]);
        }
        file = file.function(&format!("F{level}"), &body);
    }
    refused(
        &file.node("own:F0", "x", "y", &[]),
        "nodes of a file with its functions",
    );
}

#[test]
fn modules_and_lines_are_named() {
    let entries = [
        (
            "pkg.torch.onnx.name_scopes",
            "['', 'encoder', 'encoder.fc1', 'linear']",
        ),
        (
            "pkg.torch.onnx.stack_trace",
            "File \"/srv/a/net.py\", line 12, in forward\n    return f(x)\n  File \"/usr/lib/site-packages/torch/nn/x.py\", line 3, in f\n    y",
        ),
    ];
    let file = File::new(&[1, 2]).node("Einsum", "x", "y", &[]).noted(&entries);
    refused(
        &file,
        "encoder/fc1/Einsum at net.py:12 (Einsum of [2]): this operator",
    );
    let file = File::new(&[1, 2]).node("Relu", "x", "y", &[]).noted(&entries);
    assert_eq!(network(&file).layers()[1].name, "encoder/fc1/Relu");
}

#[test]
fn parts_and_copies_are_moves() {
    let file = File::new(&[1, 4])
        .ints("sizes", &[2], &[1, 3])
        .ints("at", &[3], &[2, 0, -1])
        .node("Split", "x sizes", "a", &[("axis", Attr::Int(1))]);
    // One result of two is named, which does not fit the sizes.
    refused(&file.node("Identity", "a", "y", &[]), "parts [1, 3]");
    let file = File::new(&[1, 4]).ints("at", &[3], &[2, 0, -1]).node(
        "Gather",
        "x at",
        "y",
        &[("axis", Attr::Int(1))],
    );
    check(&file, &[1.0, 2.0, 3.0, 4.0], &[3.0, 1.0, 4.0]);
    let padded = File::new(&[1, 3]).ints("p", &[4], &[0, 2, 0, 1]).node(
        "Pad",
        "x p",
        "y",
        &[("mode", Attr::Text("reflect"))],
    );
    check(&padded, &[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
    let wide = File::new(&[1, 3]).ints("p", &[4], &[0, 3, 0, 0]).node(
        "Pad",
        "x p",
        "y",
        &[("mode", Attr::Text("reflect"))],
    );
    refused(&wide, "a reflection of 3 and 0 elements of 3");
    let embedding = File::new(&[1, 4])
        .floats("w", &[2, 2], &[0.0; 4])
        .node("Gather", "w x", "y", &[]);
    refused(&embedding, "(an embedding); instead: the input as one-hot codes");
}

#[test]
fn sizes_of_moves_are_bounded() {
    let repeated = |times: i64| {
        File::new(&[1, 64, 64])
            .ints("n", &[3], &[1, times, times])
            .node("Tile", "x n", "y", &[])
    };
    refused(&repeated(1 << 40), "repeats");
    refused(&repeated(1 << 16), "elements");
    refused(&repeated(1 << 9), "elements");
    let resized = |scale: f32| {
        File::new(&[1, 1, 8, 8])
            .floats("s", &[4], &[1.0, 1.0, scale, scale])
            .node("Resize", "x _ s", "y", &[])
    };
    for scale in [f32::INFINITY, -1.0, 0.0, f32::NAN] {
        refused(&resized(scale), "scales");
    }
    refused(&resized(1e-9), "resized to 0 elements");
    refused(&resized(1e30), "elements, needs 1 to 65536");
    refused(&resized(1000.0), "elements");
    let wide = File::new(&[1, 4])
        .ints("n", &[3], &[1, i64::MAX, 4])
        .node("Expand", "x n", "y", &[]);
    refused(&wide, "elements");
    let border = File::new(&[1, 3]).ints("p", &[4], &[0, 1 << 20, 0, 0]).node(
        "Pad",
        "x p",
        "y",
        &[("mode", Attr::Text("edge"))],
    );
    refused(&border, "limit 65536");
}

#[test]
fn matrices_on_values_of_any_rank() {
    let file = File::new(&[1, 2, 2])
        .floats("w", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        .floats("b", &[3], &[0.5, 0.0, -0.5])
        .node("MatMul", "x w", "h", &[])
        .node("Add", "h b", "y", &[]);
    check(&file, &[1.0, 0.0, 0.0, 1.0], &[1.5, 2.0, 2.5, 4.5, 5.0, 5.5]);
    let left = File::new(&[1, 2, 2])
        .floats("w", &[1, 2], &[1.0, 10.0])
        .node("MatMul", "w x", "y", &[]);
    check(&left, &[1.0, 2.0, 3.0, 4.0], &[31.0, 42.0]);
}

#[test]
fn codes_stay_codes_through_functions_that_keep_the_grid() {
    let file = quant(quantized(&[1, 2]), "x", "q", "s")
        .floats("lo", &[], &[-0.25])
        .node("Max", "q lo", "m", &[])
        .node("Gemm", "m wq", "y", &[]);
    let net = network(&file);
    let kinds: Vec<&str> = net.layers().iter().map(|l| l.layer.mnemonic()).collect();
    assert_eq!(kinds, ["input", "quantize", "clip", "quantize", "linear"]);
    assert_eq!(outputs(&net, &[vec![1.0, -1.0]]), [[0.5 - 0.25, -0.25 - 0.1875]]);
    // A sigmoid does not keep it.
    let file = quant(quantized(&[1, 2]), "x", "q", "s")
        .node("Sigmoid", "q", "m", &[])
        .node("Gemm", "m wq", "y", &[]);
    match import_bytes(&file.build(), None, &Options::default()) {
        Err(OnnxError::Obstacles(report)) => assert_eq!(report.obstacles.len(), 1, "{report}"),
        other => panic!("{other:?}"),
    }
}
