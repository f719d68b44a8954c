//! Nodes whose operands are constants, and shapes.

use crate::functions::{FunctionArguments, MakeFunction};
use crate::model::{Attribute, Node};
use crate::moves::NewShape;
use crate::report::{NodeProblem, Translated};
use crate::tensor::{Data, Dtype, Tensor};
use crate::translation::{Translation, constant};
use crate::value::{Coded, Value, broadcast, common, ints, is_float};
use crate::{axes, functions, qcdq};

/// Most elements of a constant that nodes compute; those of the file are bounded by its length.
const MAX_COMPUTED: usize = 1 << 22;

/// What a `Constant` node holds.
pub(crate) fn literal(_: &mut Translation, node: &Node, _: &[Option<Value>]) -> Translated<Value> {
    let value = node
        .attributes
        .iter()
        .find_map(|(name, value)| match (name.as_str(), value) {
            ("value", Attribute::Tensor(t)) => Some(t.clone()),
            ("value_float", Attribute::Float(f)) => Some(Tensor::floats(vec![], vec![*f])),
            ("value_int", Attribute::Int(i)) => Some(Tensor::ints(vec![], vec![*i])),
            ("value_floats", Attribute::Floats(f)) => Some(Tensor::floats(vec![f.len()], f.clone())),
            ("value_ints", Attribute::Ints(i)) => Some(Tensor::ints(vec![i.len()], i.clone())),
            _ => None,
        });
    let value = value.map(Value::Constant);
    value.ok_or_else(|| NodeProblem::new("a constant that is no dense tensor", "a dense tensor"))
}

/// A constant operand, dequantized.
fn tensor(operands: &[Option<Value>], slot: usize) -> Translated<Tensor> {
    constant(operands, slot)?.ok_or_else(|| NodeProblem::malformed(format!("operand {slot} is missing")))
}

/// A function of one variable.
pub(crate) fn function(
    _: &Translation,
    node: &Node,
    operands: &[Option<Value>],
    make: MakeFunction,
) -> Translated<Value> {
    let x = tensor(operands, 0)?;
    let sample = x.shape.get(1..).unwrap_or_default();
    let function = make(&FunctionArguments {
        node,
        operands,
        sample,
    })?;
    // The first axis is that of the batch.
    let (channels, each) = match sample {
        [] => (1, 1),
        [channels, rest @ ..] => (*channels, rest.iter().product()),
    };
    let value = |(i, &x): (usize, &f32)| function.eval(i / each % channels, x);
    let values = x.to_floats().iter().enumerate().map(value).collect();
    Ok(Value::Constant(Tensor::floats(x.shape.clone(), values)))
}

/// Bounds, on floats or integers.
pub(crate) fn clip(_: &Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let x = tensor(operands, 0)?;
    let (lo, hi) = functions::bounds(node, operands)?;
    if !is_float(&x) {
        return qcdq::clipped(&x, lo, hi).map(Value::Constant);
    }
    let clip = functions::clipped(lo, hi)?;
    let values = x.to_floats().iter().map(|&x| clip.eval(0, x)).collect();
    Ok(Value::Constant(Tensor::floats(x.shape, values)))
}

pub(crate) fn slice(_: &Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let x = tensor(operands, 0)?;
    let slice = axes::slice(node, operands, &x.shape)?;
    let shape: Vec<usize> = slice.iter().map(|s| s.count).collect();
    let from = indices(&shape, |at| {
        let along = at.iter().zip(&slice).map(|(&i, s)| s.at(i));
        along.zip(&x.shape).fold(0, |n, (i, d)| n * d + i)
    });
    Ok(Value::Constant(x.pick(shape, from.into_iter())))
}

/// Row-major indices of each element of a shape, given to `from`.
fn indices(shape: &[usize], from: impl Fn(&[usize]) -> usize) -> Vec<usize> {
    let count: usize = shape.iter().product();
    let mut at = vec![0; shape.len()];
    (0..count)
        .map(|_| {
            let index = from(&at);
            for axis in (0..shape.len()).rev() {
                at[axis] += 1;
                if at[axis] < shape[axis] {
                    break;
                }
                at[axis] = 0;
            }
            index
        })
        .collect()
}

/// Shape of a value, the batch axis being 1.
pub(crate) fn shape(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let shape = match operands.first().and_then(Option::as_ref) {
        Some(Value::Live(id) | Value::Integers(id, _)) => [&[1], t.shape(*id)].concat(),
        Some(value) => value.constant().map(|c| c.shape).unwrap_or_default(),
        None => return Err(NodeProblem::malformed("operand 0 is missing")),
    };
    let rank = shape.len() as i64;
    let bound = |i: i64| if i < 0 { i.saturating_add(rank) } else { i }.clamp(0, rank) as usize;
    let (start, end) = (bound(node.int_or("start", 0)?), bound(node.int_or("end", rank)?));
    let part = shape.get(start..end).unwrap_or_default();
    Ok(ints(part.iter().map(|&d| d as i64).collect()))
}

