//! Functions of one variable.

use crate::model::Node;
use crate::report::{Outcome, Problem};
use crate::tensor::Dtype;
use crate::translate::{Translation, constant, live};
use crate::value::{Value, per_channel};
use cml_quant::Univariate;

/// Operators that are a function of one variable.
const KNOWN: [&str; 25] = [
    "Relu",
    "LeakyRelu",
    "PRelu",
    "Clip",
    "Sigmoid",
    "HardSigmoid",
    "HardSwish",
    "Tanh",
    "Gelu",
    "Elu",
    "Selu",
    "Softplus",
    "Erf",
    "Exp",
    "Log",
    "Sqrt",
    "Abs",
    "Neg",
    "Sign",
    "Round",
    "Floor",
    "Ceil",
    "Pow",
    "Reciprocal",
    "Cast",
];

pub(crate) fn is_known(op: &str) -> bool {
    KNOWN.contains(&op)
}

pub(crate) fn apply(t: &mut Translation<'_>, node: &Node, operands: &[Option<Value>]) -> Outcome<Value> {
    if let (Some(Some(Value::Integers(x, levels))), "Clip") = (operands.first(), node.op.as_str()) {
        let (lo, hi) = bounds(t.model.opset, node, operands)?;
        let mut levels = *levels;
        // As floats: an unbounded side saturates.
        levels.lo = levels.lo.max(lo.ceil() as i64);
        levels.hi = levels.hi.min(hi.floor() as i64);
        if levels.lo > levels.hi {
            return Err(Problem::malformed(format!(
                "a clip to {lo} to {hi} leaves no level"
            )));
        }
        return Ok(Value::Integers(*x, levels));
    }
    let x = live(operands, 0)?;
    if node.op == "Cast" {
        return match Dtype::from_onnx(node.int_or("to", 0)?) {
            Some(Dtype::Float) => Ok(Value::Live(x)),
            _ => Err(Problem::new(
                "a cast of a value to integers",
                "Floor, Round, or a quantizer",
            )),
        };
    }
    let shape = t.shape(x).to_vec();
    match of(t.model.opset, node, operands, &shape)? {
        Some(function) => Ok(Value::Live(t.function(node, x, function))),
        None => Err(Problem::new(
            "this operator is not supported",
            "a function of one variable",
        )),
    }
}

/// The function of a node; `None` if its operator is not one.
pub(crate) fn of(
    opset: i64,
    node: &Node,
    operands: &[Option<Value>],
    sample: &[usize],
) -> Outcome<Option<Univariate>> {
    use Univariate as U;
    Ok(Some(match node.op.as_str() {
        "Relu" => U::Relu,
        "LeakyRelu" => U::LeakyRelu {
            alpha: node.float_or("alpha", 0.01)?,
        },
        "PRelu" => {
            let slope = constant(operands, 1)?.ok_or_else(|| Problem::malformed("it has no slope"))?;
            U::PRelu {
                slope: per_channel(&slope, sample)?,
            }
        }
        "Clip" => {
            let (lo, hi) = bounds(opset, node, operands)?;
            if lo > hi {
                return Err(Problem::malformed(format!("a clip to {lo} to {hi}")));
            }
            U::Clip { lo, hi }
        }
        "Sigmoid" => U::Sigmoid,
        "HardSigmoid" => U::HardSigmoid {
            alpha: node.float_or("alpha", 0.2)?,
            beta: node.float_or("beta", 0.5)?,
        },
        "HardSwish" => U::HardSwish,
        "Tanh" => U::Tanh,
        "Gelu" => U::Gelu {
            tanh: node.text_or("approximate", "none")? == "tanh",
        },
        "Elu" => U::Elu {
            alpha: node.float_or("alpha", 1.0)?,
        },
        "Selu" => U::Selu {
            alpha: node.float_or("alpha", 1.673_263_2)?,
            gamma: node.float_or("gamma", 1.050_701)?,
        },
        "Softplus" => U::Softplus,
        "Erf" => U::Erf,
        "Exp" => U::Exp,
        "Log" => U::Log,
        "Sqrt" => U::Sqrt,
        "Abs" => U::Abs,
        "Neg" => U::Neg,
        "Sign" => U::Sign,
        "Round" => U::Round,
        "Floor" => U::Floor,
        "Ceil" => U::Ceil,
        "Reciprocal" => U::Reciprocal,
        "Pow" => {
            let exponent = constant(operands, 1)?.ok_or_else(|| Problem::malformed("it has no exponent"))?;
            let exponent = exponent
                .scalar()
                .filter(|e| e.is_finite())
                .ok_or_else(|| Problem::new("exponents that differ", "one exponent"))?;
            U::Pow { exponent }
        }
        _ => return Ok(None),
    }))
}

/// Bounds of a Clip: attributes up to operator set 10, then operands that may be left out.
pub(crate) fn bounds(opset: i64, node: &Node, operands: &[Option<Value>]) -> Outcome<(f32, f32)> {
    let bound = |name: &str, slot: usize, default: f32| -> Outcome<f32> {
        if opset < 11 {
            return node.float_or(name, default);
        }
        match constant(operands, slot)? {
            None => Ok(default),
            Some(tensor) => tensor
                .scalar()
                .filter(|b| !b.is_nan())
                .map(|b| b.clamp(f32::MIN, f32::MAX))
                .ok_or_else(|| Problem::malformed(format!("operand {slot} is not one number"))),
        }
    };
    Ok((bound("min", 1, f32::MIN)?, bound("max", 2, f32::MAX)?))
}
