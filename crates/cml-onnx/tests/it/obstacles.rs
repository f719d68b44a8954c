//! Files that cannot be imported: one report with every obstacle.

use crate::wire::{Attr, File, quant, quantized};
use cml_onnx::{ImportReport, OnnxError, Options, import_bytes};

fn report(file: &File) -> ImportReport {
    match import_bytes(&file.build(), None, &Options::default()) {
        Err(OnnxError::Obstacles(report)) => report,
        other => panic!("{other:?}"),
    }
}

/// One obstacle for each expectation: its node, and what its line says.
fn check(file: &File, expected: &[(&str, &[&str])]) {
    let report = report(file);
    let nodes: Vec<&str> = report.obstacles.iter().map(|o| o.node.as_str()).collect();
    assert_eq!(
        nodes,
        expected.iter().map(|e| e.0).collect::<Vec<_>>(),
        "{report}"
    );
    for (obstacle, (_, words)) in report.obstacles.iter().zip(expected) {
        let line = obstacle.to_string();
        for word in *words {
            assert!(line.contains(word), "{word:?} in {line:?}");
        }
    }
    assert_eq!(report.to_string().lines().count(), 1 + expected.len());
}

#[test]
fn a_missing_quantizer_is_named_by_its_edge() {
    let file = quant(quantized(&[1, 2]), "x", "q", "s");
    let file = file.node("Gemm", "q wq", "h", &[]).node("Relu", "h", "r", &[]);
    check(
        &file.node("Gemm", "r wq", "y", &[]),
        &[("y", &["\"r\"", "QuantIdentity", "Gemm", "[2]", "Relu"])],
    );
    let bare = quantized(&[1, 2]).node("MatMul", "x wq", "y", &[]);
    check(&bare, &[("y", &["\"x\" without a quantizer", "the input"])]);
}

#[test]
fn every_obstacle_is_in_one_report() {
    let file = quant(quantized(&[-1, 2]), "x", "q", "s")
        .node("Einsum", "q", "a", &[])
        .node("Gemm", "q w", "b", &[])
        .node("Relu", "b", "c", &[])
        .node("Gemm", "c wq", "d", &[])
        .node("Transpose", "q", "e", &[("perm", Attr::Ints(&[1, 0]))])
        .node("Gemm", "q nothing", "f", &[])
        .node("LSTM", "f", "g", &[])
        .node("Identity", "d", "y", &[]);
    let nodes: Vec<(&str, &[&str])> = vec![
        ("a", &["Einsum", "not supported"]),
        ("e", &["moves the batch axis", "starts with 0"]),
        ("f", &["\"nothing\"", "no node, input or initializer"]),
        ("g", &["recurrent"]),
        ("b", &["weights have no quantizer", "QuantLinear"]),
        ("d", &["\"c\"", "QuantIdentity"]),
    ];
    check(&file, &nodes);
}

/// What reads the result of a node with an obstacle is judged all the same.
#[test]
fn every_obstacle_of_a_chain_is_reported() {
    let file = quant(quantized(&[1, 2]), "x", "q", "s")
        .node("LayerNormalization", "q wq", "a", &[])
        .node("GroupNormalization", "a", "b", &[])
        .node("Gemm", "b w", "c", &[])
        .node("GroupNormalization", "c", "y", &[]);
    check(
        &file,
        &[
            ("a", &["divides by a value"]),
            ("b", &["divides by a value"]),
            ("y", &["divides by a value"]),
            ("c", &["weights have no quantizer"]),
        ],
    );
}

#[test]
fn values_that_are_added_need_one_scale() {
    let file = quant(quantized(&[1, 2]), "x", "q", "s");
    let file = quant(file.node("Gemm", "q wq", "h", &[]), "h", "i", "t");
    check(
        &file.clone().node("Add", "q i", "y", &[]),
        &[("y", &["scale 0.25", "scale 0.5", "shared by both"])],
    );
    check(
        &file.node("Concat", "q i", "y", &[("axis", Attr::Int(1))]),
        &[("y", &["scale 0.25", "scale 0.5"])],
    );
}

#[test]
fn a_function_at_the_end_and_one_on_the_input() {
    let file = quant(quantized(&[1, 2]), "x", "q", "s").node("Gemm", "q wq", "h", &[]);
    check(
        &file.node("Sigmoid", "h", "y", &[]),
        &[("y", &["ends with a function", "left to the client"])],
    );
    let file = quant(quantized(&[1, 2]).node("Tanh", "x", "t1", &[]), "t1", "q", "s");
    check(&file.node("Gemm", "q wq", "y", &[]), &[("q", &["raw input"])]);
}

#[test]
fn interfaces_that_are_no_batch() {
    let linear = |shape: &[i64]| quantized(shape).node("Gemm", "x w", "y", &[]);
    check(&linear(&[3, 2]), &[("x", &["[3, 2]", "batch", "[1, ..]"])]);
    check(&linear(&[-1, -1]), &[("x", &["[?, ?]", "known sizes"])]);
    check(
        &linear(&[1, 3_000_000, 3_000_000]),
        &[("x", &["known sizes of 1 to"])],
    );
    let mut old = linear(&[1, 2]);
    old.opset = 6;
    check(&old, &[("model", &["operator set 6, needs at least 7"])]);
}

