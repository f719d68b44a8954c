//! `cml inspect`: what a file holds.

use crate::border::Border;
use crate::show::{Report, bytes, file_size};
use anyhow::bail;
use cml_file::{Artifact, describe, peek_tag, read_file, to_hex};
use cml_ir::Graph;
use cml_keys::artifact::{CLIENT_KEY, LOCKED_CLIENT_KEY};
use cml_quant::{Concat, Gather, Layer, Network, Pad, Slice, Transpose, WeightQuantizer};
use cml_scheme::{ClientSpec, artifact};
use cml_tfhe::Circuit;
use cml_tfhe::artifact::CIRCUIT;
use serde_json::json;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Say what an artifact holds: network, graph, circuit, client spec, key or ciphertexts.
///
/// Example: cml inspect net.cmlg
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Any file that cml wrote.
    file: PathBuf,
    /// Of a graph: print the DOT language, for Graphviz.
    #[arg(long)]
    dot: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    let path = &args.file;
    let mut bound = None;
    let (kind, text) = match peek_tag(path) {
        Ok(tag) if tag == cml_ir::GRAPH.tag => {
            let graph = Graph::read(path, ())?;
            (
                "graph",
                if args.dot {
                    cml_ir::to_dot(&graph)
                } else {
                    format!("{graph}{}", known(&Border::of_graph(&graph)).trim_start())
                },
            )
        }
        Ok(tag) if tag == CIRCUIT.tag => {
            let circuit = Circuit::read(path, ())?;
            (
                "circuit",
                format!("{circuit}{}", circuit.failure_lines().join("\n")),
            )
        }
        Ok(tag) if tag == artifact::SPEC.tag => {
            (artifact::SPEC.name, ClientSpec::read(path, ())?.to_string())
        }
        Ok(tag) => {
            let kinds = [
                CLIENT_KEY,
                LOCKED_CLIENT_KEY,
                artifact::SERVER_KEY,
                artifact::INPUTS,
                artifact::OUTPUTS,
            ];
            let Some(kind) = kinds.into_iter().find(|k| k.tag == tag) else {
                bail!("{}: is {}", path.display(), describe(tag));
            };
            let payload = Zeroizing::new(read_file(kind, path)?);
            let (binding, _) = artifact::split_binding(&path.display().to_string(), kind, &payload)?;
            let binding = *bound.insert(binding);
            (
                kind.name,
                format!("{} of {}, {binding}", kind.name, bytes(file_size(path))),
            )
        }
        Err(_) if path.extension().is_some_and(|e| e == "safetensors") => {
            ("network", network(&cml_quant::read_network(path)?))
        }
        Err(error) => return Err(error.into()),
    };
    let mut json = json!({"file": path, "kind": kind, "bytes": file_size(path), "text": text});
    if let Some(binding) = bound {
        json["circuit"] = json!(to_hex(&binding.circuit));
        json["keys"] = json!(to_hex(&binding.keys));
    }
    Ok(Report::new(text, json))
}

/// Lines on names of columns and on the rows of the training, as far as a program knows them.
fn known(border: &Border<'_>) -> String {
    let columns = if border.columns.is_empty() {
        String::new()
    } else {
        format!("\ncolumns {}", border.columns.join(", "))
    };
    let training = border.training.map_or(String::new(), |rows| {
        let seed = rows
            .seed
            .map_or(String::new(), |seed| format!(" under seed {seed}"));
        let (all, held_out) = (rows.rows, rows.held_out);
        format!(
            "\ntrained on {} of {all} rows, {held_out} held out{seed}",
            all - held_out
        )
    });
    columns + &training
}

fn weights(quantizer: Option<&WeightQuantizer>) -> String {
    quantizer.map_or("float weights".to_owned(), |q| format!("{}-bit weights", q.bits))
}

fn network(network: &Network) -> String {
    let lines = network.layers().iter().map(|node| {
        let what = match &node.layer {
            Layer::Input => {
                let steps: Vec<&str> = network.input_steps().iter().map(|s| s.name()).collect();
                let steps = if steps.is_empty() {
                    String::new()
                } else {
                    format!(", then {}", steps.join(", "))
                };
                format!("input{steps}")
            }
            Layer::Quantize(q) => format!(
                "quantize to codes {} scale {} zero {}",
                q.codes(),
                q.scale,
                q.zero_point
            ),
            Layer::Normalize(n) => {
                format!("normalize, offset {:?} factor {:?}", n.offset, n.factor)
            }
            Layer::Linear(l) => {
                let bias = if l.bias().is_some() { ", float bias" } else { "" };
                let norms = l.codes().map_or(String::new(), |codes| {
                    let rows = codes.rows().into_iter();
                    let left = rows.clone().map(|r| r.iter().filter(|&&c| c != 0).count());
                    format!(
                        ", at most {} non-zero inputs and L1 norm {} a row",
                        left.max().unwrap_or(0),
                        cml_quant::budget::largest_sum(codes.view())
                    )
                });
                format!("linear, {}{norms}{bias}", weights(l.quantizer()))
            }
            Layer::Conv2d(c) => format!(
                "conv2d {:?}, {}, stride {:?}, padding {:?}, groups {}",
                c.weights().shape(),
                weights(c.quantizer()),
                c.stride(),
                c.padding(),
                c.groups()
            ),
            Layer::Pool(p) => {
                let padding = match p.padding {
                    [0, 0, 0, 0] => String::new(),
                    padding => format!(", padding {padding:?}"),
                };
                let kind = format!("{:?}", p.kind).to_lowercase();
                format!("{kind} pool {:?}, stride {:?}{padding}", p.kernel, p.stride)
            }
            Layer::Transpose(Transpose { perm }) => format!("transpose {perm:?}"),
            Layer::Slice(Slice { starts, ends, steps }) => {
                format!("slice {starts:?} to {ends:?}, steps {steps:?}")
            }
            Layer::Trees(t) => format!(
                "{} trees on {} features, {} branches, {} leaves, {} lookups, scores in units of {}",
                t.roots.len(),
                t.features,
                t.branches.len(),
                t.leaves.len(),
                t.lookups(),
                t.scale
            ),
            Layer::Pad(Pad { padding }) => format!("pad {padding:?}"),
            Layer::Concat(Concat { axis }) if *axis > 0 => format!("concat, axis {axis}"),
            Layer::Gather(Gather { axis, indices }) => {
                format!("gather, axis {axis}, {} indices", indices.len())
            }
            Layer::Mul => "mul, by quarter squares: two lookups for each element".to_owned(),
            Layer::Function(_) | Layer::Reshape(_) | Layer::Add | Layer::Sub | Layer::Concat(_) => {
                node.layer.mnemonic().to_owned()
            }
        };
        format!("{:<16} {:<10} {what}", node.name, format!("{:?}", node.shape))
    });
    let labels = if network.labels().is_empty() {
        String::new()
    } else {
        format!("\nclasses {}", network.labels().join(", "))
    };
    let known = known(&Border::of_network(network));
    format!(
        "network {}\n{}{labels}{known}",
        network.name(),
        lines.collect::<Vec<_>>().join("\n")
    )
}
