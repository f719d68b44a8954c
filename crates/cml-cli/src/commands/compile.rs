//! `cml compile`: graph to circuit.

use crate::border::Border;
use crate::data::{Samples, calibration};
use crate::exit::OrFailed;
use crate::host::cost_model;
use crate::output;
use crate::score::predict;
use crate::show::{Report, bytes, file_size, note, timed};
use anyhow::bail;
use cml_bitwidth::Widths;
use cml_file::Artifact;
use cml_ir::{Graph, Tensor, interpret};
use cml_scheme::{Interface, one_in};
use cml_tfhe::cost::CostModel;
use cml_tfhe::optimizer::{Capabilities, Goal, Objective};
use cml_tfhe::{
    Circuit, Noise, Options, PassReport, Simulator, Way, lower_loosest, lower_reported, lower_tuned,
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Lower a graph to table lookups: encodings, tables, parameters at 132-bit security.
///
/// Example: cml compile net.cmlg -o net.cmlc --p-error -40
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Graph from `cml quantize`.
    graph: PathBuf,
    /// Circuit to write.
    #[arg(short, long, default_value = "net.cmlc")]
    output: PathBuf,
    /// Failure budget of each lookup, as log2 of its probability.
    #[arg(long, value_name = "LOG2", default_value_t = -40.0, allow_negative_numbers = true)]
    p_error: f64,
    /// Failure budget 2^-128, no approximate layers: needed if others see decrypted results (IND-CPA-D). No amortized
    /// rotations either, whose keys rest on a further assumption. That is enough when the server is honest. A dishonest server that learns anything about what its answers decrypt to recovers the
    /// key, at every failure budget.
    #[arg(long, conflicts_with = "p_error")]
    strict: bool,
    /// What parameters are chosen for.
    #[arg(long, value_enum, default_value_t = ObjectiveArg::Time)]
    objective: ObjectiveArg,
    /// Largest key to upload, in megabytes (10^6 bytes).
    #[arg(long, value_name = "MB")]
    max_key_mb: Option<u64>,
    /// Choose by the times of this machine, which are measured once and kept, instead of by built-in ones. The
    /// circuit then depends on the machine that compiles it.
    #[arg(long)]
    host: bool,
    /// Keep layers that single lookups on combinations of few inputs could stand for.
    #[arg(long)]
    no_fuse: bool,
    /// Samples of one client that will run together. Wide levels are looked up in packs of thousands, of all samples: the
    /// more there are, the less each one takes.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65536))]
    samples_at_once: u32,
    /// Look up each value by a rotation of its own. Packs are faster for wide levels, but their keys rest on a further
    /// assumption: RLWE with sparse binary secrets.
    #[arg(long)]
    no_amortized: bool,
    /// Let layers be off by one level of their table, as long as the accuracy on --calibrate is at most
    /// so much lower, in points: 0.3%. By default every result is exact. Not with --strict: whoever
    /// sees a decrypted result learns something about its noise, so results must never be shared.
    #[arg(
        long,
        value_name = "POINTS",
        requires = "calibrate",
        conflicts_with = "strict"
    )]
    max_accuracy_loss: Option<Points>,
    /// Samples to measure accuracy with: a built-in data set, or a CSV, NPY or NPZ file. Of one with a test
    /// split, the other rows are used; without labels, the classes of the exact circuit count as right.
    #[arg(long, value_name = "NAME|FILE", requires = "max_accuracy_loss")]
    calibrate: Option<String>,
    /// Seed of generated data sets.
    #[arg(long, value_name = "S", default_value_t = 0, requires = "calibrate")]
    data_seed: u64,
    /// Column of the classes in the samples [default: the one named label, class or target, in any case].
    #[arg(long, value_name = "COLUMN", requires = "calibrate")]
    label: Option<String>,
}

/// [`Objective`] on the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ObjectiveArg {
    /// The least time.
    Time,
    /// The smallest keys.
    KeySize,
}

impl From<ObjectiveArg> for Objective {
    fn from(arg: ObjectiveArg) -> Self {
        match arg {
            ObjectiveArg::Time => Self::Time,
            ObjectiveArg::KeySize => Self::KeySize,
        }
    }
}

/// Percentage points, with or without the sign.
#[derive(Clone, Copy, Debug)]
struct Points(f64);

impl std::str::FromStr for Points {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim_end_matches('%').parse() {
            Ok(points) if (0.0..=100.0).contains(&points) => Ok(Self(points)),
            _ => Err(format!("{text:?} is no number of points from 0 to 100")),
        }
    }
}

