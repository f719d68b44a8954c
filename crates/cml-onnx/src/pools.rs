//! Averages, sums and maxima over windows and axes.

use crate::axes;
use crate::draft::{Id, Work};
use crate::model::Node;
use crate::report::{NodeProblem, Translated};
use crate::translation::{Translation, live};
use crate::value::Value;
use crate::window;
use cml_quant::{Layer, Pool, PoolKind};

pub(crate) fn average(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let kind = PoolKind::Average;
    windows(t, node, operands, |plane, axes| windowed(node, kind, plane, axes))
}

pub(crate) fn max(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let kind = PoolKind::Max;
    windows(t, node, operands, |plane, axes| windowed(node, kind, plane, axes))
}

pub(crate) fn global_average(
    t: &mut Translation,
    node: &Node,
    operands: &[Option<Value>],
) -> Translated<Value> {
    windows(t, node, operands, |plane, _| Ok(global(PoolKind::Average, plane)))
}

pub(crate) fn global_max(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    windows(t, node, operands, |plane, _| Ok(global(PoolKind::Max, plane)))
}

/// The mean over axes.
pub(crate) fn reduce_mean(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    reduce(t, node, operands, PoolKind::Average).map(Value::Live)
}

/// The sum over axes.
pub(crate) fn reduce_sum(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    reduce(t, node, operands, PoolKind::Sum).map(Value::Live)
}

/// The maximum over axes.
pub(crate) fn reduce_max(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    reduce(t, node, operands, PoolKind::Max).map(Value::Live)
}

/// Windows of a plane, with the number of their positions.
type Placed = (Pool, [usize; 2]);

/// A pool in 1 or 2 dimensions.
fn windows(
    t: &mut Translation,
    node: &Node,
    operands: &[Option<Value>],
    pool: impl Fn([usize; 2], usize) -> Translated<Placed>,
) -> Translated<Value> {
    let x = live(operands, 0)?;
    let shape = t.shape(x).to_vec();
    let axes = shape.len().saturating_sub(1);
    if !(1..=2).contains(&axes) {
        return Err(NodeProblem::new(
            format!("a pool of a value of shape {shape:?}"),
            "a pool in 1 or 2 dimensions",
        ));
    }
    let (pool, positions) = pool(window::plane(&shape), axes)?;
    let y = pooled(t, node, x, pool, positions);
    let mut result = shape[..1].to_vec();
    result.extend(&positions[2 - axes..]);
    Ok(Value::Live(t.reshape(node, y, result)))
}

/// One window, the whole plane.
fn global(kind: PoolKind, plane: [usize; 2]) -> Placed {
    let pool = Pool {
        kind,
        kernel: plane,
        stride: [1, 1],
        padding: [0; 4],
    };
    (pool, [1, 1])
}

fn windowed(node: &Node, kind: PoolKind, plane: [usize; 2], axes: usize) -> Translated<Placed> {
    if node.ints("kernel_shape")?.is_none() {
        return Err(NodeProblem::malformed("it has no kernel_shape"));
    }
    let kernel = window::pair(node, "kernel_shape", axes)?;
    if window::pair(node, "dilations", axes)? != [1, 1] {
        return Err(NodeProblem::new("a pool with dilations", "dilation 1"));
    }
    let window = window::read(node, kernel, plane, axes)?;
    if kind == PoolKind::Average && window.padding != [0; 4] && node.int_or("count_include_pad", 0)? == 0 {
        return Err(NodeProblem::new(
            "padding that an average does not count: windows of different sizes",
            "count_include_pad=True, or no padding",
        ));
    }
    let pool = Pool {
        kind,
        kernel,
        stride: window.stride,
        padding: window.padding,
    };
    Ok((pool, window.positions))
}

/// A pool on `[channels, height, width]`, with a reshape before it in one dimension.
fn pooled(t: &mut Translation, node: &Node, x: Id, pool: Pool, positions: [usize; 2]) -> Id {
    let shape = t.shape(x).to_vec();
    let plane = window::plane(&shape);
    let x = t.reshape(node, x, vec![shape[0], plane[0], plane[1]]);
    let result = vec![shape[0], positions[0], positions[1]];
    t.push(node, Work::Plain(Layer::Pool(pool)), &[x], result)
}

/// A mean, sum or maximum over axes.
fn reduce(t: &mut Translation, node: &Node, operands: &[Option<Value>], kind: PoolKind) -> Translated<Id> {
    let x = live(operands, 0)?;
    let full = [&[1], t.shape(x)].concat();
    let rank = full.len();
    let axes = match axes::list(node, "axes", operands, 1)?.filter(|a| !a.is_empty()) {
        Some(axes) => axes::sorted(&axes, rank)?,
        None if node.int_or("noop_with_empty_axes", 0)? != 0 => return Ok(x),
        None => (0..rank).collect(),
    };
    // The batch is one sample: its axis says nothing, but must stay.
    if axes.first() == Some(&0) {
        return Err(NodeProblem::new(
            format!("it reduces axes {axes:?} of {full:?}"),
            "axes without the batch (axis 0)",
        ));
    }
    // The axes that go come last.
    let (gone, left): (Vec<usize>, Vec<usize>) = (1..rank).partition(|a| axes.contains(a));
    let perm = left.iter().chain(&gone).map(|a| a - 1).collect();
    let x = t.transpose(node, x, perm);
    let kept: Vec<usize> = left.iter().map(|&a| full[a]).collect();
    let count: usize = gone.iter().map(|&a| full[a]).product();
    let result: Vec<usize> = if node.int_or("keepdims", 1)? != 0 {
        let size = |a: usize| if axes.contains(&a) { 1 } else { full[a] };
        (1..rank).map(size).collect()
    } else {
        kept.clone()
    };
    if result.is_empty() {
        return Err(NodeProblem::new("nothing is left but the batch", "keepdims=True"));
    }
    let (channels, rows) = match &kept[..] {
        [] => (1, 1),
        [c] => (*c, 1),
        [c, rest @ ..] => (*c, rest.iter().product()),
    };
    let y = t.reshape(node, x, vec![channels, rows, count]);
    let pool = Pool {
        kind,
        kernel: [1, count],
        stride: [1, 1],
        padding: [0; 4],
    };
    let y = pooled(t, node, y, pool, [rows, 1]);
    Ok(t.reshape(node, y, result))
}
