//! Networks that Brevitas exported, against the outputs that it computed: every file of
//! `tests/vectors` that has such outputs beside it.

use crate::world::{differing, imported, vector};
use std::fs;

#[test]
fn every_exported_network_agrees_on_every_row() {
    let mut names: Vec<String> = fs::read_dir(vector(""))
        .unwrap()
        .filter_map(|f| {
            Some(
                f.unwrap()
                    .file_name()
                    .to_str()?
                    .strip_suffix(".io.csv")?
                    .to_owned(),
            )
        })
        .collect();
    names.sort();
    assert!(names.len() >= 5);
    let mut report = Vec::new();
    for name in &names {
        let files = ["qonnx.onnx", "qcdq.onnx", "onnx"].map(|end| format!("{name}.{end}"));
        let files: Vec<&String> = files.iter().filter(|f| vector(f).exists()).collect();
        assert!(!files.is_empty(), "{name}");
        for file in files {
            let (rows, differing) = differing(&imported(file).network, name);
            if !differing.is_empty() || rows == 0 {
                report.push(format!(
                    "{file}: {} of {rows} rows, {:?}",
                    differing.len(),
                    differing.first()
                ));
            }
        }
    }
    assert!(report.is_empty(), "{}", report.join("\n"));
}