#[test]
fn what_a_layer_cannot_do_is_said() {
    let file = |op: &str, attributes: &[(&str, Attr<'_>)]| {
        let kernel = File::new(&[1, 2, 4, 4]).floats("k", &[2, 2, 3, 3], &[0.1; 36]);
        kernel.node(op, "x k", "y", attributes)
    };
    check(&file("Conv", &[("group", Attr::Int(3))]), &[("y", &["3 groups"])]);
    check(
        &file("Conv", &[("pads", Attr::Ints(&[1, 1]))]),
        &[("y", &["pads [1, 1]"])],
    );
    check(
        &file("Conv", &[("dilations", Attr::Ints(&[9, 9]))]),
        &[("y", &["kernel [19, 19]"])],
    );
    check(&file("Gemm", &[]), &[("y", &["weights of shape"])]);
    check(
        &file("Mul", &[]),
        &[("y", &["does not", "[2, 2, 3, 3]"][1..])].map(|(n, w)| (n, w)),
    );
    let pool = [
        ("kernel_shape", Attr::Ints(&[3, 3])),
        ("pads", Attr::Ints(&[1, 1, 1, 1])),
    ];
    let average = File::new(&[1, 2, 4, 4]).node("AveragePool", "x", "y", &pool);
    check(&average, &[("y", &["count_include_pad"])]);
    let two = |op: &str| {
        File::new(&[1, 2])
            .floats("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
            .node("Gemm", "x w", "h", &[])
            .node(op, "x h", "y", &[])
    };
    check(
        &two("Div"),
        &[("y", &["divides one value of the sample by another"])],
    );
    check(&two("Max"), &[("y", &["compares two values of the sample"])]);
}

#[test]
fn a_softmax_at_the_end_is_a_note_and_elsewhere_an_obstacle() {
    let file = File::new(&[1, 2])
        .floats("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
        .node("Gemm", "x w", "h", &[]);
    let last = file
        .clone()
        .node("Softmax", "h", "p", &[])
        .node("ArgMax", "p", "y", &[]);
    let imported = import_bytes(&last.build(), None, &Options::default()).unwrap();
    let nodes: Vec<&str> = imported.notes.iter().map(|n| n.node.as_str()).collect();
    assert_eq!(nodes, ["p", "y"]);
    assert_eq!(imported.network.forward(&[1.0, 1.0]).unwrap(), [4.0, 6.0]);
    let inside = file.node("Softmax", "h", "p", &[]).node("Gemm", "p w", "y", &[]);
    check(&inside, &[("p", &["not at the end"])]);
}

#[test]
fn an_input_of_two_quantizers() {
    let file = quant(quant(quantized(&[1, 2]), "x", "q", "s"), "x", "r", "t");
    let file = file.node("Gemm", "q wq", "a", &[]).node("Gemm", "r wq", "b", &[]);
    let file = quant(quant(file, "a", "c", "s"), "b", "d", "s").node("Add", "c d", "y", &[]);
    check(
        &file,
        &[(
            "x",
            &[
                "2 layers read the raw input: q, r",
                "one QuantIdentity on the input",
            ],
        )],
    );
}

#[test]
fn computed_constants_are_bounded_and_messages_short() {
    let filled = |count: i64| {
        let file = File::new(&[1, 2]).ints("n", &[1], &[count]);
        file.node("ConstantOfShape", "n", "c", &[])
    };
    check(
        &filled(1 << 23).node("Reshape", "x c", "y", &[]),
        &[("c", &["a computed constant of 8388608 elements, limit 4194304"])],
    );
    // Each below the limit, together above it.
    let mut many = filled(1 << 22);
    for i in 0..20 {
        many = many.node("ConstantOfShape", "n", &format!("c{i}"), &[]);
    }
    let many = report(&many.node("Identity", "x", "y", &[]));
    let total = |o: &cml_onnx::Obstacle| o.why.contains("elements in all, limit 67108864");
    assert_eq!(many.obstacles.iter().filter(|o| total(o)).count(), 5, "{many}");
    // A list of the file in a message.
    let long = report(&filled(1 << 20).node("Reshape", "x c", "y", &[])).to_string();
    assert!(long.len() < 1_000, "{} bytes", long.len());
}

#[test]
fn operators_without_operands_are_refused() {
    for op in [
        "Concat",
        "Add",
        "Relu",
        "Conv",
        "Gemm",
        "Reshape",
        "MaxPool",
        "QuantizeLinear",
    ] {
        let report = report(&File::new(&[1, 2]).node(op, "", "y", &[]));
        assert_eq!(report.obstacles.len(), 1, "{op}: {report}");
    }
}
