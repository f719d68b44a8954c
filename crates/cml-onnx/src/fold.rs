//! Factors and offsets go into the layer before them, or the one after, where integers stay as they are.

use crate::draft::{Affine, Id, NetworkDraft, Work};
use crate::raw_quantizer::{absorb_offset, takes_offset};
use crate::report::Translated;
use crate::{Obstacle, draft};
use cml_quant::Layer;

/// Joins every [`Work::Affine`] with a layer that has weights, another one, or the input's
/// normalization, where its operand has no other reader. What stays becomes a function.
pub(crate) fn fold(draft: &mut NetworkDraft, output: &mut Id, obstacles: &mut Vec<Obstacle>) {
    for id in 0..draft.layers.len() {
        let Work::Affine(affine) = draft.layers[id].work.clone() else {
            continue;
        };
        let readers = draft.readers(*output);
        if readers[id] == 0 {
            continue;
        }
        let operand = draft.layers[id].operands[0];
        if affine.is_identity() {
            redirect(draft, output, id, operand);
            continue;
        }
        match absorb(draft, &readers, id, &affine) {
            Ok(true) => redirect(draft, output, id, operand),
            Ok(false) => {}
            Err(problem) => {
                let step = &draft.layers[id];
                let shape = draft::shown(&step.shape);
                obstacles.push(Obstacle::new(&step.shown(), &step.operator, shape, problem));
            }
        }
    }
}

/// Puts an affine function into what it reads; whether that could be done.
fn absorb(draft: &mut NetworkDraft, readers: &[usize], id: Id, affine: &Affine) -> Translated<bool> {
    let mut at = draft.layers[id].operands[0];
    loop {
        if readers[at] != 1 {
            return Ok(false);
        }
        let step = &draft.layers[at];
        let before = step.operands.first().copied();
        match (&step.work, before) {
            (Work::Weighted(_), _) => break,
            (Work::Affine(_), _) => break,
            (Work::Plain(Layer::Reshape(_)), Some(before))
                if affine.len() == 1 || draft.layers[before].shape.first() == step.shape.first() =>
            {
                at = before;
            }
            _ => return Ok(false),
        }
    }
    match &mut draft.layers[at].work {
        Work::Weighted(weighted) => weighted.absorb(affine)?,
        Work::Affine(first) => *first = first.then(affine),
        Work::Input | Work::Quantize(_) | Work::Plain(_) | Work::Unknown => return Ok(false),
    }
    Ok(true)
}

/// Everything that reads `from` reads `to`.
pub(crate) fn redirect(draft: &mut NetworkDraft, output: &mut Id, from: Id, to: Id) {
    for step in &mut draft.layers {
        for operand in &mut step.operands {
            if *operand == from {
                *operand = to;
            }
        }
    }
    if *output == from {
        *output = to;
    }
}

/// Puts a factor on codes into the weights that read it, and an offset into their biases.
pub(crate) fn forward(draft: &mut NetworkDraft) {
    for id in 0..draft.layers.len() {
        if !matches!(draft.layers[id].work, Work::Weighted(_)) {
            continue;
        }
        let at = draft.layers[id].operands[0];
        let Work::Affine(affine) = draft.layers[at].work.clone() else {
            continue;
        };
        let source = draft.layers[at].operands[0];
        let shifts = affine.offset.iter().any(|&o| o != 0.0);
        if affine.len() != 1 || !is_codes(draft, source) || (shifts && !takes_offset(&draft.layers[id].work))
        {
            continue;
        }
        let kept = draft.layers[id].work.clone();
        if shifts {
            absorb_offset(&mut draft.layers[id].work, &affine);
        }
        if let Work::Weighted(weighted) = &mut draft.layers[id].work {
            // The bias is added after the product.
            let bias = weighted.bias.take();
            let factor = Affine::scaled(affine.scale.clone());
            let absorbed = weighted.absorb(&factor);
            weighted.bias = bias;
            if absorbed.is_err() {
                draft.layers[id].work = kept;
                continue;
            }
        }
        draft.layers[id].operands[0] = source;
    }
}

/// Whether a layer is a quantizer, or moves what one gives.
fn is_codes(draft: &NetworkDraft, mut id: Id) -> bool {
    loop {
        let step = &draft.layers[id];
        match &step.work {
            Work::Quantize(_) => return true,
            Work::Plain(Layer::Reshape(_) | Layer::Transpose(_) | Layer::Slice(_)) => id = step.operands[0],
            Work::Input | Work::Weighted(_) | Work::Affine(_) | Work::Plain(_) | Work::Unknown => {
                return false;
            }
        }
    }
}
