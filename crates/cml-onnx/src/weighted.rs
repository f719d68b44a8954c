//! Dense layers and convolutions.

use crate::channels_last::channels_first;
use crate::draft::{Affine, Id, Weighted, WeightedKind, Work, fitting};
use crate::model::Node;
use crate::report::{NodeProblem, Translated};
use crate::tensor::Tensor;
use crate::translation::{Translation, constant, live};
use crate::value::{Value, broadcast, broadcasts_to};
use crate::window;
use cml_quant::Weights;
use ndarray::{ArrayD, Axis, IxDyn, Slice};

/// Most weights of a kernel into which a dilation puts zeros.
const MAX_DILATED: usize = 1 << 22;

/// The constant that is multiplied with.
fn weight_of(operands: &[Option<Value>]) -> Translated<&Value> {
    match operands.get(1) {
        Some(Some(value)) if value.is_constant() => Ok(value),
        Some(Some(_)) => Err(NodeProblem::new(
            "it multiplies two values of the sample",
            "constant weights as the second operand",
        )),
        _ => Err(NodeProblem::malformed("it has no weights")),
    }
}

pub(crate) fn gemm(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let weight = weight_of(operands)?;
    let x = live(operands, 0)?;
    if node.int_or("transA", 0)? != 0 {
        return Err(NodeProblem::new(
            "transA: it transposes the batch axis",
            "transA = 0",
        ));
    }
    let weights = matrix(weight, node.int_or("transB", 0)? != 0)?;
    let bias = match constant(operands, 2)? {
        None => None,
        Some(bias) => {
            let beta = node.float_or("beta", 1.0)?;
            Some(bias_of(&bias, weights.shape()[0], beta)?)
        }
    };
    let mut layer = dense(weights);
    let alpha = node.float_or("alpha", 1.0)?;
    if alpha != 1.0 {
        layer.absorb(&Affine::scaled(vec![f64::from(alpha)]))?;
    }
    push_dense(t, node, x, Weighted { bias, ..layer }).map(Value::Live)
}

pub(crate) fn matmul(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    if let [Some(weight), Some(Value::Live(x))] = operands
        && weight.is_constant()
    {
        return from_left(t, node, weight, *x).map(Value::Live);
    }
    let weight = weight_of(operands)?;
    let x = live(operands, 0)?;
    push_dense(t, node, x, dense(matrix(weight, false)?)).map(Value::Live)
}

fn dense(weights: Weights<IxDyn>) -> Weighted {
    Weighted {
        kind: WeightedKind::Dense,
        weights,
        bias: None,
    }
}

fn push_dense(t: &mut Translation, node: &Node, x: Id, layer: Weighted) -> Translated<Id> {
    let (out, fan_in) = (layer.weights.shape()[0], layer.weights.shape()[1]);
    let shape = t.shape(x);
    match shape.split_last() {
        Some((&features, [])) if features == fan_in => {
            Ok(t.push(node, Work::Weighted(layer), &[x], vec![out]))
        }
        Some((&features, _)) if features == fan_in => {
            let x = channels_first(t, node, x);
            let y = pointwise(t, node, x, layer);
            let perm = (1..t.shape(y).len()).chain([0]).collect();
            Ok(t.transpose(node, y, perm))
        }
        _ => Err(NodeProblem::new(
            format!("weights for {fan_in} features with a value of shape {shape:?}"),
            "a Flatten before it, or weights that fit",
        )),
    }
}

/// Dense weights `[out, in]` at each place of a value `[in, ..]`: a convolution with a kernel of 1 x 1.
fn pointwise(t: &mut Translation, node: &Node, x: Id, layer: Weighted) -> Id {
    let shape = t.shape(x).to_vec();
    let plane = match shape[1..] {
        [height, width] => [height, width],
        _ => [shape[1..].iter().product(), 1],
    };
    let out = layer.weights.shape()[0];
    let layer = Weighted {
        kind: WeightedKind::Conv {
            stride: [1, 1],
            padding: [0; 4],
            groups: 1,
        },
        weights: kernel_of_one(layer.weights),
        bias: layer.bias,
    };
    let x = t.reshape(node, x, vec![shape[0], plane[0], plane[1]]);
    let y = t.push(node, Work::Weighted(layer), &[x], vec![out, plane[0], plane[1]]);
    let result = [&[out], &shape[1..]].concat();
    t.reshape(node, y, result)
}

