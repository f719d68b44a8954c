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
        &["net.safetensors", "a safetensors file", "cml quantize"],
    );
    world.refused("import none.onnx", &["none.onnx"]);
}

/// A folder with files whose inputs are something else than a quantizer's.
fn inputs(files: &[&str]) -> World {
    let world = World::new();
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cml-onnx/tests/vectors/inputs");
    for file in files {
        std::fs::copy(vectors.join(file), world.path(file)).unwrap();
    }
    world
}

#[test]
fn an_input_without_a_quantizer_gets_one_from_options_or_data() {
    let world = inputs(&["bits.onnx", "fixed.onnx", "twice.onnx"]);
    let write = |name: &str, rows: &str| world.write(name, &format!("a,b,c,d,e,f\n{rows}\n"));
    write("bits.csv", "0,1,1,0,0,1\n1,1,0,0,1,0");
    write("halves.csv", "0,1,0.5,0,0,1\n1,1,0,0,1,0");
    write("wide.csv", "0,1,3,0,0,1\n1,1,0,0,-1,0");
    let refused = world.cml("import bits.onnx --check --json");
    assert_eq!(refused.status.code(), Some(2));
    // The same network by three ways.
    let lines = [
        "import bits.onnx -o a.safetensors --input-range 0..1 --input-integers",
        "import bits.onnx -o b.safetensors --calibrate bits.csv",
        "import bits.onnx -o c.safetensors --calibrate bits.csv --input-range 0..1",
    ];
    let notes: Vec<String> = lines
        .iter()
        .map(|line| world.json(line)["notes"].to_string())
        .collect();
    assert!(
        notes[0].contains("whole numbers: 2 values from 0 to 1"),
        "{}",
        notes[0]
    );
    assert!(notes.iter().all(|note| *note == notes[0]), "{notes:?}");
    let bytes = |name: &str| std::fs::read(world.path(&format!("{name}.safetensors"))).unwrap();
    assert!(bytes("a") == bytes("b") && bytes("a") == bytes("c"));
    for (line, words) in [
        (
            "--input-range 0..1",
            &["--input-range needs --input-integers or --input-bits"][..],
        ),
        (
            "--input-range 0..1 --input-integers --calibrate wide.csv",
            &["2 of 12 values of wide.csv (16.7%)", "from -1 to 3"],
        ),
        (
            "--input-integers --calibrate halves.csv",
            &["1 of 12 values of halves.csv (8.3%) are no whole numbers"],
        ),
    ] {
        world.refused(&format!("import bits.onnx -o d.safetensors {line}"), words);
    }
    assert!(!world.files().contains(&"d.safetensors".to_owned()));
    // One that has a quantizer: the option is an obstacle, the data are compared with it.
    let report = world.cml("import twice.onnx --check --input-bits 8 --json");
    assert_eq!(report.status.code(), Some(2));
    let fits = world.cml("import twice.onnx --check --calibrate bits.csv");
    assert!(fits.status.success());
    let fixed = "import fixed.onnx --check --input-bits 16 --input-range -32..31.9990234375";
    let found = world.json(fixed);
    assert_eq!(found["found"]["quantized"]["input"]["lo"], -32768);
    assert_eq!(found["found"]["quantized"]["input"]["hi"], 32767);
}

#[test]
fn a_check_says_what_was_found() {
    let world = world(&["mlp2.qonnx.onnx", "float_cnn.onnx"]);
    let report = world.json("import mlp2.qonnx.onnx --check");
    let found = &report["found"];
    assert_eq!(found["origin"]["dialect"], "qonnx");
    let quantized = &found["quantized"];
    assert!(quantized["lookups"].as_u64().unwrap() > 0 && quantized["seconds"].as_f64().unwrap() > 0.0);
    let widest = quantized["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["bits"].as_u64())
        .max();
    assert!(widest.unwrap() >= quantized["widest_bits"].as_u64());
    let text = |line: &str| String::from_utf8(world.cml(line).stdout).unwrap();
    let shown = text("import mlp2.qonnx.onnx --check");
    for words in [
        "QONNX, operator set",
        "input of",
        "accumulator values",
        "s a sample on one thread, exactly",
        "no obstacles",
    ] {
        assert!(shown.contains(words), "{words:?} in {shown}");
    }
    assert!(text("import float_cnn.onnx --check").contains("next: cml import float_cnn.onnx"));
}

/// One that imports has no obstacles, one that does not has the same.
#[test]
fn a_check_and_an_import_agree_on_every_file() {
    let folders = ["vectors", "vectors/inputs"];
    let mut files = 0;
    for folder in folders {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../cml-onnx/tests")
            .join(folder);
        let names = std::fs::read_dir(&path).unwrap().map(|f| f.unwrap().path());
        let world = World::new();
        for file in names.filter(|f| f.extension().is_some_and(|e| e == "onnx")) {
            std::fs::copy(&file, world.path("net.onnx")).unwrap();
            let check = world.cml("import net.onnx --check --json");
            let import = world.cml("import net.onnx -o net.safetensors --json");
            let report = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
            let (checked, imported) = (report(&check.stdout), report(&import.stdout));
            assert_eq!(check.status.code(), import.status.code(), "{}", file.display());
            assert_eq!(checked["obstacles"], imported["obstacles"], "{}", file.display());
            files += 1;
        }
    }
    assert!(files > 60, "{files}");
}
