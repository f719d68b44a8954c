//! Codes by libtorch equal those of Brevitas (`tests/vectors/fakequant.json`).

use cml_nn::scores;
use cml_quant::{ActQuantizer, Linear, Network, WeightQuantizer};
use ndarray::{Array2, ArrayView2};
use serde_json::Value;

fn floats(value: &Value) -> Vec<f32> {
    match value.as_array() {
        Some(values) => values.iter().flat_map(floats).collect(),
        None => vec![value.as_f64().unwrap() as f32],
    }
}

/// Codes of activations, from the values that a lone quantizer gives.
fn activation_codes(quantizer: ActQuantizer, input: &[f32]) -> Vec<f32> {
    let mut network = Network::new("golden", vec![1]);
    let x = network.quantize("quant", network.input(), quantizer).unwrap();
    network.set_output(x, &[]).unwrap();
    let column = ArrayView2::from_shape((input.len(), 1), input).unwrap();
    let values = scores(&network, column).unwrap();
    values.iter().map(|v| (v / quantizer.scale).round()).collect()
}

/// Codes of weights `[out, in]`, from the scores of unit vectors.
fn weight_codes(weights: &Array2<f32>, quantizer: WeightQuantizer) -> Vec<f32> {
    let unit = ActQuantizer::new(2, true, true, 1.0, 0).unwrap();
    let scale = quantizer.scale.clone();
    let mut network = Network::new("golden", vec![weights.ncols()]);
    let x = network.quantize("quant", network.input(), unit).unwrap();
    let linear = Linear::new(weights.clone(), None, quantizer).unwrap();
    let y = network.linear("fc", x, linear).unwrap();
    network.set_output(y, &[]).unwrap();
    let values = scores(&network, Array2::eye(weights.ncols()).view()).unwrap();
    let values = values.reversed_axes();
    let code = |((o, _), v): ((usize, usize), &f32)| (v / scale[o.min(scale.len() - 1)]).round();
    values.indexed_iter().map(code).collect()
}

#[test]
fn codes_are_those_of_brevitas() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/fakequant.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let input = floats(&golden["input"]);
    let weights = floats(&golden["weight"]);
    let weights = Array2::from_shape_vec((4, weights.len() / 4), weights).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 20);
    for case in cases {
        let bits = case["bits"].as_u64().unwrap() as u32;
        let (kind, scale) = (case["kind"].as_str().unwrap(), floats(&case["scale"]));
        let codes = match kind {
            "act_const" => {
                let quantizer = ActQuantizer::constant(bits).unwrap();
                assert_eq!(vec![quantizer.scale], scale);
                activation_codes(quantizer, &input)
            }
            _ => {
                let quantizer = match kind {
                    "weight_const" => WeightQuantizer::constant(bits),
                    "int8weight_per_tensor" => WeightQuantizer::per_tensor(bits, weights.view()),
                    "int8weight_per_channel" => WeightQuantizer::per_channel(bits, weights.view()),
                    other => panic!("unknown kind {other}"),
                };
                let quantizer = quantizer.unwrap();
                assert_eq!(quantizer.scale, scale, "{kind}, {bits} bits");
                weight_codes(&weights, quantizer)
            }
        };
        assert_eq!(codes, floats(&case["codes"]), "{kind}, {bits} bits");
    }
}
