//! `Quant`, `BipolarQuant` and `Trunc` of QONNX.

use crate::draft::{Affine, Id};
use crate::functions::{affine, apply_to as applied, paired};
use crate::model::Node;
use crate::quantizers::{
    MOST_BITS, MOST_CONSTANT_BITS, activation, coded, codes, constant_operand, levels, required, scale_of,
    whole, width,
};
use crate::report::{NodeProblem, Translated};
use crate::tensor::Tensor;
use crate::translation::{Translation, live};
use crate::value::{Levels, Value};
use cml_quant::{Expression, ExpressionStep as Step, Pairing, Univariate};

/// Rounds to an integer in one of the modes of QONNX.
fn rounding(mode: &str) -> Option<fn(f32) -> f32> {
    Some(match mode {
        "ROUND" | "HALF_EVEN" => f32::round_ties_even,
        "FLOOR" => f32::floor,
        "CEIL" => f32::ceil,
        "ROUND_TO_ZERO" | "DOWN" => f32::trunc,
        "UP" => |x| x.abs().ceil().copysign(x),
        "HALF_UP" => |x| (x.abs() + 0.5).floor().copysign(x),
        "HALF_DOWN" => |x| (x.abs() - 0.5).ceil().copysign(x),
        _ => return None,
    })
}

fn mode_of(node: &Node, default: &str) -> Translated<String> {
    Ok(node.text_or("rounding_mode", default)?.to_uppercase())
}

fn unknown_mode(mode: &str) -> NodeProblem {
    NodeProblem::new(format!("rounding mode {mode}"), "rounding mode ROUND")
}

