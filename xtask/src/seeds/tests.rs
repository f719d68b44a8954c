//! Measurements with a stand-in for `cml`, and the page made of them.

use super::measure::measure;
use super::quick::checks;
use super::sections::{Results, all_verdicts, sections};
use super::stages::{Stages, Tool};
use super::systems::{SYSTEMS, Work, named};
use super::{choose, page};
use crate::tools::root;
use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::time::Instant;

/// Answers as `cml` would of networks that are right 96 times in 100, with the least in seed 1.
#[derive(Default)]
struct Fake {
    commands: RefCell<Vec<String>>,
    /// Decrypted results that differ.
    different: u64,
    /// Width of every accumulator.
    bits: u64,
}

fn after<'a>(args: &[&'a str], flag: &str) -> Option<&'a str> {
    let at = args.iter().position(|arg| *arg == flag)?;
    args.get(at + 1).copied()
}

impl Tool for Fake {
    fn json(&self, args: &[&str]) -> Result<(Value, bool)> {
        self.commands.borrow_mut().push(args.join(" "));
        let layer = |name: &str, values: u64, lookups: u64| {
            let width = |values: u64| json!({"layer": name, "bits": self.bits, "values": values, "lookups": lookups, "range": {"lo": -3, "hi": values}});
            json!({"proved": width(values), "observed": width(values - 1)})
        };
        let accuracy = match after(args, "--data-seed") {
            Some("1") => 0.94,
            _ => 0.96,
        };
        let value = match args[0] {
            "train" if after(args, "--lookup-bits") == Some("3") => bail!("`cml train` failed"),
            "train" => json!({"test_accuracy": accuracy, "seconds": 2.0, "config": {"data": "iris"}}),
            "quantize" => json!({}),
            "simulate" => json!({
                "accuracy": accuracy, "classes": [0, 1, 1], "clipped_inputs": 3,
                "differ_from_exact": 0, "samples": 38, "overflow_bits": 5, "overflowing": 12, "samples_overflowing": 9,
            }),
            "analyze" => json!({
                "bits": self.bits, "lookups": 40, "accumulator_size": 8, "observed_accumulator_size": 7,
                "layers": [layer("fc1", 30, 20), layer("fc2", 60, 0)],
            }),
            "compile" => json!({
                "parameters_text": "n=900", "lookups": 40, "inference_fails_once_in": "1.7e10",
                "server_key_bytes": 120_000_000u64, "evaluation_key_bytes": 300_000_000u64,
            }),
            "predict" => json!({
                "samples": after(args, "--samples").unwrap().parse::<u64>().unwrap(),
                "different": self.different, "run_seconds": 40.0, "first_inference_seconds": 2.5,
                "keygen_seconds": 4.0,
            }),
            other => panic!("no answer to {other}"),
        };
        Ok((value, args[0] != "predict" || self.different == 0))
    }
}

fn stages(tool: &dyn Tool) -> Stages<'_> {
    Stages {
        tool,
        start: Instant::now(),
        folder: "folder".to_owned(),
        label: "test".to_owned(),
        epochs: None,
    }
}

/// Results of every entry that needs no files.
fn results(fake: &Fake, seeds: u64) -> Results {
    let entries = SYSTEMS
        .iter()
        .filter(|s| !matches!(s.work, Work::Boundaries { .. }));
    let mut results: Results = entries
        .map(|s| (s.name.to_owned(), measure(&stages(fake), s, seeds).unwrap()))
        .collect();
    let classes = |one: usize| (0..9).map(|i| u64::from(i % 3 >= one)).collect::<Vec<_>>();
    let boundaries = json!({
        "side": 3, "float_classes": classes(1), "integer_classes": classes(2), "encrypted_classes": classes(2), "points": 16, "different": 0,
    });
    results.insert("boundaries".to_owned(), boundaries);
    for result in results.values_mut() {
        result["machine"] = json!("abacus, 10 cores");
    }
    results
}

#[test]
fn the_commands_of_a_measurement() {
    let fake = Fake {
        bits: 5,
        ..Fake::default()
    };
    let iris = named("iris").unwrap();
    let result = measure(&stages(&fake), iris, 2).unwrap();
    let commands = fake.commands.borrow();
    let expected = [
        "train --config examples/iris.toml --seed 0 --data-seed 0 -o folder/iris-0.safetensors",
        "quantize folder/iris-0.safetensors -o folder/iris-0.cmlg",
        "simulate folder/iris-0.cmlg --data iris --data-seed 0 --bits 5",
        "analyze folder/iris-0.cmlg --data iris --data-seed 0",
        "compile folder/iris-0.cmlg -o folder/iris-0.cmlc",
        "simulate folder/iris-0.cmlc --data iris --data-seed 0 --noise 1",
        "predict folder/iris-0.cmlc --graph folder/iris-0.cmlg --data iris --data-seed 0 --samples 20",
        "train --config examples/iris_float.toml --seed 0 --data-seed 0 -o folder/iris_float-0.safetensors",
        "train --config examples/iris.toml --seed 1 --data-seed 1 -o folder/iris-1.safetensors",
    ];
    assert_eq!(commands[..expected.len()], expected);
    assert_eq!(result["runs"].as_array().unwrap().len(), 2);
    assert_eq!(result["runs"][1]["graph"]["accuracy"], 0.94);
    assert_eq!(result["runs"][0]["graph"]["lookup_bits"], 5);
    assert_eq!(result["encrypted"]["samples"], 20);
    assert_eq!(result["layers"].as_array().unwrap().len(), 2);
}

