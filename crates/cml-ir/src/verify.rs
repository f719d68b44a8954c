//! The invariants of a graph:
//!
//! 1. Every operand is defined before its user (the builder cannot express
//!    anything else).
//! 2. Names of nodes are unique, printable and without white space.
//! 3. Every operation fits the shapes of its operands, and every recorded type
//!    is the inferred one.
//! 4. No value or partial sum can reach [`crate::LIMIT`] in magnitude.
//! 5. There is an input and an output, and nothing reads an output.
//! 6. An input has no names of columns or one for each element. Of the rows of the training, at least
//!    one was not held out.

use crate::dump::plain;
use crate::infer;
use crate::{Graph, Interval, IrError, Node, OpKind};
use std::collections::BTreeSet;

/// Checks every invariant anew. The builder calls it; passes are run through
/// it by their driver.
///
/// # Errors
/// The first invariant that does not hold, with the node's name.
pub fn verify(graph: &Graph) -> Result<(), IrError> {
    let missing = |what| {
        Err(IrError::Missing {
            graph: plain(graph.name()),
            what,
        })
    };
    if graph.inputs().next().is_none() {
        return missing("input");
    }
    if graph.outputs().next().is_none() {
        return missing("output");
    }
    if graph.training().is_some_and(|t| !t.is_plausible()) {
        return missing("row that it was trained on");
    }
    let mut names = BTreeSet::new();
    let mut all: Vec<infer::Elements> = Vec::with_capacity(graph.len());
    for (id, node) in graph.nodes() {
        if !names.insert(&node.name) {
            return Err(IrError::Name {
                name: node.name.clone(),
                why: "is taken",
            });
        }
        let mut operands = graph.operands(id);
        if let Some(bad) = operands.clone().find(|o| o.index() >= id.index()) {
            return Err(IrError::Operand {
                node: node.name.clone(),
                operand: bad.0,
            });
        }
        let types: Vec<_> = operands.clone().map(|o| &graph.node(o).ty).collect();
        operands.try_for_each(|o| readable(&node.name, graph.node(o)))?;
        let shape = infer::shape(&node.name, &node.op, &types)?;
        let inputs: Vec<(&[usize], &infer::Elements)> = graph
            .operands(id)
            .zip(&types)
            .map(|(o, t)| (t.shape.as_slice(), &all[o.index()]))
            .collect();
        let elements = infer::elements(&node.name, &node.op, &inputs, &shape)?;
        let range = Interval::hull_of(elements.iter().copied());
        if shape != node.ty.shape || range != Some(node.ty.range) {
            return Err(IrError::Shape {
                node: node.name.clone(),
                what: "type",
                needs: format!("{shape:?} {range:?}"),
                has: format!("{:?}", node.ty),
            });
        }
        all.push(elements);
    }
    Ok(())
}

/// Refuses an output as the operand of node `user`.
pub(crate) fn readable(user: &str, operand: &Node) -> Result<(), IrError> {
    match operand.op.kind() {
        OpKind::Input(_) | OpKind::Linear | OpKind::Lookup(_) => Ok(()),
        OpKind::Output(_) => Err(IrError::Shape {
            node: user.to_owned(),
            what: "operand",
            needs: "a value".to_owned(),
            has: format!("output {}", operand.name),
        }),
    }
}
