//! Codes and scales of Brevitas 0.10.2, `vectors/fakequant.json`.

use cml_quant::{ActQuantizer, Linear, WeightQuantizer};
use ndarray::{Array2, ArrayView2};
use serde::Deserialize;

const VECTORS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/vectors/fakequant.json"
));

#[derive(Deserialize)]
struct Vectors {
    input: Vec<f32>,
    weight: Vec<Vec<f32>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    kind: String,
    bits: u32,
    scale: OneOrMany<f32>,
    codes: OneOrMany<OneOrMany<i64>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T: Clone> OneOrMany<T> {
    fn list(&self) -> Vec<T> {
        match self {
            OneOrMany::One(v) => vec![v.clone()],
            OneOrMany::Many(v) => v.clone(),
        }
    }
}

impl Case {
    fn codes(&self) -> Vec<i64> {
        match &self.codes {
            OneOrMany::One(row) => row.list(),
            OneOrMany::Many(rows) => rows.iter().flat_map(OneOrMany::list).collect(),
        }
    }
}

fn weight_quantizer(case: &Case, weights: ArrayView2<'_, f32>) -> Option<WeightQuantizer> {
    let quantizer = match case.kind.as_str() {
        "weight_const" => WeightQuantizer::constant(case.bits),
        "int8weight_per_tensor" => WeightQuantizer::per_tensor(case.bits, weights),
        "int8weight_per_channel" => WeightQuantizer::per_channel(case.bits, weights),
        _ => return None,
    };
    Some(quantizer.unwrap())
}

#[test]
fn scales_and_codes_equal_those_of_brevitas() {
    let vectors: Vectors = serde_json::from_str(VECTORS).unwrap();
    let (rows, columns) = (vectors.weight.len(), vectors.weight[0].len());
    let weights = Array2::from_shape_vec((rows, columns), vectors.weight.concat()).unwrap();
    let mut checked = Vec::new();
    for case in &vectors.cases {
        let name = format!("{} at {} bits", case.kind, case.bits);
        let (scale, codes) = if case.kind == "act_const" {
            let quantizer = ActQuantizer::constant(case.bits).unwrap();
            let codes = vectors.input.iter().map(|&x| quantizer.quantize(x)).collect();
            (vec![quantizer.scale], codes)
        } else {
            let Some(quantizer) = weight_quantizer(case, weights.view()) else {
                panic!("unknown kind {}", case.kind);
            };
            let layer = Linear::new(weights.clone(), None, quantizer).unwrap();
            (
                layer.quantizer().unwrap().scale.clone(),
                layer.codes().unwrap().clone().into_raw_vec_and_offset().0,
            )
        };
        assert_eq!(scale, case.scale.list(), "scale of {name}");
        assert_eq!(codes, case.codes(), "codes of {name}");
        checked.push(case.kind.as_str());
    }
    let count = |kind: &str| checked.iter().filter(|k| **k == kind).count();
    let kinds = [
        "act_const",
        "weight_const",
        "int8weight_per_tensor",
        "int8weight_per_channel",
    ];
    assert_eq!(kinds.map(count), [5; 4], "2, 3, 4, 5 and 8 bits of each kind");
}

#[test]
fn dequantized_codes_lie_within_half_a_step() {
    let vectors: Vectors = serde_json::from_str(VECTORS).unwrap();
    for bits in 2..=8 {
        let quantizer = ActQuantizer::constant(bits).unwrap();
        for &x in vectors.input.iter().filter(|x| x.abs() <= 1.0) {
            let error = (quantizer.dequantize(quantizer.quantize(x)) - x).abs();
            assert!(
                error <= quantizer.scale / 2.0 * 1.000_001,
                "{x} at {bits} bits: off by {error}"
            );
        }
    }
}
