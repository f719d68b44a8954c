//! Functions of one variable.

use crate::model::Node;
use crate::report::{NodeProblem, Translated};
use crate::tensor::Dtype;
use crate::translation::{Translation, constant, live};
use crate::value::{Value, per_channel};
use cml_quant::Univariate as U;

/// What a function of one variable is made from.
pub(crate) struct FunctionArguments<'a> {
    pub(crate) node: &'a Node,
    pub(crate) operands: &'a [Option<Value>],
    /// Of what it is applied to, without the batch axis.
    pub(crate) sample: &'a [usize],
}

/// The function that a node is.
pub(crate) type MakeFunction = fn(&FunctionArguments<'_>) -> Translated<U>;

/// A function of a value of the sample.
pub(crate) fn apply(
    t: &mut Translation,
    node: &Node,
    operands: &[Option<Value>],
    make: MakeFunction,
) -> Translated<Value> {
    let x = live(operands, 0)?;
    let function = make(&FunctionArguments {
        node,
        operands,
        sample: t.shape(x),
    })?;
    Ok(Value::Live(t.function(node, x, function)))
}

pub(crate) fn leaky_relu(p: &FunctionArguments<'_>) -> Translated<U> {
    let alpha = p.node.float_or("alpha", 0.01)?;
    Ok(U::LeakyRelu { alpha })
}

pub(crate) fn prelu(p: &FunctionArguments<'_>) -> Translated<U> {
    let slope = constant(p.operands, 1)?.ok_or_else(|| NodeProblem::malformed("it has no slope"))?;
    Ok(U::PRelu {
        slope: per_channel(&slope, p.sample)?,
    })
}

pub(crate) fn hard_sigmoid(p: &FunctionArguments<'_>) -> Translated<U> {
    Ok(U::HardSigmoid {
        alpha: p.node.float_or("alpha", 0.2)?,
        beta: p.node.float_or("beta", 0.5)?,
    })
}

pub(crate) fn gelu(p: &FunctionArguments<'_>) -> Translated<U> {
    Ok(U::Gelu {
        tanh: p.node.text_or("approximate", "none")? == "tanh",
    })
}

pub(crate) fn elu(p: &FunctionArguments<'_>) -> Translated<U> {
    let alpha = p.node.float_or("alpha", 1.0)?;
    Ok(U::Elu { alpha })
}

pub(crate) fn selu(p: &FunctionArguments<'_>) -> Translated<U> {
    Ok(U::Selu {
        alpha: p.node.float_or("alpha", 1.673_263_2)?,
        gamma: p.node.float_or("gamma", 1.050_701)?,
    })
}

/// A power with a constant exponent.
pub(crate) fn pow(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    apply(t, node, operands, |p| {
        let exponent =
            constant(p.operands, 1)?.ok_or_else(|| NodeProblem::malformed("it has no exponent"))?;
        let exponent = exponent
            .scalar()
            .filter(|e| e.is_finite())
            .ok_or_else(|| NodeProblem::new("exponents that differ", "one exponent"))?;
        Ok(U::Pow { exponent })
    })
}

/// Bounds on floats, or on the integers of a quantizer.
pub(crate) fn clip(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let (lo, hi) = bounds(t.opset, node, operands)?;
    if let Some(Some(Value::Integers(x, levels))) = operands.first() {
        let mut levels = *levels;
        // As floats: an unbounded side saturates.
        levels.lo = levels.lo.max(lo.ceil() as i64);
        levels.hi = levels.hi.min(hi.floor() as i64);
        if levels.lo > levels.hi {
            return Err(NodeProblem::malformed(format!(
                "a clip to {lo} to {hi} leaves no level"
            )));
        }
        return Ok(Value::Integers(*x, levels));
    }
    let x = live(operands, 0)?;
    Ok(Value::Live(t.function(node, x, clipped(lo, hi)?)))
}

/// The function that puts bounds on floats.
pub(crate) fn clipped(lo: f32, hi: f32) -> Translated<U> {
    if lo > hi {
        return Err(NodeProblem::malformed(format!("a clip to {lo} to {hi}")));
    }
    Ok(U::Clip { lo, hi })
}

/// A cast to floats.
pub(crate) fn cast(_: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let x = live(operands, 0)?;
    match Dtype::from_onnx(node.int_or("to", 0)?) {
        Some(Dtype::Float) => Ok(Value::Live(x)),
        _ => Err(NodeProblem::new(
            "a cast of a value to integers",
            "Floor, Round, or a quantizer",
        )),
    }
}

/// Bounds of a Clip: attributes up to operator set 10, then operands that may be left out.
pub(crate) fn bounds(opset: i64, node: &Node, operands: &[Option<Value>]) -> Translated<(f32, f32)> {
    let bound = |name: &str, slot: usize, default: f32| -> Translated<f32> {
        if opset < 11 {
            return node.float_or(name, default);
        }
        match constant(operands, slot)? {
            None => Ok(default),
            Some(tensor) => tensor
                .scalar()
                .filter(|b| !b.is_nan())
                .map(|b| b.clamp(f32::MIN, f32::MAX))
                .ok_or_else(|| NodeProblem::malformed(format!("operand {slot} is not one number"))),
        }
    };
    Ok((bound("min", 1, f32::MIN)?, bound("max", 2, f32::MAX)?))
}
