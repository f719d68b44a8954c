//! `cml plan`: what a circuit will cost, before any key exists.

use crate::show::{Report, bytes, table};
use cml_exec::plan;
use cml_file::Artifact;
use cml_scheme::KEY_SHARE_LOG2;
use cml_scheme::one_in;
use cml_tfhe::{Circuit, LayerPlan};
use serde_json::json;
use std::path::PathBuf;

/// Tell the cost of a circuit on this machine: time, memory, sizes, odds. Makes no keys.
///
/// The kernels of the circuit's parameters are timed for some seconds, on all threads.
/// Example: cml plan net.cmlc
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Circuit from `cml compile`.
    circuit: PathBuf,
}

/// Resident bytes of libtorch, which a command line that can train is linked with, used or not.
const LIBTORCH_BYTES: u64 = 116_000_000;

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    let circuit = Circuit::read(&args.circuit, ())?;
    let mut plan = plan(&circuit);
    if cfg!(feature = "train") {
        plan.peak_bytes += LIBTORCH_BYTES;
    }
    let row = |l: &LayerPlan| {
        vec![
            format!("{} {}", l.level, l.name),
            l.lookups.to_string(),
            l.rotations.to_string(),
            l.half_period.to_string(),
            format!(
                "{} x {}",
                l.extension,
                circuit.parameters().ring().polynomial_size
            ),
            if l.digits > 0 {
                "digits".to_owned()
            } else if l.slack == 0 {
                "exact".to_owned()
            } else {
                format!("slack {}", l.slack)
            },
            format!("{:.3} s", l.seconds),
            format!("2^{:.0}", l.log2_p_fail),
            format!("{:.3} s", l.one_bit_less_saves),
        ]
    };
    let header = [
        "layer",
        "lookups",
        "rotations",
        "half period",
        "table",
        "results",
        "time",
        "fails",
        "a bit less saves",
    ];
    let rows: Vec<Vec<String>> = plan.layers.iter().map(row).collect();
    let text = format!(
        "{}\n\n\
         time       {:.3} s an inference{} on {} threads; {:.3} s if no thread ever waited; {:.0}% of it keyswitches\n\
         keys       server {} to upload, {} in memory\n\
         ciphertexts {} up, {} down a sample\n\
         memory     {} at most on the server, one sample\n\
         odds       less than 1 in {} inferences fails, with all but 2^{KEY_SHARE_LOG2} of keys",
        table(&header, &rows),
        plan.seconds,
        together(plan.samples_at_once),
        plan.threads,
        plan.limit_seconds,
        100.0 * plan.keyswitch_share,
        bytes(plan.server_key_bytes),
        bytes(plan.evaluation_key_bytes),
        bytes(plan.input_bytes),
        bytes(plan.output_bytes),
        bytes(plan.peak_bytes),
        one_in(plan.inference_log2_p_fail),
    );
    Ok(Report::new(text, json!(plan)))
}

/// What a time of one inference is a share of.
fn together(samples: u32) -> String {
    match samples {
        1 => String::new(),
        samples => format!(", of {samples} at once,"),
    }
}
