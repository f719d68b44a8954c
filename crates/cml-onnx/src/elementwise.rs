//! Sums, products and batch normalization.

use crate::draft::{Affine, Id, Work};
use crate::model::Node;
use crate::report::{NodeProblem, Translated};
use crate::tensor::Tensor;
use crate::translation::{Translation, constant, live};
use crate::value::{Value, broadcast, broadcasts_to, per_channel};
use cml_quant::{InputStep, Layer, Univariate};

/// What a sum or product reads.
enum Pair {
    /// Two values of the sample.
    Values(Id, Id),
    /// A value and a constant, one number or one for each channel.
    Constant {
        x: Id,
        numbers: Vec<f64>,
        /// Which operand the constant is.
        slot: usize,
    },
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
    let (x, numbers) = match per_channel(&tensor, t.shape(x)) {
        Ok(numbers) => (x, numbers),
        // Each element of the raw input can have a number of its own.
        Err(problem) => {
            let count = t.shape(x).iter().product();
            if !t.is_raw(x) || !t.has_room(count) {
                return Err(problem);
            }
            let numbers = each(&tensor, t.shape(x)).ok_or(problem)?;
            (t.reshape(node, x, vec![count]), numbers)
        }
    };
    let numbers: Vec<f64> = numbers.into_iter().map(f64::from).collect();
    if numbers.is_empty() || numbers.iter().any(|v| !v.is_finite()) {
        return Err(NodeProblem::malformed("a constant that is empty or not finite"));
    }
    Ok(Pair::Constant { x, numbers, slot })
}

/// A number for each element of a sample, row by row, if the constant broadcasts to it.
fn each(tensor: &Tensor, sample: &[usize]) -> Option<Vec<f32>> {
    let full = [&[1], sample].concat();
    let values = tensor.to_floats();
    let fits = broadcasts_to(&tensor.shape, &full);
    fits.then(|| {
        broadcast(&full, &tensor.shape)
            .into_iter()
            .map(|i| values[i])
            .collect()
    })
}

/// A result in the shape of what the node reads.
fn shaped(t: &mut Translation, node: &Node, operands: &[Option<Value>], id: Id) -> Value {
    let read = operands.iter().flatten().find_map(|value| match value {
        Value::Live(id) => Some(*id),
        Value::Constant(_) | Value::Coded(_) | Value::Integers(..) | Value::Broken => None,
    });
    let shape = read.map(|read| t.shape(read).to_vec());
    Value::Live(shape.map_or(id, |shape| t.reshape(node, id, shape)))
}

pub(crate) fn add(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let result = match pair(t, node, operands)? {
        Pair::Constant { x, numbers, .. } => t.affine(node, x, Affine::shifted(numbers)),
        // A difference is also written as a sum with the negative.
        Pair::Values(a, b) => match (scaled(t, a), scaled(t, b)) {
            (_, (source, -1.0)) => both(t, node, Layer::Sub, a, source)?,
            ((source, -1.0), _) => both(t, node, Layer::Sub, b, source)?,
            _ => both(t, node, Layer::Add, a, b)?,
        },
    };
    Ok(shaped(t, node, operands, result))
}

pub(crate) fn sub(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let result = match pair(t, node, operands)? {
        Pair::Constant { x, numbers, slot: 1 } => {
            let negated = numbers.iter().map(|v| -v).collect();
            t.affine(node, x, Affine::shifted(negated))
        }
        Pair::Constant { x, numbers, .. } => t.affine(node, x, Affine::new(vec![-1.0], numbers)),
        Pair::Values(a, b) => both(t, node, Layer::Sub, a, b)?,
    };
    Ok(shaped(t, node, operands, result))
}

pub(crate) fn mul(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let result = match pair(t, node, operands)? {
        Pair::Constant { x, numbers, .. } => t.affine(node, x, Affine::scaled(numbers)),
        Pair::Values(a, b) => gated(t, node, a, b)?,
    };
    Ok(shaped(t, node, operands, result))
}

