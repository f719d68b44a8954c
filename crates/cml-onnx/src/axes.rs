//! Axes, shapes and slices, as attributes or operands, over the operator sets.

use crate::model::Node;
use crate::report::{NodeProblem, Translated};
use crate::translation::constant;
use crate::value::Value;

/// An axis that may count from the end.
///
/// # Errors
/// If it is not one of so many.
pub(crate) fn axis(axis: i64, rank: usize) -> Translated<usize> {
    let from_start = if axis < 0 {
        axis.saturating_add(rank as i64)
    } else {
        axis
    };
    usize::try_from(from_start)
        .ok()
        .filter(|&a| a < rank)
        .ok_or_else(|| NodeProblem::malformed(format!("axis {axis}, has {rank} axes")))
}

/// Integers that are an attribute in older operator sets and an operand in newer ones.
pub(crate) fn list(
    node: &Node,
    name: &str,
    operands: &[Option<Value>],
    slot: usize,
) -> Translated<Option<Vec<i64>>> {
    if let Some(list) = node.ints(name)? {
        return Ok(Some(list));
    }
    constant(operands, slot)?.map(|t| t.to_ints()).transpose()
}

/// Axes without doubles, sorted.
pub(crate) fn sorted(axes: &[i64], rank: usize) -> Translated<Vec<usize>> {
    let mut all = axes
        .iter()
        .map(|&a| axis(a, rank))
        .collect::<Translated<Vec<_>>>()?;
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    if all.len() < count {
        return Err(NodeProblem::malformed(format!("axes {axes:?} name one twice")));
    }
    Ok(all)
}

/// Order of the axes of a transposition.
pub(crate) fn permutation(node: &Node, rank: usize) -> Translated<Vec<usize>> {
    let Some(perm) = node.ints("perm")? else {
        return Ok((0..rank).rev().collect());
    };
    if sorted(&perm, rank)?.len() != rank {
        return Err(NodeProblem::malformed(format!("perm {perm:?} of {rank} axes")));
    }
    perm.iter().map(|&a| axis(a, rank)).collect()
}

/// Shape after a Flatten of a full shape.
pub(crate) fn flattened(node: &Node, _: &[Option<Value>], from: &[usize]) -> Translated<Vec<usize>> {
    let (wanted, rank) = (node.int_or("axis", 1)?, from.len());
    let at = if wanted == rank as i64 {
        rank
    } else {
        axis(wanted, rank)?
    };
    Ok(vec![from[..at].iter().product(), from[at..].iter().product()])
}

/// Shape after a Squeeze of a full shape.
pub(crate) fn squeezed(node: &Node, operands: &[Option<Value>], from: &[usize]) -> Translated<Vec<usize>> {
    let rank = from.len();
    let axes = match list(node, "axes", operands, 1)? {
        Some(axes) => sorted(&axes, rank)?,
        // Never the batch, which may be 1 by chance.
        None => (1..rank).filter(|&a| from[a] == 1).collect(),
    };
    if let Some(&bad) = axes.iter().find(|&&a| from[a] != 1) {
        return Err(NodeProblem::malformed(format!(
            "axis {bad} has size {}, needs 1",
            from[bad]
        )));
    }
    Ok((0..rank).filter(|a| !axes.contains(a)).map(|a| from[a]).collect())
}

/// Shape after an Unsqueeze of a full shape.
pub(crate) fn unsqueezed(node: &Node, operands: &[Option<Value>], from: &[usize]) -> Translated<Vec<usize>> {
    let rank = from.len();
    let axes = list(node, "axes", operands, 1)?.ok_or_else(|| NodeProblem::malformed("it has no axes"))?;
    if axes.len() > 8 {
        return Err(NodeProblem::malformed(format!("{} new axes", axes.len())));
    }
    let axes = sorted(&axes, rank + axes.len())?;
    let mut rest = from.iter().copied();
    let size = |a| {
        if axes.contains(&a) {
            1
        } else {
            rest.next().unwrap_or(1)
        }
    };
    Ok((0..rank + axes.len()).map(size).collect())
}

