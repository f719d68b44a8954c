//! Names of columns and the rows of the training, in the files of networks.

use crate::files::{forge, refused, sample, structure_of, tensors};
use cml_quant::{TrainingRows, network_from_bytes, network_to_bytes, to_graph};
use serde_json::{Value, json};

#[test]
fn names_and_training_are_kept_where_there_are_any() {
    let plain = network_to_bytes(&sample()).unwrap();
    for entry in ["columns", "training"] {
        assert!(!structure_of(&sample()).contains(entry), "{entry}");
    }
    let mut net = sample();
    net.set_columns(vec!["width".to_owned(), "größe".to_owned()])
        .unwrap();
    for seed in [None, Some(u64::MAX)] {
        let training = TrainingRows {
            data: [0xab; 32],
            held_out_rows: [1; 32],
            rows: 150,
            held_out: 38,
            seed,
        };
        net.set_training(Some(training)).unwrap();
        let bytes = network_to_bytes(&net).unwrap();
        assert_ne!(bytes, plain);
        let read = network_from_bytes("test", &bytes).unwrap();
        assert_eq!(read, net);
        assert_eq!(read.training(), Some(&training));
        let graph = to_graph(&read).unwrap();
        assert_eq!(graph.training(), Some(&training));
        let (_, _, spec) = graph.inputs().next().unwrap();
        assert_eq!(spec.columns, ["width", "größe"]);
    }
    let structure: Value = serde_json::from_str(&structure_of(&net)).unwrap();
    let check = |pointer: &str, value: Value, expected: &str| {
        let mut changed = structure.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        refused(&forge(&changed.to_string(), &tensors()), expected);
    };
    check(
        "/columns",
        json!(["a"]),
        "layer x: names of columns: needs 0 or 2, has 1",
    );
    check(
        "/columns",
        json!(["a", "a"]),
        "the names of the columns are not valid: \"a\" occurs twice",
    );
    check(
        "/columns",
        json!(["a", "b\n"]),
        "number 1 holds control characters",
    );
    check("/columns", json!(["a", ""]), "number 1 is empty");
    check(
        "/columns",
        json!(["a", "b".repeat(257)]),
        "number 1 is longer than 256 bytes",
    );
    check(
        "/training/data",
        json!("ab"),
        "training: data needs 64 hexadecimal digits",
    );
    check(
        "/training/rows",
        json!(38),
        "rows held out: needs fewer than 38, has 38",
    );
    check("/training/rows", json!(-1), "malformed cml.network entry");
}
