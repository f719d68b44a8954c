//! What files do with their inputs before the first quantizer, and inputs that have none.

use crate::world::{differing, imported_with, vector};
use cml_onnx::{ImportReport, InputData, OnnxError, Options, import};
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
    assert_eq!(names.len(), 16);
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

#[test]
fn several_inputs_are_one_whose_columns_have_names() {
    let joined = network("joined", None);
    assert_eq!(joined.layers()[0].shape, [6]);
    let pixels = (0..4).map(|i| format!("pixels[{i}]"));
    let names: Vec<String> = ["age", "height"]
        .into_iter()
        .map(str::to_owned)
        .chain(pixels)
        .collect();
    assert_eq!(joined.columns(), names);
    // Each has a scale of its own: one quantizer whose codes are bounded apart.
    let spec = network("apart", None).input_spec().unwrap();
    assert_eq!((spec.scale, spec.range.lo, spec.range.hi), (vec![1.0], -128, 127));
}

#[test]
fn codes_are_those_that_occur() {
    let range = |name: &str, data| {
        let range = network(name, data).input_spec().unwrap().range;
        (range.lo, range.hi)
    };
    assert_eq!(range("sign", None), (-1, 1));
    assert_eq!(range("bipolar", None), (-1, 1));
    assert_eq!(range("bits", whole(0.0, 1.0)), (0, 1));
    assert_eq!(range("bytes", None), (0, 255));
    assert_eq!(range("integers", whole(-20.0, 35.0)), (-20, 35));
    assert_eq!(range("reversed", None), (0, 162));
}

/// The report of a file whose user says something of the data, or nothing.
fn report(name: &str, data: Option<InputData>) -> ImportReport {
    let options = Options { name: None, data };
    match import(&vector(&format!("inputs/{name}.onnx")), &options) {
        Err(OnnxError::Obstacles(report)) => report,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn an_input_without_a_quantizer_asks_for_the_data() {
    for name in ["bits", "integers", "fixed"] {
        let report = report(name, None);
        assert_eq!(report.obstacles.len(), 1, "{report}");
        assert!(
            report.obstacles[0].instead.contains("--input-range LO..HI"),
            "{report}"
        );
    }
    // One that has a quantizer, and one that needs a range.
    let has = report("twice", whole(0.0, 1.0)).to_string();
    assert!(has.contains("it has a quantizer of its own"), "{has}");
    let unbounded = InputData {
        range: None,
        bits: Some(8),
    };
    assert_eq!(report("integers", Some(unbounded)).obstacles.len(), 1);
    // More values than a code has bits, and ranges that are none.
    for data in [whole(0.0, 1e6), whole(3.0, 1.0), whole(f32::NAN, 1.0)] {
        assert_eq!(report("integers", data).obstacles.len(), 1);
    }
}
