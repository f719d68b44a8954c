//! Sums, products and batch normalization.

use crate::draft::{Affine, Id, Work};
use crate::model::Node;
use crate::report::{Outcome, Problem};
use crate::translate::{Translation, constant, live};
use crate::value::{Value, per_channel};
use cml_quant::{Layer, Univariate};

pub(crate) fn apply(t: &mut Translation<'_>, node: &Node, operands: &[Option<Value>]) -> Outcome<Value> {
    if node.op == "BatchNormalization" {
        return batch_norm(t, node, operands).map(Value::Live);
    }
    let slot = match operands {
        [Some(a), Some(b)] => [a, b].iter().position(|v| v.is_constant()),
        _ => {
            return Err(Problem::malformed(format!(
                "{} operands, needs 2",
                operands.len()
            )));
        }
    };
    let Some(slot) = slot else {
        return both(t, node, live(operands, 0)?, live(operands, 1)?).map(Value::Live);
    };
    let mut x = live(operands, 1 - slot)?;
    let tensor = constant(operands, slot)?.ok_or_else(|| Problem::malformed("a missing constant"))?;
    let values: Vec<f64> = per_channel(&tensor, t.shape(x))?
        .into_iter()
        .map(f64::from)
        .collect();
    if values.is_empty() || values.iter().any(|v| !v.is_finite()) {
        return Err(Problem::malformed("a constant that is empty or not finite"));
    }
    let negated = || values.iter().map(|v| -v).collect();
    let affine = match (node.op.as_str(), slot) {
        ("Add", _) => Affine::shifted(values),
        ("Sub", 1) => Affine::shifted(negated()),
        ("Sub", _) => Affine {
            scale: vec![-1.0],
            offset: values,
        },
        ("Mul", _) => Affine::scaled(values),
        ("Div", 1) if values.contains(&0.0) => return Err(Problem::malformed("a division by 0")),
        ("Div", 1) => Affine::scaled(values.iter().map(|v| v.recip()).collect()),
        _ => {
            x = t.function(node, x, Univariate::Reciprocal);
            Affine::scaled(values)
        }
    };
    Ok(Value::Live(t.affine(node, x, affine)))
}

/// Factors and offsets: `gamma * (x - mean) / sqrt(var + eps) + beta`.
fn batch_norm(t: &mut Translation<'_>, node: &Node, operands: &[Option<Value>]) -> Outcome<Id> {
    let x = live(operands, 0)?;
    if node.int_or("training_mode", 0)? != 0 {
        return Err(Problem::new(
            "it is in training mode",
            "an export after model.eval()",
        ));
    }
    let channels = t.shape(x).first().copied().unwrap_or(0);
    let list = |slot: usize| -> Outcome<Vec<f64>> {
        let tensor = constant(operands, slot)?
            .ok_or_else(|| Problem::malformed(format!("operand {slot} is missing")))?;
        let values: Vec<f64> = tensor.to_floats().into_iter().map(f64::from).collect();
        if tensor.shape != [channels] || values.iter().any(|v| !v.is_finite()) {
            let why = format!(
                "operand {slot} has shape {:?}, needs [{channels}] finite numbers",
                tensor.shape
            );
            return Err(Problem::malformed(why));
        }
        Ok(values)
    };
    let (gamma, beta, mean, var) = (list(1)?, list(2)?, list(3)?, list(4)?);
    let eps = f64::from(node.float_or("epsilon", 1e-5)?);
    if channels == 0 || var.iter().any(|v| v + eps <= 0.0) {
        return Err(Problem::malformed("a variance that is not positive"));
    }
    let scale: Vec<f64> = gamma
        .iter()
        .zip(&var)
        .map(|(g, v)| g / (v + eps).sqrt())
        .collect();
    let offset = (0..channels).map(|c| beta[c] - mean[c] * scale[c]).collect();
    Ok(t.affine(node, x, Affine { scale, offset }))
}

/// Two values of the sample.
fn both(t: &mut Translation<'_>, node: &Node, a: Id, b: Id) -> Outcome<Id> {
    let (mut a, mut b) = (a, b);
    let layer = match node.op.as_str() {
        // A difference is also written as a sum with the negative.
        "Add" => match (scaled(t, a), scaled(t, b)) {
            (_, (source, -1.0)) => {
                b = source;
                Layer::Sub
            }
            ((source, -1.0), _) => {
                (a, b) = (b, source);
                Layer::Sub
            }
            _ => Layer::Add,
        },
        "Sub" => Layer::Sub,
        "Mul" => return gated(t, node, a, b),
        _ => {
            return Err(Problem::new(
                "it divides one value of the sample by another",
                "a constant divisor",
            ));
        }
    };
    let (left, right) = (t.shape(a).to_vec(), t.shape(b));
    if left != right {
        return Err(Problem::new(
            format!("values of shapes {left:?} and {right:?}"),
            "values of the same shape",
        ));
    }
    Ok(t.push(node, Work::Plain(layer), &[a, b], left))
}

/// `x * g(x)`, where it is a function that has a name.
fn gated(t: &mut Translation<'_>, node: &Node, a: Id, b: Id) -> Outcome<Id> {
    for (x, gate) in [(a, b), (b, a)] {
        // A factor may be on either side: `0.5 * x` with `1 + erf(..)`.
        for (base, factor, offset) in chain(t, x) {
            if let Some((function, product)) = gate_of(t, gate, base).filter(|_| offset == 0.0) {
                let y = t.function(node, base, function);
                return Ok(t.affine(node, y, Affine::scaled(vec![factor * product])));
            }
        }
    }
    Err(Problem::new(
        "it multiplies two values of the sample",
        "a constant factor, Gelu or HardSwish",
    ))
}

/// Layers that a layer is a single factor and offset of, itself first.
fn chain(t: &Translation<'_>, id: Id) -> Vec<(Id, f64, f64)> {
    let mut all = vec![(id, 1.0, 0.0)];
    let (mut at, mut factor, mut shift) = all[0];
    while let Work::Affine(Affine { scale, offset }) = &t.draft.layers[at].work
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
fn scaled(t: &Translation<'_>, id: Id) -> (Id, f64) {
    let whole = chain(t, id).into_iter().rev().find(|c| c.2 == 0.0);
    whole.map_or((id, 1.0), |(at, factor, _)| (at, factor))
}

/// Factor and offset that make a layer of another, if both come from one.
fn relative(t: &Translation<'_>, id: Id, x: Id) -> Option<(f64, f64)> {
    let (base, factor, offset) = *chain(t, id).last()?;
    let (same, of_x, at_x) = *chain(t, x).last()?;
    let ratio = factor / of_x;
    (base == same && of_x != 0.0).then_some((ratio, offset - ratio * at_x))
}

/// The function `f` with `x * gate(x) = factor * f(x)`.
fn gate_of(t: &Translation<'_>, gate: Id, x: Id) -> Option<(Univariate, f64)> {
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
