//! Wire format of graphs: the only file here that knows bincode.

use crate::graph::NodeId;
use crate::{Graph, GraphBuilder, IrError, Op, TrainingRows};
use cml_file::{Artifact, Kind};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const MAX_PAYLOAD: usize = 1 << 28;

/// The `.cmlg` file.
pub const GRAPH: Kind = Kind {
    tag: *b"GRPH",
    name: "graph",
    version: 2,
    max_payload: MAX_PAYLOAD as u64,
};

#[derive(Serialize, Deserialize)]
struct WireGraph {
    name: String,
    nodes: Vec<WireNode>,
}

#[derive(Serialize, Deserialize)]
struct WireNode {
    name: String,
    op: Op,
    operands: Vec<u32>,
}

/// What may follow the nodes. A graph without any of it ends with them, and has the bytes that it had
/// before names were kept.
#[derive(Serialize, Deserialize, PartialEq, Default)]
struct WireNotes {
    /// Names of the columns of each input, in order; no lists at all if no input has names.
    columns: Vec<Vec<String>>,
    training: Option<TrainingRows>,
}

impl WireNotes {
    fn of(graph: &Graph, with_training: bool) -> Self {
        let columns = graph.inputs().map(|(_, _, spec)| spec.columns.clone());
        let has_columns = graph.inputs().any(|(_, _, spec)| !spec.columns.is_empty());
        Self {
            columns: columns.filter(|_| has_columns).collect(),
            training: graph.training().copied().filter(|_| with_training),
        }
    }
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard()
        .with_little_endian()
        .with_fixed_int_encoding()
        .with_limit::<MAX_PAYLOAD>()
}

/// The graph's bytes, with or without what identifies the rows that it was trained on.
fn payload(graph: &Graph, with_training: bool) -> Result<Vec<u8>, IrError> {
    let nodes = graph.nodes().map(|(id, node)| WireNode {
        name: node.name.clone(),
        op: node.op.clone(),
        operands: graph.operands(id).iter().map(|o| o.0).collect(),
    });
    let wire = WireGraph {
        name: graph.name().to_owned(),
        nodes: nodes.collect(),
    };
    let fail = |e: bincode::error::EncodeError| IrError::Decode {
        what: "graph",
        why: e.to_string(),
    };
    let mut bytes = bincode::serde::encode_to_vec(&wire, config()).map_err(fail)?;
    let notes = WireNotes::of(graph, with_training);
    if notes != WireNotes::default() {
        bytes.extend(bincode::serde::encode_to_vec(&notes, config()).map_err(fail)?);
    }
    Ok(bytes)
}

fn from_payload(bytes: &[u8]) -> Result<Graph, IrError> {
    let malformed = |why: String| IrError::Decode { what: "graph", why };
    let (wire, used): (WireGraph, usize) =
        bincode::serde::decode_from_slice(bytes, config()).map_err(|e| malformed(e.to_string()))?;
    let rest = &bytes[used..];
    let (notes, used): (WireNotes, usize) = match rest {
        [] => (WireNotes::default(), 0),
        rest => bincode::serde::decode_from_slice(rest, config())
            .map_err(|e| malformed(format!("{} bytes left over: {e}", rest.len())))?,
    };
    // Equal graphs have equal bytes: what is left out is not written as an empty section.
    if used != rest.len() || (notes == WireNotes::default() && !rest.is_empty()) {
        return Err(malformed(format!("{} bytes left over", rest.len())));
    }
    let has_names = notes.columns.iter().any(|names| !names.is_empty());
    if !notes.columns.is_empty() && !has_names {
        return Err(malformed("lists of no names of columns".to_owned()));
    }
    let mut builder = GraphBuilder::new(wire.name);
    builder.set_training(notes.training);
    let mut columns = notes.columns.into_iter();
    for mut node in wire.nodes {
        if let (Op::Input { spec, .. }, true) = (&mut node.op, has_names) {
            let names = columns.next();
            spec.columns = names.ok_or_else(|| malformed("an input without its list of names".to_owned()))?;
        }
        let operands: Vec<NodeId> = node.operands.into_iter().map(NodeId).collect();
        builder.push(&node.name, node.op, &operands)?;
    }
    if columns.next().is_some() {
        return Err(malformed(
            "names of columns of more inputs than there are".to_owned(),
        ));
    }
    builder.finish()
}

impl Artifact for Graph {
    const KIND: Kind = GRAPH;
    type Context<'c> = ();
    type Error = IrError;

    fn encode(&self) -> Result<Vec<u8>, IrError> {
        payload(self, true)
    }

    fn decode(_: &str, payload: &[u8], (): ()) -> Result<Self, IrError> {
        from_payload(payload)
    }
}

/// SHA-256 of the graph's content, names of columns included: equal graphs, equal hash. It says
/// nothing of the rows that the network was trained on, and may be told to others.
///
/// # Errors
/// If the graph is larger than its file format allows.
pub fn graph_hash(graph: &Graph) -> Result<[u8; 32], IrError> {
    Ok(Sha256::digest(payload(graph, false)?).into())
}
