//! Names of columns and classes: data is matched by them, predictions are told by them.

use crate::world::{World, network};
use cml_quant::{Network, read_network, write_network};
use std::path::Path;

/// The trained Iris network of the fixtures, which was written before networks had names.
fn old_iris() -> Network {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/v1");
    read_network(&fixtures.join("iris.safetensors")).unwrap()
}

const SPECIES: [&str; 3] = ["setosa", "versicolor", "virginica"];

/// The same with names.
fn iris() -> Network {
    let mut net = old_iris();
    let names = [
        "sepal_length_cm",
        "sepal_width_cm",
        "petal_length_cm",
        "petal_width_cm",
    ];
    net.set_columns(names.map(str::to_owned).to_vec()).unwrap();
    net.set_output(net.output().unwrap(), &SPECIES).unwrap();
    net
}

/// The test rows of Iris with their columns in this order (4 is the class), under this header.
fn rows(header: &str, order: [usize; 5], name_of: impl Fn(usize) -> String) -> String {
    let test = cml_data::named("iris", 0).unwrap().test;
    let mut text = format!("{header}\n");
    for (row, label) in test.samples() {
        let cell = |&c: &usize| row.get(c).map_or_else(|| name_of(label), f32::to_string);
        text += &format!("{}\n", order.iter().map(cell).collect::<Vec<_>>().join(","));
    }
    text
}

#[test]
fn columns_in_another_order_are_found_by_name() {
    let world = World::new();
    write_network(&world.path("iris.safetensors"), &iris()).unwrap();
    write_network(&world.path("old.safetensors"), &old_iris()).unwrap();
    let turned = rows(
        "Target,petal_width_cm,petal_length_cm,sepal_width_cm,sepal_length_cm",
        [4, 3, 2, 1, 0],
        |label| format!("{label}.0"),
    );
    world.write("turned.csv", &turned);
    let straight = world.json("simulate iris.safetensors --data iris");
    assert!(straight["accuracy"].as_f64().unwrap() > 0.9, "{straight}");
    world.json("quantize iris.safetensors -o iris.cmlg");
    for program in ["iris.safetensors", "iris.cmlg"] {
        let (turned, notes) = world.noted(&format!("simulate {program} --data turned.csv"));
        assert_eq!(turned["classes"], straight["classes"], "{program}");
        assert_eq!(turned["correct"], straight["correct"], "{program}");
        assert!(!notes.contains("by place, as"), "{notes}");
        assert!(notes.contains("labels of turned.csv are numbers: they go by place, 0 is \"setosa\""));
    }
    // A network without names cannot know, and says so.
    let (by_place, notes) = world.noted("simulate old.safetensors --data turned.csv");
    assert!(by_place["accuracy"].as_f64().unwrap() < 0.5, "{by_place}");
    assert!(
        notes.contains("note: the network has no names of columns: those of turned.csv go by place"),
        "{notes}"
    );
    // Widths are observed on the right columns, too.
    let observed = |data: &str| world.json(&format!("analyze iris.cmlg --data {data}"));
    assert_eq!(observed("turned.csv")["layers"], observed("iris")["layers"]);
}

#[test]
fn columns_that_do_not_fit_are_one_clear_error() {
    let world = World::new();
    write_network(&world.path("iris.safetensors"), &iris()).unwrap();
    let check = |header: &str, says: &[&str]| {
        world.write(
            "bad.csv",
            &rows(header, [0, 1, 2, 3, 4], |label| label.to_string()),
        );
        world.refused("simulate iris.safetensors --data bad.csv", says);
    };
    check(
        "sepal_length_cm,sepal_width_cm,petal_length_cm,petal_width,label",
        &["bad.csv", "\"petal_width_cm\" missing, \"petal_width\" unknown"],
    );
    check(
        "sepal_length_cm,sepal_width_cm,petal_length_cm,petal_width_cm,species",
        &["bad.csv", "\"species\" unknown"],
    );
    check(
        "sepal_length_cm,sepal_width_cm,petal_length_cm,Class,label",
        &[
            "bad.csv",
            "\"Class\"",
            "\"label\"",
            "may be the labels or an input",
        ],
    );
    let named = world.json("simulate iris.safetensors --data iris");
    world.write(
        "species.csv",
        &rows(
            "sepal_length_cm,sepal_width_cm,petal_length_cm,petal_width_cm,species",
            [0, 1, 2, 3, 4],
            |label| SPECIES[label].to_owned(),
        ),
    );
    let (by_option, notes) = world.noted("simulate iris.safetensors --data species.csv --label species");
    assert_eq!(by_option["correct"], named["correct"]);
    assert!(!notes.contains("place"), "{notes}");
}

