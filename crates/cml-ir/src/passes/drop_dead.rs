//! Units that no output reads are removed.

use crate::linear::{Source, for_each_term};
use crate::tensor::channel_len;
use crate::{Dot, Graph, GraphBuilder, IrError, Lut, NodeId, Op, OpKind, Tensor};

/// Removes nodes and channels that no output depends on. Pruned layers leave
/// many: 64 of the 100 second-layer units of a pruned 2-100-100-2 network are
/// read by nothing.
///
/// Channels are removed between dense layers and lookups; in front of any
/// other operation a node is kept whole.
///
/// # Errors
/// Only if the graph cannot be rebuilt, which would be a bug.
pub fn drop_dead(graph: &Graph) -> Result<Graph, IrError> {
    let keep = live_channels(graph);
    let mut builder = GraphBuilder::like(graph);
    let mut new: Vec<Option<NodeId>> = Vec::with_capacity(graph.len());
    for (id, node) in graph.nodes() {
        let channels = &keep[id.index()];
        if channels.is_empty() {
            new.push(None);
            continue;
        }
        let old_operands: Vec<NodeId> = graph.operands(id).collect();
        let operands: Vec<NodeId> = old_operands.iter().filter_map(|o| new[o.index()]).collect();
        let op = match &node.op {
            Op::Dot(dot) => Op::Dot(select_dot(dot, channels, &keep[old_operands[0].index()])?),
            Op::Lut(lut) => Op::Lut(select_lut(lut, channels)?),
            Op::Input { .. }
            | Op::Conv2d(_)
            | Op::SumPool(_)
            | Op::Add
            | Op::Sub
            | Op::Reshape { .. }
            | Op::Transpose { .. }
            | Op::Concat { .. }
            | Op::Slice { .. }
            | Op::Pad(_)
            | Op::Output(_) => node.op.clone(),
        };
        new.push(Some(builder.push(&node.name, op, &operands)?));
    }
    builder.finish()
}

/// Channels of each node to keep; none for a node that no output depends on.
///
/// A lookup has the channels of what it reads, so a dense layer and the
/// lookups on it (its family) keep the same ones: all that any of them needs.
fn live_channels(graph: &Graph) -> Vec<Vec<usize>> {
    let size = |i: NodeId| graph.node(i).ty.shape.iter().product::<usize>();
    let root = families(graph);
    let selectable = selectable_families(graph, &root);
    let mut live: Vec<Vec<bool>> = graph.nodes().map(|(id, _)| vec![false; size(id)]).collect();
    for (id, node) in graph.nodes().rev() {
        let i = id.index();
        match node.op.kind() {
            OpKind::Input(_) | OpKind::Output(_) => live[i].fill(true),
            OpKind::Linear | OpKind::Lookup(_) => {}
        }
        if !live[i].contains(&true) {
            continue;
        }
        if !selectable[root[i].index()] {
            live[i].fill(true);
        }
        let operands: Vec<NodeId> = graph.operands(id).collect();
        match node.op.kind() {
            OpKind::Lookup(_) => {
                let needed = live[i].clone();
                live[operands[0].index()]
                    .iter_mut()
                    .zip(needed)
                    .for_each(|(live, needed)| *live |= needed);
                continue;
            }
            OpKind::Input(_) | OpKind::Linear | OpKind::Output(_) => {}
        }
        let shapes: Vec<&[usize]> = operands
            .iter()
            .map(|&o| graph.node(o).ty.shape.as_slice())
            .collect();
        for_each_term(&node.op, &shapes, &node.ty.shape, |out, _, source| {
            if let (Source::Element { operand, index }, true) = (source, live[i][out]) {
                live[operands[operand].index()][index] = true;
            }
        });
        // An operand that is read with zero weights only must still exist.
        for operand in operands {
            let live = &mut live[operand.index()];
            if !live.contains(&true) {
                live[0] = true;
            }
        }
    }
    let kept = |id: NodeId| {
        let i = id.index();
        let width = channel_len(&graph.node(id).ty.shape);
        let of = if live[i].contains(&true) {
            &live[root[i].index()]
        } else {
            &live[i]
        };
        of.chunks(width)
            .enumerate()
            .filter(|(_, e)| e.contains(&true))
            .map(|(c, _)| c)
            .collect()
    };
    graph.nodes().map(|(id, _)| kept(id)).collect()
}

/// For each node the head of its family: for a lookup the first node below
/// that is not a lookup, for any other node itself.
fn families(graph: &Graph) -> Vec<NodeId> {
    let mut root: Vec<NodeId> = Vec::with_capacity(graph.len());
    for (id, node) in graph.nodes() {
        let read = graph.operands(id).next();
        root.push(match (node.op.kind(), read) {
            (OpKind::Lookup(_), Some(read)) => root[read.index()],
            (OpKind::Lookup(_) | OpKind::Input(_) | OpKind::Linear | OpKind::Output(_), _) => id,
        });
    }
    root
}

/// Heads of families that can lose channels: dense layers that, themselves or
/// through lookups, are read by dense layers only.
fn selectable_families(graph: &Graph, root: &[NodeId]) -> Vec<bool> {
    let mut selectable: Vec<bool> = graph.nodes().map(|(_, n)| loses_channels(&n.op)).collect();
    for (id, node) in graph.nodes() {
        let reads_selected = match node.op.kind() {
            OpKind::Lookup(_) => true,
            OpKind::Input(_) | OpKind::Linear | OpKind::Output(_) => loses_channels(&node.op),
        };
        if !reads_selected {
            for operand in graph.operands(id) {
                selectable[root[operand.index()].index()] = false;
            }
        }
    }
    selectable
}

/// Whether the pass can take channels off the operation and off what it reads.
fn loses_channels(op: &Op) -> bool {
    match op {
        Op::Dot(_) => true,
        Op::Input { .. }
        | Op::Conv2d(_)
        | Op::SumPool(_)
        | Op::Add
        | Op::Sub
        | Op::Lut(_)
        | Op::Reshape { .. }
        | Op::Transpose { .. }
        | Op::Concat { .. }
        | Op::Slice { .. }
        | Op::Pad(_)
        | Op::Output(_) => false,
    }
}

fn select_dot(dot: &Dot, rows: &[usize], columns: &[usize]) -> Result<Dot, IrError> {
    let weights = rows.iter().flat_map(|&r| columns.iter().map(move |&c| (r, c)));
    let data: Vec<i64> = weights.map(|(r, c)| dot.weights.row(r)[c]).collect();
    Ok(Dot {
        weights: Tensor::new(vec![rows.len(), columns.len()], data)?,
        bias: rows.iter().map(|&r| dot.bias[r]).collect(),
    })
}

fn select_lut(lut: &Lut, channels: &[usize]) -> Result<Lut, IrError> {
    if lut.is_per_tensor() {
        return Ok(lut.clone());
    }
    Lut::per_channel(channels.iter().map(|&c| lut.channel(c).clone()).collect())
}
