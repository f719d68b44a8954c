//! One network through the `cml` binary: every figure comes out of a command with `--json`.

use super::networks::{Network, Work};
use super::store::FOLDER;
use crate::tools::{Cml, cargo, root, run};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::fs;

/// The figures of a network; `samples` encrypted inferences after the first.
pub(crate) fn measure(cml: &Cml, network: &Network, samples: u64) -> Result<Value> {
    let stem = format!("{FOLDER}/{}", network.name);
    let file = |suffix: &str| format!("{stem}{suffix}");
    let (graph, circuit) = (file(".cmlg"), file(".cmlc"));
    let must = |args: &[&str]| -> Result<Value> {
        match cml.json(args)? {
            (value, true) => Ok(value),
            (_, false) => bail!("`cml {}` failed", args.join(" ")),
        }
    };
    let data = graph_of(network, &stem, &must)?;
    let on_data = ["--data", data.as_str()];
    let accuracy = match network.work {
        Work::StandIn { .. } => Value::Null,
        _ => must(&[&["simulate", graph.as_str()], &on_data[..]].concat())?["accuracy"].clone(),
    };
    let compile = [&["compile", &graph, "-o", &circuit], network.options].concat();
    let compiled = must(&compile)?;
    // Of one thread alone, which nobody disturbs, and of all of them at work.
    let alone = cml
        .json_with(&["plan", &circuit], &[("RAYON_NUM_THREADS", "1")])?
        .0;
    let plan = must(&["plan", &circuit])?;

    let (client, server) = (file(".client.key"), file(".server.key"));
    let keys = ["--client-key", client.as_str(), "--server-key", &server];
    let keygen = must(&[&["keygen", circuit.as_str(), "--force"], &keys[..]].concat())?;
    let count = (samples + 1).to_string();
    let few = ["--graph", graph.as_str(), "--samples", count.as_str()];
    // A result that differs is a figure here; the command's exit code is 1 then.
    let (predicted, _) = cml.json(&[&["predict", circuit.as_str()], &on_data[..], &few].concat())?;
    let batch = batch(&must, network, &data, [&circuit, &client, &server, &stem])?;
    for key in [&client, &server] {
        // Keys are large, and of no use to anyone.
        fs::remove_file(root()?.join(key)).with_context(|| format!("cannot remove {key}"))?;
    }

    // Noise decides about an approximate result, so no two runs need to agree.
    let exact = compiled["exact"] == json!(true);
    let agrees = exact
        .then(|| prefix(&predicted["results"], &batch["results"]))
        .flatten();
    let noisy = match network.work {
        Work::StandIn { .. } => Value::Null,
        _ => {
            let simulate = ["simulate", circuit.as_str(), "--noise", "1"];
            must(&[&simulate, &on_data[..]].concat())?["accuracy"].clone()
        }
    };
    let inferences = predicted["inference_seconds"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let result = json!({
        "title": network.title,
        "accuracy": accuracy,
        "keygen_seconds": keygen["seconds"],
        "upload_bytes": keygen["server_key_bytes"],
        "input_bytes": compiled["input_bytes"],
        "output_bytes": compiled["output_bytes"],
        "expanded_bytes": compiled["evaluation_key_bytes"],
        "expand_seconds": batch["expand_seconds"],
        "parameters_text": compiled["parameters_text"],
        "lookups": compiled["lookups"],
        "rotations": compiled["rotations"],
        "exact": compiled["exact"],
        "predicted_seconds": plan["seconds"],
        "limit_seconds": plan["limit_seconds"],
        "single_limit_seconds": alone["limit_seconds"].as_f64().map(|s| s / cores()),
        "peak_bytes": plan["peak_bytes"],
        "first_seconds": predicted["first_inference_seconds"],
        "inference_seconds": inferences,
        "median_seconds": median(inferences.iter().skip(1).filter_map(Value::as_f64).collect()),
        "samples": predicted["samples"],
        "different": predicted["different"],
        "other_classes": predicted["other_classes"],
        "correct": predicted["correct"],
        "noisy_accuracy": noisy,
        "batch_samples": batch["samples"],
        "batch_seconds": batch["seconds"],
        "batch_agrees": agrees,
    });
    Ok(result)
}

/// Cores of this host.
fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64)
}

