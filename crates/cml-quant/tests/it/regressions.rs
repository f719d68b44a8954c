//! Defects that were found and must not come back.

use cml_ir::interpret;
use cml_quant::{ActQuantizer, Layer, Linear, Network, WeightQuantizer, network_to_bytes, to_graph};
use ndarray::array;

fn quantized(shape: Vec<usize>) -> Network {
    let mut net = Network::new("n", shape);
    let x = net
        .quantize("q", net.input(), ActQuantizer::constant(3).unwrap())
        .unwrap();
    net.set_output(x, &[]).unwrap();
    net
}

#[test]
fn a_quantized_output_with_a_zero_point_is_exact() {
    for k in 1..200 {
        let mut net = Network::new("n", vec![1]);
        let q = ActQuantizer::new(8, false, false, 0.001 * k as f32, 100).unwrap();
        let x = net.quantize("q", net.input(), q).unwrap();
        net.set_output(x, &[]).unwrap();
        let graph = to_graph(&net).unwrap();
        let (_, _, spec) = graph.outputs().next().unwrap();
        for i in 0..50 {
            let sample = [i as f32 * 0.37 - 9.0];
            let codes = interpret(&graph, &[graph.quantize_input(&sample).unwrap()]).unwrap();
            assert_eq!(spec.dequantize_all(&codes[0]), net.forward(&sample).unwrap());
        }
    }
}

#[test]
fn a_layer_may_be_called_y() {
    let mut net = Network::new("n", vec![1]);
    let x = net
        .quantize("q", net.input(), ActQuantizer::constant(3).unwrap())
        .unwrap();
    let linear = Linear::new(array![[0.5]], None, WeightQuantizer::constant(3).unwrap()).unwrap();
    let x = net.linear("y", x, linear).unwrap();
    net.set_output(x, &[]).unwrap();
    assert_eq!(to_graph(&net).unwrap().outputs().next().unwrap().1.name, "y_");
}

#[test]
fn equal_networks_are_equal_bytes() {
    let net = quantized(vec![1]);
    let first = network_to_bytes(&net).unwrap();
    for _ in 0..64 {
        assert!(network_to_bytes(&net).unwrap() == first);
    }
}

#[test]
fn inputs_without_elements_or_with_too_many_are_refused() {
    for shape in [vec![0], vec![usize::MAX, 2], vec![1 << 23]] {
        let mut net = Network::new("n", shape);
        assert!(
            net.quantize("q", net.input(), ActQuantizer::constant(3).unwrap())
                .is_err()
        );
        net.set_output(net.input(), &[]).unwrap();
        assert!(net.forward(&[]).is_ok_and(|y| y.is_empty()) || net.input_len() > 0);
        assert!(net.forward(&[0.0]).is_err());
    }
}

#[test]
fn push_checks_quantizers() {
    let mut net = Network::new("n", vec![1]);
    let q = ActQuantizer {
        bits: 0,
        signed: true,
        narrow: true,
        scale: -1.0,
        zero_point: 9,
    };
    assert!(net.push("q", Layer::Quantize(q), &[net.input()]).is_err());
}