#[test]
fn post_training_by_two_methods() {
    let fake = Fake::default();
    let result = measure(&stages(&fake), named("simple_net_10").unwrap(), 1).unwrap();
    let commands = fake.commands.borrow();
    for method in ["min-max", "adaptive"] {
        let command = format!(
            "quantize folder/simple_net_10-0.safetensors -o folder/simple_net_10-0-{method}.cmlg \
             --bits 3 --weights-bits 3 --method {method} --calibrate iris --data-seed 0"
        );
        assert!(commands.contains(&command), "{commands:#?}");
    }
    assert_eq!(result["runs"][0]["adaptive"]["accuracy"], 0.96);
    assert!(result["runs"][0]["adaptive"]["layers"].is_null());
}

/// Words in one line, with `#` for each number.
fn without_figures(text: &str) -> String {
    let mut out = String::new();
    for c in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        match c {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            _ => out.push(c),
        }
    }
    out
}

#[test]
fn the_page_has_every_section() {
    let fake = Fake {
        bits: 5,
        ..Fake::default()
    };
    let results = results(&fake, 2);
    let sections = sections(&results).unwrap();
    let page = page::markdown(&results, &sections);
    for words in [
        "# Results",
        "abacus, 10 cores",
        "| SimpleNet, h = 10 | 2 | 68.70% | 95.0% (94.0..96.0) | 56.44% | 95.0% (94.0..96.0) |",
        "| SimpleNet, h = 100 | 3-bit accuracy, adaptive, mean: >= 75% | 95.0% (94.0..96.0) | met |",
        "| Fully connected on Iris | accuracy of the integer graph, mean: >= 97.36% | 95.0% (94.0..96.0) | not met |",
        "| Fully connected on Iris | 0 of 20 | 96.0% | 96.0% | 2.00 s | 2.50 s | 4.00 s | 120.0 MB | 300.0 MB | 40 | 1.7e10 |",
        "| checkerboard | 3 | cannot be trained | - | - | 0 |",
        "| Digits | 4 | 95.0% (94.0..96.0) | 5 | 5 | 2 |",
        "| PrunedSimpleNet, 10 of 100 | 5 | 5 | 3 | 12 | 9 of 38 |",
        "9 of 9 points of the grid",
        "(results/accuracy_by_width.svg)",
        "(results/boundaries.svg)",
        "(results/ranges_qat_checkerboard.svg)",
        "(results/ranges_digits.svg)",
    ] {
        assert!(page.contains(words), "no {words:?} in\n{page}");
    }
    assert_eq!(page.matches("\n## ").count(), 8);
    // The kept page has the same words, whatever its figures are.
    let kept = std::fs::read_to_string(root().unwrap().join("docs/results.md")).unwrap();
    let kept = without_figures(&kept);
    for section in &sections {
        let words = without_figures(&section.words);
        assert!(kept.contains(&words), "no {words:?} in docs/results.md");
    }
    let again = page::markdown(&results, &super::sections::sections(&results).unwrap());
    assert!(page == again, "two pages of the same results");
    assert!(page::tables(&sections).contains("Encrypted\n\nnetwork "));
}

#[test]
fn one_entry_has_only_its_sections() {
    let fake = Fake::default();
    let mut all = results(&fake, 1);
    all.retain(|name, _| name == "simple_net_30");
    let titles: Vec<&str> = sections(&all).unwrap().iter().map(|s| s.title).collect();
    assert_eq!(
        titles,
        [
            "Targets",
            "Float networks, quantized after training",
            "The virtual library"
        ]
    );
    assert!(all_verdicts(&all).iter().all(|v| v.met));
}

#[test]
fn a_result_that_differs_is_a_figure() {
    let fake = Fake {
        different: 2,
        ..Fake::default()
    };
    let result = measure(&stages(&fake), named("iris").unwrap(), 1).unwrap();
    assert_eq!(result["encrypted"]["different"], 2);
}

#[test]
fn the_quick_checks() {
    let missed = |fake: Fake| -> Vec<String> {
        let checks = checks(&fake, Instant::now());
        assert!(checks.len() >= 10);
        let missed = checks.iter().filter(|check| !check.met);
        missed.map(|check| check.what.clone()).collect()
    };
    let good = Fake {
        bits: 6,
        ..Fake::default()
    };
    assert_eq!(missed(good), [""; 0]);
    let bad = Fake {
        bits: 7,
        different: 1,
        ..Fake::default()
    };
    assert_eq!(
        missed(bad),
        [
            "iris: widest lookup, proved, in bits",
            "iris: decrypted results that differ"
        ]
    );
}

#[test]
fn entries_by_name() {
    let names = |only: &[&str]| -> Vec<&str> {
        let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
        choose(&only).iter().map(|system| system.name).collect()
    };
    assert_eq!(names(&["iris", "digits"]), ["iris", "digits"]);
    assert_eq!(names(&[]).len(), SYSTEMS.len());
}
