//! `cml compile`: graph to circuit.

use crate::exit::OrFailed;
use crate::show::{Report, bytes, file_size, timed};
use cml_tfhe::{Options, Parameters, artifact, lower, one_in};
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
}

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    let graph = cml_ir::read_graph(&args.graph)?;
    let budget_log2 = if args.strict { -128.0 } else { args.p_error };
    let widths = cml_bitwidth::analyze(&graph);
    let options = Options {
        budget_log2,
        ..Options::default()
    };
    let (circuit, time) = timed(|| lower(&graph, &widths, &options));
    let circuit = circuit?;
    artifact::write_circuit(&args.output, &circuit).or_failed()?;
    let p = circuit.parameters();
    let cost = options.cost.lookup(p);
    let input_bytes = Parameters::seeded_ciphertext_bytes(circuit.input_count() as u64);
    let output_bytes = p.ciphertext_bytes() * circuit.output_count() as u64;
    let text = format!(
        "{circuit}keys       server {} to upload, {} in memory; client {}\nciphertexts {} up, {} down a sample\n\
         predicted  {:.0} ms a lookup on one thread, {} lookups\nwrote {} ({})",
        bytes(p.server_key_bytes()),
        bytes(p.evaluation_key_bytes()),
        bytes(p.client_key_bytes()),
        bytes(input_bytes),
        bytes(output_bytes),
        cost.total_ns() / 1e6,
        circuit.lookup_count(),
        args.output.display(),
        bytes(file_size(&args.output)),
    );
    let levels: Vec<usize> = circuit.levels().iter().map(|l| l.lookups.len()).collect();
    let json = json!({
        "circuit": circuit.name(),
        "output": args.output,
        "parameters": p,
        "parameters_text": p.to_string(),
        "lookups": circuit.lookup_count(),
        "lookups_by_level": levels,
        "largest_domain": circuit.lookups().map(|l| circuit.encodings()[l.row.encoding as usize].values).max(),
        "budget_log2": circuit.budget_log2(),
        "worst_log2_p_fail": circuit.worst_log2_p_fail(),
        "inference_fails_once_in": one_in(circuit.inference_log2_p_fail()),
        "server_key_bytes": p.server_key_bytes(),
        "evaluation_key_bytes": p.evaluation_key_bytes(),
        "client_key_bytes": p.client_key_bytes(),
        "input_bytes": input_bytes,
        "output_bytes": output_bytes,
        "predicted_ms_a_lookup": cost.total_ns() / 1e6,
        "seconds": time.as_secs_f64(),
    });
    Ok(Report::new(text, json))
}
