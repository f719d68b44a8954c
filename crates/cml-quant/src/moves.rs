//! Layers that only move elements: where each one comes from.

use crate::error::misfit;
use crate::layer::element_count;
use crate::{Layer, QuantError};

/// For each element of the result, row-major, the operand and the index in it that it comes from;
/// `None` is 0.0. Other layers than transpositions, slices, pads and concatenations keep the order
/// of their first operand. Shapes are those of the operands and of the result.
pub(crate) fn origins(layer: &Layer, from: &[&[usize]], to: &[usize]) -> Vec<Option<(usize, usize)>> {
    let strides: Vec<Vec<usize>> = from.iter().map(|shape| strides(shape)).collect();
    let mut at = vec![0; to.len()];
    let count = element_count(to);
    let mut all = Vec::with_capacity(count);
    for index in 0..count {
        all.push(origin(layer, from, &strides, &at, index));
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

fn origin(
    layer: &Layer,
    from: &[&[usize]],
    strides: &[Vec<usize>],
    at: &[usize],
    index: usize,
) -> Option<(usize, usize)> {
    let axes = 0..at.len();
    match layer {
        Layer::Transpose { perm } => Some((0, axes.map(|a| at[a] * strides[0][perm[a]]).sum())),
        Layer::Slice { starts, steps, .. } => Some((
            0,
            axes.map(|a| (starts[a] + at[a] * steps[a]) * strides[0][a]).sum(),
        )),
        Layer::Pad { padding } => {
            let along = |a: usize| {
                let inside = at[a].checked_sub(padding[a][0]).filter(|&i| i < from[0][a]);
                inside.map(|i| i * strides[0][a])
            };
            axes.map(along).sum::<Option<usize>>().map(|i| (0, i))
        }
        Layer::Concat { axis } => {
            let mut at = at.to_vec();
            let mut operand = 0;
            while at[*axis] >= from[operand][*axis] {
                at[*axis] -= from[operand][*axis];
                operand += 1;
            }
            Some((operand, axes.map(|a| at[a] * strides[operand][a]).sum()))
        }
        _ => Some((0, index)),
    }
}

fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Shape of a transposed value.
pub(crate) fn transposed(name: &str, perm: &[usize], from: &[usize]) -> Result<Vec<usize>, QuantError> {
    let mut sorted = perm.to_vec();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..from.len()) {
        let needs = format!("an order of {} axes", from.len());
        return Err(misfit(name, "perm", needs, format!("{perm:?}")));
    }
    Ok(perm.iter().map(|&axis| from[axis]).collect())
}

/// Shape of every `steps`-th element from `starts` to before `ends`, axis by axis.
pub(crate) fn sliced(
    name: &str,
    [starts, ends, steps]: [&[usize]; 3],
    from: &[usize],
) -> Result<Vec<usize>, QuantError> {
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
        Err(misfit(
            name,
            "slice",
            needs,
            format!("{start} to {end}, step {step}"),
        ))
    };
    (0..from.len()).map(along).collect()
}

/// Shape of a value with elements added before and after each axis.
pub(crate) fn padded(name: &str, padding: &[[usize; 2]], from: &[usize]) -> Result<Vec<usize>, QuantError> {
    if padding.len() != from.len() {
        return Err(misfit(name, "padded axes", from.len(), padding.len()));
    }
    let sizes = from.iter().zip(padding);
    Ok(sizes
        .map(|(size, [before, after])| size.saturating_add(*before).saturating_add(*after))
        .collect())
}

/// Shape of values one after the other along an axis.
pub(crate) fn joined(name: &str, axis: usize, operands: &[&[usize]]) -> Result<Vec<usize>, QuantError> {
    let first = operands[0];
    let fail = |has: &[usize]| {
        let needs = format!("{first:?} but for axis {axis}");
        misfit(name, "operand", needs, format!("{has:?}"))
    };
    if axis >= first.len() {
        return Err(misfit(name, "axis", format!("below {}", first.len()), axis));
    }
    let mut shape = first.to_vec();
    shape[axis] = 0;
    for operand in operands {
        let same = |(a, (x, y)): (usize, (&usize, &usize))| a == axis || x == y;
        if operand.len() != first.len() || !operand.iter().zip(first).enumerate().all(same) {
            return Err(fail(operand));
        }
        shape[axis] = shape[axis].saturating_add(operand[axis]);
    }
    Ok(shape)
}
