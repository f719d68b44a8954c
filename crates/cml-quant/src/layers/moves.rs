//! Layers that only move elements: where each one comes from.

use super::element_count;
use super::kind::{IntegerUse, Integers, LayerKind, Operands, Place, Reaches};
use crate::accumulators::IntegerReach;
use crate::error::misfit;
use crate::to_graph::Lowering;
use crate::{Dequantizer, LayerNode, QuantError};
use cml_ir::{Interval, NodeId, Op, channels};
use serde::{Deserialize, Serialize};

/// Axes in another order: axis `i` of the result is axis `perm[i]` of the operand.
///
/// Where scales, biases or functions differ by channel, axis 0 must stay first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transpose {
    /// Order of the axes.
    pub perm: Vec<usize>,
}

/// Of each axis every `steps`-th element from `starts` to before `ends`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// First index.
    pub starts: Vec<usize>,
    /// One past the last index, at most the size of the axis.
    pub ends: Vec<usize>,
    /// Step, at least 1.
    pub steps: Vec<usize>,
}

/// 0.0 around codes of a quantizer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// Elements added before and after each axis.
    pub padding: Vec<[usize; 2]>,
}

/// Values of one scale and zero point, one after the other along an axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concat {
    /// Axis.
    pub axis: usize,
}

/// A layer that moves elements.
pub(crate) trait Move {
    /// Operand and index in it that the element at some place of the result comes from; `None` is 0.0. Shapes
    /// and strides are those of the operands.
    fn origin(&self, from: &[&[usize]], strides: &[Vec<usize>], at: &[usize]) -> Option<(usize, usize)>;
}

/// Origins of all elements of a result of a shape, row-major.
pub(crate) fn origins(layer: &impl Move, from: &[&[usize]], to: &[usize]) -> Vec<Option<(usize, usize)>> {
    let strides: Vec<Vec<usize>> = from.iter().map(|shape| strides(shape)).collect();
    let mut at = vec![0; to.len()];
    let count = element_count(to);
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        all.push(layer.origin(from, &strides, &at));
        for axis in (0..to.len()).rev() {
            at[axis] += 1;
            if at[axis] < to[axis] {
                break;
            }
            at[axis] = 0;
        }
    }
    all
}

fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

pub(crate) fn moved_floats(layer: &impl Move, at: &Place<'_, Vec<f32>>) -> Vec<f32> {
    let from = origins(layer, &at.shapes(), &at.node.shape).into_iter();
    from.map(|from| from.map_or(0.0, |(operand, i)| at.read(operand)[i]))
        .collect()
}

pub(crate) fn moved_integers(layer: &impl Move, at: &Integers<'_>) -> Vec<i64> {
    let zero = at.zero(0);
    let from = origins(layer, &at.place.shapes(), &at.place.node.shape).into_iter();
    from.map(|from| from.map_or(zero, |(operand, i)| at.codes(operand)[i]))
        .collect()
}

impl Move for Transpose {
    fn origin(&self, _: &[&[usize]], strides: &[Vec<usize>], at: &[usize]) -> Option<(usize, usize)> {
        let axes = at.iter().zip(&self.perm);
        Some((0, axes.map(|(i, &axis)| i * strides[0][axis]).sum()))
    }
}

