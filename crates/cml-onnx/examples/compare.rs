//! Imports every `NAME.onnx` of a folder and compares it with the outputs in `NAME.io.csv` beside it (columns
//! `x..` and `y..`): one line a file, and the differences or obstacles.
//!
//! `cargo run --release -p cml-onnx --example compare -- FOLDER`

use cml_quant::Network;
use std::path::{Path, PathBuf};

type Rows = Vec<(Vec<f32>, Vec<f32>)>;

fn rows(path: &Path) -> Result<Rows, csv::Error> {
    let mut reader = csv::Reader::from_path(path)?;
    let inputs = reader.headers()?.iter().filter(|h| h.starts_with('x')).count();
    let row = |record: Result<csv::StringRecord, csv::Error>| {
        let values: Vec<f32> = record?.iter().map(|v| v.parse().unwrap_or(f32::NAN)).collect();
        Ok((values[..inputs].to_vec(), values[inputs..].to_vec()))
    };
    reader.records().map(row).collect()
}

/// Outputs of the network, which must be those of its graph.
fn outputs(network: &Network, x: &[f32]) -> Result<Vec<f32>, String> {
    let y = network.forward(x).map_err(|e| e.to_string())?;
    if !network.is_float() {
        let graph = cml_quant::to_graph(network).map_err(|e| e.to_string())?;
        let codes = graph.quantize_input(x).map_err(|e| e.to_string())?;
        let found = cml_ir::interpret(&graph, &[codes]).map_err(|e| e.to_string())?;
        let (_, _, spec) = graph.outputs().next().ok_or("no output")?;
        if spec.dequantize_all(&found[0]) != y {
            return Err("forward pass and graph differ".to_owned());
        }
    }
    Ok(y)
}

fn class(y: &[f32]) -> usize {
    (0..y.len()).fold(0, |best, i| if y[i] > y[best] { i } else { best })
}

fn compare(file: &Path) -> Result<String, String> {
    let network = cml_onnx::import(file, &cml_onnx::Options::default())
        .map_err(|e| e.to_string())?
        .network;
    let rows = rows(&file.with_extension("io.csv")).map_err(|e| e.to_string())?;
    let largest = rows.iter().flat_map(|r| &r.1).fold(0f32, |m, y| m.max(y.abs()));
    let (mut most, mut classes, mut off) = (0f32, 0, 0);
    for (x, expected) in &rows {
        let y = outputs(&network, x)?;
        if y.len() != expected.len() {
            return Err(format!("{} outputs, expected {}", y.len(), expected.len()));
        }
        let difference = y
            .iter()
            .zip(expected)
            .fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        most = most.max(difference);
        off += usize::from(difference.is_nan() || difference > 2e-5 * largest.max(1e-3));
        classes += usize::from(class(&y) != class(expected));
    }
    let kind = if network.is_float() { "float" } else { "quantized" };
    let text = format!(
        "{kind}, {} rows: {off} off, {classes} other classes, largest difference {most:.2e} of {largest:.2e}",
        rows.len()
    );
    if off > 0 { Err(text) } else { Ok(text) }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("a folder is missing")?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "onnx"))
        .collect();
    files.sort();
    let mut failed = 0;
    for file in &files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        match compare(file) {
            Ok(text) => println!("ok    {name}: {text}"),
            Err(text) => {
                failed += 1;
                println!("FAIL  {name}: {text}");
            }
        }
    }
    println!("{} of {} files agree", files.len() - failed, files.len());
    Ok(())
}
