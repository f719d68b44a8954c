//! Sums, products and batch normalization.

use crate::draft::{Affine, Id, Work};
use crate::gates::{gated, scaled};
use crate::model::Node;
use crate::regions::{self, Part};
use crate::report::{NodeProblem, Translated};
use crate::translation::{Translation, constant, live};
use crate::value::{Spread, Value, common, per_channel, spread};
use crate::{functions, rearrange};
use cml_quant::{ExpressionStep, InputStep, Layer, Pairing, Univariate};

/// What a sum or product reads.
enum Pair {
    /// Two values of the sample.
    Values(Id, Id),
    /// A value and a constant.
    Constant {
        /// The value, laid out so that the constant has one number, or one for each channel.
        x: Id,
        numbers: Vec<f64>,
        /// Which operand the constant is.
        slot: usize,
        back: Back,
    },
}

/// The way back from the layout in which a constant's numbers are those of channels.
enum Back {
    Same,
    /// Axes in another order.
    Order(Vec<usize>),
    /// Another shape.
    Shape(Vec<usize>),
}

impl Back {
    fn apply(self, t: &mut Translation, node: &Node, y: Id) -> Id {
        match self {
            Self::Same => y,
            Self::Order(perm) => t.transpose(node, y, perm),
            Self::Shape(shape) => t.reshape(node, y, shape),
        }
    }
}

