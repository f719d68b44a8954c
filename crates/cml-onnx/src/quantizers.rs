//! Quantizers of both dialects: `Quant`, `BipolarQuant` and `Trunc` of QONNX, and `QuantizeLinear`,
//! `Clip`, `DequantizeLinear`.

use crate::draft::{Affine, Id, Work};
use crate::model::Node;
use crate::report::{Outcome, Problem};
use crate::tensor::{Data, Dtype, Tensor};
use crate::translate::{Translation, constant, live};
use crate::value::{Coded, Levels, Value, broadcast, broadcasts_to};
use cml_quant::{ActQuantizer, Univariate};

/// Most bits of a quantizer of activations.
const MOST_BITS: u32 = 16;
/// Most bits of a quantized constant: integers that `f64` holds, with room.
const MOST_CONSTANT_BITS: u32 = 32;

/// Whether a node is one, whatever domain its exporter gave it.
pub(crate) fn is_quantizer(node: &Node) -> bool {
    if node.standard {
        matches!(node.op.as_str(), "QuantizeLinear" | "DequantizeLinear")
    } else {
        matches!(node.op.as_str(), "Quant" | "IntQuant" | "BipolarQuant" | "Trunc")
    }
}

pub(crate) fn apply(t: &mut Translation<'_>, node: &Node, operands: &[Option<Value>]) -> Outcome<Value> {
    if node.int_or("block_size", 0)? != 0 {
        return Err(Problem::new("scales for blocks", "one scale, or one for each channel"));
    }
    match node.op.as_str() {
        "QuantizeLinear" => quantize_linear(node, operands),
        "DequantizeLinear" => dequantize_linear(t, node, operands),
        "BipolarQuant" => bipolar(t, node, operands),
        "Trunc" => trunc(t, node, operands).map(Value::Live),
        _ => quant(t, node, operands),
    }
}

fn required(operands: &[Option<Value>], slot: usize, what: &str) -> Outcome<Tensor> {
    constant(operands, slot)?.ok_or_else(|| Problem::malformed(format!("it has no {what}")))
}

/// The one scale of a quantizer of activations.
fn scale_of(tensor: &Tensor) -> Outcome<f32> {
    let scale = tensor.scalar().ok_or_else(|| {
        Problem::new(
            format!("activation scales of shape {:?} that differ", tensor.shape),
            "one scale for the whole tensor",
        )
    })?;
    if scale.is_finite() && scale > 0.0 {
        return Ok(scale);
    }
    Err(Problem::malformed(format!("a scale of {scale}")))
}

fn whole(tensor: &Tensor, what: &str) -> Outcome<i64> {
    let value = tensor.scalar().filter(|v| v.fract() == 0.0 && v.abs() < 1e9);
    value.map(|v| v as i64).ok_or_else(|| {
        Problem::new(
            format!("a {what} that is not one integer"),
            format!("one {what} for the whole tensor"),
        )
    })
}

fn width(tensor: &Tensor, what: &str, most: u32) -> Outcome<u32> {
    let bits = whole(tensor, what)?;
    u32::try_from(bits)
        .ok()
        .filter(|b| (1..=most).contains(b))
        .ok_or_else(|| {
            Problem::new(
                format!("a {what} of {bits} bits, needs 1 to {most}"),
                format!("a {what} of at most {most} bits"),
            )
        })
}

/// Integers of a width: `[lo, hi]`.
fn levels(bits: u32, signed: bool, narrow: bool) -> (i64, i64) {
    match (signed, narrow) {
        (true, _) => (-(1 << (bits - 1)) + i64::from(narrow), (1 << (bits - 1)) - 1),
        (false, _) => (0, (1 << bits) - 1 - i64::from(narrow)),
    }
}

