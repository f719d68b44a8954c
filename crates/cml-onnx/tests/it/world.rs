//! Files of the tests, and what is compared with them.

use cml_onnx::{Imported, Options, import};
use cml_quant::Network;
use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;
use std::path::{Path, PathBuf};

/// A file of `tests/vectors`.
pub(crate) fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(name)
}

/// Rows of inputs `x..` with the outputs `y..` that the exporter computed.
pub(crate) fn rows(name: &str) -> Vec<(Vec<f32>, Vec<f32>)> {
    let mut reader = csv::Reader::from_path(vector(&format!("{name}.io.csv"))).unwrap();
    let inputs = reader
        .headers()
        .unwrap()
        .iter()
        .filter(|h| h.starts_with('x'))
        .count();
    let rows = reader.records().map(|record| {
        let values: Vec<f32> = record.unwrap().iter().map(|v| v.parse().unwrap()).collect();
        (values[..inputs].to_vec(), values[inputs..].to_vec())
    });
    rows.collect()
}

/// Imports a file that must have no obstacles.
pub(crate) fn imported(file: &str) -> Imported {
    imported_with(file, &Options::default())
}

/// As [`imported`], with what is known of the data.
pub(crate) fn imported_with(file: &str, options: &Options) -> Imported {
    import(&vector(file), options).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// Outputs of the integer graph, which must be those of the forward pass to the bit.
pub(crate) fn outputs(network: &Network, samples: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let graph = cml_quant::to_graph(network).unwrap();
    let (_, _, spec) = graph.outputs().next().unwrap();
    let all = samples.iter().map(|x| {
        let codes = graph.quantize_input(x).unwrap();
        let y = cml_ir::interpret(&graph, &[codes]).unwrap();
        let y = spec.dequantize_all(&y[0]);
        assert_eq!(y, network.forward(x).unwrap(), "forward pass and graph");
        y
    });
    all.collect()
}

pub(crate) fn class(scores: &[f32]) -> usize {
    (0..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best })
}

/// Rows of a vector on which a network is not what the exporter computed: by more than float precision, or in
/// the class.
pub(crate) fn differing(network: &Network, name: &str) -> (usize, Vec<String>) {
    let rows = rows(name);
    let samples: Vec<Vec<f32>> = rows.iter().map(|r| r.0.clone()).collect();
    let ours = if network.is_float() {
        samples.iter().map(|x| network.forward(x).unwrap()).collect()
    } else {
        outputs(network, &samples)
    };
    let mut found = Vec::new();
    for (row, (ours, (_, theirs))) in ours.iter().zip(&rows).enumerate() {
        assert_eq!(ours.len(), theirs.len());
        let far = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-5 * (1.0 + b.abs());
        if ours.iter().zip(theirs).any(far) || class(ours) != class(theirs) {
            found.push(format!("row {row}: {ours:?} {theirs:?}"));
        }
    }
    (rows.len(), found)
}

/// So many cases, always the same ones.
pub(crate) fn fixed(cases: u32, seed: u64) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
