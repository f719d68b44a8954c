//! Dense layers and convolutions.

use crate::draft::{Affine, Id, Kind, Weighted, Weights, Work, fitting};
use crate::model::Node;
use crate::report::{Outcome, Problem};
use crate::tensor::Tensor;
use crate::translate::{Translation, constant, live};
use crate::value::{Value, broadcast, broadcasts_to};
use crate::window;

/// Most weights of a kernel into which a dilation puts zeros.
const MAX_DILATED: usize = 1 << 22;

pub(crate) fn apply(t: &mut Translation<'_>, node: &Node, operands: &[Option<Value>]) -> Outcome<Value> {
    match node.op.as_str() {
        "Gemm" => gemm(t, node, operands),
        "MatMul" => matmul(t, node, operands),
        _ => conv(t, node, operands),
    }
    .map(Value::Live)
}

/// The constant that is multiplied with, and its shape.
fn weight_of(operands: &[Option<Value>]) -> Outcome<&Value> {
    match operands.get(1) {
        Some(Some(value)) if value.is_constant() => Ok(value),
        Some(Some(_)) => Err(Problem::new(
            "it multiplies two values of the sample",
            "constant weights as the second operand",
        )),
        _ => Err(Problem::malformed("it has no weights")),
    }
}

fn gemm(t: &mut Translation<'_>, node: &Node, operands: &[Option<Value>]) -> Outcome<Id> {
    let weight = weight_of(operands)?;
    let x = live(operands, 0)?;
    if node.int_or("transA", 0)? != 0 {
        return Err(Problem::new("transA: it transposes the batch axis", "transA = 0"));
    }
    let (shape, mut weights) = matrix(weight, node.int_or("transB", 0)? != 0)?;
    let bias = match constant(operands, 2)? {
        None => None,
        Some(bias) => {
            let beta = node.float_or("beta", 1.0)?;
            Some(bias_of(&bias, shape[0], beta)?)
        }
    };
    let alpha = node.float_or("alpha", 1.0)?;
    if alpha != 1.0 {
        let mut scaled = dense(shape.clone(), weights, None);
        scaled.absorb(&Affine::scaled(vec![f64::from(alpha)]))?;
        weights = scaled.weights;
    }
    push_dense(t, node, x, dense(shape, weights, bias))
}

fn matmul(t: &mut Translation<'_>, node: &Node, operands: &[Option<Value>]) -> Outcome<Id> {
    let weight = weight_of(operands)?;
    let x = live(operands, 0)?;
    let (shape, weights) = matrix(weight, false)?;
    push_dense(t, node, x, dense(shape, weights, None))
}

fn dense(shape: Vec<usize>, weights: Weights, bias: Option<Vec<f32>>) -> Weighted {
    Weighted {
        kind: Kind::Dense,
        shape,
        weights,
        bias,
    }
}

fn push_dense(t: &mut Translation<'_>, node: &Node, x: Id, layer: Weighted) -> Outcome<Id> {
    let (out, fan_in) = (layer.shape[0], layer.shape[1]);
    if t.shape(x) != [fan_in] {
        return Err(Problem::new(
            format!(
                "weights for {fan_in} features with a value of shape {:?}",
                t.shape(x)
            ),
            "a Flatten before it, or weights that fit",
        ));
    }
    Ok(t.push(node, Work::Weighted(layer), &[x], vec![out]))
}

/// Weights `[out, in]` of a matrix `[in, out]`, or of `[out, in]` if `transposed`.
fn matrix(value: &Value, transposed: bool) -> Outcome<(Vec<usize>, Weights)> {
    let (shape, weights) = extract(value, usize::from(!transposed))?;
    let &[rows, columns] = &shape[..] else {
        return Err(Problem::malformed(format!(
            "weights of shape {shape:?}, needs 2 axes"
        )));
    };
    if transposed {
        return Ok((shape, weights));
    }
    let from = (0..columns).flat_map(|c| (0..rows).map(move |r| Some(r * columns + c)));
    let weights = weights.rearranged(from);
    Ok((vec![columns, rows], weights))
}

/// Weights of a constant whose axis `out` is that of the output channels.
fn extract(value: &Value, out: usize) -> Outcome<(Vec<usize>, Weights)> {
    let empty = |shape: &[usize]| shape.contains(&0) || shape.len() <= out;
    match value {
        Value::Constant(tensor) => {
            let values = tensor.to_floats();
            if empty(&tensor.shape) || values.iter().any(|v| !v.is_finite()) {
                let why = format!(
                    "weights of shape {:?} that are missing or not finite",
                    tensor.shape
                );
                return Err(Problem::malformed(why));
            }
            Ok((tensor.shape.clone(), Weights::Float(values)))
        }
        Value::Coded(coded) => {
            let shape = coded.codes.shape.clone();
            if empty(&shape) {
                return Err(Problem::malformed(format!("weights of shape {shape:?}")));
            }
            let codes = coded.codes.to_ints()?;
            let scale = coded.scale.to_floats();
            let along = coded
                .scale
                .shape
                .iter()
                .enumerate()
                .all(|(a, &d)| d == 1 || a == out);
            let scale = match coded.scale.scalar() {
                Some(one) => vec![one],
                None if along => scale,
                None => {
                    return Err(Problem::new(
                        format!(
                            "weight scales of shape {:?} that differ within an output channel",
                            coded.scale.shape
                        ),
                        "one scale, or one for each output channel",
                    ));
                }
            };
            let (bits, narrow) = fitting(&codes, coded.bits, coded.narrow)?;
            let weights = Weights::Codes {
                codes,
                bits,
                narrow,
                scale,
            };
            Ok((shape, weights))
        }
        Value::Live(_) | Value::Integers(..) | Value::Broken => Err(Problem::malformed("it has no weights")),
    }
}