/// Rounds to an integer in one of the modes of QONNX.
fn rounding(mode: &str) -> Option<fn(f32) -> f32> {
    Some(match mode {
        "ROUND" | "HALF_EVEN" => f32::round_ties_even,
        "FLOOR" => f32::floor,
        "CEIL" => f32::ceil,
        "ROUND_TO_ZERO" | "DOWN" => f32::trunc,
        _ => return None,
    })
}

fn mode_of(node: &Node, default: &str) -> Outcome<String> {
    Ok(node.text_or("rounding_mode", default)?.to_uppercase())
}

fn unknown_mode(mode: &str) -> Problem {
    Problem::new(format!("rounding mode {mode}"), "rounding mode ROUND")
}

fn quant(t: &mut Translation<'_>, node: &Node, operands: &[Option<Value>]) -> Outcome<Value> {
    let (scale, zero) = (required(operands, 1, "scale")?, required(operands, 2, "zero point")?);
    let bits = required(operands, 3, "bit width")?;
    let signed = node.int_or("signed", 1)? != 0;
    let narrow = node.int_or("narrow", 0)? != 0;
    let mode = mode_of(node, "ROUND")?;
    if let Some(Some(value)) = operands.first().filter(|v| v.as_ref().is_some_and(Value::is_constant)) {
        let tensor = value.constant().ok_or_else(|| Problem::malformed("operand 0 is missing"))?;
        let bits = width(&bits, "bit width", MOST_CONSTANT_BITS)?;
        let (lo, hi) = levels(bits, signed, narrow);
        let round = rounding(&mode).ok_or_else(|| unknown_mode(&mode))?;
        let codes = codes(&tensor, &scale, &zero, |y| (round(y.clamp(lo as f32, hi as f32)) as i64).clamp(lo, hi))?;
        let zero = whole(&zero, "zero point")?;
        return coded(codes, &scale, bits + u32::from(!signed || zero != 0), narrow, zero).map(Value::Coded);
    }
    let x = live(operands, 0)?;
    let bits = width(&bits, "bit width", MOST_BITS)?;
    let (lo, hi) = levels(bits, signed, narrow);
    let levels = Levels {
        scale: scale_of(&scale)?,
        zero_point: whole(&zero, "zero point")?,
        lo,
        hi,
    };
    let x = rounded(t, node, x, levels, &mode)?;
    activation(t, node, x, levels).map(Value::Live)
}

/// What rounds as a mode other than the nearest says, before a quantizer that rounds to the nearest.
fn rounded(t: &mut Translation<'_>, node: &Node, x: Id, levels: Levels, mode: &str) -> Outcome<Id> {
    let function = match mode {
        "ROUND" | "HALF_EVEN" => return Ok(x),
        "FLOOR" => Univariate::Floor,
        "CEIL" => Univariate::Ceil,
        _ => return Err(unknown_mode(mode)),
    };
    // Only then is a product with the inverse what a division gives.
    if levels.scale.to_bits() & 0x7f_ffff != 0 || !levels.scale.is_normal() {
        return Err(Problem::new(
            format!("rounding mode {mode} with scale {}, which is no power of two", levels.scale),
            "rounding mode ROUND, or a scale that is a power of two",
        ));
    }
    let scale = f64::from(levels.scale);
    let y = t.affine(node, x, Affine::scaled(vec![scale.recip()]));
    let y = t.function(node, y, function);
    Ok(t.affine(node, y, Affine::scaled(vec![scale])))
}

/// Codes of a constant, each `x / scale + zero` given to `round`.
fn codes(x: &Tensor, scale: &Tensor, zero: &Tensor, round: impl Fn(f32) -> i64) -> Outcome<Tensor> {
    for (what, tensor) in [("scale", scale), ("zero point", zero)] {
        if !broadcasts_to(&tensor.shape, &x.shape) && tensor.len() != 1 {
            let why = format!("a {what} of shape {:?} with a constant of {:?}", tensor.shape, x.shape);
            return Err(Problem::malformed(why));
        }
    }
    let at = |tensor: &Tensor| {
        if tensor.len() == 1 {
            vec![0; x.len()]
        } else {
            broadcast(&x.shape, &tensor.shape)
        }
    };
    let (values, scales, zeros) = (x.to_floats(), scale.to_floats(), zero.to_floats());
    let code = |(i, (s, z)): (usize, (usize, usize))| round(values[i] / scales[s] + zeros[z]);
    let all = at(scale).into_iter().zip(at(zero)).enumerate().map(code).collect();
    Ok(Tensor::ints(x.shape.clone(), all))
}

