//! `cml import`.

use crate::world::World;
use std::path::Path;

/// A folder with ONNX files, beside what every folder has.
fn world(files: &[&str]) -> World {
    let world = World::new();
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cml-onnx/tests/vectors");
    for file in files {
        std::fs::copy(vectors.join(file), world.path(file)).unwrap();
    }
    world
}

#[test]
fn both_dialects_become_networks_that_quantize() {
    let world = world(&["mlp2.qonnx.onnx", "mlp2.qcdq.onnx"]);
    for dialect in ["qonnx", "qcdq"] {
        let line = format!("import mlp2.{dialect}.onnx --name mlp -o {dialect}.safetensors");
        let report = world.json(&line);
        let sizes = ["inputs", "outputs", "weights"].map(|f| report[f].as_u64().unwrap());
        assert_eq!(sizes, [6, 3, 192]);
        assert_eq!(
            (report["network"].as_str(), report["kind"].as_str()),
            (Some("mlp"), Some("quantized"))
        );
        world.json(&format!("quantize {dialect}.safetensors -o {dialect}.cmlg"));
    }
}

#[test]
fn a_check_writes_nothing() {
    let world = world(&["float_cnn.onnx"]);
    let before = world.files();
    let report = world.json("import float_cnn.onnx --check");
    assert_eq!(report["kind"], "float");
    assert_eq!(report["obstacles"].as_array().map(Vec::len), Some(0));
    assert_eq!(world.files(), before);
}

#[test]
fn obstacles_are_a_report_and_exit_code_2() {
    // One byte of an operator's name is enough.
    let world = world(&["mlp2.qonnx.onnx"]);
    let mut bytes = std::fs::read(world.path("mlp2.qonnx.onnx")).unwrap();
    let at = bytes.windows(6).position(|w| w == b"MatMul").unwrap();
    let name = bytes.windows(8).rposition(|w| w == b"\"\x06MatMul").unwrap();
    assert!(at <= name);
    bytes[name + 2..name + 8].copy_from_slice(b"Einsum");
    std::fs::write(world.path("bad.onnx"), bytes).unwrap();
    for line in ["import bad.onnx --json", "import bad.onnx --check --json"] {
        let output = world.cml(line);
        assert_eq!(output.status.code(), Some(2));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["obstacles"][0]["operator"], "Einsum");
    }
    let text = String::from_utf8(world.cml("import bad.onnx").stdout).unwrap();
    assert!(text.starts_with("1 obstacle\n"), "{text}");
    assert!(!world.files().contains(&"bad.safetensors".to_owned()));
    world.refused(
        "import net.safetensors -o other.safetensors",
        &["net.safetensors", "not a complete ONNX file"],
    );
    world.refused("import none.onnx", &["none.onnx"]);
}
