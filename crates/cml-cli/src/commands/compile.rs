//! `cml compile`: graph to circuit.

use crate::exit::OrFailed;
use crate::show::{Report, bytes, file_size, timed};
use cml_tfhe::circuit::Rotation;
use cml_tfhe::optimizer::{Goal, Objective};
use cml_tfhe::{Options, Parameters, artifact, lower_reported, one_in};
use serde_json::json;
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
    /// Failure budget 2^-128: needed if decrypted results are shared with others (IND-CPA-D).
    #[arg(long, conflicts_with = "p_error")]
    strict: bool,
    /// What parameters are chosen for.
    #[arg(long, value_enum, default_value_t = ObjectiveArg::Time)]
    objective: ObjectiveArg,
    /// Largest key to upload, in megabytes (10^6 bytes).
    #[arg(long, value_name = "MB")]
    max_key_mb: Option<u64>,
    /// Keep layers that single lookups on combinations of few inputs could stand for.
    #[arg(long)]
    no_fuse: bool,
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

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    let graph = cml_ir::read_graph(&args.graph)?;
    let budget_log2 = if args.strict { -128.0 } else { args.p_error };
    let widths = cml_bitwidth::analyze(&graph);
    let options = Options {
        goal: Goal {
            budget_log2,
            objective: args.objective.into(),
            max_key_bytes: args
                .max_key_mb
                .map_or(u64::MAX, |mb| mb.saturating_mul(1_000_000)),
            ..Goal::default()
        },
        fuse: !args.no_fuse,
        ..Options::default()
    };
    let (lowered, time) = timed(|| lower_reported(&graph, &widths, &options));
    let (circuit, passes) = lowered?;
    artifact::write_circuit(&args.output, &circuit).or_failed()?;
    let p = circuit.parameters();
    let cost = |r: &Rotation| options.goal.cost.lookup(p, r.extension).total_ns();
    let predicted = circuit.rotations().map(cost).sum::<f64>() / 1e9;
    let input_bytes = Parameters::seeded_ciphertext_bytes(circuit.input_count() as u64);
    let output_bytes = p.ciphertext_bytes() * circuit.output_count() as u64;
    let text = format!(
        "{circuit}keys       server {} to upload, {} in memory; client {}\nciphertexts {} up, {} down a sample\n\
         predicted  {:.2} s on one thread, {} lookups of {} blind rotations\nwrote {} ({})",
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
    let json = json!({
        "circuit": circuit.name(),
        "output": args.output,
        "parameters": p,
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
        "seconds": time.as_secs_f64(),
    });
    Ok(Report::new(text, json))
}