/// A quantized constant from its codes, of which the zero point is taken off.
fn coded(codes: Tensor, scale: &Tensor, bits: u32, narrow: bool, zero: i64) -> Outcome<Coded> {
    if scale.to_floats().iter().any(|s| !(s.is_finite() && *s > 0.0)) {
        return Err(Problem::malformed("a scale that is not finite and positive"));
    }
    let values = codes.to_ints()?.into_iter().map(|c| c.saturating_sub(zero)).collect();
    let rank = codes.shape.len();
    let shape = if scale.len() == 1 {
        vec![1; rank]
    } else {
        [vec![1; rank.saturating_sub(scale.shape.len())], scale.shape.clone()].concat()
    };
    Ok(Coded {
        codes: Tensor::ints(codes.shape, values),
        scale: Tensor {
            shape,
            ..scale.clone()
        },
        bits,
        narrow,
    })
}

/// A quantizer of a value of the sample.
fn activation(t: &mut Translation<'_>, node: &Node, x: Id, levels: Levels) -> Outcome<Id> {
    let Levels {
        scale,
        zero_point,
        lo,
        hi,
    } = levels;
    let exact = (1..=MOST_BITS).find_map(|bits| {
        let forms = [(false, false), (true, false), (true, true)];
        forms
            .into_iter()
            .find(|&(signed, narrow)| bits + u32::from(!narrow) > 1 && self::levels(bits, signed, narrow) == (lo, hi))
            .map(|(signed, narrow)| (bits, signed, narrow))
    });
    let covering = || {
        (1..=MOST_BITS).find_map(|bits| {
            let (least, most) = self::levels(bits, lo < 0, false);
            (least <= lo && hi <= most).then_some((bits, lo < 0, false))
        })
    };
    let (bits, signed, narrow) = exact.or_else(covering).ok_or_else(|| {
        Problem::new(
            format!("a quantizer with levels {lo} to {hi}"),
            format!("one of at most {MOST_BITS} bits"),
        )
    })?;
    let quantizer = ActQuantizer::new(bits, signed, narrow, scale, zero_point).map_err(|e| {
        Problem::new(e.to_string(), "a zero point among the levels")
    })?;
    let mut x = x;
    if exact.is_none() {
        let bound = |level: i64| (level - zero_point) as f32 * scale;
        x = t.function(
            node,
            x,
            Univariate::Clip {
                lo: bound(lo),
                hi: bound(hi),
            },
        );
    }
    let shape = t.shape(x).to_vec();
    Ok(t.push(node, Work::Quantize(quantizer), &[x], shape))
}

/// `scale` where x is at least 0, else `-scale`.
fn bipolar(t: &mut Translation<'_>, node: &Node, operands: &[Option<Value>]) -> Outcome<Value> {
    let scale = required(operands, 1, "scale")?;
    if let Some(Some(value)) = operands.first().filter(|v| v.as_ref().is_some_and(Value::is_constant)) {
        let tensor = value.constant().ok_or_else(|| Problem::malformed("operand 0 is missing"))?;
        let zero = Tensor::floats(vec![], vec![0.0]);
        let codes = codes(&tensor, &scale, &zero, |y| if y >= 0.0 { 1 } else { -1 })?;
        return coded(codes, &scale, 1, true, 0).map(Value::Coded);
    }
    let x = live(operands, 0)?;
    let scale = scale_of(&scale)?;
    // Down to -1 or 0, then -scale or scale, which are the codes -1 and 1.
    let y = t.function(node, x, Univariate::Clip { lo: -1.0, hi: 0.0 });
    let y = t.function(node, y, Univariate::Floor);
    let doubled = f64::from(scale) * 2.0;
    let y = t.affine(
        node,
        y,
        Affine {
            scale: vec![doubled],
            offset: vec![f64::from(scale)],
        },
    );
    let levels = Levels {
        scale,
        zero_point: 0,
        lo: -1,
        hi: 1,
    };
    activation(t, node, y, levels).map(Value::Live)
}

