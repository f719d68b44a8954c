//! Wire format of graphs: the only file here that knows bincode.

use crate::graph::NodeId;
use crate::{Graph, GraphBuilder, IrError, Op};
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

fn config() -> impl bincode::config::Config {
    bincode::config::standard()
        .with_little_endian()
        .with_fixed_int_encoding()
        .with_limit::<MAX_PAYLOAD>()
}

fn payload(graph: &Graph) -> Result<Vec<u8>, IrError> {
    let nodes = graph.nodes().map(|(id, node)| WireNode {
        name: node.name.clone(),
        op: node.op.clone(),
        operands: graph.operands(id).iter().map(|o| o.0).collect(),
    });
    let wire = WireGraph {
        name: graph.name().to_owned(),
        nodes: nodes.collect(),
    };
    bincode::serde::encode_to_vec(&wire, config()).map_err(|e| IrError::Decode {
        what: "graph",
        why: e.to_string(),
    })
}

fn from_payload(bytes: &[u8]) -> Result<Graph, IrError> {
    let malformed = |why: String| IrError::Decode { what: "graph", why };
    let (wire, used): (WireGraph, usize) =
        bincode::serde::decode_from_slice(bytes, config()).map_err(|e| malformed(e.to_string()))?;
    if used != bytes.len() {
        return Err(malformed(format!("{} bytes left over", bytes.len() - used)));
    }
    let mut builder = GraphBuilder::new(wire.name);
    for node in wire.nodes {
        let operands: Vec<NodeId> = node.operands.into_iter().map(NodeId).collect();
        builder.push(&node.name, node.op, &operands)?;
    }
    builder.finish()
}

impl Artifact for Graph {
    const KIND: Kind = GRAPH;
    type Context<'c> = ();
    type Error = IrError;

    fn encode(&self) -> Result<Vec<u8>, IrError> {
        payload(self)
    }

    fn decode(_: &str, payload: &[u8], (): ()) -> Result<Self, IrError> {
        from_payload(payload)
    }
}

/// SHA-256 of the graph's content: equal graphs, equal hash.
///
/// # Errors
/// If the graph is larger than its file format allows.
pub fn graph_hash(graph: &Graph) -> Result<[u8; 32], IrError> {
    Ok(Sha256::digest(payload(graph)?).into())
}