impl LayerKind for Transpose {
    fn mnemonic(&self) -> &'static str {
        "transpose"
    }

    fn operands(&self) -> Operands {
        Operands::Exactly(1)
    }

    fn shape(&self, name: &str, read: &[&[usize]]) -> Result<Vec<usize>, QuantError> {
        let (from, perm) = (read[0], &self.perm);
        let mut sorted = perm.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..from.len()) {
            let needs = format!("an order of {} axes", from.len());
            return Err(misfit(name, "perm", needs, format!("{perm:?}")));
        }
        Ok(perm.iter().map(|&axis| from[axis]).collect())
    }

    fn is_float(&self) -> bool {
        true
    }

    fn floats(&self, at: &Place<'_, Vec<f32>>) -> Result<Vec<f32>, QuantError> {
        Ok(moved_floats(self, at))
    }

    /// Channels that differ must stay channels.
    fn meaning(&self, at: &Place<'_, Option<Dequantizer>>) -> Result<Option<Dequantizer>, QuantError> {
        let x = at.meaning(0)?;
        if x.is_per_tensor() || self.perm.first() == Some(&0) {
            return Ok(Some(x.clone()));
        }
        Err(misfit(
            &at.node.name,
            "perm",
            "axis 0 first, whose channels differ in scale, bias or function, or a quantizer before",
            format!("{:?}", self.perm),
        ))
    }

    fn integers(&self, at: &Integers<'_>) -> Result<Vec<i64>, QuantError> {
        Ok(moved_integers(self, at))
    }

    fn to_graph(&self, node: &LayerNode, graph: &mut Lowering<'_>) -> Result<Option<NodeId>, QuantError> {
        let x = graph.operand(node, 0)?;
        let perm = self.perm.clone();
        graph
            .push(&node.name, true, Op::Transpose { perm }, &[x])
            .map(Some)
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

impl Move for Slice {
    fn origin(&self, _: &[&[usize]], strides: &[Vec<usize>], at: &[usize]) -> Option<(usize, usize)> {
        let along = |axis: usize| (self.starts[axis] + at[axis] * self.steps[axis]) * strides[0][axis];
        Some((0, (0..at.len()).map(along).sum()))
    }
}

impl LayerKind for Slice {
    fn mnemonic(&self) -> &'static str {
        "slice"
    }

    fn operands(&self) -> Operands {
        Operands::Exactly(1)
    }

    fn shape(&self, name: &str, read: &[&[usize]]) -> Result<Vec<usize>, QuantError> {
        let (from, Self { starts, ends, steps }) = (read[0], self);
        for (what, list) in [("starts", starts), ("ends", ends), ("steps", steps)] {
            if list.len() != from.len() {
                return Err(misfit(name, what, from.len(), list.len()));
            }
        }
        let along = |axis: usize| {
            let (start, end, step) = (starts[axis], ends[axis], steps[axis]);
            if start < end && end <= from[axis] && step >= 1 {
                return Ok((end - start).div_ceil(step));
            }
            let needs = format!("start < end <= {} on axis {axis}, step at least 1", from[axis]);
            let has = format!("{start} to {end}, step {step}");
            Err(misfit(name, "slice", needs, has))
        };
        (0..from.len()).map(along).collect()
    }

    fn is_float(&self) -> bool {
        true
    }

    fn floats(&self, at: &Place<'_, Vec<f32>>) -> Result<Vec<f32>, QuantError> {
        Ok(moved_floats(self, at))
    }

    fn meaning(&self, at: &Place<'_, Option<Dequantizer>>) -> Result<Option<Dequantizer>, QuantError> {
        let x = at.meaning(0)?;
        let Some((start, step)) = self.starts.first().zip(self.steps.first()) else {
            return Ok(Some(x.clone()));
        };
        let count = channels(&at.node.shape);
        let spread = |list: &[f32]| (0..count).map(|c| list[start + c * step]).collect();
        Ok(Some(x.respread(spread)))
    }

    fn integers(&self, at: &Integers<'_>) -> Result<Vec<i64>, QuantError> {
        Ok(moved_integers(self, at))
    }

    /// Axis by axis; where nothing changes no operation.
    fn to_graph(&self, node: &LayerNode, graph: &mut Lowering<'_>) -> Result<Option<NodeId>, QuantError> {
        let Self { starts, ends, steps } = self;
        let mut value = graph.operand(node, 0)?;
        let shape = &graph.builder.ty(value).shape;
        let changes = |&a: &usize| starts[a] > 0 || ends[a] < shape[a] || steps[a] > 1;
        let axes: Vec<usize> = (0..shape.len()).filter(changes).collect();
        for &axis in &axes {
            let last = axes.last() == Some(&axis);
            let taken = [starts[axis], ends[axis], steps[axis]];
            value = graph.stride(&node.name, last, value, axis, taken)?;
        }
        Ok(Some(value))
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

impl Move for Pad {
    fn origin(&self, from: &[&[usize]], strides: &[Vec<usize>], at: &[usize]) -> Option<(usize, usize)> {
        let along = |axis: usize| {
            let inside = at[axis].checked_sub(self.padding[axis][0]);
            inside
                .filter(|&i| i < from[0][axis])
                .map(|i| i * strides[0][axis])
        };
        let index = (0..at.len()).map(along).sum::<Option<usize>>();
        index.map(|i| (0, i))
    }
}

impl LayerKind for Pad {
    fn mnemonic(&self) -> &'static str {
        "pad"
    }

    fn operands(&self) -> Operands {
        Operands::Exactly(1)
    }

    fn shape(&self, name: &str, read: &[&[usize]]) -> Result<Vec<usize>, QuantError> {
        if self.padding.len() != read[0].len() {
            return Err(misfit(name, "padded axes", read[0].len(), self.padding.len()));
        }
        let sizes = read[0].iter().zip(&self.padding);
        let padded = |(size, [before, after]): (&usize, &[usize; 2])| {
            size.saturating_add(*before).saturating_add(*after)
        };
        Ok(sizes.map(padded).collect())
    }

    fn is_float(&self) -> bool {
        true
    }

    fn floats(&self, at: &Place<'_, Vec<f32>>) -> Result<Vec<f32>, QuantError> {
        Ok(moved_floats(self, at))
    }

    /// A border of 0.0 is a code only where there is no bias and no function.
    fn meaning(&self, at: &Place<'_, Option<Dequantizer>>) -> Result<Option<Dequantizer>, QuantError> {
        at.plain(0)?;
        Ok(Some(at.meaning(0)?.clone()))
    }

    fn integers(&self, at: &Integers<'_>) -> Result<Vec<i64>, QuantError> {
        Ok(moved_integers(self, at))
    }

    fn to_graph(&self, node: &LayerNode, graph: &mut Lowering<'_>) -> Result<Option<NodeId>, QuantError> {
        let x = graph.operand(node, 0)?;
        let pad = Op::Pad(cml_ir::Pad {
            before: self.padding.iter().map(|p| p[0]).collect(),
            after: self.padding.iter().map(|p| p[1]).collect(),
            value: graph.zero(node)?,
        });
        graph.push(&node.name, true, pad, &[x]).map(Some)
    }

    fn reach(&self, at: &Reaches<'_>) -> Result<Option<IntegerReach>, QuantError> {
        let border = Interval::point(at.zero());
        Ok(at.first().map(|x| IntegerReach {
            hull: x.hull.hull(border),
            ..x
        }))
    }

    fn accumulator(&self, _: u64) -> Option<u64> {
        None
    }

    fn reading(&self) -> IntegerUse {
        IntegerUse::PassesOn
    }

    fn is_non_negative(&self, _: bool) -> bool {
        false
    }
}

impl Move for Concat {
    fn origin(&self, from: &[&[usize]], strides: &[Vec<usize>], at: &[usize]) -> Option<(usize, usize)> {
        let mut at = at.to_vec();
        let mut operand = 0;
        while at[self.axis] >= from[operand][self.axis] {
            at[self.axis] -= from[operand][self.axis];
            operand += 1;
        }
        let axes = at.iter().zip(&strides[operand]);
        Some((operand, axes.map(|(i, stride)| i * stride).sum()))
    }
}

impl LayerKind for Concat {
    fn mnemonic(&self) -> &'static str {
        "concat"
    }

    fn operands(&self) -> Operands {
        Operands::Some
    }

    fn shape(&self, name: &str, read: &[&[usize]]) -> Result<Vec<usize>, QuantError> {
        let (first, axis) = (read[0], self.axis);
        if axis >= first.len() {
            return Err(misfit(name, "axis", format!("below {}", first.len()), axis));
        }
        let mut shape = first.to_vec();
        shape[axis] = 0;
        for operand in read {
            let same = |(a, (x, y)): (usize, (&usize, &usize))| a == axis || x == y;
            if operand.len() != first.len() || !operand.iter().zip(first).enumerate().all(same) {
                let needs = format!("{first:?} but for axis {axis}");
                return Err(misfit(name, "operand", needs, format!("{operand:?}")));
            }
            shape[axis] = shape[axis].saturating_add(operand[axis]);
        }
        Ok(shape)
    }

    fn is_float(&self) -> bool {
        true
    }

    fn floats(&self, at: &Place<'_, Vec<f32>>) -> Result<Vec<f32>, QuantError> {
        Ok(moved_floats(self, at))
    }

    fn meaning(&self, at: &Place<'_, Option<Dequantizer>>) -> Result<Option<Dequantizer>, QuantError> {
        let count = at.node.operands.len();
        (0..count).try_for_each(|slot| at.meaning(slot).map(drop))?;
        let (x, scale) = (at.meaning(0)?, at.plain(0)?);
        for slot in 1..count {
            if at.plain(slot)? != scale || at.meaning(slot)?.zero_point != x.zero_point {
                return Err(at.not_common(slot, "scale and zero point"));
            }
        }
        Ok(Some(x.clone()))
    }

    fn integers(&self, at: &Integers<'_>) -> Result<Vec<i64>, QuantError> {
        Ok(moved_integers(self, at))
    }

    fn to_graph(&self, node: &LayerNode, graph: &mut Lowering<'_>) -> Result<Option<NodeId>, QuantError> {
        let slots = 0..node.operands.len();
        let operands = slots.map(|slot| graph.operand(node, slot));
        let operands = operands.collect::<Result<Vec<NodeId>, QuantError>>()?;
        let axis = self.axis;
        graph
            .push(&node.name, true, Op::Concat { axis }, &operands)
            .map(Some)
    }

    fn reach(&self, at: &Reaches<'_>) -> Result<Option<IntegerReach>, QuantError> {
        let both = |a: IntegerReach, b: IntegerReach| IntegerReach {
            hull: a.hull.hull(b.hull),
            span: a.span.max(b.span),
        };
        let all: Option<Vec<IntegerReach>> = at.place.reads().copied().collect();
        Ok(all.and_then(|all| all.into_iter().reduce(both)))
    }

    fn accumulator(&self, _: u64) -> Option<u64> {
        None
    }

    fn reading(&self) -> IntegerUse {
        IntegerUse::PassesOn
    }

    fn is_non_negative(&self, _: bool) -> bool {
        false
    }
}