/// Shape after a Reshape of a full shape.
pub(crate) fn reshaped(node: &Node, operands: &[Option<Value>], from: &[usize]) -> Translated<Vec<usize>> {
    let wanted = constant(operands, 1)?
        .ok_or_else(|| NodeProblem::malformed("it has no shape"))?
        .to_ints()?;
    resolved(&wanted, from, node.int_or("allowzero", 0)? != 0)
}

/// A wanted shape with its 0 (as before) and -1 (the rest) filled in.
fn resolved(wanted: &[i64], from: &[usize], allow_zero: bool) -> Translated<Vec<usize>> {
    let fail = || NodeProblem::malformed(format!("a value of shape {from:?} as {wanted:?}"));
    let count: usize = from.iter().product();
    let mut shape = Vec::with_capacity(wanted.len());
    let mut rest = None;
    for (at, &w) in wanted.iter().enumerate() {
        shape.push(match w {
            0 if !allow_zero => *from.get(at).ok_or_else(fail)?,
            -1 if rest.is_none() => {
                rest = Some(at);
                1
            }
            w => usize::try_from(w).map_err(|_| fail())?,
        });
    }
    let known = shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .ok_or_else(fail)?;
    if let Some(at) = rest {
        if known == 0 || !count.is_multiple_of(known) {
            return Err(fail());
        }
        shape[at] = count / known;
    } else if known != count {
        return Err(fail());
    }
    Ok(shape)
}

/// A Slice along one axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AxisSlice {
    pub(crate) start: usize,
    pub(crate) count: usize,
    /// Not 0; below 0 it goes backwards.
    pub(crate) step: i64,
}

impl AxisSlice {
    /// Index of the `i`-th element that is taken.
    pub(crate) fn at(&self, i: usize) -> usize {
        (self.start as i64).saturating_add((i as i64).saturating_mul(self.step)) as usize
    }
}

/// What a Slice of a full shape takes of each axis.
pub(crate) fn slice(node: &Node, operands: &[Option<Value>], from: &[usize]) -> Translated<Vec<AxisSlice>> {
    let get = |name: &str, slot| list(node, name, operands, slot);
    let missing = || NodeProblem::malformed("it has no starts or ends");
    let starts = get("starts", 1)?.ok_or_else(missing)?;
    let ends = get("ends", 2)?.ok_or_else(missing)?;
    let count = starts.len();
    let axes = get("axes", 3)?.unwrap_or_else(|| (0..count as i64).collect());
    let steps = get("steps", 4)?.unwrap_or_else(|| vec![1; count]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|&n| n != count) || count > from.len() {
        return Err(NodeProblem::malformed("starts, ends, axes and steps do not fit"));
    }
    let whole = |&count: &usize| AxisSlice {
        start: 0,
        count,
        step: 1,
    };
    let mut ranges: Vec<AxisSlice> = from.iter().map(whole).collect();
    for (i, &a) in axes.iter().enumerate() {
        let at = axis(a, from.len())?;
        let (size, step) = (from[at] as i64, steps[i]);
        if step == 0 || step == i64::MIN {
            return Err(NodeProblem::malformed(format!("a step of {step}")));
        }
        // Backwards, -1 is before the first.
        let last = if step > 0 { (0, size) } else { (-1, size - 1) };
        let bound = |v: i64| if v < 0 { v.saturating_add(size) } else { v }.clamp(last.0, last.1);
        let (start, end) = (bound(starts[i]), bound(ends[i]));
        let distance = if step > 0 { end - start } else { start - end };
        ranges[at] = AxisSlice {
            start: start.max(0) as usize,
            count: (distance.max(0) as usize).div_ceil(step.unsigned_abs() as usize),
            step,
        };
    }
    Ok(ranges)
}
