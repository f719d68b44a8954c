//! One row of the table: what a lookup or a decryption must carry.

use cml_ir::{Graph, Interval, NodeId, Op, OpKind, Tensor, channel_len};
use serde::{Serialize, Serializer};
use std::fmt;

/// What a width rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Holds for every input that the graph admits.
    Proved,
    /// Was seen on data; other data may exceed it.
    Observed {
        /// Number of samples.
        samples: u64,
    },
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Basis::Proved => write!(f, "proved"),
            Basis::Observed { samples: 1 } => write!(f, "observed on 1 sample"),
            Basis::Observed { samples } => write!(f, "observed on {samples} samples"),
        }
    }
}

/// Width of the values of one node that a lookup or an output reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerWidth {
    /// Node.
    #[serde(serialize_with = "index")]
    pub node: NodeId,
    /// Layer name.
    pub layer: String,
    /// Operation, as in dumps.
    pub op: &'static str,
    /// Proof or samples.
    pub basis: Basis,
    /// Channels (size of axis 0).
    pub channels: usize,
    /// Hull of all elements.
    pub range: Interval,
    /// Values of the lookup domain, `R`: the largest `hi - lo + 1` of a
    /// channel, since each channel has its own free offset.
    pub values: u64,
    /// Bits of the lookup domain, `ceil(log2 R)`; 0 for a constant.
    pub bits: u32,
    /// Bits of the machine integer that holds `range`: two's complement if it
    /// has negative values. The "accumulator size" of Concrete and the seeds.
    pub storage_bits: u32,
    /// Most non-zero weights in an output channel; dense and convolution only.
    pub nonzero_inputs: Option<usize>,
    /// Largest L1 norm of an output channel's integer weights; dense and
    /// convolution only.
    pub l1: Option<u64>,
    /// Bootstraps that read this node: elements of its lookups whose interval
    /// spans more than one plateau.
    pub lookups: usize,
}

fn index<S: Serializer>(node: &NodeId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(node.index() as u64)
}

/// Hull of each channel's elements.
pub(crate) fn channels(shape: &[usize], elements: &[Interval]) -> Vec<Interval> {
    let hull = |part: &[Interval]| Interval::hull_of(part.iter().copied());
    elements.chunks(channel_len(shape)).filter_map(hull).collect()
}

/// Whether a lookup or an output reads the node.
pub(crate) fn is_carried(graph: &Graph, id: NodeId) -> bool {
    graph.users(id).any(|u| match graph.node(u).op.kind() {
        OpKind::Lookup(_) | OpKind::Output(_) => true,
        OpKind::Input(_) | OpKind::Linear => false,
    })
}

/// Whether the node's values are sums or copies of other encrypted values.
pub(crate) fn is_linear(op: &Op) -> bool {
    match op.kind() {
        OpKind::Linear => true,
        OpKind::Input(_) | OpKind::Lookup(_) | OpKind::Output(_) => false,
    }
}

/// The row of a node with these elements.
pub(crate) fn row(graph: &Graph, id: NodeId, elements: &[Interval], basis: Basis) -> LayerWidth {
    let node = graph.node(id);
    let channels = channels(&node.ty.shape, elements);
    let range = Interval::hull_of(elements.iter().copied()).unwrap_or(Interval::point(0));
    let widest = channels
        .iter()
        .copied()
        .max_by_key(|c| c.count())
        .unwrap_or(range);
    let weights = weights(&node.op);
    let rows = || {
        weights
            .into_iter()
            .flat_map(|w| (0..w.shape()[0]).map(|o| w.row(o)))
    };
    LayerWidth {
        node: id,
        layer: node.name.clone(),
        op: node.op.mnemonic(),
        basis,
        channels: channels.len(),
        range,
        values: widest.count(),
        bits: widest.domain_bits(),
        storage_bits: range.storage_bits(),
        nonzero_inputs: rows().map(|r| r.iter().filter(|w| **w != 0).count()).max(),
        l1: rows().map(l1_norm).max(),
        lookups: bootstraps(graph, id, elements),
    }
}

fn weights(op: &Op) -> Option<&Tensor> {
    match op {
        Op::Dot(d) => Some(&d.weights),
        Op::Conv2d(c) => Some(&c.weights),
        Op::Input { .. }
        | Op::SumPool(_)
        | Op::Add
        | Op::Sub
        | Op::Lut(_)
        | Op::Reshape { .. }
        | Op::Transpose { .. }
        | Op::Concat { .. }
        | Op::Slice { .. }
        | Op::Pad(_)
        | Op::Output(_) => None,
    }
}

fn l1_norm(row: &[i64]) -> u64 {
    row.iter()
        .fold(0, |sum: u64, w| sum.saturating_add(w.unsigned_abs()))
}

fn bootstraps(graph: &Graph, id: NodeId, elements: &[Interval]) -> usize {
    let width = channel_len(&graph.node(id).ty.shape);
    let spans = |user: NodeId| match graph.node(user).op.kind() {
        OpKind::Lookup(lut) => elements
            .iter()
            .enumerate()
            .filter(|(i, on)| lut.channel(i / width).constant_on(**on).is_none())
            .count(),
        OpKind::Input(_) | OpKind::Linear | OpKind::Output(_) => 0,
    };
    graph.users(id).map(spans).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_axis_0() {
        let e: Vec<Interval> = (0..6).map(|i| Interval::new(-i, i)).collect();
        let check = |shape: &[usize], his: &[i64]| {
            let got: Vec<i64> = channels(shape, &e[..shape.iter().product()])
                .iter()
                .map(|c| c.hi)
                .collect();
            assert_eq!(got, his, "{shape:?}");
        };
        check(&[], &[0]);
        check(&[3], &[0, 1, 2]);
        check(&[3, 2], &[1, 3, 5]);
        check(&[1, 2, 3], &[5]);
        check(&[2, 3, 1], &[2, 5]);
    }

    #[test]
    fn norm_of_extreme_weights_saturates() {
        assert_eq!(l1_norm(&[-3, 0, 2]), 5);
        assert_eq!(l1_norm(&[i64::MIN, i64::MIN, 1]), u64::MAX);
    }

    #[test]
    fn basis_is_spelled_out() {
        let check = |samples, text: &str| assert_eq!(Basis::Observed { samples }.to_string(), text);
        check(1, "observed on 1 sample");
        check(20, "observed on 20 samples");
        assert_eq!(Basis::Proved.to_string(), "proved");
    }
}