#[test]
fn data_without_names_goes_by_place_with_a_note() {
    let world = World::new();
    let mut net = network(3, 3);
    net.set_columns(vec!["x".to_owned(), "y".to_owned()]).unwrap();
    write_network(&world.path("named.safetensors"), &net).unwrap();
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }\n";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend([0.1f32, 0.2, 0.9, -0.4].iter().flat_map(|x| x.to_le_bytes()));
    std::fs::write(world.path("points.npy"), &bytes).unwrap();
    let (array, notes) = world.noted("simulate named.safetensors --data points.npy");
    assert!(
        notes.contains("note: points.npy has no names of columns: they go by place, as in the network"),
        "{notes}"
    );
    world.write("named.csv", "y,x\n0.2,0.1\n-0.4,0.9\n");
    let (by_name, notes) = world.noted("simulate named.safetensors --data named.csv");
    assert_eq!(by_name["classes"], array["classes"]);
    assert_eq!(notes, "");
}

#[test]
fn classes_have_names() {
    let world = World::new();
    write_network(&world.path("iris.safetensors"), &iris()).unwrap();
    let mut header = "petal_length_cm,sepal_length_cm,class,petal_width_cm,sepal_width_cm".to_owned();
    let names = rows(&header, [2, 0, 4, 3, 1], |label| SPECIES[label].to_owned());
    world.write("names.csv", &names);
    let by_number = world.json("simulate iris.safetensors --data iris");
    let (by_name, notes) = world.noted("simulate iris.safetensors --data names.csv");
    assert_eq!(by_name["correct"], by_number["correct"]);
    assert!(!notes.contains("labels"), "{notes}");
    let label = |i: usize| by_name["labels"][i].as_str().unwrap();
    for (i, class) in by_name["classes"].as_array().unwrap().iter().enumerate() {
        assert_eq!(label(i), SPECIES[class.as_u64().unwrap() as usize]);
    }
    // Only two of the three occur, and one is not the network's.
    header = header.replace("class", "Label");
    let few = rows(&header, [2, 0, 4, 3, 1], |label| {
        ["rose", "versicolor", "virginica"][label].to_owned()
    });
    world.write("few.csv", &few);
    let few = world.json("simulate iris.safetensors --data few.csv");
    assert_eq!(few["foreign_labels"], 15);
    assert_eq!(few["classes"], by_number["classes"]);
    let others = rows(&header, [2, 0, 4, 3, 1], |label| format!("kind {label}"));
    world.write("others.csv", &others);
    world.refused(
        "simulate iris.safetensors --data others.csv",
        &[
            "others.csv: its labels are \"kind 0\", \"kind 1\", \"kind 2\"",
            "\"setosa\", \"versicolor\"",
        ],
    );
    // A table of predictions has the names, JSON both.
    world.json("quantize iris.safetensors -o iris.cmlg");
    world.json("compile iris.cmlg -o iris.cmlc");
    let predicted = world.json("predict iris.cmlc --data names.csv --samples 1");
    let result = &predicted["results"][0];
    let class = result["class"].as_u64().unwrap() as usize;
    assert_eq!(result["label"], SPECIES[class]);
    // Circuit and client spec find columns by name, too.
    let (simulated, notes) = world.noted("simulate iris.cmlc --data names.csv --rows all");
    assert_eq!(simulated["classes"], by_name["classes"]);
    assert!(!notes.contains("place"), "{notes}");
    world.json("export-client iris.cmlc -o iris.cmls");
    world.json("keygen iris.cmls");
    world.write(
        "unknown.csv",
        "petal_length_cm,sepal_length_cm,petal_width_cm,width\n1,2,3,4\n",
    );
    world.refused(
        "encrypt iris.cmls --data unknown.csv -o in.ct",
        &["unknown.csv", "\"sepal_width_cm\" missing, \"width\" unknown"],
    );
    for file in ["iris.safetensors", "iris.cmlg", "iris.cmls"] {
        let text = String::from_utf8(world.cml(&format!("inspect {file}")).stdout).unwrap();
        assert!(
            text.contains("columns sepal_length_cm, sepal_width_cm, petal_length_cm, petal_width_cm"),
            "{text}"
        );
    }
}

#[test]
fn labels_that_mix_numbers_and_names_are_refused() {
    let world = World::new();
    world.write("mixed.csv", "a,b,label\n1,2,no\n3,4,1\n");
    world.refused(
        "simulate net.safetensors --data mixed.csv",
        &["mixed.csv: line 3", "name of a class", "\"1\""],
    );
    world.write("mixed.csv", "a,b,label\n1,2,0\n3,4,yes\n");
    world.refused(
        "simulate net.safetensors --data mixed.csv",
        &["mixed.csv: line 3", "\"yes\""],
    );
    world.write("half.csv", "a,b,label\n1,2,0.5\n");
    world.refused(
        "simulate net.safetensors --data half.csv",
        &["half.csv: line 2", "\"0.5\""],
    );
    // `y` is a coordinate beside `x`; alone it could be both.
    world.write("points.csv", "a,y\n0.1,0.2\n");
    world.refused(
        "simulate net.safetensors --data points.csv",
        &["points.csv: line 1: \"y\" may be the labels or an input"],
    );
    world.write("two.csv", "a,b,y\n0.1,0.2,yes\n0.9,-0.4,no\n");
    let given = world.json("simulate net.safetensors --data two.csv --label y");
    assert!(given["correct"].is_u64(), "{given}");
}