fn pair(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Pair> {
    let slot = match operands {
        [Some(a), Some(b)] => [a, b].iter().position(|v| v.is_constant()),
        _ => {
            return Err(NodeProblem::malformed(format!(
                "{} operands, needs 2",
                operands.len()
            )));
        }
    };
    let Some(slot) = slot else {
        return Ok(Pair::Values(live(operands, 0)?, live(operands, 1)?));
    };
    let x = live(operands, 1 - slot)?;
    let tensor = constant(operands, slot)?.ok_or_else(|| NodeProblem::malformed("a missing constant"))?;
    let shape = t.shape(x).to_vec();
    let (x, numbers, back) = match spread(&tensor, &shape)? {
        Spread::Channels(numbers) => (x, numbers, Back::Same),
        Spread::Axis(axis, numbers) => {
            let others = (0..shape.len()).filter(|&a| a != axis);
            let perm: Vec<usize> = [axis].into_iter().chain(others).collect();
            let mut back = vec![0; perm.len()];
            perm.iter().enumerate().for_each(|(to, &from)| back[from] = to);
            (t.transpose(node, x, perm), numbers, Back::Order(back))
        }
        Spread::Elements(numbers) => {
            if !t.has_room(numbers.len()) {
                return Err(NodeProblem::new(
                    "too many elements have a number of their own",
                    "constants that are the same for a channel",
                ));
            }
            let flat = t.reshape(node, x, vec![numbers.len()]);
            (flat, numbers, Back::Shape(shape))
        }
    };
    let numbers: Vec<f64> = numbers.into_iter().map(f64::from).collect();
    if numbers.is_empty() || numbers.iter().any(|v| !v.is_finite()) {
        return Err(NodeProblem::malformed("a constant that is empty or not finite"));
    }
    Ok(Pair::Constant {
        x,
        numbers,
        slot,
        back,
    })
}

pub(crate) fn add(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    Ok(Value::Live(match pair(t, node, operands)? {
        Pair::Constant { x, numbers, back, .. } => {
            let y = t.affine(node, x, Affine::shifted(numbers));
            back.apply(t, node, y)
        }
        // A difference is also written as a sum with the negative.
        Pair::Values(a, b) => match (scaled(t, a), scaled(t, b)) {
            (_, (source, -1.0)) => both(t, node, Pairing::Sub, a, source)?,
            ((source, -1.0), _) => both(t, node, Pairing::Sub, b, source)?,
            _ => both(t, node, Pairing::Add, a, b)?,
        },
    }))
}

pub(crate) fn sub(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    Ok(Value::Live(match pair(t, node, operands)? {
        Pair::Constant {
            x,
            numbers,
            slot,
            back,
        } => {
            let affine = if slot == 1 {
                Affine::shifted(numbers.iter().map(|v| -v).collect())
            } else {
                Affine::new(vec![-1.0], numbers)
            };
            let y = t.affine(node, x, affine);
            back.apply(t, node, y)
        }
        Pair::Values(a, b) => both(t, node, Pairing::Sub, a, b)?,
    }))
}

pub(crate) fn mul(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    Ok(Value::Live(match pair(t, node, operands)? {
        Pair::Constant { x, numbers, back, .. } => {
            let y = t.affine(node, x, Affine::scaled(numbers));
            back.apply(t, node, y)
        }
        Pair::Values(a, b) => match gated(t, node, a, b) {
            Some(y) => y,
            None => both(t, node, Pairing::Mul, a, b)?,
        },
    }))
}

pub(crate) fn div(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    Ok(Value::Live(match pair(t, node, operands)? {
        Pair::Constant { numbers, slot: 1, .. } if numbers.contains(&0.0) => {
            return Err(NodeProblem::malformed("a division by 0"));
        }
        Pair::Constant {
            x,
            numbers,
            slot,
            back,
        } => {
            let y = if slot == 1 {
                t.affine(node, x, Affine::divided(&numbers))
            } else {
                let inverse = t.function(node, x, Univariate::Reciprocal);
                t.affine(node, inverse, Affine::scaled(numbers))
            };
            back.apply(t, node, y)
        }
        Pair::Values(a, b) => both(t, node, Pairing::Div, a, b)?,
    }))
}

/// Factors and offsets: `gamma * (x - mean) / sqrt(var + eps) + beta`.
pub(crate) fn batch_norm(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let x = live(operands, 0)?;
    if node.int_or("training_mode", 0)? != 0 {
        return Err(NodeProblem::new(
            "it is in training mode",
            "an export after model.eval()",
        ));
    }
    let channels = t.shape(x).first().copied().unwrap_or(0);
    let list = |slot: usize| -> Translated<Vec<f64>> {
        let tensor = constant(operands, slot)?
            .ok_or_else(|| NodeProblem::malformed(format!("operand {slot} is missing")))?;
        let values: Vec<f64> = tensor.to_floats().into_iter().map(f64::from).collect();
        if tensor.shape != [channels] || values.iter().any(|v| !v.is_finite()) {
            let why = format!(
                "operand {slot} has shape {:?}, needs [{channels}] finite numbers",
                tensor.shape
            );
            return Err(NodeProblem::malformed(why));
        }
        Ok(values)
    };
    let (gamma, beta, mean, var) = (list(1)?, list(2)?, list(3)?, list(4)?);
    let eps = f64::from(node.float_or("epsilon", 1e-5)?);
    if channels == 0 || var.iter().any(|v| v + eps <= 0.0) {
        return Err(NodeProblem::malformed("a variance that is not positive"));
    }
    let scale: Vec<f64> = gamma
        .iter()
        .zip(&var)
        .map(|(g, v)| g / (v + eps).sqrt())
        .collect();
    let offset = (0..channels).map(|c| beta[c] - mean[c] * scale[c]).collect();
    // In the order of onnxruntime, where it matters: on the raw input.
    let factor: Vec<f32> = (0..channels)
        .map(|c| ((var[c] as f32 + eps as f32).sqrt()).recip() * gamma[c] as f32)
        .collect();
    let shift = |c: usize| beta[c] as f32 - mean[c] as f32 * factor[c];
    let shifts = (0..channels).map(shift).collect();
    let affine = Affine {
        scale,
        offset,
        written: vec![InputStep::Multiply(factor), InputStep::Add(shifts)],
    };
    Ok(Value::Live(t.affine(node, x, affine)))
}

/// An operation on two values of the sample: one function of the layer that both come from, or a layer that
/// reads both.
fn both(t: &mut Translation, node: &Node, operation: Pairing, a: Id, b: Id) -> Translated<Id> {
    // Twice the same is a sum of integers, which costs nothing.
    let linear = matches!(operation, Pairing::Add | Pairing::Sub) && a == b;
    if !linear && t.shape(a) == t.shape(b) {
        let parts = (Part::Layer(a), Part::Layer(b));
        if let Some(y) = regions::pair(t, node, operation, parts.0, parts.1)? {
            return Ok(y);
        }
    }
    let layer = match operation {
        Pairing::Add => Layer::Add,
        Pairing::Sub => Layer::Sub,
        Pairing::Mul => Layer::Mul,
        Pairing::Div => {
            return Err(NodeProblem::new(
                "it divides one value of the sample by another",
                "a constant divisor",
            ));
        }
        Pairing::Pow
        | Pairing::Min
        | Pairing::Max
        | Pairing::Less
        | Pairing::LessOrEqual
        | Pairing::Equal => {
            return Err(NodeProblem::new(
                "it compares two values of the sample, or raises one to the power of another",
                "operands that are functions of one value, or a constant operand",
            ));
        }
    };
    let full = |id: Id| [&[1], t.shape(id)].concat();
    let shape = common(&full(a), &full(b))?;
    let (a, b) = (
        rearrange::broadcast(t, node, a, &shape)?,
        rearrange::broadcast(t, node, b, &shape)?,
    );
    Ok(t.push(node, Work::Plain(layer), &[a, b], shape[1..].to_vec()))
}

/// An operation on values of the sample and constants that is no sum or product, from the left to the right.
fn joined(
    t: &mut Translation,
    node: &Node,
    operands: &[Option<Value>],
    operation: Pairing,
) -> Translated<Value> {
    let parts = parts(t, operands)?;
    let mut parts = parts.into_iter();
    let Some(mut joined) = parts.next() else {
        return Err(NodeProblem::malformed("it has no operands"));
    };
    for part in parts {
        joined = match (&joined, &part) {
            (Part::Layer(a), Part::Layer(b)) => Part::Layer(both(t, node, operation, *a, *b)?),
            (Part::Numbers(_), Part::Numbers(_)) => {
                return Err(NodeProblem::new(
                    "several constants before a value of the sample",
                    "the value first",
                ));
            }
            // Bounds keep their name.
            (Part::Layer(x), Part::Numbers(n)) | (Part::Numbers(n), Part::Layer(x))
                if n.len() == 1 && matches!(operation, Pairing::Min | Pairing::Max) =>
            {
                let (lo, hi) = match operation {
                    Pairing::Max => (n[0], f32::MAX),
                    _ => (f32::MIN, n[0]),
                };
                Part::Layer(t.function(node, *x, functions::clipped(lo, hi)?))
            }
            _ => {
                let y = regions::pair(t, node, operation, joined, part)?;
                Part::Layer(y.ok_or_else(|| NodeProblem::malformed("it reads no value of the sample"))?)
            }
        };
    }
    match joined {
        Part::Layer(id) => Ok(Value::Live(id)),
        Part::Numbers(_) => Err(NodeProblem::malformed("it reads no value of the sample")),
    }
}

/// Operands as values of one shape and numbers of its channels.
fn parts(t: &mut Translation, operands: &[Option<Value>]) -> Translated<Vec<Part>> {
    let sample = operands.iter().flatten().find_map(|o| match o {
        Value::Live(id) => Some(t.shape(*id).to_vec()),
        Value::Constant(_) | Value::Coded(_) | Value::Integers(..) | Value::Broken => None,
    });
    let Some(sample) = sample else {
        return Err(NodeProblem::malformed("it reads no value of the sample"));
    };
    let part = |slot: usize| match operands[slot].as_ref() {
        Some(value) if value.is_constant() => {
            let tensor = constant(operands, slot)?;
            let tensor = tensor.ok_or_else(|| NodeProblem::malformed("a missing constant"))?;
            let numbers = per_channel(&tensor, &sample)?;
            // An infinite bound is one that no float reaches.
            let numbers: Vec<f32> = numbers.into_iter().map(|v| v.clamp(f32::MIN, f32::MAX)).collect();
            if numbers.is_empty() || numbers.iter().any(|v| v.is_nan()) {
                return Err(NodeProblem::malformed("a constant that is empty or no number"));
            }
            Ok(Part::Numbers(numbers))
        }
        _ => live(operands, slot).map(Part::Layer),
    };
    (0..operands.len()).map(part).collect()
}

pub(crate) fn min(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    joined(t, node, operands, Pairing::Min)
}

pub(crate) fn max(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    joined(t, node, operands, Pairing::Max)
}

/// A sum of several values.
pub(crate) fn sum(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let (first, others) = operands
        .split_first()
        .ok_or_else(|| NodeProblem::malformed("it has no operands"))?;
    let mut sum = first.clone();
    for operand in others {
        sum = Some(add(t, node, &[sum, operand.clone()])?);
    }
    sum.ok_or_else(|| NodeProblem::malformed("operand 0 is missing"))
}

pub(crate) fn pow(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    match operands {
        [_, Some(Value::Live(_))] => joined(t, node, operands, Pairing::Pow),
        _ => functions::pow(t, node, operands),
    }
}

pub(crate) fn less(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    joined(t, node, operands, Pairing::Less)
}

pub(crate) fn less_or_equal(
    t: &mut Translation,
    node: &Node,
    operands: &[Option<Value>],
) -> Translated<Value> {
    joined(t, node, operands, Pairing::LessOrEqual)
}

pub(crate) fn greater(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    joined(t, node, &reversed(operands), Pairing::Less)
}

pub(crate) fn greater_or_equal(
    t: &mut Translation,
    node: &Node,
    operands: &[Option<Value>],
) -> Translated<Value> {
    joined(t, node, &reversed(operands), Pairing::LessOrEqual)
}

pub(crate) fn equal(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    joined(t, node, operands, Pairing::Equal)
}

fn reversed(operands: &[Option<Value>]) -> Vec<Option<Value>> {
    operands.iter().rev().cloned().collect()
}

/// One of two values, as a comparison says.
pub(crate) fn select(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let parts = parts(t, operands)?;
    if parts.len() != 3 {
        return Err(NodeProblem::malformed(format!(
            "{} operands, needs 3",
            parts.len()
        )));
    }
    let step = |at: &[usize]| ExpressionStep::Select {
        operands: [at[0], at[1], at[2]],
    };
    let y = regions::join(t, node, &parts, step)?;
    y.map(Value::Live).ok_or_else(|| {
        NodeProblem::new(
            "it chooses between several values of the sample",
            "operands that are functions of one value",
        )
    })
}

/// A truth value, turned round.
pub(crate) fn not(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let x = live(operands, 0)?;
    let affine = Affine::new(vec![-1.0], vec![1.0]);
    Ok(Value::Live(t.affine(node, x, affine)))
}
