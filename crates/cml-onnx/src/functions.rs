//! Functions of one variable.

use crate::model::Node;
use crate::regions;
use crate::report::{NodeProblem, Translated};
use crate::tensor::Dtype;
use crate::translation::{Translation, constant, live};
use crate::value::{Value, per_channel};
use cml_quant::{Expression, ExpressionStep as Step, Pairing, Univariate as U};

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

/// A function as steps; the argument is value 0.
fn expression(steps: Vec<Step>) -> U {
    U::Expression(Expression { steps })
}

pub(crate) fn apply_to(function: U, operand: usize) -> Step {
    Step::Apply {
        function: Box::new(function),
        operand,
    }
}

pub(crate) fn paired(operation: Pairing, a: usize, b: usize) -> Step {
    Step::Pair {
        operation,
        operands: [a, b],
    }
}

pub(crate) fn affine(scale: f32, offset: f32) -> U {
    U::Affine {
        scale: vec![scale],
        offset: vec![offset],
    }
}

/// `x * tanh(softplus(x))`.
pub(crate) fn mish(_: &FunctionArguments<'_>) -> Translated<U> {
    Ok(expression(vec![
        apply_to(U::Softplus, 0),
        apply_to(U::Tanh, 1),
        paired(Pairing::Mul, 0, 2),
    ]))
}

/// `x * sigmoid(alpha * x)`.
pub(crate) fn swish(p: &FunctionArguments<'_>) -> Translated<U> {
    let alpha = p.node.float_or("alpha", 1.0)?;
    Ok(expression(vec![
        apply_to(affine(alpha, 0.0), 0),
        apply_to(U::Sigmoid, 1),
        paired(Pairing::Mul, 0, 2),
    ]))
}

/// `max(0, x) + min(0, alpha * (exp(x / alpha) - 1))`.
pub(crate) fn celu(p: &FunctionArguments<'_>) -> Translated<U> {
    let alpha = p.node.float_or("alpha", 1.0)?;
    if alpha == 0.0 {
        return Err(NodeProblem::malformed("alpha is 0"));
    }
    Ok(expression(vec![
        apply_to(U::Relu, 0),
        apply_to(affine(alpha.recip(), 0.0), 0),
        apply_to(U::Elu { alpha: 1.0 }, 2),
        apply_to(affine(alpha, 0.0), 3),
        Step::Constant { values: vec![0.0] },
        paired(Pairing::Min, 4, 5),
        paired(Pairing::Add, 1, 6),
    ]))
}

/// `x / (1 + |x|)`.
pub(crate) fn softsign(_: &FunctionArguments<'_>) -> Translated<U> {
    Ok(expression(vec![
        apply_to(U::Abs, 0),
        apply_to(affine(1.0, 1.0), 1),
        paired(Pairing::Div, 0, 2),
    ]))
}

/// `x` above `alpha`, else 0.
pub(crate) fn thresholded_relu(p: &FunctionArguments<'_>) -> Translated<U> {
    let alpha = p.node.float_or("alpha", 1.0)?;
    Ok(expression(vec![
        Step::Constant { values: vec![alpha] },
        paired(Pairing::Less, 1, 0),
        Step::Constant { values: vec![0.0] },
        Step::Select { operands: [2, 0, 3] },
    ]))
}

/// `x - bias` above `lambd`, `x + bias` below `-lambd`, else 0.
pub(crate) fn shrink(p: &FunctionArguments<'_>) -> Translated<U> {
    let (bias, bound) = (p.node.float_or("bias", 0.0)?, p.node.float_or("lambd", 0.5)?);
    Ok(expression(vec![
        Step::Constant { values: vec![bound] },
        Step::Constant { values: vec![-bound] },
        Step::Constant { values: vec![0.0] },
        paired(Pairing::Less, 1, 0),
        paired(Pairing::Less, 0, 2),
        apply_to(affine(1.0, -bias), 0),
        apply_to(affine(1.0, bias), 0),
        Step::Select { operands: [5, 7, 3] },
        Step::Select { operands: [4, 6, 8] },
    ]))
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
    let (lo, hi) = bounds(node, operands)?;
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
pub(crate) fn cast(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let x = live(operands, 0)?;
    match Dtype::from_onnx(node.int_or("to", 0)?) {
        Some(Dtype::Float) => Ok(Value::Live(x)),
        // Truth values are 1 and 0 already.
        Some(Dtype::Bool) if regions::is_truth(t, x) => Ok(Value::Live(x)),
        _ => Err(NodeProblem::new(
            "a cast of a value to integers",
            "Floor, Round, or a quantizer",
        )),
    }
}

/// Bounds of a Clip: attributes in older operator sets, operands that may be left out in newer ones.
pub(crate) fn bounds(node: &Node, operands: &[Option<Value>]) -> Translated<(f32, f32)> {
    let bound = |name: &str, slot: usize, default: f32| -> Translated<f32> {
        if node.attributes.contains_key(name) {
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
