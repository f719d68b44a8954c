//! `cml simulate`: networks, graphs and circuits on clear data.

use crate::border::Border;
use crate::data::{DataArgs, Samples};
use crate::progress::bar;
use crate::score::{Prediction, predict};
use crate::show::{Report, table, timed};
use anyhow::{Context, bail};
use cml_bitwidth::{Observed, Overflow, Widths, analyze, observe};
use cml_file::{Artifact, peek_tag};
use cml_ir::{Graph, InputSpec, Tensor, interpret};
use cml_quant::Network;
use cml_tfhe::{Circuit, Noise, Simulator};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Run a network, a graph or a circuit on clear data.
///
/// A network is run by its forward pass: in floats, or fake-quantized if it has quantizers. A
/// graph is run by the interpreter, at any width: each layer's proved width stands beside the
/// observed one. A circuit is run as it would be encrypted, exactly or with sampled noise, whose
/// accuracy predicts the encrypted one. Input values that the quantizer clamps are counted.
/// Example: cml simulate net.cmlc --data checkerboard --noise 1
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Network from `cml train` or `cml import` (*.safetensors), graph from `cml quantize`, or circuit from
    /// `cml compile`.
    program: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// Of a circuit: add the noise that the model predicts, drawn from this seed.
    #[arg(long, value_name = "SEED")]
    noise: Option<u64>,
    /// Of a graph: count the values that would not fit a lookup of so many bits, that is, lie outside the 2^BITS values
    /// in the middle of their channel's proved range.
    #[arg(long, value_name = "BITS")]
    bits: Option<u32>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    let program = args.program.as_path();
    let refuse = |given: bool, option: &str, needs: &str, kind: &str| {
        if given {
            bail!("{option} needs a {needs}, {} is a {kind}", program.display());
        }
        Ok(())
    };
    if program.extension().is_some_and(|e| e == "safetensors") {
        refuse(args.noise.is_some(), "--noise", "circuit", "network")?;
        refuse(args.bits.is_some(), "--bits", "graph", "network")?;
        let network = cml_quant::read_network(program)?;
        let samples = args.data.load(&Border::of_network(&network))?;
        return run_network(&network, &samples);
    }
    if peek_tag(program)? == cml_ir::GRAPH.tag {
        refuse(args.noise.is_some(), "--noise", "circuit", "graph")?;
        let graph = Graph::read(program, ())?;
        let samples = args.data.load(&Border::of_graph(&graph))?;
        return run_graph(&graph, &samples, args.bits);
    }
    refuse(args.bits.is_some(), "--bits", "graph", "circuit")?;
    let circuit = Circuit::read(program, ())?;
    let samples = args.data.load(&Border::of_circuit(&circuit))?;
    run_circuit(&circuit, &samples, args.noise)
}

fn run_network(network: &Network, samples: &Samples) -> anyhow::Result<Report> {
    let progress = bar(samples.len() as u64, "simulating");
    let run = |(i, row): (usize, &Vec<f32>)| {
        progress.inc(1);
        let scores = network
            .forward(row)
            .with_context(|| format!("{}: sample {i}", samples.source))?;
        let class = cml_ir::argmax(&scores);
        Ok(Prediction {
            probabilities: network.probabilities().of(&scores),
            scores,
            class,
        })
    };
    let (predictions, time) = timed(|| samples.rows.iter().enumerate().map(run).collect());
    progress.finish_and_clear();
    let predictions: anyhow::Result<Vec<Prediction>> = predictions;
    Ok(report(
        samples,
        network.labels(),
        &predictions?,
        "network",
        time,
        json!({"what": "network"}),
    ))
}

fn run_graph(graph: &Graph, samples: &Samples, bits: Option<u32>) -> anyhow::Result<Report> {
    let inputs = graph_inputs(graph, samples)?;
    let progress = bar(inputs.len() as u64, "simulating");
    let run = |input: &Vec<Tensor>| {
        progress.inc(1);
        interpret(graph, input)
    };
    let (results, time) = timed(|| inputs.iter().map(run).collect::<Result<Vec<_>, _>>());
    progress.finish_and_clear();
    let Some((_, _, output)) = graph.outputs().next() else {
        bail!("graph {} has no output", graph.name())
    };
    let predictions: Vec<Prediction> = results?.iter().map(|r| predict(output, &r[0])).collect();

    let widths = analyze(graph);
    let observed = observe(graph, &inputs)?;
    let overflow = bits
        .map(|bits| widths.overflow(graph, &inputs, bits))
        .transpose()?;
    let layers = layers(&widths, &observed, overflow.as_ref());
    let mut result = report(
        samples,
        &output.labels,
        &predictions,
        "integer graph",
        time,
        json!({"what": "graph"}),
    );
    result.text += &format!("\n{}", layer_table(&layers, bits));
    result.json["layers"] = json!(layers);
    result.json["bits"] = json!(widths.widest().bits);
    if let Some(o) = overflow {
        result.text += &format!(
            "\n{} of {} values overflow {} bits, in {} of {} samples",
            o.overflowing, o.values, o.bits, o.samples_overflowing, o.samples
        );
        result.json["overflow_bits"] = json!(o.bits);
        result.json["overflowing"] = json!(o.overflowing);
        result.json["samples_overflowing"] = json!(o.samples_overflowing);
    }
    if let Some((_, node, spec)) = graph.inputs().next() {
        add_input(&mut result, samples, &node.ty.shape, spec);
    }
    Ok(result)
}

