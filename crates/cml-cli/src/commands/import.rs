//! `cml import`: ONNX file to network.

use crate::exit::OrFailed;
use crate::found::{Found, origin_text};
use crate::input_data::InputArgs;
use crate::kinds;
use crate::output;
use crate::show::Report;
use anyhow::bail;
use cml_file::{describe, peek_tag};
use cml_onnx::OnnxError;
use cml_quant::{Layer, Network};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Make a network of an ONNX file: QONNX or QCDQ from Brevitas, plain float ONNX from PyTorch, or trees and linear
/// models from scikit-learn, XGBoost and LightGBM.
///
/// A file that cannot be imported gets one report with every obstacle, and what to write instead. A
/// float network is quantized afterwards, with `cml quantize --bits BITS --calibrate DATA`. With --check
/// the report says what the file is, how wide its accumulators get and what they will probably cost.
/// Several inputs are joined to one, in the order of the file, each row by row.
/// Example: cml import net.onnx -o net.safetensors
/// Example: cml import net.onnx --check
/// Example: cml import pixels.onnx --input-range 0..255 --input-integers
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// ONNX file.
    onnx: PathBuf,
    /// Network to write.
    #[arg(short, long, default_value = "net.safetensors")]
    output: PathBuf,
    /// Only report: write nothing.
    #[arg(long)]
    check: bool,
    /// Name of the network; the file's if it is left out.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    input: InputArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    if !args.check {
        output::check(&args.output, &[&args.onnx])?;
    }
    is_onnx(&args.onnx)?;
    let result = args.input.import(&args.onnx, args.name.clone())?;
    let imported = match result {
        Ok(imported) => imported,
        Err(OnnxError::Obstacles(report)) => return Ok(obstacles(&args, &report)),
        Err(error) => return Err(anyhow::Error::from(error).context(args.onnx.display().to_string())),
    };
    let network = imported.network;
    let kind = if network.is_float() { "float" } else { "quantized" };
    let (inputs, layers) = (network.input_len(), network.layers().len());
    let output = network.layer(network.output()?);
    let outputs: usize = output.shape.iter().product();
    let mut text = format!(
        "{} is {kind}: {inputs} inputs, {outputs} outputs, {layers} layers, {} weights",
        network.name(),
        weights(&network)
    );
    for note in &imported.notes {
        text.push_str(&format!("\nnote: {note}"));
    }
    let mut json = json!({
        "network": network.name(),
        "kind": kind,
        "inputs": inputs,
        "outputs": outputs,
        "layers": layers,
        "weights": weights(&network),
        "obstacles": [],
        "notes": imported.notes,
        "origin": imported.origin,
        "output": if args.check { None } else { Some(&args.output) },
    });
    // What could not be written is found by a check, too.
    cml_quant::network_to_bytes(&network)?;
    if args.check {
        let found = Found::of(&imported.origin, &network)?;
        text.push_str(&format!(
            "\n{}\nno obstacles",
            found.text(&args.onnx.display().to_string())
        ));
        json["found"] = json!(found);
    } else {
        cml_quant::write_network(&args.output, &network).or_failed()?;
        text.push_str(&format!("\nwrote {}", args.output.display()));
    }
    Ok(Report::new(text, json))
}

/// Refuses a file that is known to be of another kind, with what is to be done with it.
fn is_onnx(path: &Path) -> anyhow::Result<()> {
    if let Ok(tag) = peek_tag(path) {
        let command = if tag == cml_ir::GRAPH.tag {
            "; `cml compile` makes a circuit of a graph"
        } else {
            "; `cml inspect` says what is in it"
        };
        bail!(
            "{} is {} of cml, needs an ONNX file{command}",
            path.display(),
            describe(tag)
        );
    }
    match kinds::recognize(path) {
        Some(found) if !found.is_onnx => bail!(
            "{} is {}, needs an ONNX file: {}",
            path.display(),
            found.what,
            found.advice
        ),
        _ => Ok(()),
    }
}

fn weights(network: &Network) -> usize {
    let count = |layer: &Layer| match layer {
        Layer::Linear(l) => l.weights().len(),
        Layer::Conv2d(c) => c.weights().len(),
        _ => 0,
    };
    network.layers().iter().map(|node| count(&node.layer)).sum()
}

/// The report of a file that cannot be imported.
fn obstacles(args: &Args, report: &cml_onnx::ImportReport) -> Report {
    Report {
        refused: Some(format!("{} cannot be imported", args.onnx.display())),
        ..Report::new(
            format!("{report}\nfile: {}", origin_text(&report.origin)),
            json!({"network": null, "origin": report.origin, "obstacles": report.obstacles, "notes": report.notes}),
        )
    }
}
