//! `cml simulate`: circuits and graphs on clear data.

use crate::data::{DataArgs, Samples};
use crate::progress::bar;
use crate::score::predict;
use crate::show::{Report, percent, timed};
use anyhow::{Context, bail};
use cml_ir::container::peek_tag;
use cml_ir::{Graph, Tensor, interpret};
use cml_tfhe::{Circuit, Noise, Simulator, artifact};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Run a circuit or a graph on clear data.
///
/// A graph is run by the interpreter, at any width. A circuit is run as it would be encrypted,
/// exactly or with sampled noise, whose accuracy predicts the encrypted one.
/// Example: cml simulate net.cmlc --data checkerboard --noise 1
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Circuit from `cml compile`, or graph from `cml quantize`.
    program: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// Of a circuit: add the noise that the model predicts, drawn from this seed.
    #[arg(long, value_name = "SEED")]
    noise: Option<u64>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    let samples = args.data.load(None)?;
    if peek_tag(&args.program)? == cml_ir::GRAPH.tag {
        if args.noise.is_some() {
            bail!("--noise needs a circuit, {} is a graph", args.program.display());
        }
        return run_graph(&cml_ir::read_graph(&args.program)?, &samples);
    }
    run_circuit(&artifact::read_circuit(&args.program)?, &samples, args.noise)
}

fn run_graph(graph: &Graph, samples: &Samples) -> anyhow::Result<Report> {
    let inputs = graph_inputs(graph, samples)?;
    let (results, time) = timed(|| {
        inputs
            .iter()
            .map(|i| interpret(graph, i))
            .collect::<Result<Vec<_>, _>>()
    });
    let Some((_, _, spec)) = graph.outputs().next() else {
        bail!("graph {} has no output", graph.name())
    };
    let classes: Vec<usize> = results?.iter().map(|r| predict(spec, &r[0]).class).collect();
    Ok(report(samples, classes, "integer graph", time, json!({})))
}

fn run_circuit(circuit: &Circuit, samples: &Samples, seed: Option<u64>) -> anyhow::Result<Report> {
    let inputs = circuit_inputs(circuit, samples)?;
    let progress = bar(inputs.len() as u64, "simulating");
    let mut exact = Simulator::new(circuit, Noise::Exact);
    let mut noisy = seed.map(|seed| Simulator::new(circuit, Noise::Sampled(seed)));
    let (results, time) = timed(|| {
        let run = |input: &Vec<Tensor>| {
            progress.inc(1);
            let clear = exact.run(input)?;
            let noise = noisy
                .as_mut()
                .map_or_else(|| Ok(clear.clone()), |s| s.run(input))?;
            Ok((clear, noise))
        };
        inputs.iter().map(run).collect::<anyhow::Result<Vec<_>>>()
    });
    progress.finish_and_clear();
    let results = results?;
    let spec = &circuit.outputs()[0].spec;
    let classes: Vec<usize> = results.iter().map(|(_, r)| predict(spec, &r[0]).class).collect();
    let differing = results.iter().filter(|(clear, noise)| clear != noise).count();
    let what = if seed.is_some() {
        "circuit with sampled noise"
    } else {
        "circuit, exact"
    };
    let mut report = report(
        samples,
        classes,
        what,
        time,
        json!({"noise_seed": seed, "differ_from_exact": differing}),
    );
    if seed.is_some() {
        report.text += &format!("\n{differing} samples differ from the exact result");
    }
    Ok(report)
}

fn report(samples: &Samples, classes: Vec<usize>, what: &str, time: Duration, mut json: Value) -> Report {
    let correct = samples.correct(&classes);
    let shown = correct.map_or("no labels".to_owned(), |c| {
        format!("accuracy {}", percent(c, classes.len()))
    });
    let text = format!("{} samples, {what}: {shown}", classes.len());
    json["samples"] = json!(classes.len());
    json["correct"] = json!(correct);
    json["accuracy"] = json!(correct.map(|c| c as f64 / classes.len() as f64));
    json["seconds"] = json!(time.as_secs_f64());
    json["classes"] = json!(classes);
    Report::new(text, json)
}

/// Samples as the input tensors of a graph with a single input.
pub(crate) fn graph_inputs(graph: &Graph, samples: &Samples) -> anyhow::Result<Vec<Vec<Tensor>>> {
    let mut inputs = graph.inputs();
    let (Some((_, node, spec)), None) = (inputs.next(), inputs.next()) else {
        bail!("graph {} has several inputs: a data set serves one", graph.name());
    };
    samples.quantize(&node.name, &node.ty.shape, spec)
}

/// Samples as the input tensors of a circuit with a single input.
pub(crate) fn circuit_inputs(circuit: &Circuit, samples: &Samples) -> anyhow::Result<Vec<Vec<Tensor>>> {
    let [input] = circuit.inputs() else {
        bail!(
            "circuit {} has {} inputs: a data set serves one",
            circuit.name(),
            circuit.inputs().len()
        );
    };
    samples
        .quantize(&input.name, &input.shape, &input.spec)
        .context(circuit.name().to_owned())
}
