//! Nodes whose operands are constants, and shapes.

use crate::model::{Attribute, Node};
use crate::report::{Outcome, Problem};
use crate::tensor::{Data, Dtype, Tensor};
use crate::translate::Translation;
use crate::value::{Coded, Value, broadcast, common, ints, is_float};
use crate::{axes, functions, qcdq};

/// Most elements of a constant that nodes compute; those of the file are bounded by its length.
const MAX_COMPUTED: usize = 1 << 22;

/// What a `Constant` node holds.
pub(crate) fn literal(node: &Node) -> Outcome<Tensor> {
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
    value.ok_or_else(|| Problem::new("a constant that is no dense tensor", "a dense tensor"))
}

/// Value of a node that can be computed now; `None` if it depends on the input.
///
/// # Errors
/// If the operator is not one that constants are folded with.
pub(crate) fn fold(t: &Translation<'_>, node: &Node, operands: &[Option<Value>]) -> Outcome<Option<Value>> {
    if node.op == "Shape" {
        return shape(t, node, operands).map(Some);
    }
    if operands.is_empty() || !operands.iter().flatten().all(Value::is_constant) {
        return Ok(None);
    }
    let Some(Some(first)) = operands.first() else {
        return Err(Problem::malformed("operand 0 is missing"));
    };
    if matches!(node.op.as_str(), "Identity" | "Dropout") {
        return Ok(Some(first.clone()));
    }
    let tensors: Vec<Tensor> = operands.iter().flatten().filter_map(Value::constant).collect();
    let x = &tensors[0];
    let value = match node.op.as_str() {
        "Transpose" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => {
            return moved(t, node, first, operands).map(Some);
        }
        "Cast" => cast(node, x)?,
        "ConstantOfShape" => filled(node, x)?,
        "Gather" => gather(node, x, &tensors)?,
        "Concat" => concat(node, &tensors)?,
        "Slice" => {
            let slice = axes::slice(t.model.opset, node, operands, &x.shape)?;
            let shape: Vec<usize> = slice.iter().map(|s| s.count).collect();
            let from = indices(&shape, |at| {
                let along = at.iter().zip(&slice).map(|(&i, s)| s.at(i));
                along.zip(&x.shape).fold(0, |n, (i, d)| n * d + i)
            });
            x.pick(shape, from.into_iter())
        }
        "Clip" if !is_float(x) => {
            let (lo, hi) = functions::bounds(t.model.opset, node, operands)?;
            qcdq::clipped(x, lo, hi)?
        }
        "Add" | "Sub" | "Mul" | "Div" | "Pow" => binary(&node.op, x, tensors.get(1))?,
        op => {
            let Some(function) = functions::of(t.model.opset, node, operands, &x.shape)? else {
                return Err(Problem::new(
                    format!("{op} of constants is not folded"),
                    "an export with constants folded (do_constant_folding=True)",
                ));
            };
            Tensor::floats(
                x.shape.clone(),
                x.to_floats().iter().map(|&x| function.eval(0, x)).collect(),
            )
        }
    };
    Ok(Some(Value::Constant(value)))
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
fn shape(t: &Translation<'_>, node: &Node, operands: &[Option<Value>]) -> Outcome<Value> {
    let shape = match operands.first().and_then(Option::as_ref) {
        Some(Value::Live(id) | Value::Integers(id, _)) => [&[1], t.shape(*id)].concat(),
        Some(value) => value.constant().map(|c| c.shape).unwrap_or_default(),
        None => return Err(Problem::malformed("operand 0 is missing")),
    };
    let rank = shape.len() as i64;
    let bound = |i: i64| if i < 0 { i.saturating_add(rank) } else { i }.clamp(0, rank) as usize;
    let (start, end) = (bound(node.int_or("start", 0)?), bound(node.int_or("end", rank)?));
    let part = shape.get(start..end).unwrap_or_default();
    Ok(ints(part.iter().map(|&d| d as i64).collect()))
}

/// The same elements in another shape or order; integers of a quantized constant stay integers.
fn moved(t: &Translation<'_>, node: &Node, x: &Value, operands: &[Option<Value>]) -> Outcome<Value> {
    let apply = |tensor: &Tensor| -> Outcome<Tensor> {
        if node.op != "Transpose" {
            let shape = axes::reshaped(t.model.opset, node, operands, &tensor.shape)?;
            return Ok(Tensor {
                shape,
                ..tensor.clone()
            });
        }
        let perm = axes::permutation(node, tensor.shape.len())?;
        let shape: Vec<usize> = perm.iter().map(|&a| tensor.shape[a]).collect();
        let strides = strides(&tensor.shape);
        let from = indices(&shape, |at| {
            at.iter().zip(&perm).map(|(i, &a)| i * strides[a]).sum()
        });
        Ok(tensor.pick(shape, from.into_iter()))
    };
    match x {
        // A scale for each channel follows the axes; of a reshape only if there is just one scale.
        Value::Coded(c) if node.op == "Transpose" || c.scale.len() == 1 => {
            let codes = apply(&c.codes)?;
            let scale = if c.scale.len() == 1 {
                Tensor {
                    shape: vec![1; codes.shape.len()],
                    ..c.scale.clone()
                }
            } else {
                apply(&c.scale)?
            };
            Ok(Value::Coded(Coded {
                codes,
                scale,
                ..c.clone()
            }))
        }
        _ => {
            let tensor = x
                .constant()
                .ok_or_else(|| Problem::malformed("operand 0 is no constant"))?;
            apply(&tensor).map(Value::Constant)
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

fn cast(node: &Node, x: &Tensor) -> Outcome<Tensor> {
    let to = node.int_or("to", 0)?;
    let dtype = Dtype::from_onnx(to).ok_or_else(|| {
        Problem::new(
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
        return Err(Problem::malformed(format!(
            "a cast of {bad} to a type of {lo} to {hi}"
        )));
    }
    Ok(Tensor {
        shape: x.shape.clone(),
        dtype,
        data,
    })
}

/// One value in every element.
fn filled(node: &Node, shape: &Tensor) -> Outcome<Tensor> {
    let size = |d: i64| usize::try_from(d).map_err(|_| Problem::malformed(format!("a size of {d}")));
    let shape = shape
        .to_ints()?
        .into_iter()
        .map(size)
        .collect::<Outcome<Vec<_>>>()?;
    limit(&shape)?;
    let value = match node.attributes.get("value") {
        None => Tensor::floats(vec![1], vec![0.0]),
        Some(Attribute::Tensor(t)) if t.len() == 1 => t.clone(),
        Some(_) => return Err(Problem::malformed("attribute value is not one number")),
    };
    let count: usize = shape.iter().product();
    Ok(value.pick(shape, std::iter::repeat_n(0, count)))
}

fn gather(node: &Node, x: &Tensor, tensors: &[Tensor]) -> Outcome<Tensor> {
    let wanted = tensors
        .get(1)
        .ok_or_else(|| Problem::malformed("operand 1 is missing"))?;
    let axis = axes::axis(node.int_or("axis", 0)?, x.shape.len())?;
    let size = x.shape[axis] as i64;
    let picked: Vec<usize> = wanted
        .to_ints()?
        .into_iter()
        .map(|i| usize::try_from(if i < 0 { i.saturating_add(size) } else { i }).ok())
        .map(|i| i.filter(|&i| i < x.shape[axis]))
        .collect::<Option<_>>()
        .ok_or_else(|| Problem::malformed(format!("an index outside axis {axis} of size {size}")))?;
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
    Ok(x.pick(shape, from.into_iter()))
}

fn concat(node: &Node, tensors: &[Tensor]) -> Outcome<Tensor> {
    let first = &tensors[0];
    let axis = axes::axis(node.int_or("axis", 0)?, first.shape.len())?;
    let mut shape = first.shape.clone();
    shape[axis] = 0;
    for tensor in tensors {
        let same = tensor
            .shape
            .iter()
            .zip(&first.shape)
            .enumerate()
            .all(|(a, (x, y))| a == axis || x == y);
        if tensor.shape.len() != shape.len() || !same || is_float(tensor) != is_float(first) {
            return Err(Problem::malformed(format!(
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
        for tensor in tensors {
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
    Ok(Tensor {
        shape,
        dtype: first.dtype,
        data,
    })
}

/// Refuses a result of too many elements.
fn limit(shape: &[usize]) -> Outcome<()> {
    // An axis of size 0 must not hide the others.
    let count = shape.iter().fold(1usize, |n, &d| n.saturating_mul(d.max(1)));
    if count <= MAX_COMPUTED {
        return Ok(());
    }
    Err(Problem::new(
        format!("a computed constant of {count} elements, limit {MAX_COMPUTED}"),
        "a smaller constant",
    ))
}

fn binary(op: &str, a: &Tensor, b: Option<&Tensor>) -> Outcome<Tensor> {
    let b = b.ok_or_else(|| Problem::malformed("operand 1 is missing"))?;
    let shape = common(&a.shape, &b.shape)?;
    limit(&shape)?;
    let pairs = broadcast(&shape, &a.shape)
        .into_iter()
        .zip(broadcast(&shape, &b.shape));
    if let (Data::Int(x), Data::Int(y)) = (&a.data, &b.data) {
        let both = |(i, j): (usize, usize)| match op {
            "Add" => x[i].checked_add(y[j]),
            "Sub" => x[i].checked_sub(y[j]),
            "Mul" => x[i].checked_mul(y[j]),
            "Div" => x[i].checked_div(y[j]),
            _ => u32::try_from(y[j]).ok().and_then(|e| x[i].checked_pow(e)),
        };
        let values: Option<Vec<i64>> = pairs.map(both).collect();
        return match values {
            Some(values) => Ok(Tensor {
                shape,
                dtype: a.dtype,
                data: Data::Int(values),
            }),
            None => Err(Problem::malformed("an integer overflows")),
        };
    }
    let (x, y) = (a.to_floats(), b.to_floats());
    let both = |(i, j): (usize, usize)| match op {
        "Add" => x[i] + y[j],
        "Sub" => x[i] - y[j],
        "Mul" => x[i] * y[j],
        "Div" => x[i] / y[j],
        _ => x[i].powf(y[j]),
    };
    Ok(Tensor::floats(shape, pairs.map(both).collect()))
}
