//! The raw input has one reader, its quantizer: reshapes and the like move behind it.

use crate::draft::{Id, NetworkDraft, Work};
use crate::fold::redirect;
use cml_quant::Layer;

/// Joins quantizers that do the same, and moves the input's quantizer before what only moves
/// elements, with which it commutes.
pub(crate) fn hoist(draft: &mut NetworkDraft, output: &mut Id) {
    loop {
        join(draft, output);
        if !swap(draft, *output) {
            return;
        }
    }
}

/// Quantizers of one value that are equal become one.
fn join(draft: &mut NetworkDraft, output: &mut Id) {
    for second in 0..draft.layers.len() {
        let Work::Quantize(quantizer) = &draft.layers[second].work else {
            continue;
        };
        let operand = draft.layers[second].operands[0];
        let first = (0..second).find(|&first| {
            let step = &draft.layers[first];
            matches!(&step.work, Work::Quantize(q) if q == quantizer) && step.operands[..] == [operand]
        });
        if let Some(first) = first {
            redirect(draft, output, second, first);
        }
    }
}

/// Exchanges one move of raw elements with the quantizer that alone reads it.
fn swap(draft: &mut NetworkDraft, output: Id) -> bool {
    let readers = draft.readers(output);
    let needed = draft.needed(output);
    for &id in &needed {
        let Work::Quantize(_) = draft.layers[id].work else {
            continue;
        };
        let moved = draft.layers[id].operands[0];
        if readers[moved] != 1 || !moves(&draft.layers[moved].work) || !is_raw(draft, moved) {
            continue;
        }
        // The two exchange their places, so that operands still come first.
        let source = draft.layers[moved].operands.clone();
        let (mut quantize, mut mover) = (draft.layers[id].clone(), draft.layers[moved].clone());
        quantize.operands = source.clone();
        quantize.shape = draft.layers[source[0]].shape.clone();
        mover.operands = vec![moved];
        draft.layers[moved] = quantize;
        draft.layers[id] = mover;
        return true;
    }
    false
}

/// Whether a layer only moves elements of one operand, and adds at most zeros.
fn moves(work: &Work) -> bool {
    matches!(
        work,
        Work::Plain(
            Layer::Reshape(_) | Layer::Transpose(_) | Layer::Slice(_) | Layer::Pad(_) | Layer::Gather(_)
        )
    )
}

/// Whether nothing but moves and factors lies between the input and a layer.
fn is_raw(draft: &NetworkDraft, mut id: Id) -> bool {
    loop {
        let step = &draft.layers[id];
        match &step.work {
            Work::Input => return true,
            Work::Affine(_) => {}
            work if moves(work) => {}
            _ => return false,
        }
        id = step.operands[0];
    }
}
