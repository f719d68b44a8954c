//! One entry of the table, over its seeds.

use super::boundaries::boundaries;
use super::stages::{Stages, Trained};
use super::systems::{System, Work};
use anyhow::{Result, bail};
use serde_json::{Value, json};

/// Seed of the sampled noise.
const NOISE_SEED: &str = "1";

/// The figures of an entry, for seeds from 0.
pub(crate) fn measure(stages: &Stages<'_>, system: &System, seeds: u64) -> Result<Value> {
    match &system.work {
        Work::PostTraining { .. } => post_training(stages, system.name, seeds),
        Work::Aware { float, samples, .. } => aware(stages, system.name, *float, *samples, seeds),
        Work::Widths { config, bits } => widths(stages, config, bits, seeds),
        Work::Boundaries { float, integer } => boundaries(stages, float, integer),
    }
}

fn post_training(stages: &Stages<'_>, name: &str, seeds: u64) -> Result<Value> {
    let mut runs = Vec::new();
    for seed in 0..seeds {
        let trained = stages.train(name, name, seed, &[])?;
        let mut run = json!({"seed": seed, "float": trained.report["test_accuracy"]});
        for (key, method) in [("min_max", "min-max"), ("adaptive", "adaptive")] {
            run[key] = without_layers(quantize_3_bits(stages, &trained, method)?);
        }
        runs.push(run);
    }
    Ok(json!({"runs": runs}))
}

fn quantize_3_bits(stages: &Stages<'_>, trained: &Trained, method: &str) -> Result<Value> {
    quantize(stages, trained, "3", method)
}

/// Post-training quantization, calibrated on the training data.
pub(crate) fn quantize(stages: &Stages<'_>, trained: &Trained, bits: &str, method: &str) -> Result<Value> {
    let seed = trained.seed.to_string();
    let widths = ["--bits", bits, "--weights-bits", bits, "--method", method];
    let data = ["--calibrate", &trained.data, "--data-seed", &seed];
    stages.graph(
        trained,
        &format!("-{method}.cmlg"),
        &[&widths[..], &data].concat(),
    )
}

fn without_layers(mut graph: Value) -> Value {
    graph.as_object_mut().and_then(|fields| fields.remove("layers"));
    graph
}

fn aware(stages: &Stages<'_>, name: &str, float: Option<&str>, samples: u64, seeds: u64) -> Result<Value> {
    let mut result = json!({});
    let mut runs = Vec::new();
    for seed in 0..seeds {
        let trained = stages.train(name, name, seed, &[])?;
        let graph = stages.graph(&trained, ".cmlg", &[])?;
        if seed == 0 {
            result["layers"] = graph["layers"].clone();
            if samples > 0 {
                result["encrypted"] = encrypted(stages, &trained, &graph, samples)?;
            }
        }
        let twin = float
            .map(|config| stages.train(config, config, seed, &[]))
            .transpose()?;
        runs.push(json!({
            "seed": seed,
            "float": twin.map(|t| t.report["test_accuracy"].clone()),
            "fake_quantized": trained.report["test_accuracy"],
            "train_seconds": trained.report["seconds"],
            "graph": without_layers(graph),
        }));
    }
    result["runs"] = json!(runs);
    Ok(result)
}

/// Compiles, simulates with noise, and classifies encrypted samples. A result that differs is a
/// figure here, not an error.
pub(crate) fn encrypted(
    stages: &Stages<'_>,
    trained: &Trained,
    graph: &Value,
    samples: u64,
) -> Result<Value> {
    let (graph_file, circuit) = (trained.file(".cmlg"), trained.file(".cmlc"));
    stages.say("compile, and simulate with noise");
    let compiled = stages.run(&["compile", &graph_file, "-o", &circuit])?;
    let noisy = stages.on_data(&["simulate", &circuit], trained, &["--noise", NOISE_SEED])?;
    let predicted = predict(stages, trained, samples)?;
    let mut figures = json!({
        "seed": trained.seed,
        "exact_accuracy": graph["accuracy"],
        "noisy_accuracy": noisy["accuracy"],
        "noisy_differ": noisy["differ_from_exact"],
        "noisy_samples": noisy["samples"],
    });
    let copy = |from: &Value, fields: &[&str], to: &mut Value| {
        for field in fields {
            to[*field] = from[*field].clone();
        }
    };
    let compiled_fields = [
        "parameters_text",
        "lookups",
        "lookups_by_level",
        "largest_domain",
        "inference_fails_once_in",
        "server_key_bytes",
        "evaluation_key_bytes",
        "client_key_bytes",
    ];
    copy(&compiled, &compiled_fields, &mut figures);
    let predicted_fields = [
        "samples",
        "different",
        "accuracy",
        "keygen_seconds",
        "expand_seconds",
        "encrypt_seconds",
        "first_inference_seconds",
        "run_seconds",
    ];
    copy(&predicted, &predicted_fields, &mut figures);
    Ok(figures)
}

/// Encrypted classification, compared with the interpreter.
fn predict(stages: &Stages<'_>, trained: &Trained, samples: u64) -> Result<Value> {
    stages.say(&format!("{samples} encrypted samples"));
    let (graph, circuit) = (trained.file(".cmlg"), trained.file(".cmlc"));
    let (seed, count) = (trained.seed.to_string(), samples.to_string());
    let data = ["--data", &trained.data, "--data-seed", &seed, "--samples", &count];
    let args = [&["predict", circuit.as_str(), "--graph", &graph], &data[..]].concat();
    let (predicted, _) = stages.tool.json(&args)?;
    stages.say(&format!(
        "{} of {} decrypted results differ",
        predicted["different"], predicted["samples"]
    ));
    Ok(predicted)
}

/// A width that cannot be trained is a row that says so; if none can, something else is wrong.
fn widths(stages: &Stages<'_>, config: &str, bits: &[u32], seeds: u64) -> Result<Value> {
    let mut rows = Vec::new();
    for &bits in bits {
        let (mut runs, mut errors) = (Vec::new(), Vec::new());
        for seed in 0..seeds {
            let (name, limit) = (format!("{config}-{bits}"), bits.to_string());
            match stages.train(config, &name, seed, &["--lookup-bits", &limit]) {
                Ok(trained) => runs.push(at_width(stages, &trained)?),
                Err(error) => {
                    stages.say(&format!("seed {seed}: {bits} bits: {error:#}"));
                    errors.push(format!("{error:#}"));
                }
            }
        }
        rows.push(json!({"limit": bits, "runs": runs, "errors": errors}));
    }
    let trained = |row: &Value| row["runs"].as_array().is_some_and(|runs| !runs.is_empty());
    if !rows.iter().any(trained) {
        bail!("{config} cannot be trained at any of the widths {bits:?}");
    }
    Ok(json!({"rows": rows}))
}

fn at_width(stages: &Stages<'_>, trained: &Trained) -> Result<Value> {
    let graph = stages.graph(trained, ".cmlg", &[])?;
    Ok(json!({
        "seed": trained.seed,
        "graph": without_layers(graph),
    }))
}