pub(crate) fn div(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let result = match pair(t, node, operands)? {
        Pair::Constant { numbers, slot: 1, .. } if numbers.contains(&0.0) => {
            return Err(NodeProblem::malformed("a division by 0"));
        }
        Pair::Constant { x, numbers, slot: 1 } => t.affine(node, x, Affine::divided(&numbers)),
        Pair::Constant { x, numbers, .. } => {
            let inverse = t.function(node, x, Univariate::Reciprocal);
            t.affine(node, inverse, Affine::scaled(numbers))
        }
        Pair::Values(..) => {
            return Err(NodeProblem::new(
                "it divides one value of the sample by another",
                "a constant divisor",
            ));
        }
    };
    Ok(shaped(t, node, operands, result))
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

/// A sum or difference of two values of the sample.
fn both(t: &mut Translation, node: &Node, layer: Layer, a: Id, b: Id) -> Translated<Id> {
    let (left, right) = (t.shape(a).to_vec(), t.shape(b));
    if left != right {
        return Err(NodeProblem::new(
            format!("values of shapes {left:?} and {right:?}"),
            "values of the same shape",
        ));
    }
    Ok(t.push(node, Work::Plain(layer), &[a, b], left))
}

/// `x * g(x)`, where it is a function that has a name.
fn gated(t: &mut Translation, node: &Node, a: Id, b: Id) -> Translated<Id> {
    for (x, gate) in [(a, b), (b, a)] {
        // A factor may be on either side: `0.5 * x` with `1 + erf(..)`.
        for (base, factor, offset) in chain(t, x) {
            if let Some((function, product)) = gate_of(t, gate, base).filter(|_| offset == 0.0) {
                let y = t.function(node, base, function);
                return Ok(t.affine(node, y, Affine::scaled(vec![factor * product])));
            }
        }
    }
    Err(NodeProblem::new(
        "it multiplies two values of the sample",
        "a constant factor, Gelu or HardSwish",
    ))
}

/// Layers that a layer is a single factor and offset of, itself first.
fn chain(t: &Translation, id: Id) -> Vec<(Id, f64, f64)> {
    let mut all = vec![(id, 1.0, 0.0)];
    let (mut at, mut factor, mut shift) = all[0];
    while let Work::Affine(Affine { scale, offset, .. }) = &t.draft.layers[at].work
        && let ([scale], [offset]) = (&scale[..], &offset[..])
    {
        shift += factor * offset;
        factor *= scale;
        at = t.draft.layers[at].operands[0];
        all.push((at, factor, shift));
    }
    all
}

/// A layer and the one factor that it is multiplied with.
fn scaled(t: &Translation, id: Id) -> (Id, f64) {
    let whole = chain(t, id).into_iter().rev().find(|c| c.2 == 0.0);
    whole.map_or((id, 1.0), |(at, factor, _)| (at, factor))
}

/// Factor and offset that make a layer of another, if both come from one.
fn relative(t: &Translation, id: Id, x: Id) -> Option<(f64, f64)> {
    let (base, factor, offset) = *chain(t, id).last()?;
    let (same, of_x, at_x) = *chain(t, x).last()?;
    let ratio = factor / of_x;
    (base == same && of_x != 0.0).then_some((ratio, offset - ratio * at_x))
}

/// The function `f` with `x * gate(x) = factor * f(x)`.
fn gate_of(t: &Translation, gate: Id, x: Id) -> Option<(Univariate, f64)> {
    let near = |a: f64, b: f64| (a - b).abs() < 1e-5;
    let (end, factor, offset) = *chain(t, gate).last()?;
    let step = &t.draft.layers[end];
    let Work::Plain(Layer::Function(function)) = &step.work else {
        return None;
    };
    let (scale, shift) = relative(t, step.operands[0], x)?;
    let half = std::f64::consts::FRAC_1_SQRT_2;
    match function {
        // clip(x / 6 + 1 / 2, 0, 1)
        Univariate::HardSigmoid { alpha, beta } => {
            let (alpha, beta) = (f64::from(*alpha), f64::from(*beta));
            let fits = near(alpha * scale, 1.0 / 6.0) && near(alpha * shift + beta, 0.5);
            (fits && offset == 0.0).then_some((Univariate::HardSwish, factor))
        }
        // clip(x + 3, 0, 6)
        Univariate::Clip { lo: 0.0, hi: 6.0 } => {
            let fits = near(scale, 1.0) && near(shift, 3.0) && offset == 0.0;
            fits.then_some((Univariate::HardSwish, factor * 6.0))
        }
        // erf(x / sqrt(2)) + 1
        Univariate::Erf => {
            let fits = near(scale, half) && near(shift, 0.0) && near(offset, factor) && factor != 0.0;
            fits.then_some((Univariate::Gelu { tanh: false }, factor * 2.0))
        }
        _ => None,
    }
}
