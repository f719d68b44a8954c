//! Wire format of graphs: the only file here that knows bincode.
//!
//! Integers are little endian and of fixed size: 4 bytes for the number of an operation and of an
//! operand, 8 for everything else. A list is its length and its elements.

mod op;
mod spec;

pub(crate) use spec::{WireInputSpec, WireInterval, WireOutputSpec};

use crate::dump::plain;
use crate::graph::NodeId;
use crate::{Graph, GraphBuilder, IrError, Op, TrainingRows};
use bincode::error::DecodeError;
use cml_file::{Artifact, Kind};
use op::WireOp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

const MAX_PAYLOAD: usize = 1 << 28;

/// The `.cmlg` file.
pub const GRAPH: Kind = Kind {
    tag: *b"GRPH",
    name: "graph",
    version: 3,
    max_payload: MAX_PAYLOAD as u64,
};

/// What is written; read are its parts, one after the other.
#[derive(Serialize)]
struct WireGraph<'a> {
    name: &'a str,
    nodes: Vec<WireNode<'a>>,
}

#[derive(Serialize, Deserialize)]
struct WireNode<'a> {
    name: Cow<'a, str>,
    op: WireOp<'a>,
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

fn malformed(why: String) -> IrError {
    IrError::Decode { what: "graph", why }
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, IrError> {
    bincode::serde::encode_to_vec(value, config()).map_err(|e| malformed(e.to_string()))
}

/// The value at the start of the bytes, which are then those after it.
fn take<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, IrError> {
    let (value, used) =
        bincode::serde::decode_from_slice(bytes, config()).map_err(|e| malformed(in_words(e)))?;
    *bytes = &bytes[used..];
    Ok(value)
}

/// What a check said, or the decoder.
fn in_words(error: DecodeError) -> String {
    if let DecodeError::OtherString(words) = error {
        return words;
    }
    error.to_string()
}

/// The graph's bytes, with or without what identifies the rows that it was trained on.
fn payload(graph: &Graph, with_training: bool) -> Result<Vec<u8>, IrError> {
    let nodes = graph.nodes().map(|(id, node)| WireNode {
        name: Cow::Borrowed(&node.name),
        op: WireOp::from(&node.op),
        operands: graph.operands(id).map(|o| o.0).collect(),
    });
    let mut bytes = encode(&WireGraph {
        name: graph.name(),
        nodes: nodes.collect(),
    })?;
    let notes = WireNotes::of(graph, with_training);
    if notes != WireNotes::default() {
        bytes.extend(encode(&notes)?);
    }
    if bytes.len() > MAX_PAYLOAD {
        return Err(IrError::FileTooLarge {
            graph: plain(graph.name()),
            has: bytes.len(),
            limit: MAX_PAYLOAD,
        });
    }
    Ok(bytes)
}

fn from_payload(mut bytes: &[u8]) -> Result<Graph, IrError> {
    let name: String = take(&mut bytes)?;
    let nodes: u64 = take(&mut bytes)?;
    let mut builder = GraphBuilder::new(name);
    // One after the other: a file of many small nodes is many times larger once it is read.
    for _ in 0..nodes {
        let node: WireNode<'_> = take(&mut bytes)?;
        let operands: Vec<NodeId> = node.operands.into_iter().map(NodeId).collect();
        builder.push(&node.name, Op::try_from(node.op)?, &operands)?;
    }
    if !bytes.is_empty() {
        let left_over = |why: &str| malformed(format!("{} bytes left over{why}", bytes.len()));
        let mut rest = bytes;
        let notes: WireNotes = take(&mut rest).map_err(|e| left_over(&format!(": {e}")))?;
        // Equal graphs have equal bytes: what is left out is not written as an empty section.
        let has_names = notes.columns.iter().any(|names| !names.is_empty());
        if !rest.is_empty() || notes == WireNotes::default() || (!has_names && !notes.columns.is_empty()) {
            return Err(left_over(""));
        }
        builder.set_training(notes.training);
        if has_names {
            builder.set_columns(notes.columns)?;
        }
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

    fn decode(name: &str, payload: &[u8], (): ()) -> Result<Self, IrError> {
        from_payload(payload).map_err(|source| IrError::Payload {
            name: name.to_owned(),
            source: Box::new(source),
        })
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
