//! `cml quantize`: network to integer graph.

use crate::exit::OrFailed;
use crate::output;
use crate::ptq::PtqArgs;
use crate::show::{Report, table};
use cml_file::Artifact;
use cml_ir::passes::run_verified;
use cml_ir::{Graph, Op, PASSES};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Turn a network into an integer graph, and run the passes that remove work.
///
/// A network from quantization-aware training holds everything needed. A float network is quantized
/// first, with samples.
/// Example: cml quantize net.safetensors -o net.cmlg
/// Example: cml quantize float.safetensors --bits 3 --calibrate checkerboard -o net.cmlg
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Network from `cml train` or `cml import`.
    network: PathBuf,
    /// Graph to write.
    #[arg(short, long, default_value = "net.cmlg")]
    output: PathBuf,
    /// Keep every node: run no pass.
    #[arg(long)]
    no_passes: bool,
    #[command(flatten)]
    ptq: PtqArgs,
}

fn lookups(graph: &Graph) -> usize {
    let luts = graph.nodes().filter(|(_, n)| matches!(n.op, Op::Lut(_)));
    luts.map(|(_, n)| n.ty.shape.iter().product::<usize>()).sum()
}

/// Values beyond which one lookup of an accumulator takes long, or is impossible: digits are taken off, or layers are
/// approximate.
const WIDE: u64 = 1024;

/// One line on what `cml compile` will find, for people and for programs: the widest accumulator that is looked up.
fn what_compile_finds(graph: &Graph, float: bool) -> (String, Value) {
    let widths = cml_bitwidth::analyze(graph);
    let looked_up = widths.carried().iter().filter(|l| l.lookups > 0);
    let Some(widest) = looked_up.max_by_key(|l| l.values) else {
        return (String::new(), Value::Null);
    };
    let (layer, values, bits) = (&widest.layer, widest.values, widest.bits);
    let wide = values > WIDE;
    let narrower = match float {
        true => "fewer --bits, --max-accumulator-values N",
        false => "training with fewer bits or a bound on accumulators",
    };
    let says = if wide {
        format!(
            "exact results take several lookups each. Faster: {narrower}, or cml compile --max-accuracy-loss"
        )
    } else {
        "one lookup each".to_owned()
    };
    let text = format!("compile    widest accumulator {layer}: {values} values ({bits} bits), {says}\n");
    (
        text,
        json!({"layer": layer, "values": values, "bits": bits, "wide": wide}),
    )
}

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    output::check(&args.output, &[&args.network])?;
    let network = cml_quant::read_network(&args.network)?;
    let (network, ptq) = args.ptq.apply(&args.network, network)?;
    let mut graph = cml_quant::to_graph(&network)?;
    let stage = |name: &str, graph: &Graph| {
        let needed = cml_bitwidth::analyze(graph).lookups();
        (name.to_owned(), graph.len(), lookups(graph), needed)
    };
    let mut stages = vec![stage(
        if ptq.is_some() { "quantizing" } else { "training" },
        &graph,
    )];
    for pass in PASSES.iter().filter(|_| !args.no_passes) {
        graph = run_verified(pass, &graph)?;
        stages.push(stage(pass.name, &graph));
    }
    graph.write(&args.output).or_failed()?;
    let (found, compile) = what_compile_finds(&graph, ptq.is_some());
    let rows: Vec<Vec<String>> = stages
        .iter()
        .map(|(name, nodes, luts, needed)| {
            vec![
                name.clone(),
                nodes.to_string(),
                luts.to_string(),
                needed.to_string(),
            ]
        })
        .collect();
    let text = format!(
        "{graph}\n{}\n{found}wrote {}",
        table(
            &["after", "nodes", "lookup elements", "of these not constant"],
            &rows
        ),
        args.output.display()
    );
    let passes: Vec<_> = stages
        .iter()
        .map(|(name, nodes, luts, needed)| json!({"after": name, "nodes": nodes, "lookup_elements": luts, "lookups": needed}))
        .collect();
    let mut json =
        json!({"graph": graph.name(), "output": args.output, "passes": passes, "compile": compile});
    if let (Some(fields), Some(Value::Object(more))) = (json.as_object_mut(), ptq) {
        fields.extend(more);
    }
    Ok(Report::new(text, json))
}
