//! `QuantizeLinear`, `Clip` and `DequantizeLinear`.

use crate::model::Node;
use crate::quantizers::{
    MOST_CONSTANT_BITS, activation, coded, codes, constant_operand, levels, required, scale_of, whole,
    whole_axes,
};
use crate::report::{NodeProblem, Translated};
use crate::tensor::{Data, Dtype, Tensor};
use crate::translation::{Translation, constant, live};
use crate::value::{Levels, Value, broadcast, broadcasts_to};

pub(crate) fn quantize(_: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    whole_axes(node)?;
    let scale = required(operands, 1, "scale")?;
    let zero = constant(operands, 2)?;
    let stated = Dtype::from_onnx(node.int_or("output_dtype", 0)?);
    let default = Dtype::Int {
        bits: 8,
        signed: false,
    };
    let dtype = zero.as_ref().map(|z| z.dtype).or(stated).unwrap_or(default);
    let (Dtype::Int { bits: 1..=32, .. }, Some((lo, hi))) = (dtype, dtype.range()) else {
        return Err(NodeProblem::new("a quantizer to floats", "8-bit integers"));
    };
    let zero = zero.unwrap_or_else(|| Tensor::ints(vec![], vec![0]));
    if let Some(tensor) = constant_operand(operands) {
        let axis = node.int_or("axis", 1)?;
        let (scale, zero) = (
            along(&scale, axis, &tensor.shape)?,
            along(&zero, axis, &tensor.shape)?,
        );
        let none = Tensor::floats(vec![], vec![0.0]);
        let relative = codes(&tensor, &scale, &none, |y| y.round_ties_even() as i64)?;
        let zeros = zero.to_ints()?;
        let at = if zeros.len() == 1 {
            vec![0; tensor.len()]
        } else {
            broadcast(&tensor.shape, &zero.shape)
        };
        let all = relative.to_ints()?.into_iter().zip(at);
        let all = all
            .map(|(c, z)| c.saturating_add(zeros[z]).clamp(lo, hi))
            .collect();
        return Ok(Value::Constant(Tensor {
            shape: tensor.shape,
            dtype,
            data: Data::Int(all),
        }));
    }
    let x = live(operands, 0)?;
    let levels = Levels {
        scale: scale_of(&scale)?,
        zero_point: whole(&zero, "zero point")?,
        lo,
        hi,
    };
    Ok(Value::Integers(x, levels))
}

/// A list for an axis, as a tensor that broadcasts to a shape.
fn along(list: &Tensor, axis: i64, shape: &[usize]) -> Translated<Tensor> {
    if list.len() == 1 {
        return Ok(Tensor {
            shape: Vec::new(),
            ..list.clone()
        });
    }
    if list.shape.len() > 1 && broadcasts_to(&list.shape, shape) {
        return Ok(list.clone());
    }
    let axis = crate::axes::axis(axis, shape.len())?;
    if list.shape != [shape[axis]] {
        return Err(NodeProblem::malformed(format!(
            "scales of shape {:?} for axis {axis} of {shape:?}",
            list.shape
        )));
    }
    let mut full = vec![1; shape.len()];
    full[axis] = shape[axis];
    Ok(Tensor {
        shape: full,
        ..list.clone()
    })
}

pub(crate) fn dequantize(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    whole_axes(node)?;
    let scale = required(operands, 1, "scale")?;
    let zero = constant(operands, 2)?.unwrap_or_else(|| Tensor::ints(vec![], vec![0]));
    match operands.first().and_then(Option::as_ref) {
        Some(Value::Integers(x, levels)) => {
            if scale_of(&scale)? != levels.scale || whole(&zero, "zero point")? != levels.zero_point {
                return Err(NodeProblem::new(
                    format!(
                        "its scale or zero point is not that of QuantizeLinear, {} and {}",
                        levels.scale, levels.zero_point
                    ),
                    "the same scale and zero point for both",
                ));
            }
            activation(t, node, *x, levels.without_zero_point()).map(Value::Live)
        }
        Some(Value::Constant(tensor)) => {
            let (Dtype::Int { bits, .. }, Data::Int(_)) = (tensor.dtype, &tensor.data) else {
                return Err(NodeProblem::malformed("it reads floats"));
            };
            if zero.scalar().is_none() {
                return Err(NodeProblem::new(
                    "weight zero points that differ",
                    "weight zero points of 0",
                ));
            }
            let zero = whole(&zero, "zero point")?;
            let scale = along(&scale, node.int_or("axis", 1)?, &tensor.shape)?;
            if !broadcasts_to(&scale.shape, &tensor.shape) && scale.len() != 1 {
                return Err(NodeProblem::malformed(format!(
                    "scales of shape {:?}",
                    scale.shape
                )));
            }
            let narrow = tensor.to_ints()?.iter().all(|&c| c != -(1 << (bits.min(40) - 1)));
            coded(tensor.clone(), &scale, bits, narrow, zero).map(Value::Coded)
        }
        Some(Value::Live(_)) => Err(NodeProblem::new(
            "it reads a value that no QuantizeLinear made",
            "QuantizeLinear before it",
        )),
        Some(Value::Coded(_) | Value::Broken) | None => Err(NodeProblem::malformed("operand 0 is missing")),
    }
}

/// Integers of a constant with bounds put on them: the type gets the width of the bounds.
pub(crate) fn clipped(x: &Tensor, lo: f32, hi: f32) -> Translated<Tensor> {
    let Some((least, most)) = x.dtype.range() else {
        return Err(NodeProblem::malformed("a clip of integers"));
    };
    let (lo, hi) = ((lo.ceil() as i64).max(least), (hi.floor() as i64).min(most));
    if lo > hi {
        return Err(NodeProblem::malformed(format!(
            "a clip to {lo} to {hi} leaves no level"
        )));
    }
    let fits = |&bits: &u32| {
        let (least, most) = levels(bits, lo < 0, false);
        least <= lo && hi <= most
    };
    let dtype = (1..=MOST_CONSTANT_BITS)
        .find(fits)
        .map_or(x.dtype, |bits| Dtype::Int {
            bits: if lo < 0 { bits } else { bits + 1 },
            signed: true,
        });
    Ok(Tensor {
        shape: x.shape.clone(),
        dtype,
        data: Data::Int(x.to_ints()?.into_iter().map(|c| c.clamp(lo, hi)).collect()),
    })
}
