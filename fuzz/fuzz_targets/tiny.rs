//! A small circuit, for what is read against one.

use cml_ir::{GraphBuilder, InputSpec, Interval, Lut, OutputSpec, Tensor};
use cml_tfhe::{Circuit, Options, lower};
use std::sync::OnceLock;

/// Two inputs, a sum, a lookup.
pub fn circuit() -> &'static Circuit {
    static CIRCUIT: OnceLock<Circuit> = OnceLock::new();
    CIRCUIT.get_or_init(|| {
        let mut b = GraphBuilder::new("tiny");
        let x = b.input("x", vec![2], InputSpec::new(1.0, 0, Interval::new(-3, 3)));
        let weights = Tensor::new(vec![1, 2], vec![2, -1]).expect("two weights");
        let sum = b
            .dot("fc", x.expect("an input"), weights, vec![1])
            .expect("a sum");
        let relu = b.lut("relu", sum, Lut::from_fn(Interval::new(-8, 10), |v| v.max(0)));
        b.output("y", relu.expect("a lookup"), OutputSpec::identity())
            .expect("an output");
        let graph = b.finish().expect("a graph");
        lower(&graph, &cml_bitwidth::analyze(&graph), &Options::default()).expect("a circuit")
    })
}
