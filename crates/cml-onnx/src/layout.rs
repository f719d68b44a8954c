//! Functions, factors and quantizers go before the moves of channels that they follow.
//!
//! Scales, biases and tables differ by channel (axis 0). A transposition or reshape that takes channels apart
//! can follow them only after a quantizer, so what is computed element by element is computed first, and the
//! elements are moved afterwards.

use crate::draft::{Affine, Id, NetworkDraft, Step, Work};
use cml_quant::{Layer, Reshape, Transpose, Weights};

/// Exchanges elementwise layers with the moves before them, where those take channels apart that differ.
pub(crate) fn sink(draft: &mut NetworkDraft, output: &mut Id) {
    let needed = |id: Id| {
        let step = &draft.layers[id];
        is_elementwise(&step.work) && moves_before(&draft.layers, step.operands[0]).is_some()
    };
    if !(0..draft.layers.len()).any(needed) {
        return;
    }
    let mut sinker = Sinker { layers: Vec::new() };
    let mut places = Vec::with_capacity(draft.layers.len());
    for mut step in std::mem::take(&mut draft.layers) {
        for operand in &mut step.operands {
            *operand = places[*operand];
        }
        places.push(sinker.step(step));
    }
    draft.layers = sinker.layers;
    *output = places[*output];
}

fn is_elementwise(work: &Work) -> bool {
    matches!(
        work,
        Work::Affine(_) | Work::Quantize(_) | Work::Plain(Layer::Function(_))
    )
}

/// The layer before a chain of moves that ends with `last`, if the moves take channels apart that differ,
/// and the moves, first to last.
fn moves_before(layers: &[Step], last: Id) -> Option<(Id, Vec<Id>)> {
    let (mut at, mut moves, mut apart) = (last, Vec::new(), false);
    loop {
        let step = &layers[at];
        match &step.work {
            Work::Plain(Layer::Reshape(Reshape { shape })) => {
                let from = &layers[step.operands[0]].shape;
                apart |= !channel_len(from).is_multiple_of(channel_len(shape));
            }
            Work::Plain(Layer::Transpose(Transpose { perm })) => apart |= perm.first() != Some(&0),
            _ => break,
        }
        moves.push(at);
        at = step.operands[0];
    }
    moves.reverse();
    (apart && !is_plain(layers, at)).then_some((at, moves))
}

fn channel_len(shape: &[usize]) -> usize {
    shape.iter().skip(1).product::<usize>().max(1)
}

/// Whether all elements of a layer have one scale and no bias or function, or are raw.
fn is_plain(layers: &[Step], id: Id) -> bool {
    let step = &layers[id];
    match &step.work {
        Work::Input | Work::Quantize(_) | Work::Unknown => true,
        Work::Affine(_) => step.operands.first().is_some_and(|&o| is_raw(layers, o)),
        Work::Weighted(w) => {
            w.bias.is_none()
                && matches!(&w.weights, Weights::Codes { quantizer, .. } if quantizer.scale.len() == 1)
        }
        Work::Plain(layer) => match layer {
            Layer::Function(_) => false,
            Layer::Add | Layer::Sub | Layer::Mul | Layer::Concat(_) | Layer::Trees(_) => true,
            Layer::Input
            | Layer::Normalize(_)
            | Layer::Quantize(_)
            | Layer::Linear(_)
            | Layer::Conv2d(_)
            | Layer::Pool(_)
            | Layer::Reshape(_)
            | Layer::Transpose(_)
            | Layer::Slice(_)
            | Layer::Pad(_)
            | Layer::Gather(_) => step.operands.first().is_none_or(|&o| is_plain(layers, o)),
        },
    }
}

/// Whether a layer is the input, with factors and offsets at most.
fn is_raw(layers: &[Step], mut id: Id) -> bool {
    loop {
        match &layers[id].work {
            Work::Input => return true,
            Work::Affine(_)
            | Work::Plain(Layer::Reshape(_) | Layer::Transpose(_) | Layer::Slice(_) | Layer::Gather(_)) => {
                id = layers[id].operands[0];
            }
            Work::Quantize(_) | Work::Weighted(_) | Work::Plain(_) | Work::Unknown => return false,
        }
    }
}

struct Sinker {
    layers: Vec<Step>,
}

impl Sinker {
    /// Adds a step whose operands are those of the new draft.
    fn step(&mut self, step: Step) -> Id {
        if is_elementwise(&step.work)
            && let Some((source, moves)) = moves_before(&self.layers, step.operands[0])
            && let Some(work) = self.before(&step.work, source, &moves)
        {
            let mut at = self.push(Step {
                work,
                operands: vec![source],
                shape: self.layers[source].shape.clone(),
                ..step
            });
            for id in moves {
                let mut copy = self.layers[id].clone();
                copy.operands = vec![at];
                at = self.push(copy);
            }
            return at;
        }
        self.push(step)
    }

