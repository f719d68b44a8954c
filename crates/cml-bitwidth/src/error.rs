//! What can be wrong with widths.

use crate::Basis;
use cml_ir::IrError;

/// Errors of this crate. Messages name the layer, what it has and the limit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BitwidthError {
    /// A layer whose lookup domain is wider than the caller allows.
    #[error("layer {layer}: {values} values need {bits} bits ({basis}), limit {limit}")]
    TooWide {
        /// Layer name.
        layer: String,
        /// Values of its lookup domain.
        values: u64,
        /// Bits of its lookup domain.
        bits: u32,
        /// Largest number of bits allowed.
        limit: u32,
        /// Proof or samples.
        basis: Basis,
    },
    /// A table that was made for another graph.
    #[error("widths are of graph {has}, needs those of graph {needs}")]
    OtherGraph {
        /// Graph of the table: name, number of nodes, short hash.
        has: String,
        /// Graph it was used with: name, number of nodes, short hash.
        needs: String,
    },
    /// No sample to observe.
    #[error("graph {graph}: no samples to observe, needs at least 1")]
    NoSamples {
        /// Graph.
        graph: String,
    },
    /// A sample that the graph does not take.
    #[error("sample {index}: {source}")]
    Sample {
        /// Position of the sample, from 0.
        index: u64,
        /// Cause.
        source: IrError,
    },
    /// Values beyond the ranges that were observed on other samples.
    #[error("layer {layer}: {outside} values outside their channel's range, {basis} ({total} in all layers)")]
    Left {
        /// Layer with the most such values.
        layer: String,
        /// Values of that layer outside.
        outside: u64,
        /// Values of all layers outside.
        total: u64,
        /// The samples on which the ranges rest.
        basis: Basis,
    },
}
