//! Where the quantizers of a float network go.

use crate::{Layer, LayerNode, Network, Reshape, Transpose};
use cml_ir::channel_len;

/// What the integers of a layer will be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Floats of the input.
    Raw,
    /// Codes, or sums of codes, of one scale.
    Plain,
    /// Sums of products, with a scale and a bias for each channel.
    Sums,
    /// Anything with affine functions that grow and are not yet applied: an output may end so.
    Affine,
    /// Anything with an activation function that is not yet applied.
    Function,
}

/// Layers whose results are quantized, and who reads which of the two.
pub(super) struct Placement {
    /// For each layer the group of the quantizer on its result, if a reader needs one. A group has
    /// one quantizer: what is added or joined is in one group.
    pub(super) group: Vec<Option<usize>>,
    /// For each layer and operand: whether it reads the quantized result.
    pub(super) quantized: Vec<Vec<bool>>,
    /// Whether the output is the quantized result.
    pub(super) output: bool,
}

impl Placement {
    /// Quantizers before everything that multiplies, adds or joins codes, and before a pool or an
    /// output that would read a function. Pools and reshapes work on codes where they can.
    pub(super) fn of(network: &Network, output: usize) -> Self {
        let layers = network.layers();
        let mut group: Vec<Option<usize>> = vec![None; layers.len()];
        let mut states: Vec<State> = Vec::with_capacity(layers.len());
        let mut quantized = Vec::with_capacity(layers.len());
        for node in layers {
            let operands: Vec<usize> = node.operands.iter().map(|o| o.index()).collect();
            let joins = matches!(node.layer, Layer::Add | Layer::Sub | Layer::Concat(_));
            let mut reads = Vec::with_capacity(operands.len());
            let mut state = State::Raw;
            for (slot, &o) in operands.iter().enumerate() {
                let needed =
                    joins || matches!(node.layer, Layer::Mul) || !accepts(node, states[o], &layers[o].shape);
                if needed && group[o].is_none() {
                    group[o] = Some(o);
                }
                if slot == 0 {
                    state = if needed { State::Plain } else { states[o] };
                }
                reads.push(needed);
            }
            if joins {
                unite(&mut group, &operands);
            }
            states.push(match &node.layer {
                Layer::Function(f) if f.growing().is_some() && state != State::Function => State::Affine,
                Layer::Linear(_) | Layer::Conv2d(_) => State::Sums,
                Layer::Function(_) => State::Function,
                Layer::Mul => State::Plain,
                Layer::Input
                | Layer::Normalize(_)
                | Layer::Quantize(_)
                | Layer::Pool(_)
                | Layer::Reshape(_)
                | Layer::Add
                | Layer::Sub
                | Layer::Transpose(_)
                | Layer::Slice(_)
                | Layer::Pad(_)
                | Layer::Concat(_)
                | Layer::Gather(_)
                | Layer::Trees(_) => state,
            });
            quantized.push(reads);
        }
        let ends = matches!(states[output], State::Raw | State::Function);
        if ends && group[output].is_none() {
            group[output] = Some(output);
        }
        Self {
            group,
            quantized,
            output: ends,
        }
    }

    /// Layers of a group.
    pub(super) fn members(&self, group: usize) -> impl Iterator<Item = usize> {
        let all = self.group.iter().enumerate();
        all.filter(move |(_, g)| **g == Some(group))
            .map(|(layer, _)| layer)
    }

    /// How often the accumulator of a layer is added up before it is looked up or decrypted, and
    /// whether it is looked up.
    pub(super) fn after(&self, network: &Network, layer: usize) -> (u64, bool) {
        let (mut factor, mut lookup) = (1, self.group[layer].is_some());
        for (reader, node) in network.layers().iter().enumerate().skip(layer + 1) {
            let operands = node.operands.iter().zip(&self.quantized[reader]);
            if operands
                .into_iter()
                .any(|(o, quantized)| o.index() == layer && !quantized)
            {
                let count = match &node.layer {
                    Layer::Pool(pool) => pool.added() as u64,
                    Layer::Input
                    | Layer::Normalize(_)
                    | Layer::Quantize(_)
                    | Layer::Linear(_)
                    | Layer::Conv2d(_)
                    | Layer::Function(_)
                    | Layer::Reshape(_)
                    | Layer::Add
                    | Layer::Sub
                    | Layer::Mul
                    | Layer::Transpose(_)
                    | Layer::Slice(_)
                    | Layer::Pad(_)
                    | Layer::Concat(_)
                    | Layer::Gather(_)
                    | Layer::Trees(_) => 1,
                };
                let (more, looked_up) = self.after(network, reader);
                factor = factor.max(count.saturating_mul(more));
                lookup |= looked_up;
            }
        }
        (factor, lookup)
    }
}

/// Whether a layer can read a result as it is.
fn accepts(node: &LayerNode, state: State, from: &[usize]) -> bool {
    match &node.layer {
        Layer::Input | Layer::Normalize(_) | Layer::Trees(_) => true,
        Layer::Linear(_)
        | Layer::Conv2d(_)
        | Layer::Add
        | Layer::Sub
        | Layer::Mul
        | Layer::Pad(_)
        | Layer::Concat(_) => state == State::Plain,
        Layer::Pool(pool) if pool.is_max() || pool.is_padded() => state == State::Plain,
        Layer::Pool(_) => matches!(state, State::Plain | State::Sums),
        Layer::Function(_) | Layer::Quantize(_) | Layer::Slice(_) | Layer::Gather(_) => state != State::Raw,
        Layer::Transpose(Transpose { perm }) => match state {
            State::Raw => false,
            State::Plain => true,
            State::Sums | State::Affine | State::Function => perm.first() == Some(&0),
        },
        Layer::Reshape(Reshape { shape }) => match state {
            State::Raw => false,
            State::Plain => true,
            State::Sums | State::Affine | State::Function => {
                channel_len(from).is_multiple_of(channel_len(shape))
            }
        },
    }
}

/// Makes one group of the groups of some layers: that of the first layer.
fn unite(group: &mut [Option<usize>], layers: &[usize]) {
    let Some(first) = layers.iter().filter_map(|&l| group[l]).min() else {
        return;
    };
    let others: Vec<usize> = layers.iter().filter_map(|&l| group[l]).collect();
    for g in group.iter_mut() {
        if g.is_some_and(|g| others.contains(&g)) {
            *g = Some(first);
        }
    }
}
