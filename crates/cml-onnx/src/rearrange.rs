//! Nodes that copy elements or move them between axes: splits, repeats, nearest resizing, depth and space.

use crate::axes;
use crate::draft::{Id, Work};
use crate::model::Node;
use crate::report::{NodeProblem, Translated};
use crate::resize;
use crate::translation::{Translation, constant, live};
use crate::value::{Value, common};
use cml_quant::{Gather, Layer, Slice};

/// Most elements along an axis that a node makes.
pub(crate) const MAX_AXIS: usize = 1 << 16;

/// A value of the sample and its shape, batch axis included.
pub(crate) fn value(t: &Translation, operands: &[Option<Value>]) -> Translated<(Id, Vec<usize>)> {
    let x = live(operands, 0)?;
    Ok((x, [&[1], t.shape(x)].concat()))
}

/// The axis of a sample that an axis of the whole is.
fn of_sample(axis: usize) -> Translated<usize> {
    axis.checked_sub(1)
        .ok_or_else(|| NodeProblem::new("it works on the batch axis", "axis 1 or more"))
}

/// Elements of an axis (of the sample) at indices; none are moved where they stand in order.
pub(crate) fn gathered(
    t: &mut Translation,
    node: &Node,
    x: Id,
    axis: usize,
    indices: Vec<usize>,
) -> Translated<Id> {
    let shape = t.shape(x);
    if indices.iter().copied().eq(0..shape[axis]) {
        return Ok(x);
    }
    if indices.is_empty() || indices.len() > MAX_AXIS {
        return Err(NodeProblem::new(
            format!("{} elements along an axis, needs 1 to {MAX_AXIS}", indices.len()),
            "a smaller result",
        ));
    }
    let mut shape = shape.to_vec();
    if !t.has_room(indices.len()) {
        return Err(NodeProblem::new(
            "too many indices of single elements in all",
            "fewer copies",
        ));
    }
    shape[axis] = indices.len();
    let layer = Layer::Gather(Gather { axis, indices });
    Ok(t.push(node, Work::Plain(layer), &[x], shape))
}

/// The part of a sample from `start` on along an axis.
fn part(t: &mut Translation, node: &Node, x: Id, axis: usize, start: usize, count: usize) -> Id {
    let mut shape = t.shape(x).to_vec();
    if count == shape[axis] {
        return x;
    }
    let mut slice = Slice {
        starts: vec![0; shape.len()],
        ends: shape.clone(),
        steps: vec![1; shape.len()],
    };
    (slice.starts[axis], slice.ends[axis]) = (start, start + count);
    shape[axis] = count;
    t.push(node, Work::Plain(Layer::Slice(slice)), &[x], shape)
}

