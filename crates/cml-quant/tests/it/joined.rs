//! Products by quarter squares, elements at constant indices, functions of several steps.

use crate::random::{act, fixed};
use cml_ir::interpret;
use cml_quant::{
    ActQuantizer, Conv2d, Expression, ExpressionStep, Gather, Layer, Network, Pairing, QuantError,
    Univariate, WeightQuantizer, accumulators, network_from_bytes, network_to_bytes, to_graph,
};
use ndarray::Array4;
use proptest::prelude::*;

/// The forward pass is the graph, and a file holds the network.
fn check_exact(net: &Network, samples: &[Vec<f32>]) -> Result<(), TestCaseError> {
    let graph = to_graph(net).unwrap();
    let (_, _, spec) = graph.outputs().next().unwrap();
    for sample in samples {
        let codes = interpret(&graph, &[graph.quantize_input(sample).unwrap()]).unwrap();
        prop_assert_eq!(spec.dequantize_all(&codes[0]), net.forward(sample).unwrap());
    }
    let bytes = network_to_bytes(net).unwrap();
    prop_assert_eq!(&network_from_bytes("net", &bytes).unwrap(), net);
    Ok(())
}

fn sample(count: usize) -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-3f32..3.0, count)
}

proptest! {
    #![proptest_config(fixed(200, 17))]

    #[test]
    fn products_are_exact(a in act(2..=7), b in act(2..=7), samples in prop::collection::vec(sample(4), 4)) {
        let (a, b) = (a.build(), b.build());
        let mut net = Network::new("product", vec![4]);
        let x = net.quantize("x/quant", net.input(), a).unwrap();
        let y = net.function("relu", x, Univariate::LeakyRelu { alpha: -0.5 }).unwrap();
        let y = net.quantize("y/quant", y, b).unwrap();
        let z = net.push("product", Layer::Mul, &[x, y]).unwrap();
        net.set_output(z, &[]).unwrap();
        check_exact(&net, &samples)?;
        // Each integer is the product of the codes relative to their zero points.
        for sample in &samples {
            let found = net.forward(sample).unwrap();
            let scale = a.scale * b.scale;
            for (&x, found) in sample.iter().zip(found) {
                let p = a.quantize(x) - a.zero_point;
                let y = Univariate::LeakyRelu { alpha: -0.5 }.eval(0, p as f32 * a.scale);
                let q = b.quantize(y) - b.zero_point;
                prop_assert_eq!(found, (p * q) as f32 * scale);
            }
        }
        let found = accumulators(&net).unwrap();
        prop_assert_eq!(&found.last().unwrap().layer, "product");
    }

    #[test]
    fn gathered_elements_are_exact(
        indices in prop::collection::vec(0usize..3, 1..9),
        axis in 0usize..3,
        after in any::<bool>(),
        samples in prop::collection::vec(sample(18), 3),
    ) {
        let mut net = Network::new("gather", vec![2, 3, 3]);
        let x = net.quantize("q", net.input(), ActQuantizer::constant(4).unwrap()).unwrap();
        let weights = Array4::from_shape_fn((3, 2, 1, 1), |(o, i, ..)| 0.3 * (o as f32 - i as f32) + 0.1);
        let quantizer = WeightQuantizer::new(3, false, vec![0.2, 0.1, 0.3]).unwrap();
        let conv = Conv2d::new(weights, Some(vec![0.1, -0.2, 0.3]), quantizer).unwrap();
        let mut y = net.conv2d("conv", x, conv).unwrap();
        y = net.push("gather", Layer::Gather(Gather { axis, indices: indices.clone() }), &[y]).unwrap();
        if after {
            y = net.function("silu", y, silu()).unwrap();
            y = net.quantize("end", y, ActQuantizer::constant(5).unwrap()).unwrap();
        }
        net.set_output(y, &[]).unwrap();
        check_exact(&net, &samples)?;
    }
}

/// `x * sigmoid(x)`.
fn silu() -> Univariate {
    Univariate::Expression(Expression {
        steps: vec![
            ExpressionStep::Apply {
                function: Box::new(Univariate::Sigmoid),
                operand: 0,
            },
            ExpressionStep::Pair {
                operation: Pairing::Mul,
                operands: [0, 1],
            },
        ],
    })
}

