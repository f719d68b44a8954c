//! Bad input: one clear message, exit code 2, no partial file.

use crate::world::{World, network, network_of};
use cml_quant::write_network;

#[test]
fn data_files() {
    let world = World::new();
    world.json("quantize net.safetensors -o net.cmlg");
    let check = |csv: &str, says: &[&str]| {
        world.write("bad.csv", csv);
        world.refused("simulate net.cmlg --data bad.csv", says);
    };
    check("x,y,label\n0.1,NaN,0\n", &["bad.csv", "NaN"]);
    check("x,y,label\n0.1,inf,0\n", &["bad.csv", "inf"]);
    check("x,y,label\n0.1,0.2,0\n0.1,hello,0\n", &["bad.csv", "3", "hello"]);
    check("x,y,label\n0.1,0.2,0\n0.1,0.2\n", &["bad.csv", "3"]);
    check("x,y,label\n", &["bad.csv"]);
    check("", &["bad.csv"]);
    check(
        "x,y,z,label\n1,2,3,0\n",
        &["bad.csv: has 3 values a sample, input x takes 2"],
    );
    check("x,y,label\n0.1,0.2,-1\n", &["bad.csv", "-1"]);
    world.refused("simulate net.cmlg --data nothing.csv", &["nothing.csv"]);
    world.refused(
        "simulate net.cmlg --data chessboard",
        &["chessboard", "checkerboard"],
    );
    world.refused(
        "simulate net.cmlg --data points.csv --samples 0",
        &["--samples is 0"],
    );
    world.refused("simulate net.cmlg --data points.csv --samples 5", &["5", "4"]);
}

#[test]
fn artifacts() {
    let world = World::new();
    world.json("quantize net.safetensors -o net.cmlg");
    world.refused("quantize missing.safetensors", &["missing.safetensors"]);
    world.refused("quantize points.csv", &["points.csv", "safetensors"]);
    world.refused("compile net.safetensors", &["net.safetensors", "not a cml file"]);
    world.refused("analyze net.safetensors", &["net.safetensors", "not a cml file"]);
    world.refused("inspect points.csv", &["points.csv", "not a cml file"]);
    for (name, length) in [("short.cmlg", 40), ("shorter.cmlg", 5), ("cut.cmlg", 200)] {
        let bytes = std::fs::read(world.path("net.cmlg")).unwrap();
        std::fs::write(world.path(name), &bytes[..length]).unwrap();
        world.refused(&format!("compile {name}"), &[name]);
    }
    let mut network = std::fs::read(world.path("net.safetensors")).unwrap();
    let last = network.len() - 1;
    network[last] ^= 1;
    std::fs::write(world.path("flipped.safetensors"), network).unwrap();
    world.refused(
        "quantize flipped.safetensors",
        &["flipped.safetensors", "damaged"],
    );
    world.refused("keygen net.cmlg", &["net.cmlg", "is a graph"]);
}

/// A network with one output is a function, and no classifier.
#[test]
fn one_output_names_no_class() {
    let world = World::new();
    let one = network_of(4, 3, &[]);
    write_network(&world.path("one.safetensors"), &one).unwrap();
    world.json("quantize one.safetensors -o one.cmlg");
    let json = world.json("simulate one.cmlg --data points.csv");
    assert!(json["correct"].is_null() && json["accuracy"].is_null(), "{json}");
    let lossy = "compile one.cmlg -o one.cmlc --calibrate points.csv --max-accuracy-loss 1%";
    world.refused(lossy, &["one output", "no accuracy to lose"]);
    assert!(!world.path("one.cmlc").exists());
    world.json("compile one.cmlg -o one.cmlc");
    world.json("export-client one.cmlc -o one.cmls");
    world.json("keygen one.cmls");
    world.json("encrypt one.cmls --data points.csv -o in.ct");
    world.json("run one.cmlc in.ct -o out.ct");
    let output = world.cml("decrypt one.cmls out.ct");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("sample   value\n"), "{text}");
    let key = world.json("inspect server.key");
    assert_eq!(key["circuit"].as_str().map(str::len), Some(64));
    assert_eq!(key["keys"].as_str().map(str::len), Some(32));
}

#[test]
fn accumulators_that_no_parameters_serve() {
    let world = World::new();
    write_network(&world.path("wide.safetensors"), &network(40, 7)).unwrap();
    world.json("quantize wide.safetensors -o wide.cmlg");
    // Digits serve them, but not with noise that never matters.
    world.refused(
        "compile wide.cmlg --p-error=-900",
        &["fc1/quant", "9577 values", "14 bits", "the most are"],
    );
    let output = world.cml("analyze wide.cmlg --max-bits 5");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("limit 5"),
        "{output:?}"
    );
}

#[test]
fn usage() {
    let world = World::new();
    for line in [
        "",
        "fly",
        "compile",
        "compile net.cmlg --p-error maybe",
        "quantize net.safetensors --frobnicate",
    ] {
        assert_eq!(world.cml(line).status.code(), Some(2), "cml {line}");
    }
    world.json("quantize net.safetensors -o net.cmlg");
    world.refused("compile net.cmlg --p-error 3", &["budget"]);
    world.refused("keygen net.cmlg", &["net.cmlg"]);
}

#[cfg(unix)]
#[test]
fn places_that_hold_no_file_are_found_before_the_work() {
    let world = World::new();
    world.json("quantize net.safetensors -o net.cmlg");
    world.json("compile net.cmlg -o net.cmlc");
    std::fs::create_dir(world.path("folder")).unwrap();
    for line in [
        "import net.onnx -o",
        "quantize net.safetensors -o",
        "compile net.cmlg -o",
        "export-client net.cmlc -o",
        "keygen net.cmlc --client-key",
        "keygen net.cmlc --force --server-key",
        "encrypt net.cmlc --data points.csv -o",
        "run net.cmlc in.ct -o",
    ] {
        world.refused(&format!("{line} missing/x"), &["folder missing does not exist"]);
        world.refused(
            &format!("{line} points.csv/x"),
            &["folder points.csv does not exist"],
        );
        if !line.ends_with("client-key") {
            world.refused(
                &format!("{line} folder"),
                &["folder: is there and is no regular file"],
            );
        }
    }
    // Nothing is written over what is read, nor over a secret key.
    world.json("keygen net.cmlc");
    world.json("encrypt net.cmlc --data points.csv");
    for line in [
        "quantize net.safetensors -o net.safetensors",
        "compile net.cmlg -o ./net.cmlg",
        "export-client net.cmlc -o net.cmlc",
        "keygen net.cmlc --force --server-key net.cmlc",
        "encrypt net.cmlc --data points.csv -o points.csv",
        "encrypt net.cmlc --data points.csv -o client.key",
        "run net.cmlc in.ct -o in.ct",
        "run net.cmlc in.ct -o server.key",
    ] {
        world.refused(line, &["is read by this command, and cannot be written"]);
    }
    world.refused(
        "run net.cmlc in.ct -o client.key",
        &["client.key: holds a secret key"],
    );
    world.refused(
        "client predict points.csv --server http://127.0.0.1:1 --keys net.cmlg",
        &["net.cmlg: is not a folder"],
    );
    world.refused(
        "keygen net.cmlc --client-key k --server-key ./k",
        &["k cannot hold both keys"],
    );
}