/// Simulated samples that stand behind an accuracy, as far as the data goes, and the most of one data set.
const SIMULATED: (usize, usize) = (10_000, 5000);

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    output::check(&args.output, &[&args.graph])?;
    let graph = Graph::read(&args.graph, ())?;
    let budget_log2 = if args.strict { -128.0 } else { args.p_error };
    let widths = cml_bitwidth::analyze(&graph);
    let options = Options {
        goal: Goal {
            budget_log2,
            objective: args.objective.into(),
            max_key_bytes: args
                .max_key_mb
                .map_or(u64::MAX, |mb| mb.saturating_mul(1_000_000)),
            cost: if args.host {
                cost_model()?
            } else {
                CostModel::default()
            },
            samples_at_once: args.samples_at_once,
            capabilities: Capabilities {
                amortized: !args.strict && !args.no_amortized,
                ..Capabilities::default()
            },
            ..Goal::default()
        },
        fuse: !args.no_fuse,
        ..Options::default()
    };
    let (lowered, time) = timed(|| match (args.max_accuracy_loss, &args.calibrate) {
        (Some(most), Some(data)) => {
            let border = Border::of_graph(&graph);
            let samples = calibration(data, args.data_seed, args.label.as_deref(), &border)?;
            tune(&graph, &widths, &options, most, &samples)
        }
        _ => Ok((lower_reported(&graph, &widths, &options)?, None)),
    });
    let ((circuit, passes), lost) = lowered?;
    circuit.write(&args.output).or_failed()?;
    if args.max_accuracy_loss.is_none() && !args.strict {
        say_if_far_from_approximate(&graph, &widths, &options, &circuit);
    }
    let p = circuit.parameters();
    let predicted = circuit.predicted_ns(&options.goal.cost) / 1e9;
    let (input_bytes, output_bytes) = (circuit.input_bytes(), circuit.output_bytes());
    let text = format!(
        "{}{circuit}{}{}keys       server {} to upload, {} in memory; client {}\nciphertexts {} up, {} down a sample\n\
         predicted  {:.2} s on one thread, {} lookups of {} blind rotations\nwrote {} ({})",
        pass_lines(&passes),
        way_lines(&circuit),
        lost.map_or(String::new(), |points| format!(
            "accuracy   {points:.2} points lower than exact, simulated on the calibration data\n"
        )),
        bytes(p.server_key_bytes()),
        bytes(p.evaluation_key_bytes()),
        bytes(p.client_key_bytes()),
        bytes(input_bytes),
        bytes(output_bytes),
        predicted,
        circuit.lookup_count(),
        circuit.rotation_count(),
        args.output.display(),
        bytes(file_size(&args.output)),
    );
    let levels: Vec<usize> = circuit
        .levels()
        .iter()
        .map(|l| l.rotations.iter().map(|r| r.lookups.len()).sum())
        .collect();
    if p.amortized().is_some() {
        note(
            "wide levels are looked up in packs; their keys rest on RLWE with sparse secrets, too: --no-amortized does without",
        );
    }
    let ways = circuit.ways();
    let json = json!({
        "circuit": circuit.name(),
        "output": args.output,
        "parameters": p.iter().collect::<Vec<_>>(),
        "parameters_text": p.to_string(),
        "lookups": circuit.lookup_count(),
        "lookups_by_level": levels,
        "rotations": circuit.rotation_count(),
        "rotations_by_level": circuit.levels().iter().map(|l| l.rotations.len()).collect::<Vec<_>>(),
        "largest_domain": circuit.tables().iter().map(Vec::len).max(),
        "largest_half_period": circuit.encodings().iter().map(|e| e.half_period).max(),
        "budget_log2": circuit.budget_log2(),
        "worst_log2_p_fail": circuit.worst_log2_p_fail(),
        "inference_fails_once_in": one_in(circuit.inference_log2_p_fail()),
        "server_key_bytes": p.server_key_bytes(),
        "evaluation_key_bytes": p.evaluation_key_bytes(),
        "client_key_bytes": p.client_key_bytes(),
        "input_bytes": input_bytes,
        "output_bytes": output_bytes,
        "predicted_thread_seconds": predicted,
        "passes": passes.iter().map(|p| json!({"name": p.name, "counts": counts(p)})).collect::<Vec<_>>(),
        "exact": circuit.is_exact(),
        "layers": ways.iter().map(|(layer, way)| json!({"layer": layer, "way": way})).collect::<Vec<_>>(),
        "accuracy_loss_points": lost,
        "seconds": time.as_secs_f64(),
    });
    Ok(Report::new(text, json))
}