/// Drops the lowest bits of codes: `(round_mode(q / 2^(in - out)) - zero) * scale`.
fn trunc(t: &mut Translation<'_>, node: &Node, operands: &[Option<Value>]) -> Outcome<Id> {
    if operands.len() != 5 {
        return Err(Problem::new(
            format!("Trunc with {} operands, needs 5", operands.len()),
            "Trunc of version 1, or Quant",
        ));
    }
    let x = live(operands, 0)?;
    let scale = scale_of(&required(operands, 1, "scale")?)?;
    let zero = whole(&required(operands, 2, "zero point")?, "zero point")?;
    let bits = width(&required(operands, 3, "input bit width")?, "input bit width", 24)?;
    let kept = width(&required(operands, 4, "output bit width")?, "output bit width", MOST_BITS - 1)?;
    if zero != 0 {
        return Err(Problem::new(format!("Trunc with zero point {zero}"), "zero point 0"));
    }
    let shift = bits
        .checked_sub(kept)
        .ok_or_else(|| Problem::malformed(format!("Trunc from {bits} to {kept} bits")))?;
    let mode = mode_of(node, "FLOOR")?;
    let function = match mode.as_str() {
        "FLOOR" => Univariate::Floor,
        "CEIL" => Univariate::Ceil,
        "ROUND" => Univariate::Round,
        _ => return Err(unknown_mode(&mode)),
    };
    let scale_64 = f64::from(scale);
    let y = t.affine(node, x, Affine::scaled(vec![scale_64.recip()]));
    let y = t.function(node, y, Univariate::Round);
    let y = t.affine(node, y, Affine::scaled(vec![f64::from(shift).exp2().recip()]));
    let y = t.function(node, y, function);
    let y = t.affine(node, y, Affine::scaled(vec![scale_64]));
    // Nothing is cut off: codes of either sign have room.
    let (lo, hi) = levels(kept + 1, true, false);
    let levels = Levels {
        scale,
        zero_point: 0,
        lo,
        hi,
    };
    activation(t, node, y, levels)
}

