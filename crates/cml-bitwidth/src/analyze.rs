//! The proof: interval arithmetic over every input the graph admits.

use crate::table::Table;
use crate::{Basis, BitwidthError, LayerWidth};
use cml_ir::{Graph, Interval, NodeId};

/// Bounds every element of every node.
///
/// For an output channel with integer weights `w`, bias `b` and inputs in
/// `[lo_i, hi_i]`: `hi = b + sum max(w_i lo_i, w_i hi_i)`, `lo` with `min`, and
/// `hi - lo = sum |w_i| (hi_i - lo_i)`. A padding value counts as an input. A
/// lookup maps an interval to the hull of its image. No relation between
/// elements is kept, so only a sum of independent values is exact. Source:
/// quantization notes, "Widths that are proved, not observed".
///
/// What nothing reads counts too: run `cml_ir::passes::drop_dead` first.
pub fn analyze(graph: &Graph) -> Widths {
    Widths {
        table: Table::new(graph, cml_ir::intervals(graph), Basis::Proved),
    }
}

/// Proved widths of one graph: a side table keyed by node.
///
/// Methods that take a [`NodeId`] panic if it is of another, larger graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Widths {
    pub(crate) table: Table,
}

impl Widths {
    /// Interval of each element of a node, row major.
    pub fn elements(&self, id: NodeId) -> &[Interval] {
        self.table.elements(id)
    }

    /// Interval of each channel (axis 0) of a node: the hull over positions.
    pub fn channels(&self, id: NodeId) -> Vec<Interval> {
        self.table.channels(id)
    }

    /// Hull of all elements of a node.
    pub fn range(&self, id: NodeId) -> Interval {
        self.table.range(id)
    }

    /// Whether a lookup or an output reads the node, and something linear
    /// (sums or moved data, neither input nor lookup) yields it.
    pub fn is_accumulator(&self, id: NodeId) -> bool {
        self.table.is_accumulator(id)
    }

    /// Every accumulator, in graph order.
    pub fn accumulators(&self) -> Vec<LayerWidth> {
        self.table.accumulators()
    }

    /// Every node that a lookup or an output reads, in graph order: the
    /// accumulators, and inputs and lookup results that are read directly.
    pub fn carried(&self) -> &[LayerWidth] {
        self.table.carried()
    }

    /// The widest of [`Widths::carried`], by values; of equals the first.
    pub fn widest(&self) -> &LayerWidth {
        self.table.widest()
    }

    /// Largest storage width of any encrypted value, in bits: inputs, sums and
    /// lookup results. The seeds' "accumulator size".
    pub fn accumulator_size(&self) -> u32 {
        self.table.accumulator_size()
    }

    /// Bootstraps: elements of lookups whose input interval spans more than
    /// one plateau. The others are constants and cost nothing.
    pub fn lookups(&self) -> usize {
        self.table.lookups()
    }

    /// Name of the graph.
    pub fn graph_name(&self) -> &str {
        self.table.graph_name()
    }

    /// Number of nodes of the graph.
    pub fn graph_len(&self) -> usize {
        self.table.graph_len()
    }

    /// Refuses another graph than the one analyzed, by content.
    ///
    /// # Errors
    /// [`BitwidthError::OtherGraph`].
    pub fn check(&self, graph: &Graph) -> Result<(), BitwidthError> {
        self.table.check(graph)
    }

    /// Requires every lookup domain and every decrypted value to fit `bits`.
    ///
    /// # Errors
    /// [`BitwidthError::TooWide`], with the widest layer.
    pub fn require_at_most(&self, bits: u32) -> Result<(), BitwidthError> {
        self.table.require_at_most(bits)
    }
}
