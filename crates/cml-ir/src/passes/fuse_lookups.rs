//! A lookup of a lookup is one lookup.

use crate::{Graph, GraphBuilder, IrError, Lut, NodeId, Op, OpKind};

/// Composes each lookup with the lookup that it reads, so that a chain of
/// univariate functions costs one bootstrap. Exact: both are step functions.
/// A lookup that others read too stays for them; the number of lookups on any
/// path only falls.
///
/// # Errors
/// Only if the graph cannot be rebuilt, which would be a bug.
pub fn fuse_lookups(graph: &Graph) -> Result<Graph, IrError> {
    let mut builder = GraphBuilder::like(graph);
    // For each old node: its new id, and if it is a lookup, what it reads now
    // and its composed table.
    let mut new: Vec<NodeId> = Vec::with_capacity(graph.len());
    let mut lookups: Vec<Option<(NodeId, Lut)>> = Vec::with_capacity(graph.len());
    for (id, node) in graph.nodes() {
        let mut old_operands = graph.operands(id);
        let mut operands: Vec<NodeId> = old_operands.clone().map(|o| new[o.index()]).collect();
        let (op, lookup) = match node.op.kind() {
            OpKind::Lookup(outer) => {
                let below = old_operands.next().and_then(|o| lookups[o.index()].as_ref());
                let table = match below {
                    Some((source, inner)) => {
                        operands = vec![*source];
                        inner.then(outer)
                    }
                    None => outer.clone(),
                };
                (Op::Lut(table.clone()), Some((operands[0], table)))
            }
            OpKind::Input(_) | OpKind::Linear | OpKind::Output(_) => (node.op.clone(), None),
        };
        lookups.push(lookup);
        new.push(builder.push(&node.name, op, &operands)?);
    }
    builder.finish()
}
