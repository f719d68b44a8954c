//! Elements at constant indices of an axis: repeats, reflections, other orders.

use super::kind::{IntegerUse, Integers, LayerKind, Operands, Place, Reaches};
use super::moves::{Move, moved_floats, moved_integers};
use crate::accumulators::IntegerReach;
use crate::error::misfit;
use crate::to_graph::Lowering;
use crate::{Dequantizer, LayerNode, QuantError};
use cml_ir::{NodeId, Op, channels};
use serde::{Deserialize, Serialize};

/// Most indices along an axis.
const MAX_INDICES: usize = 1 << 16;

/// Elements along an axis, at indices that may repeat: index `i` of the result is `indices[i]` of the
/// operand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gather {
    /// Axis.
    pub axis: usize,
    /// Indices in the operand, 1 to 65536.
    pub indices: Vec<usize>,
}

/// Indices one after the other: every so many-th from a first one on.
struct Run {
    start: usize,
    step: usize,
    count: usize,
}

impl Gather {
    /// How often each index of an axis of a size is repeated, if it is so often that each stands in turn.
    fn repeats(&self, size: usize) -> Option<usize> {
        let times = self.indices.len() / size.max(1);
        let fits = times > 1 && times * size == self.indices.len();
        let in_turn = |(i, &index): (usize, &usize)| index == i / times;
        (fits && self.indices.iter().enumerate().all(in_turn)).then_some(times)
    }

    /// The indices as runs that go up.
    fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for &index in &self.indices {
            match runs.last_mut() {
                Some(run) if run.count == 1 && index > run.start => {
                    run.step = index - run.start;
                    run.count = 2;
                }
                Some(run) if run.count > 1 && index == run.start + run.count * run.step => run.count += 1,
                _ => runs.push(Run {
                    start: index,
                    step: 1,
                    count: 1,
                }),
            }
        }
        runs
    }
}

impl Move for Gather {
    fn origin(&self, _: &[&[usize]], strides: &[Vec<usize>], at: &[usize]) -> Option<(usize, usize)> {
        let along = |axis: usize| {
            let index = if axis == self.axis {
                self.indices[at[axis]]
            } else {
                at[axis]
            };
            index * strides[0][axis]
        };
        Some((0, (0..at.len()).map(along).sum()))
    }
}

impl LayerKind for Gather {
    fn mnemonic(&self) -> &'static str {
        "gather"
    }

    fn operands(&self) -> Operands {
        Operands::Exactly(1)
    }

    fn shape(&self, name: &str, read: &[&[usize]]) -> Result<Vec<usize>, QuantError> {
        let Some(&size) = read[0].get(self.axis) else {
            return Err(misfit(
                name,
                "axis",
                format!("below {}", read[0].len()),
                self.axis,
            ));
        };
        let count = self.indices.len();
        if !(1..=MAX_INDICES).contains(&count) {
            return Err(misfit(name, "indices", format!("1 to {MAX_INDICES}"), count));
        }
        if let Some(bad) = self.indices.iter().find(|&&i| i >= size) {
            return Err(misfit(name, "index", format!("below {size}"), bad));
        }
        let mut shape = read[0].to_vec();
        shape[self.axis] = count;
        Ok(shape)
    }

    fn is_float(&self) -> bool {
        true
    }

    fn floats(&self, at: &Place<'_, Vec<f32>>) -> Result<Vec<f32>, QuantError> {
        Ok(moved_floats(self, at))
    }

    fn meaning(&self, at: &Place<'_, Option<Dequantizer>>) -> Result<Option<Dequantizer>, QuantError> {
        let x = at.meaning(0)?;
        if self.axis > 0 {
            return Ok(Some(x.clone()));
        }
        // Of a vector each element is a channel.
        debug_assert_eq!(channels(&at.node.shape), self.indices.len());
        let spread = |list: &[f32]| self.indices.iter().map(|&i| list[i]).collect();
        Ok(Some(x.respread(spread)))
    }

    fn integers(&self, at: &Integers<'_>) -> Result<Vec<i64>, QuantError> {
        Ok(moved_integers(self, at))
    }

    /// Repeats are copies along a new axis; anything else is slices, joined.
    fn to_graph(&self, node: &LayerNode, graph: &mut Lowering<'_>) -> Result<Option<NodeId>, QuantError> {
        let (x, axis) = (graph.operand(node, 0)?, self.axis);
        let shape = graph.builder.ty(x).shape.clone();
        if let Some(times) = self.repeats(shape[axis]) {
            let mut apart = shape.clone();
            apart.insert(axis + 1, 1);
            let one = graph.push(&node.name, false, Op::Reshape { shape: apart }, &[x])?;
            let copies = Op::Concat { axis: axis + 1 };
            let all = graph.push(&node.name, false, copies, &vec![one; times])?;
            let shape = node.shape.clone();
            return graph
                .push(&node.name, true, Op::Reshape { shape }, &[all])
                .map(Some);
        }
        let runs = self.runs();
        let mut parts = Vec::with_capacity(runs.len());
        for run in &runs {
            let taken = [run.start, run.start + (run.count - 1) * run.step + 1, run.step];
            parts.push(graph.stride(&node.name, runs.len() == 1, x, axis, taken)?);
        }
        match parts[..] {
            [only] => Ok(Some(only)),
            _ => graph
                .push(&node.name, true, Op::Concat { axis }, &parts)
                .map(Some),
        }
    }

    fn reach(&self, at: &Reaches<'_>) -> Result<Option<IntegerReach>, QuantError> {
        Ok(at.first())
    }

    fn accumulator(&self, _: u64) -> Option<u64> {
        None
    }

    fn reading(&self) -> IntegerUse {
        IntegerUse::PassesOn
    }

    fn is_non_negative(&self, read: bool) -> bool {
        read
    }
}
