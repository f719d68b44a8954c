//! Single operators, over operator sets and dialects.

use crate::wire::{Attr, File, quant, quantized};
use crate::world::outputs;
use cml_onnx::{Options, import_bytes};
use cml_quant::{Layer, Network};

fn network(file: &File) -> Network {
    import_bytes(&file.build(), None, &Options::default())
        .unwrap_or_else(|e| panic!("{e}"))
        .network
}

fn check(file: &File, x: &[f32], y: &[f32]) {
    assert_eq!(network(file).forward(x).unwrap(), y);
}

#[test]
fn gemm_has_factors_and_both_orders() {
    let file = |b: i64| {
        let file = File::new(&[-1, 2])
            .floats("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
            .floats("c", &[1], &[10.0]);
        let attributes = [
            ("alpha", Attr::Float(2.0)),
            ("beta", Attr::Float(0.5)),
            ("transB", Attr::Int(b)),
        ];
        file.node("Gemm", "x w c", "y", &attributes)
    };
    check(&file(0), &[1.0, 1.0], &[13.0, 17.0]);
    check(&file(1), &[1.0, 1.0], &[11.0, 19.0]);
}

#[test]
fn bounds_are_attributes_and_then_operands() {
    let mut old = File::new(&[1, 2]).node(
        "Clip",
        "x",
        "y",
        &[("min", Attr::Float(0.0)), ("max", Attr::Float(1.0))],
    );
    old.opset = 9;
    check(&old, &[-1.0, 3.0], &[0.0, 1.0]);
    let new = File::new(&[1, 2])
        .floats("hi", &[], &[1.0])
        .node("Clip", "x _ hi", "y", &[]);
    check(&new, &[-1.0, 3.0], &[-1.0, 1.0]);
}

#[test]
fn means_take_axes_both_ways() {
    let mut old = File::new(&[1, 2, 2, 2]).node(
        "ReduceMean",
        "x",
        "y",
        &[("axes", Attr::Ints(&[-2, -1])), ("keepdims", Attr::Int(0))],
    );
    old.opset = 17;
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    check(&old, &x, &[2.5, 6.5]);
    let mut new = File::new(&[1, 2, 2, 2])
        .ints("a", &[1], &[3])
        .node("ReduceSum", "x a", "y", &[]);
    new.opset = 18;
    check(&new, &x, &[3.0, 7.0, 11.0, 15.0]);
}

#[test]
fn a_difference_with_the_constant_first_and_a_quotient() {
    let file = File::new(&[1, 2])
        .floats("c", &[2], &[1.0, 2.0])
        .node("Sub", "c x", "a", &[]);
    check(
        &file.clone().node("Identity", "a", "y", &[]),
        &[0.5, 4.0],
        &[0.5, -2.0],
    );
    check(&file.node("Div", "c a", "y", &[]), &[0.5, 4.0], &[2.0, -1.0]);
}

#[test]
fn quantizers_of_any_domain_and_levels_of_no_width() {
    let file = |op: &str| {
        quantized(&[1, 2])
            .node(
                op,
                "x s zero four",
                "q",
                &[("signed", Attr::Int(0)), ("narrow", Attr::Int(1))],
            )
            .node("Gemm", "q wq", "h", &[])
            .node(
                op,
                "h t zero four",
                "i",
                &[("signed", Attr::Int(0)), ("narrow", Attr::Int(1))],
            )
            .node("Gemm", "i wq", "y", &[])
    };
    for domain in [
        "qonnx.custom_op.general",
        "finn.custom_op.general",
        "onnx.brevitas",
    ] {
        // On the input the bound is the client's, and the greatest code does not occur.
        let imported = import_bytes(
            &file(&format!("{domain}:Quant")).build(),
            None,
            &Options::default(),
        );
        let spec = imported.unwrap().network.input_spec().unwrap();
        assert_eq!((spec.range.lo, spec.range.hi), (0, 14));
        assert_eq!(spec.quantize(0, 9.0), Some(14));
    }
    let file = quant(quantized(&[1, 2]), "x", "q", "s").node("Gemm", "q wq", "h", &[]);
    let narrow = [("signed", Attr::Int(0)), ("narrow", Attr::Int(1))];
    let file = file
        .node("finn.custom_op.general:Quant", "h t zero four", "i", &narrow)
        .node("Identity", "i", "y", &[]);
    let network = network(&file);
    // 0 to 14 steps of 0.5.
    let y = outputs(&network, &[vec![9.0, 9.0], vec![-9.0, -9.0], vec![1.0, 0.5]]);
    assert_eq!(y[0][0], 2.5);
    assert_eq!(y[1], [0.0, 1.0 * 0.0]);
    assert_eq!(y[2][0], 1.0);
}

#[test]
fn qcdq_with_zero_points_and_weights_of_their_own_steps() {
    let file = File::new(&[1, 2])
        .floats("s", &[], &[0.5])
        .bytes8("z", &[], false, &[3])
        .floats("ws", &[2], &[0.25, 0.5])
        .bytes8("wz", &[2], true, &[0, 0])
        .bytes8("wi", &[2, 2], true, &[-8, 7, 3, -2])
        .bytes8("lo", &[], true, &[-8])
        .bytes8("hi", &[], true, &[7])
        .bytes8("zlo", &[], false, &[0])
        .bytes8("zhi", &[], false, &[15])
        .node("QuantizeLinear", "x s z", "a", &[])
        .node("Clip", "a zlo zhi", "b", &[])
        .node("DequantizeLinear", "b s z", "q", &[])
        .node("Clip", "wi lo hi", "wc", &[])
        .node("DequantizeLinear", "wc ws wz", "w", &[("axis", Attr::Int(0))])
        .node("Gemm", "q w", "y", &[("transB", Attr::Int(1))]);
    let network = network(&file);
    let Layer::Linear(linear) = &network.layer(network.output().unwrap()).layer else {
        panic!("not linear")
    };
    assert_eq!(
        linear.codes().unwrap().clone().into_raw_vec_and_offset().0,
        [-8, 7, 3, -2]
    );
    assert_eq!(linear.quantizer().unwrap().scale, [0.25, 0.5]);
    assert_eq!(linear.quantizer().unwrap().bits, 4);
    // 100 saturates at (15 - 3) / 2, -100 at -1.5.
    let y = outputs(&network, &[vec![1.0, 0.5], vec![100.0, -100.0]]);
    assert_eq!(y, [[-2.0 + 0.875, 1.5 - 0.5], [-12.0 - 2.625, 9.0 + 1.5]]);
}

#[test]
fn a_batch_normalization_turns_codes_of_the_least_level() {
    let file = quant(
        quantized(&[1, 2]).floats("v", &[2, 2], &[-2.0, 1.0, 0.5, 0.25]),
        "x",
        "q",
        "s",
    );
    let file = quant(file, "v", "vq", "s")
        .floats("g", &[2], &[-2.0, 0.0])
        .floats("b", &[2], &[0.5, 3.0])
        .floats("m", &[2], &[0.0, 1.0])
        .floats("var", &[2], &[1.0, 4.0])
        .node("Gemm", "q vq", "h", &[("transB", Attr::Int(1))])
        .node(
            "BatchNormalization",
            "h g b m var",
            "y",
            &[("epsilon", Attr::Float(0.0))],
        );
    let network = network(&file);
    let Layer::Linear(linear) = &network.layer(network.output().unwrap()).layer else {
        panic!("not linear")
    };
    assert_eq!(linear.quantizer().unwrap().bits, 5);
    assert_eq!(
        linear.codes().unwrap().clone().into_raw_vec_and_offset().0,
        [8, -4, 0, 0]
    );
    assert_eq!(outputs(&network, &[vec![0.25, 0.5]]), [[1.0 - 1.0 + 0.5, 3.0]]);
}

#[test]
fn the_input_is_quantized_first_and_only_once() {
    let file = quantized(&[1, 2, 1]).node("Flatten", "x", "f", &[]);
    let file = quant(quant(file, "f", "q", "s"), "f", "r", "s");
    let file = file.node("Add", "q r", "a", &[]).node("Gemm", "a wq", "y", &[]);
    let network = network(&file);
    let kinds: Vec<&str> = network.layers().iter().map(|l| l.layer.mnemonic()).collect();
    assert_eq!(kinds, ["input", "quantize", "reshape", "add", "linear"]);
    assert_eq!(outputs(&network, &[vec![1.0, 0.0]]), [[1.0, -0.5]]);
}

#[test]
fn gates_with_a_name_are_functions() {
    let file = |half_first: bool| {
        let file = File::new(&[1, 1])
            .floats("r", &[], &[std::f32::consts::SQRT_2])
            .floats("h", &[], &[0.5]);
        let file = file
            .floats("one", &[], &[1.0])
            .floats("k", &[], &[1.5])
            .node("Mul", "x k", "v", &[]);
        let file =
            file.node("Div", "v r", "a", &[])
                .node("Erf", "a", "b", &[])
                .node("Add", "b one", "c", &[]);
        if half_first {
            file.node("Mul", "v h", "d", &[]).node("Mul", "d c", "y", &[])
        } else {
            file.node("Mul", "h c", "d", &[]).node("Mul", "v d", "y", &[])
        }
    };
    for half_first in [false, true] {
        let network = network(&file(half_first));
        let names: Vec<&str> = network.layers().iter().map(|l| l.layer.mnemonic()).collect();
        assert_eq!(names, ["input", "normalize", "gelu"]);
        // gelu(1.5 x) at 1.
        assert!((network.forward(&[1.0]).unwrap()[0] - 1.399_789_2).abs() < 1e-6);
    }
    let swish = File::new(&[1, 1])
        .floats("three", &[], &[3.0])
        .floats("zero", &[], &[0.0])
        .floats("six", &[], &[6.0]);
    let swish = swish
        .node("Add", "x three", "a", &[])
        .node("Clip", "a zero six", "b", &[]);
    let swish = swish.node("Mul", "x b", "c", &[]).node("Div", "c six", "y", &[]);
    check(&swish, &[3.0], &[3.0]);
    let other = File::new(&[1, 1])
        .floats("two", &[], &[2.0])
        .floats("zero", &[], &[0.0])
        .floats("six", &[], &[6.0]);
    let other = other
        .node("Add", "x two", "a", &[])
        .node("Clip", "a zero six", "b", &[])
        .node("Mul", "x b", "y", &[]);
    check(&other, &[1.0], &[3.0]);
}
