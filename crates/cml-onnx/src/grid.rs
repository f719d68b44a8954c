//! Functions of codes whose values are codes again: a ReLU behind a quantizer, a clip to levels, a sign.
//!
//! A layer that multiplies, adds or joins reads codes. Where a function maps each of the codes before it to a
//! multiple of one step, a quantizer after it changes nothing, and makes codes of its values.

use crate::draft::{Id, NetworkDraft, Work};
use crate::raw::covering;
use cml_quant::{ActQuantizer, Layer, Univariate};
use std::collections::{BTreeMap, BTreeSet};

/// How far a value may be from a multiple of the step, in units of the largest value.
const PRECISION: f32 = 1e-6;

/// Adds quantizers where layers that need codes read functions of codes that keep to a grid.
pub(crate) fn requantize(draft: &mut NetworkDraft, output: &mut Id, output_is_function: bool) {
    let mut quantizers: BTreeMap<Id, ActQuantizer> = BTreeMap::new();
    let mut moved: BTreeSet<Id> = BTreeSet::new();
    let mut wants: BTreeSet<(Id, usize)> = BTreeSet::new();
    for id in draft.needed(*output) {
        if !needs_codes(&draft.layers[id].work) {
            continue;
        }
        for (slot, &operand) in draft.layers[id].operands.iter().enumerate() {
            if let Some((function, moves, quantizer)) = found(draft, operand) {
                quantizers.insert(function, quantizer);
                moved.extend(&moves);
                if moves.is_empty() {
                    wants.insert((id, slot));
                }
            }
        }
    }
    if output_is_function && let Some((function, moves, quantizer)) = found(draft, *output) {
        quantizers.insert(function, quantizer);
        moved.extend(&moves);
    }
    if quantizers.is_empty() {
        return;
    }
    let before = std::mem::take(&mut draft.layers);
    // The new place of each layer, and of the codes that were made of it.
    let mut places: Vec<(Id, Id)> = Vec::with_capacity(before.len());
    for (id, mut step) in before.into_iter().enumerate() {
        for (slot, operand) in step.operands.iter_mut().enumerate() {
            let (plain, codes) = places[*operand];
            let wanted = wants.contains(&(id, slot)) || moved.contains(&id);
            *operand = if wanted { codes } else { plain };
        }
        let copy = quantizers.get(&id).map(|&quantizer| {
            let mut copy = step.clone();
            copy.work = Work::Quantize(quantizer);
            copy
        });
        let plain = draft.push(step);
        let codes = copy.map_or(plain, |mut copy| {
            copy.operands = vec![plain];
            draft.push(copy)
        });
        places.push((plain, codes));
    }
    let (plain, codes) = places[*output];
    *output = if output_is_function { codes } else { plain };
}

/// Whether a layer reads codes of one scale.
fn needs_codes(work: &Work) -> bool {
    match work {
        Work::Weighted(_) => true,
        Work::Plain(layer) => match layer {
            Layer::Pool(_) | Layer::Add | Layer::Sub | Layer::Mul | Layer::Pad(_) | Layer::Concat(_) => true,
            Layer::Input
            | Layer::Normalize(_)
            | Layer::Quantize(_)
            | Layer::Linear(_)
            | Layer::Conv2d(_)
            | Layer::Function(_)
            | Layer::Reshape(_)
            | Layer::Transpose(_)
            | Layer::Slice(_)
            | Layer::Gather(_)
            | Layer::Trees(_) => false,
        },
        Work::Input | Work::Quantize(_) | Work::Affine(_) | Work::Unknown => false,
    }
}

/// The last function before a layer, the moves between them, and the quantizer of its values.
fn found(draft: &NetworkDraft, mut at: Id) -> Option<(Id, Vec<Id>, ActQuantizer)> {
    let mut moves = Vec::new();
    while is_move(&draft.layers[at].work) {
        moves.push(at);
        at = draft.layers[at].operands[0];
    }
    let last = at;
    let mut functions: Vec<Univariate> = Vec::new();
    let quantizer = loop {
        let step = &draft.layers[at];
        match &step.work {
            Work::Plain(Layer::Function(function)) if function.is_per_tensor() => {
                functions.push(function.clone());
            }
            Work::Affine(affine) if affine.len() == 1 => functions.push(affine.function()),
            Work::Quantize(quantizer) => break *quantizer,
            work if is_move(work) => {}
            _ => return None,
        }
        at = step.operands[0];
    };
    if functions.is_empty() {
        return None;
    }
    let value = |code: i64| {
        let x = quantizer.dequantize(code);
        functions.iter().rev().fold(x, |x, f| f.eval(0, x))
    };
    let codes = quantizer.codes();
    let values: Vec<f32> = (codes.lo..=codes.hi).map(value).collect();
    Some((last, moves, on_grid(&values, quantizer)?))
}

fn is_move(work: &Work) -> bool {
    matches!(
        work,
        Work::Plain(Layer::Reshape(_) | Layer::Transpose(_) | Layer::Slice(_) | Layer::Gather(_))
    )
}

/// A quantizer that keeps some values, with the step of the one before them if that will do.
fn on_grid(values: &[f32], before: ActQuantizer) -> Option<ActQuantizer> {
    let largest = values.iter().fold(0f32, |m, v| m.max(v.abs()));
    if values.iter().any(|v| !v.is_finite()) || largest == 0.0 {
        return None;
    }
    let reach = |scale: f32| {
        let code = |v: &f32| {
            let code = (v / scale).round_ties_even();
            ((v - code * scale).abs() <= PRECISION * largest).then_some(code as i64)
        };
        let codes: Option<Vec<i64>> = values.iter().map(code).collect();
        let codes = codes?;
        Some((*codes.iter().min()?, *codes.iter().max()?))
    };
    if let Some((lo, hi)) = reach(before.scale) {
        let codes = before.codes();
        if codes.lo <= lo + before.zero_point && hi + before.zero_point <= codes.hi {
            return Some(before);
        }
        return covering(lo, hi, before.scale);
    }
    let mut sorted = values.to_vec();
    sorted.push(0.0);
    sorted.sort_unstable_by(f32::total_cmp);
    let gaps = sorted.windows(2).map(|w| w[1] - w[0]);
    let scale = gaps.filter(|&gap| gap > PRECISION * largest).reduce(f32::min)?;
    let (lo, hi) = reach(scale)?;
    covering(lo, hi, scale)
}
