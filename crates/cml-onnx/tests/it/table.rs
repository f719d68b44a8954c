//! The table of operators, and what is made of it.

use crate::wire::{File, quant, quantized};
use cml_onnx::{ImportReport, OnnxError, Options, import_bytes, supported_operators};
use std::collections::{BTreeMap, BTreeSet};

fn report(file: &File) -> ImportReport {
    match import_bytes(&file.build(), None, &Options::default()) {
        Err(OnnxError::Obstacles(report)) => report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_page_lists_the_operators() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operators.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut listed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for section in page.split("\n## ").skip(1) {
        let (domain, text) = section.split_once('\n').unwrap();
        // The last paragraph: names between backticks.
        let list = text.trim_end().rsplit("\n\n").next().unwrap();
        let names = list.split('`').skip(1).step_by(2).collect();
        listed.insert(domain, names);
    }
    let mut table: BTreeMap<&str, Vec<&str>> = BTreeMap::from([("ai.onnx.ml", Vec::new())]);
    for (domain, name) in supported_operators() {
        table.entry(domain).or_default().push(name);
    }
    table.values_mut().for_each(|names| names.sort_unstable());
    assert_eq!(listed, table);
}

#[test]
fn no_operator_is_there_twice() {
    let all: Vec<_> = supported_operators().collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn every_operator_of_the_table_is_known() {
    for (domain, name) in supported_operators() {
        let domain = if domain == "ai.onnx" { "" } else { domain };
        let file = File::new(&[1, 2, 4, 4]).node(&format!("{domain}:{name}"), "x", "y", &[]);
        match import_bytes(&file.build(), None, &Options::default()) {
            Ok(_) => {}
            Err(OnnxError::Obstacles(report)) => {
                let text = report.to_string();
                assert!(!text.contains("not supported"), "{name}: {text}");
            }
            Err(other) => panic!("{name}: {other}"),
        }
    }
}

/// One obstacle of a file whose last node is of an operator.
fn obstacle(operator: &str) -> String {
    let report = report(&quantized(&[1, 2]).node(operator, "x", "y", &[]));
    assert_eq!(report.obstacles.len(), 1, "{report}");
    report.obstacles[0].to_string()
}

#[test]
fn operators_of_other_domains_are_named_with_them() {
    for (operator, named) in [
        (
            "ai.onnx.ml:SVMClassifier",
            "y (ai.onnx.ml.SVMClassifier of [2]): ",
        ),
        ("com.microsoft:FusedConv", "y (com.microsoft.FusedConv of [2]): "),
        ("ai.onnx:Einsum", "y (Einsum of [2]): "),
        (":Unheard", "y (Unheard of [2]): "),
    ] {
        let text = obstacle(operator);
        assert!(
            text.starts_with(named) && text.contains("not supported"),
            "{text}"
        );
    }
    let text = obstacle("ai.onnx.ml:SVMClassifier");
    assert!(text.contains("this model of ai.onnx.ml"), "{text}");
}

/// A name means what its domain says.
#[test]
fn operators_are_looked_up_by_domain_and_name() {
    for operator in [
        "ai.onnx.ml:Relu",
        "ai.onnx.ml:Quant",
        "onnx.brevitas:Relu",
        "ai.onnx:Quant",
    ] {
        assert!(obstacle(operator).contains("not supported"), "{operator}");
    }
    let file = quant(quantized(&[1, 2]), "x", "q", "s").node("ai.onnx:Gemm", "q wq", "y", &[]);
    assert!(import_bytes(&file.build(), None, &Options::default()).is_ok());
}
