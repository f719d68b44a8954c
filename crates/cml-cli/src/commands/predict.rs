//! `cml predict`: keys, encryption, run and decryption in one go.

use crate::border::Border;
use crate::commands::decrypt::{results_json, results_table};
use crate::commands::simulate::circuit_inputs;
use crate::data::DataArgs;
use crate::exit::OrFailed;
use crate::progress::{bar, key_bars};
use crate::score::predict;
use crate::show::{Report, timed};
use anyhow::bail;
use cml_exec::Server;
use cml_file::Artifact;
use cml_ir::{Graph, Tensor};
use cml_keys::Client;
use cml_scheme::Bound;
use cml_tfhe::{Circuit, Noise, Simulator, client_spec};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Classify samples encrypted, all on this machine: draw keys, encrypt, run, decrypt.
///
/// Every result is compared with the clear one; a difference is exit code 1.
/// Example: cml predict net.cmlc --graph net.cmlg --data checkerboard --samples 3
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Circuit from `cml compile`.
    circuit: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// Compare with the interpreter on the graph that the circuit was made of, instead of the simulator. The
    /// graph also tells which rows were held out from the training.
    #[arg(long)]
    graph: Option<PathBuf>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    let circuit = Circuit::read(&args.circuit, ())?;
    let graph = args
        .graph
        .as_deref()
        .map(|path| graph_of(&circuit, path))
        .transpose()?;
    let border = Border {
        training: graph.as_ref().and_then(|graph| graph.training().copied()),
        ..Border::of_circuit(&circuit)
    };
    let samples = args.data.load_few(&border)?;
    let inputs = circuit_inputs(&circuit, &samples)?;
    let (oracle, expected) = expected(&circuit, graph.as_ref(), &inputs)?;
    samples.say(true);

    let client_spec = client_spec(&circuit)?;
    let (keys, keygen) = timed(|| Client::generate(client_spec, &mut key_bars("drawing")));
    let (client, server_key) = keys.or_failed()?;
    let (server, expanding) = timed(|| Server::new(&circuit, &server_key, &mut key_bars("expanding")));
    let server = server.or_failed()?;
    drop(server_key);
    let (encrypted, encrypting) = timed(|| client.encrypt(&inputs));
    let encrypted = encrypted.or_failed()?;

    let progress = bar((circuit.rotation_count() * inputs.len()) as u64, "bootstraps");
    let mut results = Vec::with_capacity(inputs.len());
    let mut seconds = Vec::with_capacity(inputs.len());
    let at_once = circuit.samples_at_once() as usize;
    let mut samples_left = encrypted.value.into_iter().peekable();
    while samples_left.peek().is_some() {
        let together = Bound {
            binding: encrypted.binding,
            value: samples_left.by_ref().take(at_once).collect::<Vec<_>>(),
        };
        let count = together.value.len();
        let (output, time) = timed(|| server.run(&together, &mut |n| progress.inc(n as u64)));
        // Each has its share of the time.
        seconds.extend(std::iter::repeat_n(time.as_secs_f64() / count as f64, count));
        results.extend(client.decrypt(&output.or_failed()?).or_failed()?);
    }
    progress.finish_and_clear();

    let different = results.iter().zip(&expected).filter(|(a, b)| a != b).count();
    let spec = &circuit.outputs()[0].spec;
    let classes: Vec<usize> = results.iter().map(|r| predict(spec, &r[0]).class).collect();
    let clear = expected.iter().map(|r| predict(spec, &r[0]).class);
    let other_classes = clear.zip(&classes).filter(|(a, b)| a != *b).count();
    let score = samples.score(&classes, spec.scores(&circuit.outputs()[0].shape));
    let total: f64 = seconds.iter().sum();
    let text = format!(
        "{}\n\n{}{different} differ from the {oracle}{}\n\
         keys {:.1} s, expanded {:.1} s, encryption {:.3} s, first inference {:.2} s, mean {:.2} s ({} bootstraps each{})",
        results_table(spec, &samples.numbers, &results),
        score.right_text(),
        if circuit.is_exact() {
            String::new()
        } else {
            format!(", {other_classes} in their class (the circuit is approximate)")
        },
        keygen.as_secs_f64(),
        expanding.as_secs_f64(),
        encrypting.as_secs_f64(),
        seconds[0],
        total / seconds.len() as f64,
        circuit.rotation_count(),
        match at_once {
            1 => String::new(),
            _ => format!(", {at_once} samples at once"),
        },
    );
    let json = json!({
        "samples": results.len(),
        "correct": score.correct,
        "accuracy": score.accuracy(),
        "compared_with": oracle,
        "different": different,
        "other_classes": other_classes,
        "bootstraps_a_sample": circuit.rotation_count(),
        "samples_at_once": at_once,
        "keygen_seconds": keygen.as_secs_f64(),
        "expand_seconds": expanding.as_secs_f64(),
        "encrypt_seconds": encrypting.as_secs_f64(),
        "first_inference_seconds": seconds[0],
        "run_seconds": total,
        "inference_seconds": seconds,
        "results": results_json(spec, &samples.numbers, &results),
    });
    let mut report = Report::new(text, json);
    samples.report_rows(&mut report, &score);
    let input = &circuit.inputs()[0];
    samples.warn_of_clipped(&mut report, &input.shape, &input.spec);
    // Approximate layers may be off by one level: that is what was asked for.
    if different > 0 && circuit.is_exact() {
        report.failed = Some(format!(
            "{different} of {} decrypted results differ from the {oracle}",
            results.len()
        ));
    }
    Ok(report)
}

/// The graph that a circuit was made of.
fn graph_of(circuit: &Circuit, path: &Path) -> anyhow::Result<Graph> {
    let graph = Graph::read(path, ())?;
    if cml_ir::graph_hash(&graph)? != *circuit.graph_hash() {
        bail!("{} is not the graph that the circuit was made of", path.display());
    }
    Ok(graph)
}

/// Clear results: of the interpreter if there is a graph, else of the exact
/// simulator.
fn expected(
    circuit: &Circuit,
    graph: Option<&Graph>,
    inputs: &[Vec<Tensor>],
) -> anyhow::Result<(&'static str, Vec<Vec<Tensor>>)> {
    let Some(graph) = graph else {
        let mut simulator = Simulator::new(circuit, Noise::Exact);
        let results = inputs
            .iter()
            .map(|i| simulator.run(i))
            .collect::<Result<_, _>>()?;
        return Ok(("simulator", results));
    };
    let results = inputs
        .iter()
        .map(|i| cml_ir::interpret(graph, i))
        .collect::<Result<_, _>>()?;
    Ok(("interpreter", results))
}
