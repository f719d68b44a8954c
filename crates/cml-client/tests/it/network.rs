//! A small circuit, its client spec, and another circuit with the same one.

pub(crate) use cml_file::to_hex as hex;
use cml_ir::{GraphBuilder, InputSpec, Interval, Lut, OutputSpec, Tensor};
use cml_scheme::ClientSpec;
use cml_tfhe::{Circuit, Options, client_spec, lower};

/// `y = 2 a - b`, clipped at 0; a code is half a unit.
pub(crate) fn circuit(name: &str) -> Circuit {
    circuit_with(name, &Options::default())
}

/// The same, lowered with these options.
pub(crate) fn circuit_with(name: &str, options: &Options) -> Circuit {
    let mut b = GraphBuilder::new(name);
    let x = b
        .input("x", vec![2], InputSpec::new(0.5, 0, Interval::new(-3, 3)))
        .unwrap();
    let weights = Tensor::new(vec![2, 2], vec![2, -1, -2, 1]).unwrap();
    let acc = b.dot("fc", x, weights, vec![0, 0]).unwrap();
    let relu = b
        .lut("relu", acc, Lut::from_fn(Interval::new(-9, 9), |v| v.max(0)))
        .unwrap();
    b.output("y", relu, OutputSpec::identity()).unwrap();
    let graph = b.finish().unwrap();
    lower(&graph, &cml_bitwidth::analyze(&graph), options).unwrap()
}

pub(crate) fn spec(name: &str) -> ClientSpec {
    client_spec(&circuit(name)).unwrap()
}