fn quantize_linear(node: &Node, operands: &[Option<Value>]) -> Outcome<Value> {
    let scale = required(operands, 1, "scale")?;
    let zero = constant(operands, 2)?;
    let stated = Dtype::from_onnx(node.int_or("output_dtype", 0)?);
    let default = Dtype::Int {
        bits: 8,
        signed: false,
    };
    let dtype = zero.as_ref().map(|z| z.dtype).or(stated).unwrap_or(default);
    let (Dtype::Int { bits: 1..=32, .. }, Some((lo, hi))) = (dtype, dtype.range()) else {
        return Err(Problem::new("a quantizer to floats", "8-bit integers"));
    };
    let zero = zero.unwrap_or_else(|| Tensor::ints(vec![], vec![0]));
    if let Some(Some(value)) = operands.first().filter(|v| v.as_ref().is_some_and(Value::is_constant)) {
        let tensor = value.constant().ok_or_else(|| Problem::malformed("operand 0 is missing"))?;
        let axis = node.int_or("axis", 1)?;
        let (scale, zero) = (along(&scale, axis, &tensor.shape)?, along(&zero, axis, &tensor.shape)?);
        let none = Tensor::floats(vec![], vec![0.0]);
        let relative = codes(&tensor, &scale, &none, |y| y.round_ties_even() as i64)?;
        let zeros = zero.to_ints()?;
        let at = if zeros.len() == 1 { vec![0; tensor.len()] } else { broadcast(&tensor.shape, &zero.shape) };
        let all = relative.to_ints()?.into_iter().zip(at);
        let all = all.map(|(c, z)| c.saturating_add(zeros[z]).clamp(lo, hi)).collect();
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
fn along(list: &Tensor, axis: i64, shape: &[usize]) -> Outcome<Tensor> {
    if list.len() == 1 || list.shape.len() > 1 {
        return Ok(list.clone());
    }
    let axis = crate::axes::axis(axis, shape.len())?;
    if list.shape != [shape[axis]] {
        return Err(Problem::malformed(format!(
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

fn dequantize_linear(t: &mut Translation<'_>, node: &Node, operands: &[Option<Value>]) -> Outcome<Value> {
    let scale = required(operands, 1, "scale")?;
    let zero = constant(operands, 2)?.unwrap_or_else(|| Tensor::ints(vec![], vec![0]));
    match operands.first().and_then(Option::as_ref) {
        Some(Value::Integers(x, levels)) => {
            if scale_of(&scale)? != levels.scale || whole(&zero, "zero point")? != levels.zero_point {
                return Err(Problem::new(
                    format!(
                        "its scale or zero point is not that of QuantizeLinear, {} and {}",
                        levels.scale, levels.zero_point
                    ),
                    "the same scale and zero point for both",
                ));
            }
            activation(t, node, *x, *levels).map(Value::Live)
        }
        Some(Value::Constant(tensor)) => {
            let (Dtype::Int { bits, .. }, Data::Int(_)) = (tensor.dtype, &tensor.data) else {
                return Err(Problem::malformed("it reads floats"));
            };
            if zero.scalar().is_none() {
                return Err(Problem::new("weight zero points that differ", "weight zero points of 0"));
            }
            let zero = whole(&zero, "zero point")?;
            let scale = along(&scale, node.int_or("axis", 1)?, &tensor.shape)?;
            if !broadcasts_to(&scale.shape, &tensor.shape) && scale.len() != 1 {
                return Err(Problem::malformed(format!("scales of shape {:?}", scale.shape)));
            }
            let narrow = tensor.to_ints()?.iter().all(|&c| c != -(1 << (bits.min(40) - 1)));
            coded(tensor.clone(), &scale, bits, narrow, zero).map(Value::Coded)
        }
        Some(Value::Live(_)) => Err(Problem::new(
            "it reads a value that no QuantizeLinear made",
            "QuantizeLinear before it",
        )),
        Some(Value::Coded(_) | Value::Broken) | None => Err(Problem::malformed("operand 0 is missing")),
    }
}

/// Integers of a constant with bounds put on them: the type gets the width of the bounds.
pub(crate) fn clipped(x: &Tensor, lo: f32, hi: f32) -> Outcome<Tensor> {
    let Some((least, most)) = x.dtype.range() else {
        return Err(Problem::malformed("a clip of integers"));
    };
    let (lo, hi) = ((lo.ceil() as i64).max(least), (hi.floor() as i64).min(most));
    if lo > hi {
        return Err(Problem::malformed(format!("a clip to {lo} to {hi} leaves no level")));
    }
    let fits = |&bits: &u32| {
        let (least, most) = levels(bits, lo < 0, false);
        least <= lo && hi <= most
    };
    let dtype = (1..=MOST_CONSTANT_BITS).find(fits).map_or(x.dtype, |bits| Dtype::Int {
        bits: if lo < 0 { bits } else { bits + 1 },
        signed: true,
    });
    Ok(Tensor {
        shape: x.shape.clone(),
        dtype,
        data: Data::Int(x.to_ints()?.into_iter().map(|c| c.clamp(lo, hi)).collect()),
    })
}