/// Makes the graph's file; returns the data to run it on.
fn graph_of(network: &Network, stem: &str, must: &dyn Fn(&[&str]) -> Result<Value>) -> Result<String> {
    let (net, graph) = (format!("{stem}.safetensors"), format!("{stem}.cmlg"));
    match &network.work {
        Work::Trained { config } => {
            let data = train(config, &net, stem, must)?;
            must(&["quantize", &net, "-o", &graph])?;
            Ok(data)
        }
        Work::Onnx { file, data } => {
            must(&["import", file, "-o", &net])?;
            must(&["quantize", &net, "-o", &graph])?;
            Ok(data.clone())
        }
        Work::StandIn { layers } => {
            let example = [
                "run",
                "--release",
                "--quiet",
                "--package",
                "cml-ir",
                "--example",
                "stand_in",
            ];
            run(cargo(None)?.args(example).args(["--", &layers.to_string(), stem]))?;
            Ok(format!("{stem}.csv"))
        }
    }
}

/// Trains, unless the same configuration was trained before; returns the data set's name.
fn train(config: &str, net: &str, stem: &str, must: &dyn Fn(&[&str]) -> Result<Value>) -> Result<String> {
    let (source, kept) = (
        format!("examples/{config}.toml"),
        root()?.join(format!("{stem}.trained.json")),
    );
    let text = fs::read_to_string(root()?.join(&source)).with_context(|| format!("cannot read {source}"))?;
    let earlier = fs::read_to_string(&kept).ok();
    let earlier = earlier.and_then(|json| serde_json::from_str::<Value>(&json).ok());
    if let Some(earlier) = earlier
        && earlier["text"] == json!(text)
        && root()?.join(net).is_file()
    {
        return Ok(earlier["data"].as_str().unwrap_or("checkerboard").to_owned());
    }
    let trained = must(&["train", "--config", &source, "-o", net])?;
    let data = trained["config"]["data"].as_str().unwrap_or("checkerboard");
    let stamp = json!({"text": text, "data": data}).to_string();
    fs::write(&kept, stamp).with_context(|| format!("cannot write {}", kept.display()))?;
    Ok(data.to_owned())
}

/// Many samples in one `cml run`, which then has every layer of every sample to share out.
fn batch(
    must: &dyn Fn(&[&str]) -> Result<Value>,
    network: &Network,
    data: &str,
    [circuit, client, server, stem]: [&String; 4],
) -> Result<Value> {
    let (input, output) = (format!("{stem}.in.ct"), format!("{stem}.out.ct"));
    let count = network.batch.to_string();
    must(&[
        "encrypt",
        circuit,
        "--key",
        client,
        "--data",
        data,
        "--samples",
        &count,
        "-o",
        &input,
    ])?;
    let mut ran = must(&["run", circuit, &input, "--key", server, "-o", &output])?;
    ran["results"] = must(&["decrypt", circuit, &output, "--key", client])?["results"].clone();
    Ok(ran)
}

/// Whether the batch, which begins with the samples of the single runs, gave the same results.
fn prefix(few: &Value, many: &Value) -> Option<bool> {
    let (few, many) = (few.as_array()?, many.as_array()?);
    let common = few.len().min(many.len());
    Some(few[..common] == many[..common])
}

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[half]),
        _ => Some((values[half - 1] + values[half]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn a_batch_agrees_by_its_first_samples() {
        assert_eq!(prefix(&json!([1, 2]), &json!([1, 2, 3])), Some(true));
        assert_eq!(prefix(&json!([1, 4]), &json!([1, 2, 3])), Some(false));
        assert_eq!(prefix(&Value::Null, &json!([1])), None);
    }
}
