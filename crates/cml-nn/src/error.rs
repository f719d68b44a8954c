//! What can go wrong in training.

use std::error::Error;

use cml_quant::QuantError;
use tch::TchError;

/// Errors of this crate. Messages name the field or layer, what it has and what it needs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NnError {
    /// A field of the configuration that is out of range.
    #[error("training configuration: {field} is {has}, needs {needs}")]
    Config {
        /// Field.
        field: &'static str,
        /// Its value.
        has: String,
        /// What it must be.
        needs: String,
    },
    /// A loss or parameter that is no number any more.
    #[error("training diverged in epoch {epoch}: {what} is {has}; a smaller learning rate helps")]
    Diverged {
        /// Epoch, from 1.
        epoch: usize,
        /// What it is.
        what: String,
        /// Its value.
        has: f32,
    },
    /// A sum of products of codes that `f32` arithmetic may round.
    #[error("layer {layer}: accumulator may reach {has}, limit {limit} for exact float arithmetic")]
    TooWide {
        /// Layer.
        layer: String,
        /// Largest magnitude.
        has: u64,
        /// Limit.
        limit: u64,
    },
    /// A trained row that breaks the accumulator bound: a defect of this crate.
    #[error("layer {layer}: accumulator takes {has} values, limit {limit}")]
    Unbounded {
        /// Layer.
        layer: String,
        /// Values that it can take.
        has: u64,
        /// Most that the configuration allows.
        limit: u64,
    },
    /// Scores of libtorch and of the exported network that differ: a defect of this crate.
    #[error("row {row}: libtorch gives score {torch}, the exported network {network}")]
    Inexact {
        /// Test row.
        row: usize,
        /// Score by libtorch.
        torch: f32,
        /// Score by the network.
        network: f32,
    },
    /// A layer that the scores by libtorch do not know.
    #[error("layer {layer}: {what} is not supported by libtorch scores: use the forward pass of the network")]
    Unsupported {
        /// Layer.
        layer: String,
        /// Kind of layer.
        what: String,
    },
    /// An invalid network.
    #[error(transparent)]
    Quant(#[from] QuantError),
    /// An error of libtorch.
    #[error("libtorch failed")]
    Torch(#[source] Box<dyn Error + Send + Sync>),
}

impl From<TchError> for NnError {
    fn from(error: TchError) -> Self {
        Self::Torch(Box::new(error))
    }
}
