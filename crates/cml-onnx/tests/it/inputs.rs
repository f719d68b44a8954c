//! What files do with their inputs before the first quantizer, and inputs that have none.

use crate::world::{differing, imported_with, vector};
use cml_onnx::{InputData, Options};
use cml_quant::Network;

/// A file of `tests/vectors/inputs`, and what its user knows of the data.
fn network(name: &str, data: Option<InputData>) -> Network {
    let options = Options { name: None, data };
    imported_with(&format!("inputs/{name}.onnx"), &options).network
}

fn whole(lo: f32, hi: f32) -> Option<InputData> {
    Some(InputData {
        range: Some([lo, hi]),
        bits: None,
    })
}

/// Rows lie where the quantizer decides: one rounding in another place, and a code differs.
#[test]
fn every_input_is_quantized_as_the_file_says() {
    let data = |name: &str| match name {
        "bits" => whole(0.0, 1.0),
        "integers" => whole(-20.0, 35.0),
        "fixed" => Some(InputData {
            range: Some([-32.0, 32.0 - 1.0 / 1024.0]),
            bits: Some(16),
        }),
        _ => None,
    };
    let mut names: Vec<String> = std::fs::read_dir(vector("inputs"))
        .unwrap()
        .filter_map(|f| Some(f.unwrap().file_name().to_str()?.strip_suffix(".onnx")?.to_owned()))
        .collect();
    names.sort();
    assert_eq!(names.len(), 15);
    for name in names {
        let network = network(&name, data(&name));
        let (rows, differing) = differing(&network, &format!("inputs/{name}"));
        assert!(
            rows >= 40 && differing.is_empty(),
            "{name}: {} of {rows}: {differing:#?}",
            differing.len()
        );
    }
}
