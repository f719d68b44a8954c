//! `cml import`: ONNX file to network.

use crate::exit::OrFailed;
use crate::output;
use crate::show::Report;
use cml_onnx::OnnxError;
use cml_quant::{Layer, Network};
use serde_json::json;
use std::path::PathBuf;

/// Make a network of an ONNX file: QONNX or QCDQ from Brevitas, plain float ONNX from PyTorch, or trees and linear
/// models from scikit-learn, XGBoost and LightGBM.
///
/// A file that cannot be imported gets one report with every obstacle, and what to write instead. A
/// float network is quantized afterwards, with `cml quantize --bits BITS --calibrate DATA`.
/// Example: cml import net.onnx -o net.safetensors
/// Example: cml import net.onnx --check
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
}

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    if !args.check {
        output::check(&args.output, &[&args.onnx])?;
    }
    let result = match &args.name {
        Some(name) => cml_onnx::import_named(&args.onnx, name),
        None => cml_onnx::import(&args.onnx),
    };
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
    let json = json!({
        "network": network.name(),
        "kind": kind,
        "inputs": inputs,
        "outputs": outputs,
        "layers": layers,
        "weights": weights(&network),
        "obstacles": [],
        "notes": imported.notes,
        "output": if args.check { None } else { Some(&args.output) },
    });
    if args.check {
        text.push_str("\nno obstacles");
    } else {
        cml_quant::write_network(&args.output, &network).or_failed()?;
        text.push_str(&format!("\nwrote {}", args.output.display()));
    }
    Ok(Report::new(text, json))
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
            report.to_string(),
            json!({"network": null, "obstacles": report.obstacles, "notes": report.notes}),
        )
    }
}
