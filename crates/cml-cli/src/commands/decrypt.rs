//! `cml decrypt`: results to classes.

use crate::passphrase::PassphraseArgs;
use crate::score::predict;
use crate::show::{Report, table};
use crate::spec::read_spec;
use cml_file::Artifact;
use cml_ir::{OutputSpec, Probabilities, Tensor};
use cml_keys::Client;
use cml_scheme::artifact::EncryptedOutputs;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Decrypt and dequantize results with the secret key.
///
/// Example: cml decrypt net.cmls --key client.key out.ct
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Client spec from `cml export-client`, or circuit from `cml compile`.
    #[arg(value_name = "SPEC|CIRCUIT")]
    spec: PathBuf,
    /// Ciphertexts from `cml run`.
    input: PathBuf,
    /// Secret key from `cml keygen`.
    #[arg(long, default_value = "client.key")]
    key: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    let spec = read_spec(&args.spec)?;
    let key = args.passphrase.read_key(&args.key, &spec)?;
    let outputs = EncryptedOutputs::read(&args.input, &spec)?;
    let client = Client::new(spec, key)?;
    let results = client.decrypt(&outputs)?;
    let output = &client.spec().outputs()[0].spec;
    let numbers: Vec<usize> = (0..results.len()).collect();
    let json = json!({"samples": results.len(), "results": results_json(output, &numbers, &results)});
    Ok(Report::new(results_table(output, &numbers, &results), json))
}

/// One line for each sample: class, scores and probabilities, if there are any; a single score is a value, and names no class.
pub(crate) fn results_table(spec: &OutputSpec, numbers: &[usize], results: &[Vec<Tensor>]) -> String {
    let row = |(i, outputs): (&usize, &Vec<Tensor>)| {
        let prediction = predict(spec, &outputs[0]);
        let scores: Vec<String> = prediction.scores.iter().map(|s| format!("{s:.3}")).collect();
        let mut cells = vec![i.to_string(), scores.join(" ")];
        if prediction.scores.len() > 1 {
            cells.insert(1, spec.label(prediction.class));
        }
        if let Some(probabilities) = &prediction.probabilities {
            let probabilities: Vec<String> = probabilities.iter().map(|p| format!("{p:.3}")).collect();
            cells.push(probabilities.join(" "));
        }
        cells
    };
    let rows: Vec<Vec<String>> = numbers.iter().zip(results).map(row).collect();
    let is_value = results
        .first()
        .is_some_and(|outputs| spec.scores(outputs[0].shape()) == 1);
    let mut header = if is_value {
        vec!["sample", "value"]
    } else {
        vec!["sample", "class", "scores"]
    };
    if spec.probabilities != Probabilities::Unstated {
        header.push("probabilities");
    }
    table(&header, &rows)
}

/// For each sample its number, class, scores and integer codes.
pub(crate) fn results_json(spec: &OutputSpec, numbers: &[usize], results: &[Vec<Tensor>]) -> Vec<Value> {
    let one = |(number, outputs): (&usize, &Vec<Tensor>)| {
        let prediction = predict(spec, &outputs[0]);
        let codes: Vec<&[i64]> = outputs.iter().map(Tensor::data).collect();
        let class = (prediction.scores.len() > 1).then_some(prediction.class);
        let label = class.map(|class| spec.label(class));
        let mut json = json!({"sample": number, "class": class, "label": label, "scores": prediction.scores, "codes": codes});
        if let Some(probabilities) = prediction.probabilities {
            json["probabilities"] = json!(probabilities);
        }
        json
    };
    numbers.iter().zip(results).map(one).collect()
}
