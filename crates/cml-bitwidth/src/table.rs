//! Intervals by node, bound to one graph: what proof and observation share.

use crate::BitwidthError;
use crate::layer::{self, Basis, LayerWidth};
use cml_file::short_hex;
use cml_ir::{Graph, Interval, NodeId, graph_hash};

/// Which graph a table belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fingerprint {
    name: String,
    nodes: usize,
    /// SHA-256 of the content; `None` of a graph too large for its file
    /// format, which then matches nothing.
    hash: Option<[u8; 32]>,
}

impl Fingerprint {
    fn of(graph: &Graph) -> Self {
        Self {
            name: graph.name().to_owned(),
            nodes: graph.len(),
            hash: graph_hash(graph).ok(),
        }
    }

    fn matches(&self, other: &Self) -> bool {
        self.hash.is_some() && self == other
    }

    /// For messages: name, number of nodes, first 8 hex digits of the hash.
    fn describe(&self) -> String {
        let hash = self.hash.map_or("unknown".to_owned(), |h| short_hex(&h));
        format!("{} ({} nodes, #{hash})", self.name, self.nodes)
    }
}

/// Interval of each element of each node, and the rows made of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    fingerprint: Fingerprint,
    basis: Basis,
    shapes: Vec<Vec<usize>>,
    linear: Vec<bool>,
    elements: Vec<Vec<Interval>>,
    carried: Vec<LayerWidth>,
}

impl Table {
    pub(crate) fn new(graph: &Graph, elements: Vec<Vec<Interval>>, basis: Basis) -> Self {
        let carried = graph
            .nodes()
            .filter(|&(id, _)| layer::is_carried(graph, id))
            .map(|(id, _)| layer::row(graph, id, &elements[id.index()], basis))
            .collect();
        Self {
            fingerprint: Fingerprint::of(graph),
            basis,
            shapes: graph.nodes().map(|(_, n)| n.ty.shape.clone()).collect(),
            linear: graph.nodes().map(|(_, n)| layer::is_linear(&n.op)).collect(),
            elements,
            carried,
        }
    }

    pub(crate) fn graph_name(&self) -> &str {
        &self.fingerprint.name
    }

    pub(crate) fn graph_len(&self) -> usize {
        self.fingerprint.nodes
    }

    pub(crate) fn check(&self, graph: &Graph) -> Result<(), BitwidthError> {
        self.check_fingerprint(&Fingerprint::of(graph))
    }

    pub(crate) fn check_same(&self, other: &Self) -> Result<(), BitwidthError> {
        self.check_fingerprint(&other.fingerprint)
    }

    fn check_fingerprint(&self, needs: &Fingerprint) -> Result<(), BitwidthError> {
        if self.fingerprint.matches(needs) {
            return Ok(());
        }
        Err(BitwidthError::OtherGraph {
            has: self.fingerprint.describe(),
            needs: needs.describe(),
        })
    }

    pub(crate) fn elements(&self, id: NodeId) -> &[Interval] {
        &self.elements[id.index()]
    }

    pub(crate) fn channels(&self, id: NodeId) -> Vec<Interval> {
        layer::channels(&self.shapes[id.index()], self.elements(id))
    }

    pub(crate) fn range(&self, id: NodeId) -> Interval {
        hull(self.elements(id))
    }

    pub(crate) fn carried(&self) -> &[LayerWidth] {
        &self.carried
    }

    pub(crate) fn is_accumulator(&self, id: NodeId) -> bool {
        self.linear[id.index()] && self.carried.iter().any(|row| row.node == id)
    }

    pub(crate) fn accumulators(&self) -> Vec<LayerWidth> {
        let linear = |row: &&LayerWidth| self.linear[row.node.index()];
        self.carried.iter().filter(linear).cloned().collect()
    }

    /// The first of the widest rows.
    pub(crate) fn widest(&self) -> &LayerWidth {
        // Never empty: a graph has an output, and an output reads a node.
        let mut best = &self.carried[0];
        for row in &self.carried {
            if row.values > best.values {
                best = row;
            }
        }
        best
    }

    pub(crate) fn accumulator_size(&self) -> u32 {
        self.elements
            .iter()
            .map(|e| hull(e).storage_bits())
            .max()
            .unwrap_or(0)
    }

    pub(crate) fn lookups(&self) -> usize {
        self.carried.iter().map(|row| row.lookups).sum()
    }

    pub(crate) fn require_at_most(&self, limit: u32) -> Result<(), BitwidthError> {
        let row = self.widest();
        if row.bits <= limit {
            return Ok(());
        }
        Err(BitwidthError::TooWide {
            layer: row.layer.clone(),
            values: row.values,
            bits: row.bits,
            limit,
            basis: self.basis,
        })
    }
}

fn hull(elements: &[Interval]) -> Interval {
    Interval::hull_of(elements.iter().copied()).unwrap_or(Interval::point(0))
}