/// How much slower an exact circuit is, before the option for an approximate one is named.
const FAR: f64 = 10.0;

/// Names the option for approximate layers where digits make a circuit much slower.
fn say_if_far_from_approximate(graph: &Graph, widths: &Widths, options: &Options, exact: &Circuit) {
    let digits = exact
        .ways()
        .iter()
        .any(|(_, way)| matches!(way, Way::Digits { .. }));
    let Some(loose) = digits.then(|| lower_loosest(graph, widths, options)).flatten() else {
        return;
    };
    let seconds = |circuit: &Circuit| circuit.predicted_ns(&options.goal.cost) / 1e9;
    let (exact, loose) = (seconds(exact), seconds(&loose));
    if exact > FAR * loose {
        note(format!(
            "exact results take {exact:.2} s on one thread, approximate ones about {loose:.2} s or more, as much as the accuracy \
             needs: --max-accuracy-loss POINTS --calibrate DATA"
        ));
    }
}

/// One line for each layer, if one is looked up in another way than each value by one exact lookup.
fn way_lines(circuit: &Circuit) -> String {
    let ways = circuit.ways();
    if ways.iter().all(|(_, way)| *way == Way::Exact) {
        return String::new();
    }
    ways.iter()
        .map(|(layer, way)| format!("layer      {layer}: {way}\n"))
        .collect()
}

type Lowered = ((Circuit, Vec<PassReport>), Option<f64>);

/// Lowers with the approximate layers that lose at most so much accuracy on the samples.
fn tune(
    graph: &Graph,
    widths: &Widths,
    options: &Options,
    Points(most): Points,
    samples: &Samples,
) -> anyhow::Result<Lowered> {
    let Some((_, input, spec)) = graph.inputs().next() else {
        bail!("graph {} has no input", graph.name());
    };
    let Some((_, node, output)) = graph.outputs().next() else {
        bail!("graph {} has no output", graph.name());
    };
    if node.ty.shape.iter().product::<usize>() < 2 {
        bail!(
            "graph {} has one output, which names no class: there is no accuracy to lose",
            graph.name()
        );
    }
    let mut inputs = samples.quantize(&input.name, &input.ty.shape, spec)?;
    samples.say(false);
    inputs.truncate(SIMULATED.1);
    let exact: Vec<usize> = inputs
        .iter()
        .map(|i| Ok(predict(output, &interpret(graph, i)?[0]).class))
        .collect::<anyhow::Result<_>>()?;
    let truth: Vec<usize> = samples.labels.clone().unwrap_or_else(|| exact.clone());
    let right = |classes: &[usize]| classes.iter().zip(&truth).filter(|(a, b)| a == b).count();
    let exact = right(&exact) as f64 / inputs.len() as f64;
    let seeds = SIMULATED.0.div_ceil(inputs.len()) as u64;
    let mut loss = |circuit: &Circuit| -> anyhow::Result<f64> {
        let one = |seed| -> anyhow::Result<usize> {
            let mut simulator = Simulator::new(circuit, Noise::Sampled(seed));
            let class = |i: &Vec<Tensor>| Ok(predict(output, &simulator.run(i)?[0]).class);
            let classes: Vec<usize> = inputs.iter().map(class).collect::<anyhow::Result<_>>()?;
            Ok(right(&classes))
        };
        let each: Vec<usize> = (0..seeds).map(one).collect::<anyhow::Result<_>>()?;
        let simulated = each.iter().sum::<usize>() as f64 / (inputs.len() as u64 * seeds) as f64;
        Ok(100.0 * (exact - simulated))
    };
    let tuned = lower_tuned(graph, widths, options, most, &mut loss)?;
    Ok(((tuned.circuit, tuned.passes), Some(tuned.loss)))
}

fn counts(pass: &PassReport) -> Value {
    pass.counts
        .iter()
        .map(|&(name, n)| (name.to_owned(), json!(n)))
        .collect()
}

/// One line for each pass that did something.
fn pass_lines(passes: &[PassReport]) -> String {
    let line = |pass: &PassReport| {
        let done: Vec<String> = pass
            .counts
            .iter()
            .filter(|(_, n)| *n > 0)
            .map(|(what, n)| format!("{n} {what}"))
            .collect();
        (!done.is_empty()).then(|| format!("pass       {}: {}\n", pass.name, done.join(", ")))
    };
    passes.iter().filter_map(line).collect()
}