pub(crate) fn quant(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let (scale, zero) = (
        required(operands, 1, "scale")?,
        required(operands, 2, "zero point")?,
    );
    let bits = required(operands, 3, "bit width")?;
    let signed = node.int_or("signed", 1)? != 0;
    let narrow = node.int_or("narrow", 0)? != 0;
    let mode = mode_of(node, "ROUND")?;
    if let Some(tensor) = constant_operand(operands) {
        let bits = width(&bits, "bit width", MOST_CONSTANT_BITS)?;
        let exchanged = !signed && narrow && on_signed_grid(&tensor, &scale, &zero, bits)?;
        if exchanged {
            t.note(
                node,
                "its weights are signed and not narrow, its attributes say the reverse".to_owned(),
            );
        }
        let (signed, narrow) = if exchanged {
            (true, false)
        } else {
            (signed, narrow)
        };
        let (lo, hi) = levels(bits, signed, narrow);
        let round = rounding(&mode).ok_or_else(|| unknown_mode(&mode))?;
        let codes = codes(&tensor, &scale, &zero, |y| {
            (round(y.clamp(lo as f32, hi as f32)) as i64).clamp(lo, hi)
        })?;
        let zero = whole(&zero, "zero point")?;
        return coded(
            codes,
            &scale,
            bits + u32::from(!signed || zero != 0),
            narrow,
            zero,
        )
        .map(Value::Coded);
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

/// Whether weights are levels of a signed quantizer already, some of them negative. Brevitas 0.10
/// exchanges the attributes `signed` and `narrow` of weights, which matters if only one is set: the
/// weights of a signed quantizer that is not narrow would all be cut off at 0.
fn on_signed_grid(weights: &Tensor, scale: &Tensor, zero: &Tensor, bits: u32) -> Translated<bool> {
    const OFF: i64 = i64::MAX;
    let (lo, hi) = levels(bits, true, false);
    let code = |y: f32| {
        let level = y.round_ties_even();
        if (y - level).abs() < 1e-3 {
            level as i64
        } else {
            OFF
        }
    };
    let codes = codes(weights, scale, zero, code)?.to_ints()?;
    Ok(codes.iter().all(|c| (lo..=hi).contains(c)) && codes.iter().any(|&c| c < 0))
}

/// What rounds as a mode other than the nearest says, before a quantizer that rounds to the nearest.
fn rounded(t: &mut Translation, node: &Node, x: Id, levels: Levels, mode: &str) -> Translated<Id> {
    if matches!(mode, "ROUND" | "HALF_EVEN") {
        return Ok(x);
    }
    let mut steps = vec![
        Step::Constant {
            values: vec![levels.scale],
        },
        paired(Pairing::Div, 0, 1),
        applied(affine(1.0, levels.zero_point as f32), 2),
    ];
    rounding_steps(mode, &mut steps)?;
    let last = steps.len();
    steps.push(applied(affine(1.0, -(levels.zero_point as f32)), last));
    steps.push(paired(Pairing::Mul, last + 1, 1));
    Ok(t.function(node, x, Univariate::Expression(Expression { steps })))
}

/// Adds the steps that round the last value in a mode.
fn rounding_steps(mode: &str, steps: &mut Vec<Step>) -> Translated<()> {
    let x = steps.len();
    // Of the magnitude, and then the sign back.
    let (offset, function) = match mode {
        "ROUND" | "HALF_EVEN" => {
            steps.push(applied(Univariate::Round, x));
            return Ok(());
        }
        "FLOOR" => {
            steps.push(applied(Univariate::Floor, x));
            return Ok(());
        }
        "CEIL" => {
            steps.push(applied(Univariate::Ceil, x));
            return Ok(());
        }
        "DOWN" | "ROUND_TO_ZERO" => (0.0, Univariate::Floor),
        "UP" => (0.0, Univariate::Ceil),
        "HALF_UP" => (0.5, Univariate::Floor),
        "HALF_DOWN" => (-0.5, Univariate::Ceil),
        _ => return Err(unknown_mode(mode)),
    };
    steps.extend([
        applied(Univariate::Abs, x),
        applied(affine(1.0, offset), x + 1),
        applied(function, x + 2),
        applied(Univariate::Sign, x),
        paired(Pairing::Mul, x + 3, x + 4),
    ]);
    Ok(())
}

/// `scale` where x is at least 0, else `-scale`.
pub(crate) fn bipolar(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let scale = required(operands, 1, "scale")?;
    if let Some(tensor) = constant_operand(operands) {
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
    let y = t.affine(node, y, Affine::new(vec![doubled], vec![f64::from(scale)]));
    let levels = Levels {
        scale,
        zero_point: 0,
        lo: -1,
        hi: 1,
    };
    activation(t, node, y, levels).map(Value::Live)
}

/// Drops the lowest bits of codes: `(round_mode(q / 2^(in - out)) - zero) * scale`.
pub(crate) fn trunc(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    match operands.len() {
        5 => {}
        6 => return rescaled(t, node, operands),
        count => {
            return Err(NodeProblem::malformed(format!(
                "Trunc with {count} operands, needs 5 or 6"
            )));
        }
    }
    let x = live(operands, 0)?;
    let scale = scale_of(&required(operands, 1, "scale")?)?;
    let zero = whole(&required(operands, 2, "zero point")?, "zero point")?;
    let bits = width(&required(operands, 3, "input bit width")?, "input bit width", 24)?;
    let kept = width(
        &required(operands, 4, "output bit width")?,
        "output bit width",
        MOST_BITS - 1,
    )?;
    if zero != 0 {
        return Err(NodeProblem::new(
            format!("Trunc with zero point {zero}"),
            "zero point 0",
        ));
    }
    let shift = bits
        .checked_sub(kept)
        .ok_or_else(|| NodeProblem::malformed(format!("Trunc from {bits} to {kept} bits")))?;
    let mode = mode_of(node, "FLOOR")?;
    let function = match mode.as_str() {
        "FLOOR" => Univariate::Floor,
        "CEIL" => Univariate::Ceil,
        "ROUND" => Univariate::Round,
        _ => return Err(unknown_mode(&mode)),
    };
    let scale_64 = f64::from(scale);
    let y = t.affine(node, x, Affine::divided(&[scale_64]));
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
    activation(t, node, y, levels).map(Value::Live)
}

/// `Trunc` of version 2: to codes of an output scale, which is the scale times a power of two, with bounds put
/// on them before they are rounded.
fn rescaled(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let x = live(operands, 0)?;
    let scale = scale_of(&required(operands, 1, "scale")?)?;
    let zero = whole(&required(operands, 2, "zero point")?, "zero point")?;
    let output_scale = scale_of(&required(operands, 4, "output scale")?)?;
    let bits = required(operands, 5, "output bit width")?;
    let bits = width(&bits, "output bit width", MOST_BITS)?;
    let (signed, narrow) = (node.int_or("signed", 1)? != 0, node.int_or("narrow", 0)? != 0);
    let step = (f64::from(output_scale) / f64::from(scale)).log2().round().exp2();
    let kept = zero as f64 / step;
    if kept.fract() != 0.0 || !(1.0..1e9).contains(&step) {
        return Err(NodeProblem::new(
            format!("Trunc from scale {scale} to {output_scale} with zero point {zero}"),
            "an output scale that is the scale times a power of two, and zero point 0",
        ));
    }
    let (lo, hi) = levels(bits, signed, narrow);
    let mut steps = vec![
        Step::Constant { values: vec![scale] },
        paired(Pairing::Div, 0, 1),
        applied(affine(1.0, zero as f32), 2),
        applied(Univariate::Round, 3),
        applied(affine(step.recip() as f32, 0.0), 4),
        applied(
            Univariate::Clip {
                lo: lo as f32,
                hi: hi as f32,
            },
            5,
        ),
    ];
    rounding_steps(&mode_of(node, "FLOOR")?, &mut steps)?;
    let last = steps.len();
    steps.push(applied(affine(1.0, -(kept as f32)), last));
    steps.push(applied(affine(output_scale, 0.0), last + 1));
    let y = t.function(node, x, Univariate::Expression(Expression { steps }));
    let levels = Levels {
        scale: output_scale,
        zero_point: kept as i64,
        lo,
        hi,
    };
    activation(t, node, y, levels).map(Value::Live)
}
