//! Trees, from the ONNX file to decrypted classes and probabilities.

use crate::world::World;
use std::path::Path;

/// Test rows of the wines with the class that onnxruntime gives as their label.
fn with_labels(vectors: &Path, name: &str) -> String {
    let rows = std::fs::read_to_string(vectors.join("wine.rows.csv")).unwrap();
    let results = std::fs::read_to_string(vectors.join(format!("{name}.results.csv"))).unwrap();
    let header: Vec<String> = (0..13).map(|i| format!("f{i}")).collect();
    let mut csv = header.join(",") + ",label\n";
    for (row, result) in rows.lines().zip(results.lines()) {
        csv += &format!("{row},{}\n", result.split(',').next().unwrap());
    }
    csv
}

#[test]
fn encrypted_trees_give_classes_and_probabilities() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cml-onnx/tests/vectors");
    let world = World::new();
    std::fs::copy(vectors.join("wine.xgboost.onnx"), world.path("wine.onnx")).unwrap();
    std::fs::write(world.path("wine.csv"), with_labels(&vectors, "wine.xgboost")).unwrap();
    let imported = world.json("import wine.onnx -o wine.safetensors");
    assert!(
        imported["notes"].to_string().contains("part of the model"),
        "{imported}"
    );
    world.json("quantize wine.safetensors -o wine.cmlg");
    for program in ["wine.safetensors", "wine.cmlg"] {
        let clear = world.json(&format!("simulate {program} --data wine.csv --rows all"));
        assert_eq!(
            (&clear["correct"], &clear["samples"]),
            (&54.into(), &54.into()),
            "{program}"
        );
    }
    let compiled = world.json("compile wine.cmlg -o wine.cmlc");
    assert!(compiled.is_object());
    let line = "predict wine.cmlc --graph wine.cmlg --data wine.csv --rows all --samples 5";
    let encrypted = world.json(line);
    assert_eq!(encrypted["different"], 0);
    assert_eq!(encrypted["correct"], 5);
    for result in encrypted["results"].as_array().unwrap() {
        let list = |name: &str| -> Vec<f64> {
            let list = result[name].as_array().unwrap().iter();
            list.map(|v| v.as_f64().unwrap()).collect()
        };
        let (scores, probabilities) = (list("scores"), list("probabilities"));
        assert_eq!((scores.len(), probabilities.len()), (3, 3), "{result}");
        let powers: Vec<f64> = scores.iter().map(|s| s.exp()).collect();
        let sum: f64 = powers.iter().sum();
        for (power, p) in powers.iter().zip(&probabilities) {
            assert!((power / sum - p).abs() < 1e-6, "{result}");
        }
    }
}