/// A tensor with its axes in another order.
pub(crate) fn permuted(tensor: &Tensor, perm: &[usize]) -> Tensor {
    let shape: Vec<usize> = perm.iter().map(|&a| tensor.shape[a]).collect();
    let strides = strides(&tensor.shape);
    let from = indices(&shape, |at| {
        at.iter().zip(perm).map(|(i, &a)| i * strides[a]).sum()
    });
    tensor.pick(shape, from.into_iter())
}

/// Axes in another order.
pub(crate) fn transpose(_: &Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let apply = |tensor: &Tensor| -> Translated<Tensor> {
        Ok(permuted(tensor, &axes::permutation(node, tensor.shape.len())?))
    };
    match operands.first() {
        // A scale for each channel follows the axes.
        Some(Some(Value::Coded(c))) => Ok(Value::Coded(Coded {
            codes: apply(&c.codes)?,
            scale: apply(&c.scale)?,
            ..c.clone()
        })),
        _ => apply(&tensor(operands, 0)?).map(Value::Constant),
    }
}

/// The same elements in another shape. Integers of one scale stay integers.
pub(crate) fn reshape(
    _: &Translation,
    node: &Node,
    operands: &[Option<Value>],
    shape: NewShape,
) -> Translated<Value> {
    match operands.first() {
        Some(Some(Value::Coded(c))) if c.scale.len() == 1 => {
            let shape = shape(node, operands, &c.codes.shape)?;
            Ok(Value::Coded(Coded {
                scale: Tensor {
                    shape: vec![1; shape.len()],
                    ..c.scale.clone()
                },
                codes: Tensor {
                    shape,
                    ..c.codes.clone()
                },
                ..c.clone()
            }))
        }
        _ => {
            let x = tensor(operands, 0)?;
            let shape = shape(node, operands, &x.shape)?;
            Ok(Value::Constant(Tensor { shape, ..x }))
        }
    }
}

fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

pub(crate) fn cast(_: &Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let x = tensor(operands, 0)?;
    let to = node.int_or("to", 0)?;
    let dtype = Dtype::from_onnx(to).ok_or_else(|| {
        NodeProblem::new(
            format!("a cast to type {to}"),
            "a cast to float or an integer type",
        )
    })?;
    let data = match (dtype, &x.data) {
        (Dtype::Float, _) => Data::Float(x.to_floats()),
        (Dtype::Bool, _) => Data::Int(x.to_floats().iter().map(|&f| i64::from(f != 0.0)).collect()),
        (_, Data::Int(v)) => Data::Int(v.clone()),
        // Toward zero.
        (_, Data::Float(v)) => Data::Int(v.iter().map(|&f| f as i64).collect()),
    };
    let (lo, hi) = dtype.range().unwrap_or((i64::MIN, i64::MAX));
    if let Data::Int(values) = &data
        && let Some(bad) = values.iter().find(|v| !(lo..=hi).contains(v))
    {
        return Err(NodeProblem::malformed(format!(
            "a cast of {bad} to a type of {lo} to {hi}"
        )));
    }
    Ok(Value::Constant(Tensor {
        shape: x.shape,
        dtype,
        data,
    }))
}

/// One value in every element.
pub(crate) fn filled(_: &Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let size = |d: i64| usize::try_from(d).map_err(|_| NodeProblem::malformed(format!("a size of {d}")));
    let shape = tensor(operands, 0)?
        .to_ints()?
        .into_iter()
        .map(size)
        .collect::<Translated<Vec<_>>>()?;
    limit(&shape)?;
    let value = match node.attributes.get("value") {
        None => Tensor::floats(vec![1], vec![0.0]),
        Some(Attribute::Tensor(t)) if t.len() == 1 => t.clone(),
        Some(_) => return Err(NodeProblem::malformed("attribute value is not one number")),
    };
    let count: usize = shape.iter().product();
    Ok(Value::Constant(value.pick(shape, std::iter::repeat_n(0, count))))
}

/// Elements at constant indices of an axis.
pub(crate) fn gather(_: &Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let (x, wanted) = (tensor(operands, 0)?, tensor(operands, 1)?);
    let axis = axes::axis(node.int_or("axis", 0)?, x.shape.len())?;
    let size = x.shape[axis] as i64;
    let picked: Vec<usize> = wanted
        .to_ints()?
        .into_iter()
        .map(|i| usize::try_from(if i < 0 { i.saturating_add(size) } else { i }).ok())
        .map(|i| i.filter(|&i| i < x.shape[axis]))
        .collect::<Option<_>>()
        .ok_or_else(|| NodeProblem::malformed(format!("an index outside axis {axis} of size {size}")))?;
    let outer: usize = x.shape[..axis].iter().product();
    let inner: usize = x.shape[axis + 1..].iter().product();
    let shape = [&x.shape[..axis], &wanted.shape, &x.shape[axis + 1..]].concat();
    limit(&shape)?;
    let mut from = Vec::new();
    for o in 0..outer {
        for &p in &picked {
            from.extend((0..inner).map(|i| (o * x.shape[axis] + p) * inner + i));
        }
    }
    Ok(Value::Constant(x.pick(shape, from.into_iter())))
}

