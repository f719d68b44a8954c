//! `cml simulate`: any program, any width, on clear data.

use crate::world::{World, network};
use cml_quant::write_network;

#[test]
fn a_network_has_the_classes_of_its_graph() {
    let world = World::new();
    world.json("quantize net.safetensors -o net.cmlg");
    let network = world.json("simulate net.safetensors --data points.csv");
    let graph = world.json("simulate net.cmlg --data points.csv");
    assert_eq!(
        (network["what"].as_str(), graph["what"].as_str()),
        (Some("network"), Some("graph"))
    );
    for field in ["classes", "accuracy", "correct", "samples"] {
        assert!(!network[field].is_null());
        assert_eq!(network[field], graph[field], "{field}");
    }
    world.write("grid.csv", "x,y\n0.1,0.2\n0.9,-0.4\n");
    let network = world.json("simulate net.safetensors --data grid.csv");
    assert!(network["accuracy"].is_null());
    assert_eq!(
        network["classes"],
        world.json("simulate net.cmlg --data grid.csv")["classes"]
    );
}

#[test]
fn a_graph_of_any_width_says_how_wide_it_is() {
    let world = World::new();
    // Too wide to compile.
    write_network(&world.path("wide.safetensors"), &network(40, 7)).unwrap();
    world.json("quantize wide.safetensors -o wide.cmlg");
    let wide = world.json("simulate wide.cmlg --data points.csv --bits 5");
    let widths = world.json("analyze wide.cmlg --data points.csv");
    assert_eq!(wide["bits"], widths["bits"]);
    assert!(wide["bits"].as_u64().unwrap() > 8);
    let layers = wide["layers"].as_array().unwrap();
    let rows = widths["layers"].as_array().unwrap();
    assert_eq!(layers.len(), rows.len());
    let mut overflowing = 0;
    for (layer, row) in layers.iter().zip(rows) {
        assert_eq!(layer["layer"], row["proved"]["layer"]);
        for basis in ["proved", "observed"] {
            assert_eq!(layer[format!("{basis}_bits")], row[basis]["bits"]);
            assert_eq!(layer[format!("{basis}_values")], row[basis]["values"]);
        }
        overflowing += layer["overflowing"].as_u64().unwrap();
        if layer["proved_bits"].as_u64().unwrap() <= 5 {
            assert_eq!(layer["overflowing"], 0);
        }
    }
    assert!(overflowing > 0);
    assert_eq!(wide["overflowing"], overflowing);
    let samples = wide["samples_overflowing"].as_u64().unwrap();
    assert!((1..=4).contains(&samples));

    let fits = world.json("simulate wide.cmlg --data points.csv --bits 20");
    assert_eq!(
        (&fits["overflowing"], &fits["samples_overflowing"]),
        (&0.into(), &0.into())
    );
    let without = world.json("simulate wide.cmlg --data points.csv");
    assert!(without["overflowing"].is_null() && without["layers"][0]["overflowing"].is_null());
    assert_eq!(without["classes"], wide["classes"]);
}

#[test]
fn clipped_inputs_are_counted() {
    let world = World::new();
    world.json("quantize net.safetensors -o net.cmlg");
    world.json("compile net.cmlg -o net.cmlc");
    // 3 bits from -1 to 1: what rounds to an end is not clipped, what rounds beyond it is.
    world.write("far.csv", "x,y\n1.0,1.1\n1.2,-7.5\n0.0,-1.25\n-0.9,1.15\n");
    for program in ["net.cmlg", "net.cmlc"] {
        let far = world.json(&format!("simulate {program} --data far.csv"));
        assert_eq!(
            (far["clipped_inputs"].as_u64(), far["clipped_samples"].as_u64()),
            (Some(3), Some(2)),
            "{program}"
        );
        assert_eq!(far["input"]["range"]["hi"], 3);
    }
}

#[test]
fn options_of_other_programs_are_refused() {
    let world = World::new();
    world.json("quantize net.safetensors -o net.cmlg");
    world.json("compile net.cmlg -o net.cmlc");
    let check = |line: &str, says: &[&str]| {
        world.refused(&format!("simulate {line} --data points.csv"), says);
    };
    check(
        "net.safetensors --noise 1",
        &["--noise needs a circuit", "is a network"],
    );
    check(
        "net.safetensors --bits 4",
        &["--bits needs a graph", "is a network"],
    );
    check("net.cmlg --noise 1", &["--noise needs a circuit", "is a graph"]);
    check("net.cmlc --bits 4", &["--bits needs a graph", "is a circuit"]);
}

#[test]
fn text_says_the_same() {
    let world = World::new();
    world.json("quantize net.safetensors -o net.cmlg");
    let output = world.cml("simulate net.cmlg --data points.csv --bits 4");
    let text = String::from_utf8(output.stdout).unwrap();
    for words in [
        "4 samples, integer graph: accuracy",
        "proved bits",
        "observed bits",
        "beyond 4 bits",
        "values overflow 4 bits",
        "0 of 8 input values clipped, in 0 samples",
    ] {
        assert!(text.contains(words), "{text}");
    }
}
