//! Products and sums that have a name: `Gelu`, `HardSwish`, a difference.

use crate::draft::{Affine, Id, Work};
use crate::model::Node;
use crate::translation::Translation;
use cml_quant::{Layer, Univariate};

/// `x * g(x)`, where it is a function that has a name.
pub(crate) fn gated(t: &mut Translation, node: &Node, a: Id, b: Id) -> Option<Id> {
    for (x, gate) in [(a, b), (b, a)] {
        // A factor may be on either side: `0.5 * x` with `1 + erf(..)`.
        for (base, factor, offset) in chain(t, x) {
            if let Some((function, product)) = gate_of(t, gate, base).filter(|_| offset == 0.0) {
                let y = t.function(node, base, function);
                return Some(t.affine(node, y, Affine::scaled(vec![factor * product])));
            }
        }
    }
    None
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
pub(crate) fn scaled(t: &Translation, id: Id) -> (Id, f64) {
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
