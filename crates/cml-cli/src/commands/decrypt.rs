//! `cml decrypt`: results to classes.

use crate::score::{label, predict};
use crate::show::{Report, table};
use cml_ir::Tensor;
use cml_tfhe::{Circuit, Client, artifact};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Decrypt and dequantize results with the secret key.
///
/// Example: cml decrypt net.cmlc --key client.key out.ct
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Circuit from `cml compile`.
    circuit: PathBuf,
    /// Ciphertexts from `cml run`.
    input: PathBuf,
    /// Secret key from `cml keygen`.
    #[arg(long, default_value = "client.key")]
    key: PathBuf,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    let circuit = artifact::read_circuit(&args.circuit)?;
    let client = Client::new(&circuit, artifact::read_client_key(&args.key, &circuit)?)?;
    let outputs = artifact::read_outputs(&args.input, &circuit)?;
    let results = client.decrypt(&outputs)?;
    let json = json!({"samples": results.len(), "results": results_json(&circuit, &results)});
    Ok(Report::new(results_table(&circuit, &results), json))
}

/// One line for each sample: class and scores.
pub(crate) fn results_table(circuit: &Circuit, results: &[Vec<Tensor>]) -> String {
    let spec = &circuit.outputs()[0].spec;
    let row = |(i, outputs): (usize, &Vec<Tensor>)| {
        let prediction = predict(spec, &outputs[0]);
        let scores: Vec<String> = prediction.scores.iter().map(|s| format!("{s:.3}")).collect();
        vec![i.to_string(), label(spec, prediction.class), scores.join(" ")]
    };
    let rows: Vec<Vec<String>> = results.iter().enumerate().map(row).collect();
    table(&["sample", "class", "scores"], &rows)
}

/// For each sample its class, scores and integer codes.
pub(crate) fn results_json(circuit: &Circuit, results: &[Vec<Tensor>]) -> Vec<Value> {
    let spec = &circuit.outputs()[0].spec;
    let one = |outputs: &Vec<Tensor>| {
        let prediction = predict(spec, &outputs[0]);
        let codes: Vec<&[i64]> = outputs.iter().map(Tensor::data).collect();
        json!({"class": prediction.class, "label": label(spec, prediction.class), "scores": prediction.scores, "codes": codes})
    };
    results.iter().map(one).collect()
}
