//! Ranges seen on data: what other tools size their circuits by.

use crate::table::Table;
use crate::{Basis, BitwidthError, LayerWidth};
use cml_ir::{Graph, Interval, NodeId, Tensor, Values, evaluate, plain};

/// Runs the interpreter on each sample (one tensor for each input of the
/// graph) and keeps the range of every element.
///
/// Concrete measures ranges so, on a sample set; data beyond it then give
/// silently wrong results. [`Observed::outside`] counts them.
///
/// # Errors
/// If there is no sample, or one does not have the inputs' number, shapes and
/// ranges.
pub fn observe<S: AsRef<[Tensor]>>(
    graph: &Graph,
    samples: impl IntoIterator<Item = S>,
) -> Result<Observed, BitwidthError> {
    let mut elements: Vec<Vec<Interval>> = Vec::new();
    let count = for_each_sample(graph, samples, |values| {
        let seen = |id: NodeId| values.get(id).data().iter().map(|&v| Interval::point(v));
        if elements.is_empty() {
            elements = graph.nodes().map(|(id, _)| seen(id).collect()).collect();
            return;
        }
        for (id, _) in graph.nodes() {
            for (range, point) in elements[id.index()].iter_mut().zip(seen(id)) {
                *range = range.hull(point);
            }
        }
    })?;
    if count == 0 {
        return Err(BitwidthError::NoSamples {
            graph: plain(graph.name()),
        });
    }
    Ok(Observed {
        table: Table::new(graph, elements, Basis::Observed { samples: count }),
        samples: count,
    })
}

/// Evaluates every sample; returns how many there were.
pub(crate) fn for_each_sample<S: AsRef<[Tensor]>>(
    graph: &Graph,
    samples: impl IntoIterator<Item = S>,
    mut visit: impl FnMut(&Values),
) -> Result<u64, BitwidthError> {
    let mut count = 0;
    for sample in samples {
        let values = evaluate(graph, sample.as_ref())
            .map_err(|source| BitwidthError::Sample { index: count, source })?;
        visit(&values);
        count += 1;
    }
    Ok(count)
}

/// Ranges observed on samples of one graph: the same figures as
/// [`crate::Widths`], with no guarantee for other data.
///
/// Methods that take a [`NodeId`] panic if it is of another, larger graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    pub(crate) table: Table,
    pub(crate) samples: u64,
}

impl Observed {
    /// Number of samples, at least 1.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Range seen of each element of a node, row major.
    pub fn elements(&self, id: NodeId) -> &[Interval] {
        self.table.elements(id)
    }

    /// Range seen of each channel (axis 0) of a node.
    pub fn channels(&self, id: NodeId) -> Vec<Interval> {
        self.table.channels(id)
    }

    /// Range seen of all elements of a node.
    pub fn range(&self, id: NodeId) -> Interval {
        self.table.range(id)
    }

    /// Every accumulator, in graph order; see [`crate::Widths::accumulators`].
    pub fn accumulators(&self) -> Vec<LayerWidth> {
        self.table.accumulators()
    }

    /// Every node that a lookup or an output reads; see
    /// [`crate::Widths::carried`].
    pub fn carried(&self) -> &[LayerWidth] {
        self.table.carried()
    }

    /// The widest of [`Observed::carried`], by values; of equals the first.
    pub fn widest(&self) -> &LayerWidth {
        self.table.widest()
    }

    /// Largest storage width seen of any encrypted value, in bits.
    pub fn accumulator_size(&self) -> u32 {
        self.table.accumulator_size()
    }

    /// Refuses another graph than the one observed, by content.
    ///
    /// # Errors
    /// [`BitwidthError::OtherGraph`].
    pub fn check(&self, graph: &Graph) -> Result<(), BitwidthError> {
        self.table.check(graph)
    }

    /// Requires every observed lookup domain to fit `bits`. Proves nothing
    /// about other data; the error says so.
    ///
    /// # Errors
    /// [`BitwidthError::TooWide`], with the widest layer.
    pub fn require_at_most(&self, bits: u32) -> Result<(), BitwidthError> {
        self.table.require_at_most(bits)
    }
}
