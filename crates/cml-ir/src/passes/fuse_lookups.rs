//! A lookup of a lookup is one lookup.

use crate::{Graph, GraphBuilder, IrError, NodeId, Op};

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
    let mut lookups = Vec::with_capacity(graph.len());
    for (id, node) in graph.nodes() {
        let old_operands = graph.operands(id);
        let mut operands: Vec<NodeId> = old_operands.iter().map(|o| new[o.index()]).collect();
        let mut op = node.op.clone();
        if let (Op::Lut(outer), Some(Some((source, inner)))) =
            (&node.op, old_operands.first().map(|o| &lookups[o.index()]))
        {
            operands = vec![*source];
            op = Op::Lut(crate::Lut::then(inner, outer));
        }
        lookups.push(if let Op::Lut(table) = &op {
            Some((operands[0], table.clone()))
        } else {
            None
        });
        new.push(builder.push(&node.name, op, &operands)?);
    }
    builder.finish()
}