/// Parts along an axis: of given sizes, or as many as there are results, the last one smaller.
pub(crate) fn split(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Vec<Value>> {
    let (x, full) = value(t, operands)?;
    let axis = axes::axis(node.int_or("axis", 0)?, full.len())?;
    let size = full[axis];
    let parts = node.outputs.len();
    let sizes = match axes::list(node, "split", operands, 1)?.filter(|s| !s.is_empty()) {
        Some(sizes) => sizes,
        None => {
            let wanted = usize::try_from(node.int_or("num_outputs", parts as i64)?).unwrap_or(0);
            if wanted == 0 || wanted != parts || wanted > size {
                return Err(NodeProblem::malformed(format!(
                    "{wanted} parts of {size} for {parts} results"
                )));
            }
            let each = size.div_ceil(wanted);
            let left = |i: usize| size.saturating_sub(i * each).min(each) as i64;
            (0..wanted).map(left).collect()
        }
    };
    let total = sizes.iter().try_fold(0i64, |n, &s| n.checked_add(s));
    if sizes.len() != parts || total != Some(size as i64) || sizes.iter().any(|&s| s < 1) {
        return Err(NodeProblem::malformed(format!(
            "parts {sizes:?} of axis {axis} of {full:?} for {parts} results"
        )));
    }
    let axis = of_sample(axis)?;
    let mut start = 0;
    let parts = sizes.iter().map(|&size| {
        let at = start;
        start += size as usize;
        Value::Live(part(t, node, x, axis, at, size as usize))
    });
    Ok(parts.collect())
}

/// Elements at constant indices of an axis.
pub(crate) fn gather(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    if operands
        .first()
        .is_some_and(|o| o.as_ref().is_some_and(Value::is_constant))
    {
        return Err(NodeProblem::new(
            "it looks up rows of a table by a value of the sample (an embedding)",
            "the input as one-hot codes, and the table as a MatMul",
        ));
    }
    let (x, full) = value(t, operands)?;
    let wanted = constant(operands, 1)?.ok_or_else(|| NodeProblem::malformed("it has no indices"))?;
    let axis = axes::axis(node.int_or("axis", 0)?, full.len())?;
    let size = full[axis];
    let index = |i: i64| {
        let from_start = if i < 0 { i.saturating_add(size as i64) } else { i };
        usize::try_from(from_start).ok().filter(|&i| i < size)
    };
    let indices: Option<Vec<usize>> = wanted.to_ints()?.into_iter().map(index).collect();
    let indices =
        indices.ok_or_else(|| NodeProblem::malformed(format!("an index outside axis {axis} of {full:?}")))?;
    let at = of_sample(axis)?;
    let y = gathered(t, node, x, at, indices)?;
    let shape = [&full[1..axis], &wanted.shape, &full[axis + 1..]].concat();
    if shape.is_empty() {
        return Err(NodeProblem::new(
            "nothing is left but the batch",
            "indices of shape [1]",
        ));
    }
    Ok(Value::Live(t.reshape(node, y, shape)))
}

/// The whole, so many times along each axis.
pub(crate) fn tile(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let (mut x, full) = value(t, operands)?;
    let times = constant(operands, 1)?.ok_or_else(|| NodeProblem::malformed("it has no repeats"))?;
    let times = times.to_ints()?;
    let most = |&n: &i64| (1..=MAX_AXIS as i64).contains(&n);
    if times.len() != full.len() || !times.iter().all(most) {
        return Err(NodeProblem::malformed(format!("repeats {times:?} of {full:?}")));
    }
    if times[0] != 1 {
        return Err(NodeProblem::new(
            "it repeats the batch axis",
            "1 as the first repeat",
        ));
    }
    for (axis, &times) in times.iter().enumerate().skip(1).filter(|(_, n)| **n > 1) {
        let count = full[axis].saturating_mul(times as usize).min(MAX_AXIS + 1);
        x = gathered(t, node, x, axis - 1, (0..count).map(|i| i % full[axis]).collect())?;
        check_size(t, x)?;
    }
    Ok(Value::Live(x))
}

/// Broadcast to a shape.
pub(crate) fn expand(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let (x, full) = value(t, operands)?;
    let wanted = constant(operands, 1)?.ok_or_else(|| NodeProblem::malformed("it has no shape"))?;
    let size = |d: i64| usize::try_from(d).map_err(|_| NodeProblem::malformed(format!("a size of {d}")));
    let wanted = wanted
        .to_ints()?
        .into_iter()
        .map(size)
        .collect::<Translated<Vec<_>>>()?;
    let shape = common(&full, &wanted)?;
    broadcast(t, node, x, &shape).map(Value::Live)
}

/// A value of the sample as one of a shape, batch axis included, to which it broadcasts.
///
/// # Errors
/// If the shape has another batch, or too many elements.
pub(crate) fn broadcast(t: &mut Translation, node: &Node, x: Id, shape: &[usize]) -> Translated<Id> {
    let full = [&[1], t.shape(x)].concat();
    if full == shape {
        return Ok(x);
    }
    let Some((1, sample)) = shape.split_first().filter(|(_, s)| !s.is_empty()) else {
        return Err(NodeProblem::new(
            format!("values of shapes {full:?} and {shape:?}"),
            "shapes whose first axis is a batch of 1",
        ));
    };
    let lead = shape.len() - full.len();
    let mut from = vec![1; lead];
    from.extend(&full);
    let mut x = t.reshape(node, x, from[1..].to_vec());
    for (axis, &size) in sample.iter().enumerate() {
        if t.shape(x)[axis] == 1 && size > 1 {
            x = gathered(t, node, x, axis, vec![0; size.min(MAX_AXIS + 1)])?;
            check_size(t, x)?;
        }
    }
    Ok(x)
}

/// Refuses a value of too many elements, before more are made of it.
pub(crate) fn check_size(t: &Translation, x: Id) -> Translated<()> {
    const MOST: usize = 1 << 22;
    let count = t.shape(x).iter().fold(1usize, |n, &d| n.saturating_mul(d));
    if count <= MOST {
        return Ok(());
    }
    Err(NodeProblem::new(
        format!("a result of {count} elements, limit {MOST}"),
        "a smaller result",
    ))
}

/// Channels and planes of a value that blocks are moved between.
fn planes(t: &Translation, node: &Node, x: Id) -> Translated<([usize; 3], usize)> {
    let block = node.int_or("blocksize", 0)?;
    let block = usize::try_from(block).ok().filter(|b| (1..=MAX_AXIS).contains(b));
    let fail = || NodeProblem::malformed(format!("a value of shape {:?} in blocks", t.shape(x)));
    match (t.shape(x), block) {
        (&[c, h, w], Some(block)) => Ok(([c, h, w], block)),
        _ => Err(fail()),
    }
}

/// Blocks of channels become squares of the plane.
pub(crate) fn depth_to_space(
    t: &mut Translation,
    node: &Node,
    operands: &[Option<Value>],
) -> Translated<Value> {
    let x = live(operands, 0)?;
    let ([c, h, w], b) = planes(t, node, x)?;
    let channels = c / (b * b);
    if channels * b * b != c {
        return Err(NodeProblem::malformed(format!("{c} channels in blocks of {b}")));
    }
    let (apart, perm) = match node.text_or("mode", "DCR")?.as_str() {
        "DCR" => (vec![b, b, channels, h, w], vec![2, 3, 0, 4, 1]),
        "CRD" => (vec![channels, b, b, h, w], vec![0, 3, 1, 4, 2]),
        mode => return Err(NodeProblem::malformed(format!("mode {mode:?}"))),
    };
    let y = t.reshape(node, x, apart);
    let y = t.transpose(node, y, perm);
    Ok(Value::Live(t.reshape(node, y, vec![channels, h * b, w * b])))
}

/// Squares of the plane become blocks of channels.
pub(crate) fn space_to_depth(
    t: &mut Translation,
    node: &Node,
    operands: &[Option<Value>],
) -> Translated<Value> {
    let x = live(operands, 0)?;
    let ([c, h, w], b) = planes(t, node, x)?;
    if h % b != 0 || w % b != 0 {
        return Err(NodeProblem::malformed(format!(
            "a plane {h} x {w} in blocks of {b}"
        )));
    }
    let y = t.reshape(node, x, vec![c, h / b, b, w / b, b]);
    let y = t.transpose(node, y, vec![2, 4, 0, 1, 3]);
    Ok(Value::Live(t.reshape(node, y, vec![c * b * b, h / b, w / b])))
}

/// Nearest elements of another number along axes.
pub(crate) fn resize(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let (mut x, full) = value(t, operands)?;
    let along = resize::read(t.opset, node, operands, &full)?;
    for (axis, indices) in along.into_iter().enumerate() {
        let identity = indices.iter().copied().eq(0..full[axis]);
        if identity {
            continue;
        }
        x = gathered(t, node, x, of_sample(axis)?, indices)?;
        check_size(t, x)?;
    }
    Ok(Value::Live(x))
}

/// Indices of an axis of a size with a border: by reflection, repeats of the edge, or from the other side.
///
/// # Errors
/// If the mode is none of these, or a border is wider than the mode allows.
pub(crate) fn bordered(mode: &str, size: usize, [before, after]: [usize; 2]) -> Translated<Vec<usize>> {
    let count = size.saturating_add(before).saturating_add(after);
    if count > MAX_AXIS {
        return Err(NodeProblem::new(
            format!("an axis padded to {count} elements, limit {MAX_AXIS}"),
            "smaller pads",
        ));
    }
    let (n, first) = (size as i64, -(before as i64));
    let positions = (0..count as i64).map(|i| i + first);
    let last = n - 1;
    let index: Box<dyn Fn(i64) -> i64> = match mode {
        "edge" => Box::new(move |i| i.clamp(0, last)),
        "wrap" => Box::new(move |i| i.rem_euclid(n)),
        "reflect" if before.max(after) < size => Box::new(move |i| {
            if i < 0 {
                -i
            } else {
                last - (i - last).max(0) + (i - last).min(0)
            }
        }),
        "reflect" => {
            return Err(NodeProblem::new(
                format!("a reflection of {before} and {after} elements of {size}"),
                "pads below the size of the axis",
            ));
        }
        _ => return Err(NodeProblem::malformed(format!("mode {mode:?}"))),
    };
    Ok(positions.map(|i| index(i) as usize).collect())
}