/// Weights `[out, in]` as `[out, in, 1, 1]`.
fn kernel_of_one(weights: Weights<IxDyn>) -> Weights<IxDyn> {
    match weights {
        Weights::Float(floats) => Weights::Float(floats.insert_axis(Axis(2)).insert_axis(Axis(3))),
        Weights::Codes { codes, quantizer } => Weights::Codes {
            codes: codes.insert_axis(Axis(2)).insert_axis(Axis(3)),
            quantizer,
        },
    }
}

/// A constant matrix `[out, in]` times a value `[.., in, columns]`.
fn from_left(t: &mut Translation, node: &Node, weight: &Value, x: Id) -> Translated<Id> {
    let layer = dense(matrix(weight, true)?);
    let (shape, fan_in) = (t.shape(x).to_vec(), layer.weights.shape()[1]);
    let rank = shape.len();
    if rank < 2 || shape[rank - 2] != fan_in {
        return Err(NodeProblem::new(
            format!("weights for {fan_in} rows with a value of shape {shape:?}"),
            "weights that fit",
        ));
    }
    let others = (0..rank).filter(|&a| a != rank - 2);
    let x = t.transpose(node, x, [rank - 2].into_iter().chain(others).collect());
    let y = pointwise(t, node, x, layer);
    let back = (1..rank - 1).chain([0, rank - 1]).collect();
    Ok(t.transpose(node, y, back))
}

/// Weights `[out, in]` of a matrix `[in, out]`, or of `[out, in]` if `transposed`.
fn matrix(value: &Value, transposed: bool) -> Translated<Weights<IxDyn>> {
    let weights = extract(value, usize::from(!transposed))?;
    if weights.shape().len() != 2 {
        return Err(NodeProblem::malformed(format!(
            "weights of shape {:?}, needs 2 axes",
            weights.shape()
        )));
    }
    Ok(match weights {
        weights if transposed => weights,
        Weights::Float(floats) => Weights::Float(floats.reversed_axes()),
        Weights::Codes { codes, quantizer } => Weights::Codes {
            codes: codes.reversed_axes(),
            quantizer,
        },
    })
}

/// Weights of a constant whose axis `out` is that of the output channels.
fn extract(value: &Value, out: usize) -> Translated<Weights<IxDyn>> {
    let empty = |shape: &[usize]| shape.contains(&0) || shape.len() <= out;
    match value {
        Value::Constant(tensor) => {
            let values = tensor.to_floats();
            if empty(&tensor.shape) || values.iter().any(|v| !v.is_finite()) {
                let why = format!(
                    "weights of shape {:?} that are missing or not finite",
                    tensor.shape
                );
                return Err(NodeProblem::malformed(why));
            }
            Ok(Weights::Float(array(&tensor.shape, values)?))
        }
        Value::Coded(coded) => {
            let shape = &coded.codes.shape;
            if empty(shape) {
                return Err(NodeProblem::malformed(format!("weights of shape {shape:?}")));
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
                    return Err(NodeProblem::new(
                        format!(
                            "weight scales of shape {:?} that differ within an output channel",
                            coded.scale.shape
                        ),
                        "one scale, or one for each output channel",
                    ));
                }
            };
            let quantizer = fitting(codes.iter().copied(), coded.bits, coded.narrow, scale)?;
            let codes = array(shape, codes)?;
            Ok(Weights::Codes { codes, quantizer })
        }
        Value::Live(_) | Value::Integers(..) | Value::Broken => {
            Err(NodeProblem::malformed("it has no weights"))
        }
    }
}

fn array<T>(shape: &[usize], values: Vec<T>) -> Translated<ArrayD<T>> {
    ArrayD::from_shape_vec(shape, values)
        .map_err(|e| NodeProblem::malformed(format!("weights of shape {shape:?}: {e}")))
}

