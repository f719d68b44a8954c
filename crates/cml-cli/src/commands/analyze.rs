//! `cml analyze`: how wide every accumulator can get.

use crate::border::Border;
use crate::commands::simulate::graph_inputs;
use crate::data::Choice;
use crate::show::Report;
use cml_bitwidth::{Report as Widths, analyze, observe};
use cml_file::Artifact;
use cml_ir::Graph;
use std::path::PathBuf;

/// Prove how wide every accumulator can get; with data, also say how wide they got.
///
/// Example: cml analyze net.cmlg --data checkerboard --max-bits 8
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Graph from `cml quantize`.
    graph: PathBuf,
    /// Also observe the widths on a data set (labelled as such: not a proof).
    #[arg(long, value_name = "NAME|FILE")]
    data: Option<String>,
    #[command(flatten)]
    choice: Choice,
    /// Fail with exit code 1 if a proved width is larger.
    #[arg(long, value_name = "BITS")]
    max_bits: Option<u32>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    let graph = Graph::read(&args.graph, ())?;
    let widths = analyze(&graph);
    let observed = match args.data {
        None => None,
        Some(data) => {
            let samples = args.choice.load(&data, &Border::of_graph(&graph), None)?;
            let inputs = graph_inputs(&graph, &samples)?;
            samples.say(false);
            Some(observe(&graph, inputs)?)
        }
    };
    let report = Widths::new(&widths, observed.as_ref())?;
    let mut result = Report::new(report.to_string(), serde_json::to_value(&report)?);
    if let Some(bits) = args.max_bits {
        result.failed = widths.require_at_most(bits).err().map(|e| e.to_string());
    }
    Ok(result)
}