/// A bias that broadcasts to `[1, out]`, times `beta`.
fn bias_of(bias: &Tensor, out: usize, beta: f32) -> Outcome<Vec<f32>> {
    let full = [1, out];
    if !broadcasts_to(&bias.shape, &full) {
        return Err(Problem::malformed(format!(
            "a bias of shape {:?} for {out} outputs",
            bias.shape
        )));
    }
    let values = bias.to_floats();
    let all: Vec<f32> = broadcast(&full, &bias.shape)
        .into_iter()
        .map(|i| values[i] * beta)
        .collect();
    if all.iter().any(|b| !b.is_finite()) {
        return Err(Problem::malformed("a bias that is not finite"));
    }
    Ok(all)
}

fn conv(t: &mut Translation<'_>, node: &Node, operands: &[Option<Value>]) -> Outcome<Id> {
    let weight = weight_of(operands)?;
    let x = live(operands, 0)?;
    let (mut shape, mut weights) = extract(weight, 0)?;
    let input = t.shape(x).to_vec();
    let axes = shape.len().saturating_sub(2);
    if !(1..=2).contains(&axes) || input.len() != axes + 1 {
        return Err(Problem::new(
            format!("weights of shape {shape:?} with a value of shape {input:?}"),
            "a convolution in 1 or 2 dimensions",
        ));
    }
    if let Some(kernel) = node.ints("kernel_shape")?
        && !kernel.iter().map(|&k| k as usize).eq(shape[2..].iter().copied())
    {
        return Err(Problem::malformed(format!(
            "kernel_shape {kernel:?}, weights {shape:?}"
        )));
    }
    if axes == 1 {
        shape.insert(2, 1);
    }
    let dilations = window::pair(node, "dilations", axes)?;
    if dilations != [1, 1] {
        (shape, weights) = dilate(shape, weights, dilations)?;
    }
    let plane = window::plane(&input);
    let window = window::read(node, [shape[2], shape[3]], plane, axes)?;
    let groups = usize::try_from(node.int_or("group", 1)?).unwrap_or(0);
    if groups == 0 || shape[0] % groups != 0 || shape[1].checked_mul(groups) != Some(input[0]) {
        return Err(Problem::malformed(format!(
            "weights {shape:?} in {groups} groups for {} input channels",
            input[0]
        )));
    }
    let bias = constant(operands, 2)?
        .map(|b| bias_of(&b, shape[0], 1.0))
        .transpose()?;
    let result = vec![shape[0], window.positions[0], window.positions[1]];
    let layer = Weighted {
        kind: Kind::Conv {
            stride: window.stride,
            padding: window.padding,
            groups,
        },
        shape,
        weights,
        bias,
    };
    let x = t.reshape(node, x, vec![input[0], plane[0], plane[1]]);
    let y = t.push(node, Work::Weighted(layer), &[x], result.clone());
    Ok(if axes == 1 {
        t.reshape(node, y, vec![result[0], result[2]])
    } else {
        y
    })
}

/// The kernel with zeros between its elements.
fn dilate(shape: Vec<usize>, weights: Weights, by: [usize; 2]) -> Outcome<(Vec<usize>, Weights)> {
    let size = |axis: usize| {
        let gaps = (shape[axis + 2] - 1).checked_mul(by[axis])?;
        gaps.checked_add(1)
    };
    let larger = (|| {
        let new = vec![shape[0], shape[1], size(0)?, size(1)?];
        let count = new.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        (count <= MAX_DILATED).then_some((new, count))
    })();
    let Some((new, count)) = larger else {
        return Err(Problem::new(
            format!("dilations {by:?} of a kernel {shape:?}"),
            "smaller dilations",
        ));
    };
    let at = |i: usize| {
        let (column, rest) = (i % shape[3], i / shape[3]);
        let (row, plane) = (rest % shape[2], rest / shape[2]);
        (plane * new[2] + row * by[0]) * new[3] + column * by[1]
    };
    let mut from = vec![None; count];
    (0..shape.iter().product()).for_each(|i| from[at(i)] = Some(i));
    let weights = weights.rearranged(from.into_iter());
    Ok((new, weights))
}