/// A bias that broadcasts to `[1, out]`, times `beta`.
fn bias_of(bias: &Tensor, out: usize, beta: f32) -> Translated<Vec<f32>> {
    let full = [1, out];
    if !broadcasts_to(&bias.shape, &full) {
        return Err(NodeProblem::malformed(format!(
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
        return Err(NodeProblem::malformed("a bias that is not finite"));
    }
    Ok(all)
}

pub(crate) fn conv(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let weight = weight_of(operands)?;
    let x = live(operands, 0)?;
    let weights = extract(weight, 0)?;
    let shape = weights.shape().to_vec();
    let input = t.shape(x).to_vec();
    let axes = shape.len().saturating_sub(2);
    if !(1..=2).contains(&axes) || input.len() != axes + 1 {
        return Err(NodeProblem::new(
            format!("weights of shape {shape:?} with a value of shape {input:?}"),
            "a convolution in 1 or 2 dimensions",
        ));
    }
    if let Some(kernel) = node.ints("kernel_shape")?
        && !kernel.iter().map(|&k| k as usize).eq(shape[2..].iter().copied())
    {
        return Err(NodeProblem::malformed(format!(
            "kernel_shape {kernel:?}, weights {shape:?}"
        )));
    }
    let weights = match weights {
        Weights::Float(floats) => Weights::Float(kernels(floats, window::pair(node, "dilations", axes)?)?),
        Weights::Codes { codes, quantizer } => Weights::Codes {
            codes: kernels(codes, window::pair(node, "dilations", axes)?)?,
            quantizer,
        },
    };
    let shape = weights.shape().to_vec();
    let plane = window::plane(&input);
    let window = window::read(node, [shape[2], shape[3]], plane, axes)?;
    let groups = usize::try_from(node.int_or("group", 1)?).unwrap_or(0);
    if groups == 0 || shape[0] % groups != 0 || shape[1].checked_mul(groups) != Some(input[0]) {
        return Err(NodeProblem::malformed(format!(
            "weights {shape:?} in {groups} groups for {} input channels",
            input[0]
        )));
    }
    let bias = constant(operands, 2)?
        .map(|b| bias_of(&b, shape[0], 1.0))
        .transpose()?;
    let result = vec![shape[0], window.positions[0], window.positions[1]];
    let layer = Weighted {
        kind: WeightedKind::Conv {
            stride: window.stride,
            padding: window.padding,
            groups,
        },
        weights,
        bias,
    };
    let x = t.reshape(node, x, vec![input[0], plane[0], plane[1]]);
    let y = t.push(node, Work::Weighted(layer), &[x], result.clone());
    Ok(Value::Live(if axes == 1 {
        t.reshape(node, y, vec![result[0], result[2]])
    } else {
        y
    }))
}

/// Kernels of a convolution in 1 or 2 dimensions as those of one in 2, with zeros between their elements
/// where they are dilated.
fn kernels<T: Clone + Default>(weights: ArrayD<T>, by: [usize; 2]) -> Translated<ArrayD<T>> {
    let weights = if weights.ndim() == 3 {
        weights.insert_axis(Axis(2))
    } else {
        weights
    };
    if by == [1, 1] {
        return Ok(weights);
    }
    let shape = weights.shape().to_vec();
    let size = |axis: usize| (shape[axis + 2] - 1).checked_mul(by[axis])?.checked_add(1);
    let larger = || {
        let new = [shape[0], shape[1], size(0)?, size(1)?];
        let count = new.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        (count <= MAX_DILATED).then_some(new)
    };
    let Some(new) = larger() else {
        return Err(NodeProblem::new(
            format!("dilations {by:?} of a kernel {shape:?}"),
            "smaller dilations",
        ));
    };
    let mut dilated = ArrayD::from_elem(&new[..], T::default());
    let steps = [1, 1, by[0], by[1]];
    let every = |axis: usize| Slice::new(0, None, steps[axis] as isize);
    dilated
        .slice_each_axis_mut(|axis| every(axis.axis.index()))
        .assign(&weights);
    Ok(dilated)
}