    /// Adds a step, joined with the move before it if it is one.
    fn push(&mut self, mut step: Step) -> Id {
        while let Some(&operand) = step.operands.first() {
            let before = &self.layers[operand];
            let joined = match (&step.work, &before.work) {
                (Work::Plain(Layer::Reshape(_)), _) if step.shape == before.shape => return operand,
                (Work::Plain(Layer::Transpose(Transpose { perm })), _)
                    if perm.iter().copied().eq(0..perm.len()) =>
                {
                    return operand;
                }
                (Work::Plain(Layer::Reshape(_)), Work::Plain(Layer::Reshape(_))) => step.work.clone(),
                (Work::Plain(Layer::Transpose(outer)), Work::Plain(Layer::Transpose(inner))) => {
                    let perm = outer.perm.iter().map(|&a| inner.perm[a]).collect();
                    Work::Plain(Layer::Transpose(Transpose { perm }))
                }
                (Work::Plain(Layer::Transpose(Transpose { perm })), _)
                    if keeps_order(perm, &before.shape) =>
                {
                    let shape = step.shape.clone();
                    step.work = Work::Plain(Layer::Reshape(Reshape { shape }));
                    continue;
                }
                _ => break,
            };
            step.work = joined;
            step.operands = before.operands.clone();
        }
        self.layers.push(step);
        self.layers.len() - 1
    }

    /// What an elementwise layer does before moves; nothing if one channel there becomes several that differ.
    fn before(&self, work: &Work, source: Id, moves: &[Id]) -> Option<Work> {
        let spread = |list: &[f64]| self.spread(list, source, moves);
        match work {
            Work::Affine(affine) => {
                let (scale, offset) = (spread(&affine.scale)?, spread(&affine.offset)?);
                Some(Work::Affine(Affine::new(scale, offset)))
            }
            Work::Quantize(_) => Some(work.clone()),
            Work::Plain(Layer::Function(function)) if function.is_per_tensor() => Some(work.clone()),
            Work::Plain(Layer::Function(function)) => {
                let failed = std::cell::Cell::new(false);
                let lists = |list: &[f32]| {
                    let wide: Vec<f64> = list.iter().map(|&v| f64::from(v)).collect();
                    match spread(&wide) {
                        Some(list) => list.into_iter().map(|v| v as f32).collect(),
                        None => {
                            failed.set(true);
                            list.to_vec()
                        }
                    }
                };
                let function = function.respread(lists);
                (!failed.get()).then_some(Work::Plain(Layer::Function(function)))
            }
            Work::Input | Work::Weighted(_) | Work::Plain(_) | Work::Unknown => None,
        }
    }

    /// A list of the channels after moves as one of the channels before them.
    fn spread(&self, list: &[f64], source: Id, moves: &[Id]) -> Option<Vec<f64>> {
        if list.len() == 1 {
            return Some(list.to_vec());
        }
        let from = &self.layers[source].shape;
        let mut shape = from.clone();
        let mut elements: Vec<usize> = (0..from.iter().product()).collect();
        for &id in moves {
            let step = &self.layers[id];
            if let Work::Plain(Layer::Transpose(Transpose { perm })) = &step.work {
                elements = transposed(&elements, &shape, perm);
            }
            shape.clone_from(&step.shape);
        }
        let (before, after) = (channel_len(from), channel_len(&shape));
        let mut spread: Vec<Option<f64>> = vec![None; elements.len() / before];
        for (at, element) in elements.into_iter().enumerate() {
            let (value, entry) = (*list.get(at / after)?, &mut spread[element / before]);
            if entry.is_some_and(|known| known != value) {
                return None;
            }
            *entry = Some(value);
        }
        spread.into_iter().collect()
    }
}

/// Whether an order of axes only moves axes of size 1.
fn keeps_order(perm: &[usize], shape: &[usize]) -> bool {
    perm.iter().filter(|&&a| shape[a] != 1).is_sorted()
}

/// Elements of a shape in another order of its axes.
fn transposed(elements: &[usize], shape: &[usize], perm: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let mut at = vec![0; perm.len()];
    let mut all = Vec::with_capacity(elements.len());
    for _ in 0..elements.len() {
        all.push(elements[at.iter().zip(perm).map(|(i, &a)| i * strides[a]).sum::<usize>()]);
        for axis in (0..perm.len()).rev() {
            at[axis] += 1;
            if at[axis] < shape[perm[axis]] {
                break;
            }
            at[axis] = 0;
        }
    }
    all
}
