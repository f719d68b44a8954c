//! Names of columns and what is known of the training, in graphs and their files.

use cml_file::{Artifact, encode};
use cml_ir::{
    GRAPH, Graph, GraphBuilder, InputSpec, Interval, IrError, Lut, OutputSpec, Tensor, TrainingRows,
    graph_from_text, graph_hash, graph_to_text, optimize,
};

const TRAINING: TrainingRows = TrainingRows {
    data: [7; 32],
    held_out_rows: [9; 32],
    rows: 100,
    held_out: 20,
    seed: Some(3),
};

/// A graph with two inputs, whose columns have these names.
fn graph(names: [&[&str]; 2], training: Option<TrainingRows>) -> Result<Graph, IrError> {
    let mut b = GraphBuilder::new("named");
    b.set_training(training);
    let spec = |names: &[&str]| InputSpec {
        columns: names.iter().map(|&n| n.to_owned()).collect(),
        ..InputSpec::new(1.0, 0, Interval::new(-3, 3))
    };
    let x = b.input("x", vec![2], spec(names[0]))?;
    let w = Tensor::new(vec![1, 2], vec![2, -1])?;
    let x = b.dot("fc", x, w, vec![1])?;
    let x = b.lut("relu", x, Lut::from_fn(Interval::new(-8, 10), |v| v.max(0)))?;
    b.output("y", x, OutputSpec::identity())?;
    let z = b.input("z", vec![1, 1, 1], spec(names[1]))?;
    b.output("z/out", z, OutputSpec::identity())?;
    b.finish()
}

fn bytes(graph: &Graph) -> Vec<u8> {
    graph.to_bytes().unwrap().to_vec()
}

#[test]
fn names_and_training_are_in_the_file() {
    let plain = graph([&[], &[]], None).unwrap();
    for (names, training) in [
        ([&["a", "größe in cm"][..], &["b"][..]], None),
        ([&["a", "b"], &[]], Some(TRAINING)),
        ([&[], &["b"]], None),
        (
            [&[], &[]],
            Some(TrainingRows {
                seed: None,
                ..TRAINING
            }),
        ),
    ] {
        let graph = graph(names, training).unwrap();
        let read = Graph::from_bytes("x", &bytes(&graph), ()).unwrap();
        assert_eq!(read, graph);
        assert_eq!(read.training(), training.as_ref());
        let text = graph_to_text(&graph);
        let again = graph_from_text(&text).unwrap();
        assert_eq!(graph_to_text(&again), text);
        assert_eq!(graph_hash(&again).unwrap(), graph_hash(&graph).unwrap());
        assert_ne!(read, plain);
        // What follows the nodes is all that differs.
        let (long, short) = (
            cml_file::decode(GRAPH, "x", &bytes(&graph)).unwrap().to_vec(),
            bytes(&plain),
        );
        assert!(long.starts_with(cml_file::decode(GRAPH, "x", &short).unwrap()));
    }
}

#[test]
fn passes_keep_them() {
    let graph = graph([&["a", "b"], &["c"]], Some(TRAINING)).unwrap();
    let optimized = optimize(&graph).unwrap();
    assert_eq!(optimized.training(), Some(&TRAINING));
    let names: Vec<&[String]> = optimized.inputs().map(|(_, _, spec)| &spec.columns[..]).collect();
    assert_eq!(names, [&["a".to_owned(), "b".to_owned()][..], &["c".to_owned()]]);
}

/// The hash goes into circuits, and with them to servers.
#[test]
fn the_hash_says_nothing_of_the_training() {
    let hash = |names, training| graph_hash(&graph(names, training).unwrap()).unwrap();
    assert_eq!(hash([&[], &[]], Some(TRAINING)), hash([&[], &[]], None));
    assert_eq!(hash([&[], &["c"]], Some(TRAINING)), hash([&[], &["c"]], None));
    assert_ne!(hash([&[], &["c"]], None), hash([&[], &[]], None));
}

#[test]
fn names_are_bounded_and_checked() {
    let refused = |names: [&[&str]; 2], training, says: &str| {
        let error = graph(names, training).unwrap_err().to_string();
        assert_eq!(error, says);
    };
    refused(
        [&["a"], &[]],
        None,
        "node x: names of columns: needs 0 or 2, has 1",
    );
    refused(
        [&["a", "a"], &[]],
        None,
        "node x: the names of its columns are not valid: \"a\" occurs twice",
    );
    refused(
        [&["a", "b"], &["\u{7}"]],
        None,
        "node z: the names of its columns are not valid: number 0 holds control characters",
    );
    let nothing = TrainingRows {
        held_out: 100,
        ..TRAINING
    };
    refused(
        [&[], &[]],
        Some(nothing),
        "graph named has no row that it was trained on",
    );
}

#[test]
fn damaged_sections_are_refused() {
    let graph = graph([&["a", "b"], &["c"]], Some(TRAINING)).unwrap();
    let payload = cml_file::decode(GRAPH, "x", &bytes(&graph)).unwrap().to_vec();
    let refused = |payload: &[u8], says: &str| {
        let error = Graph::from_bytes("x", &encode(GRAPH, payload), ())
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{error}");
    };
    let core = payload.len() - section(&[&["a", "b"], &["c"]], true).len();
    assert_eq!(payload[core..], section(&[&["a", "b"], &["c"]], true));
    let with = |lists: &[&[&str]], training| [&payload[..core], &section(lists, training)].concat();
    assert!(Graph::from_bytes("x", &encode(GRAPH, &with(&[], true)), ()).is_ok());
    for cut in core + 1..payload.len() {
        refused(&payload[..cut], "bytes left over");
    }
    refused(&[&payload[..], &[0]].concat(), "bytes left over");
    refused(&with(&[], false), "bytes left over");
    refused(&with(&[&[], &[]], true), "bytes left over");
    refused(
        &with(&[&["a", "b"]], true),
        "lists of names of columns: needs 2, has 1",
    );
    refused(
        &with(&[&["a", "b"], &["c"], &["d"]], false),
        "lists of names of columns: needs 2, has 3",
    );
    refused(&with(&[&["a", "\n"], &["c"]], false), "holds control characters");
    // A count that the file is too short for.
    let mut huge = payload.clone();
    huge[core..core + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    refused(&huge, "bytes left over");
}

/// The section after the nodes, written by hand: lists of names, then what is known of the training.
fn section(lists: &[&[&str]], training: bool) -> Vec<u8> {
    let mut bytes = (lists.len() as u64).to_le_bytes().to_vec();
    for list in lists {
        bytes.extend((list.len() as u64).to_le_bytes());
        for name in *list {
            bytes.extend((name.len() as u64).to_le_bytes());
            bytes.extend(name.bytes());
        }
    }
    bytes.push(u8::from(training));
    if training {
        bytes.extend(TRAINING.data);
        bytes.extend(TRAINING.held_out_rows);
        bytes.extend(TRAINING.rows.to_le_bytes());
        bytes.extend(TRAINING.held_out.to_le_bytes());
        bytes.push(1);
        bytes.extend(3u64.to_le_bytes());
    }
    bytes
}