#[test]
fn expressions_compute_what_their_steps_say() {
    assert_eq!(silu().eval(0, 0.0), 0.0);
    assert!((silu().eval(0, 2.0) - 1.761_594_2).abs() < 1e-6);
    let pair = |operation, a, b| {
        let steps = vec![
            ExpressionStep::Constant { values: vec![b] },
            ExpressionStep::Pair {
                operation,
                operands: [0, 1],
            },
        ];
        Univariate::Expression(Expression { steps }).eval(0, a)
    };
    for (operation, a, b, needs) in [
        (Pairing::Add, 1.0, 2.0, 3.0),
        (Pairing::Sub, 1.0, 2.0, -1.0),
        (Pairing::Mul, 3.0, 2.0, 6.0),
        (Pairing::Div, 1.0, 2.0, 0.5),
        (Pairing::Pow, 3.0, 2.0, 9.0),
        (Pairing::Min, 1.0, 2.0, 1.0),
        (Pairing::Max, 1.0, 2.0, 2.0),
        (Pairing::Less, 1.0, 2.0, 1.0),
        (Pairing::Less, 2.0, 2.0, 0.0),
        (Pairing::LessOrEqual, 2.0, 2.0, 1.0),
        (Pairing::Equal, 2.0, 2.0, 1.0),
        (Pairing::Equal, 1.0, 2.0, 0.0),
    ] {
        assert_eq!(pair(operation, a, b), needs, "{operation:?}");
    }
    assert!(pair(Pairing::Max, f32::NAN, 1.0).is_nan());
    // 2 where x is not 0, else 5 in channel 0 and 6 in channel 1.
    let select = Univariate::Expression(Expression {
        steps: vec![
            ExpressionStep::Constant { values: vec![2.0] },
            ExpressionStep::Constant {
                values: vec![5.0, 6.0],
            },
            ExpressionStep::Select { operands: [0, 1, 2] },
        ],
    });
    assert_eq!(
        [select.eval(0, 1.0), select.eval(0, 0.0), select.eval(1, 0.0)],
        [2.0, 5.0, 6.0]
    );
}

fn refused(layer: Layer, words: &str) {
    let mut net = Network::new("net", vec![2, 3]);
    let error: QuantError = net.push("layer", layer, &[net.input()]).unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let gather = |axis, indices| Layer::Gather(Gather { axis, indices });
    refused(gather(2, vec![0]), "axis: needs below 2, has 2");
    refused(gather(1, vec![0, 3]), "index: needs below 3, has 3");
    refused(gather(1, Vec::new()), "indices: needs 1 to 65536, has 0");
    refused(gather(0, vec![0; 65_537]), "indices: needs 1 to 65536, has 65537");
    let expression = |steps| Layer::Function(Univariate::Expression(Expression { steps }));
    let pair = |operands| ExpressionStep::Pair {
        operation: Pairing::Add,
        operands,
    };
    refused(expression(Vec::new()), "steps of an expression: needs 1 to 256");
    refused(expression(vec![pair([0, 0]); 257]), "has 257");
    refused(
        expression(vec![pair([0, 1])]),
        "operand of an expression: needs a value up to 0",
    );
    let inner = ExpressionStep::Apply {
        function: Box::new(silu()),
        operand: 0,
    };
    refused(expression(vec![inner]), "no expression in an expression");
    let constant = |values| expression(vec![ExpressionStep::Constant { values }]);
    refused(constant(vec![1.0; 3]), "constants: needs 1 or 2, has 3");
    refused(constant(vec![f32::NAN]), "finite numbers");
    // A product needs two shapes that are the same, and codes.
    let mut net = Network::new("net", vec![2]);
    let x = net
        .quantize("q", net.input(), ActQuantizer::constant(3).unwrap())
        .unwrap();
    let f = net.function("f", x, silu()).unwrap();
    let y = net.push("y", Layer::Mul, &[x, f]).unwrap();
    net.set_output(y, &[]).unwrap();
    assert!(matches!(to_graph(&net), Err(QuantError::NotQuantized { .. })));
    let r = net.reshape("r", x, vec![1, 2]).unwrap();
    assert!(net.push("z", Layer::Mul, &[x, r]).is_err());
}
