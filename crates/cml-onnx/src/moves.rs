//! Nodes that move elements or give them another shape.

use crate::axes;
use crate::draft::{Id, Work};
use crate::model::Node;
use crate::rearrange::{bordered, check_size, gathered, value};
use crate::report::{NodeProblem, Translated};
use crate::translation::{Translation, constant, live};
use crate::value::Value;
use cml_quant::{Concat, Layer, Pad, Slice};

/// The shape that a node gives the elements of a value of a full shape, batch axis included.
pub(crate) type NewShape = fn(&Node, &[Option<Value>], &[usize]) -> Translated<Vec<usize>>;

pub(crate) fn reshape(
    t: &mut Translation,
    node: &Node,
    operands: &[Option<Value>],
    shape: NewShape,
) -> Translated<Value> {
    let (x, full) = value(t, operands)?;
    let shape = shape(node, operands, &full)?;
    match shape.split_first() {
        Some((1, sample)) if !sample.is_empty() => Ok(Value::Live(t.reshape(node, x, sample.to_vec()))),
        _ => Err(NodeProblem::new(
            format!("from {full:?} to {shape:?}, which has no batch axis"),
            "a shape whose first axis is the batch",
        )),
    }
}

pub(crate) fn transpose(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let (x, full) = value(t, operands)?;
    let perm = axes::permutation(node, full.len())?;
    if perm.first() != Some(&0) {
        return Err(NodeProblem::new(
            format!("perm {perm:?} moves the batch axis"),
            "an order of axes that starts with 0",
        ));
    }
    let perm: Vec<usize> = perm[1..].iter().map(|a| a - 1).collect();
    Ok(Value::Live(t.transpose(node, x, perm)))
}

pub(crate) fn slice(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let (x, full) = value(t, operands)?;
    let ranges = axes::slice(node, operands, &full)?;
    if let Some(axis) = ranges.iter().position(|r| r.count == 0) {
        return Err(NodeProblem::new(
            format!("nothing is left of axis {axis}"),
            "a slice with elements",
        ));
    }
    let sample = &ranges[1..];
    if sample.iter().any(|r| r.step < 0) {
        let mut y = x;
        for (axis, range) in sample.iter().enumerate() {
            let indices = (0..range.count).map(|i| range.at(i)).collect();
            y = gathered(t, node, y, axis, indices)?;
        }
        return Ok(Value::Live(y));
    }
    let layer = Layer::Slice(Slice {
        starts: sample.iter().map(|r| r.start).collect(),
        ends: sample.iter().map(|r| r.at(r.count - 1) + 1).collect(),
        steps: sample.iter().map(|r| r.step as usize).collect(),
    });
    let shape = sample.iter().map(|r| r.count).collect();
    let y = t.push(node, Work::Plain(layer), &[x], shape);
    Ok(Value::Live(y))
}

pub(crate) fn pad(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let (x, full) = value(t, operands)?;
    const MOST: i64 = 1 << 20;
    let mode = node.text_or("mode", "constant")?;
    let value = match constant(operands, 2)? {
        None => node.float_or("value", 0.0)?,
        Some(value) if value.len() == 0 => 0.0,
        Some(value) => value.scalar().unwrap_or(f32::NAN),
    };
    if mode == "constant" && value != 0.0 {
        return Err(NodeProblem::new(
            format!("padding in mode {mode} with {value}"),
            "constant padding with 0, or mode reflect, edge or wrap",
        ));
    }
    let pads =
        axes::list(node, "pads", operands, 1)?.ok_or_else(|| NodeProblem::malformed("it has no pads"))?;
    let padded = match constant(operands, 3)? {
        Some(axes) => axes
            .to_ints()?
            .into_iter()
            .map(|a| axes::axis(a, full.len()))
            .collect::<Translated<Vec<_>>>()?,
        None => (0..full.len()).collect(),
    };
    if pads.len() != 2 * padded.len() || pads.iter().any(|p| !(0..=MOST).contains(p)) {
        return Err(NodeProblem::new(
            format!("pads {pads:?} of {full:?}"),
            "one pad of at least 0 for each start, then one for each end",
        ));
    }
    let mut padding = vec![[0, 0]; full.len()];
    for (i, &axis) in padded.iter().enumerate() {
        padding[axis] = [pads[i] as usize, pads[i + padded.len()] as usize];
    }
    if padding[0] != [0, 0] {
        return Err(NodeProblem::new(
            "it pads the batch axis",
            "padding of the other axes",
        ));
    }
    let padding = padding.split_off(1);
    if padding.iter().all(|p| *p == [0, 0]) {
        return Ok(Value::Live(x));
    }
    if mode != "constant" {
        let mut y = x;
        for (axis, &border) in padding.iter().enumerate() {
            let indices = bordered(&mode, full[axis + 1], border)?;
            y = gathered(t, node, y, axis, indices)?;
            check_size(t, y)?;
        }
        return Ok(Value::Live(y));
    }
    let sizes = full[1..].iter().zip(&padding);
    let shape = sizes.map(|(d, p)| d.saturating_add(p[0] + p[1])).collect();
    let y = t.push(node, Work::Plain(Layer::Pad(Pad { padding })), &[x], shape);
    Ok(Value::Live(y))
}

pub(crate) fn concat(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let parts = (0..operands.len())
        .map(|slot| live(operands, slot))
        .collect::<Translated<Vec<Id>>>()?;
    let Some(&first) = parts.first() else {
        return Err(NodeProblem::malformed("it joins nothing"));
    };
    let mut shape = t.shape(first).to_vec();
    let axis = axes::axis(node.int_or("axis", 0)?, shape.len() + 1)?;
    let Some(axis) = axis.checked_sub(1) else {
        return Err(NodeProblem::new(
            "it joins samples along the batch axis",
            "axis 1 or more",
        ));
    };
    shape[axis] = 0;
    for &part in &parts {
        let other = t.shape(part);
        let same = |(a, (x, y)): (usize, (&usize, &usize))| a == axis || x == y;
        if other.len() != shape.len() || !other.iter().zip(&shape).enumerate().all(same) {
            return Err(NodeProblem::malformed(format!(
                "a value of shape {other:?} joined along axis {}",
                axis + 1
            )));
        }
        shape[axis] = shape[axis].saturating_add(other[axis]);
    }
    if let [only] = parts[..] {
        return Ok(Value::Live(only));
    }
    let y = t.push(node, Work::Plain(Layer::Concat(Concat { axis })), &parts, shape);
    Ok(Value::Live(y))
}