/// Widths of one layer, proved and on the samples, for programs.
#[derive(serde::Serialize)]
struct LayerLine<'a> {
    layer: &'a str,
    proved_bits: u32,
    proved_values: u64,
    observed_bits: u32,
    observed_values: u64,
    /// With `--bits`: values outside the middle of their channel's range.
    overflowing: Option<u64>,
}

fn layers<'a>(widths: &'a Widths, observed: &Observed, overflow: Option<&Overflow>) -> Vec<LayerLine<'a>> {
    let rows = widths.carried().iter().zip(observed.carried()).enumerate();
    rows.map(|(i, (proved, seen))| LayerLine {
        layer: &proved.layer,
        proved_bits: proved.bits,
        proved_values: proved.values,
        observed_bits: seen.bits,
        observed_values: seen.values,
        overflowing: overflow.map(|o| o.layers[i].overflowing),
    })
    .collect()
}

fn layer_table(layers: &[LayerLine<'_>], bits: Option<u32>) -> String {
    let beyond = bits.map(|bits| format!("beyond {bits} bits"));
    let mut header = vec!["layer", "proved bits", "values", "observed bits", "values"];
    header.extend(beyond.as_deref());
    let row = |l: &LayerLine<'_>| {
        let mut cells = vec![
            l.layer.to_owned(),
            l.proved_bits.to_string(),
            l.proved_values.to_string(),
            l.observed_bits.to_string(),
            l.observed_values.to_string(),
        ];
        cells.extend(l.overflowing.map(|n| n.to_string()));
        cells
    };
    table(&header, &layers.iter().map(row).collect::<Vec<_>>())
}

/// Adds the input's quantizer and how many values it clamps.
fn add_input(report: &mut Report, samples: &Samples, shape: &[usize], spec: &InputSpec) {
    samples.report_clipped(report, shape, spec);
    report.json["input"] = json!({
        "scale": spec.scale,
        "offset": spec.offset,
        "zero_point": spec.zero_point,
        "range": spec.range,
    });
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
    let predictions: Vec<Prediction> = results.iter().map(|(_, r)| predict(spec, &r[0])).collect();
    let differing = results.iter().filter(|(clear, noise)| clear != noise).count();
    let what = if seed.is_some() {
        "circuit with sampled noise"
    } else {
        "circuit, exact"
    };
    let mut report = report(
        samples,
        &spec.labels,
        &predictions,
        what,
        time,
        json!({"what": "circuit", "noise_seed": seed, "differ_from_exact": differing}),
    );
    if seed.is_some() {
        report.text += &format!("\n{differing} samples differ from the exact result");
    }
    if let Some(input) = circuit.inputs().first() {
        add_input(&mut report, samples, &input.shape, &input.spec);
    }
    Ok(report)
}

/// Of what came out, of a network whose classes may have names.
fn report(
    samples: &Samples,
    names: &[String],
    predictions: &[Prediction],
    what: &str,
    time: Duration,
    mut json: Value,
) -> Report {
    let outputs = predictions.first().map_or(0, |p| p.scores.len());
    let classes: Vec<usize> = predictions.iter().map(|p| p.class).collect();
    let score = samples.score(&classes, outputs);
    let shown = score.accuracy_text().unwrap_or_else(|| {
        let why = if outputs > 1 {
            "no labels"
        } else {
            "one output names no class"
        };
        why.to_owned()
    });
    let text = format!("{} samples, {what}: {shown}", classes.len());
    json["samples"] = json!(classes.len());
    json["correct"] = json!(score.correct);
    json["accuracy"] = json!(score.accuracy());
    json["foreign_labels"] = json!(score.foreign);
    json["seconds"] = json!(time.as_secs_f64());
    json["classes"] = json!(classes);
    json["scores"] = predictions.iter().map(|p| json!(p.scores)).collect();
    if outputs > 1 && !names.is_empty() {
        json["labels"] = classes.iter().map(|&class| json!(names.get(class))).collect();
    }
    samples.say(outputs > 1);
    let mut report = Report::new(text, json);
    samples.report_rows(&mut report, &score);
    report
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