/// Constants one after the other along an axis.
pub(crate) fn concat(_: &Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let tensors: Vec<Tensor> = operands.iter().flatten().filter_map(Value::constant).collect();
    let Some(first) = tensors.first() else {
        return Err(NodeProblem::malformed("it joins nothing"));
    };
    let axis = axes::axis(node.int_or("axis", 0)?, first.shape.len())?;
    let mut shape = first.shape.clone();
    shape[axis] = 0;
    for tensor in &tensors {
        let same = tensor
            .shape
            .iter()
            .zip(&first.shape)
            .enumerate()
            .all(|(a, (x, y))| a == axis || x == y);
        if tensor.shape.len() != shape.len() || !same || is_float(tensor) != is_float(first) {
            return Err(NodeProblem::malformed(format!(
                "{:?} and {:?} do not join",
                first.shape, tensor.shape
            )));
        }
        shape[axis] = shape[axis].saturating_add(tensor.shape[axis]);
    }
    limit(&shape)?;
    let outer: usize = shape[..axis].iter().product();
    let (mut floats, mut integers) = (Vec::new(), Vec::new());
    for o in 0..outer {
        for tensor in &tensors {
            let each: usize = tensor.shape[axis..].iter().product();
            match &tensor.data {
                Data::Float(v) => floats.extend_from_slice(&v[o * each..(o + 1) * each]),
                Data::Int(v) => integers.extend_from_slice(&v[o * each..(o + 1) * each]),
            }
        }
    }
    let data = match first.data {
        Data::Float(_) => Data::Float(floats),
        Data::Int(_) => Data::Int(integers),
    };
    Ok(Value::Constant(Tensor {
        shape,
        dtype: first.dtype,
        data,
    }))
}

/// Refuses a result of too many elements.
fn limit(shape: &[usize]) -> Translated<()> {
    // An axis of size 0 must not hide the others.
    let count = shape.iter().fold(1usize, |n, &d| n.saturating_mul(d.max(1)));
    if count <= MAX_COMPUTED {
        return Ok(());
    }
    Err(NodeProblem::new(
        format!("a computed constant of {count} elements, limit {MAX_COMPUTED}"),
        "a smaller constant",
    ))
}

/// An operation on two constants that are broadcast to each other; integers stay integers.
pub(crate) fn binary(
    operands: &[Option<Value>],
    floats: fn(f32, f32) -> f32,
    integers: fn(i64, i64) -> Option<i64>,
) -> Translated<Value> {
    let (a, b) = (tensor(operands, 0)?, tensor(operands, 1)?);
    let shape = common(&a.shape, &b.shape)?;
    limit(&shape)?;
    let pairs = broadcast(&shape, &a.shape)
        .into_iter()
        .zip(broadcast(&shape, &b.shape));
    if let (Data::Int(x), Data::Int(y)) = (&a.data, &b.data) {
        let values: Option<Vec<i64>> = pairs.map(|(i, j)| integers(x[i], y[j])).collect();
        let values = values.ok_or_else(|| NodeProblem::malformed("an integer overflows"))?;
        return Ok(Value::Constant(Tensor {
            shape,
            dtype: a.dtype,
            data: Data::Int(values),
        }));
    }
    let (x, y) = (a.to_floats(), b.to_floats());
    let values = pairs.map(|(i, j)| floats(x[i], y[j])).collect();
    Ok(Value::Constant(Tensor::floats(shape, values)))
}

/// Elements of the second or third tensor, as the first says.
pub(crate) fn chosen(_: &Translation, _: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let [condition, then, otherwise] = [tensor(operands, 0)?, tensor(operands, 1)?, tensor(operands, 2)?];
    let shape = common(&condition.shape, &common(&then.shape, &otherwise.shape)?)?;
    limit(&shape)?;
    let at = |t: &Tensor| broadcast(&shape, &t.shape);
    let (truth, c, a, b) = (condition.to_floats(), at(&condition), at(&then), at(&otherwise));
    let of = |i: usize| truth[c[i]] != 0.0;
    let data = match (&then.data, &otherwise.data) {
        (Data::Int(x), Data::Int(y)) => Data::Int(
            (0..c.len())
                .map(|i| if of(i) { x[a[i]] } else { y[b[i]] })
                .collect(),
        ),
        _ => {
            let (x, y) = (then.to_floats(), otherwise.to_floats());
            Data::Float(
                (0..c.len())
                    .map(|i| if of(i) { x[a[i]] } else { y[b[i]] })
                    .collect(),
            )
        }
    };
    Ok(Value::Constant(Tensor {
        shape,
        dtype: then.dtype,
        data,
    }))
}

/// A power of an integer, if it is one that fits.
pub(crate) fn power(base: i64, exponent: i64) -> Option<i64> {
    base.checked_pow(u32::try_from(exponent).ok()?)
}
