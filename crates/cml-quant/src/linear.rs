//! Dense layers.

use crate::weights::Weights;
use crate::{QuantError, WeightQuantizer};
use ndarray::{Array2, Ix2};

/// Dense layer `y = W x + b` with quantized weights and a float bias, which
/// goes into the next lookup table or the output's offset.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    pub(crate) weights: Weights<Ix2>,
}

impl Linear {
    /// Layer from weights `[out, in]` and bias `[out]`.
    ///
    /// # Errors
    /// If sizes do not fit or a number is not finite.
    pub fn new(
        weights: Array2<f32>,
        bias: Option<Vec<f32>>,
        quantizer: WeightQuantizer,
    ) -> Result<Self, QuantError> {
        let weights = Weights::new("linear", weights, bias, quantizer)?;
        Ok(Self { weights })
    }

    /// Float weights, `[out, in]`.
    pub fn weights(&self) -> &Array2<f32> {
        &self.weights.values
    }

    /// Float bias, `[out]`.
    pub fn bias(&self) -> Option<&[f32]> {
        self.weights.bias.as_deref()
    }

    /// Quantizer of the weights.
    pub fn quantizer(&self) -> &WeightQuantizer {
        &self.weights.quantizer
    }

    /// Integer weights, `[out, in]`.
    pub fn codes(&self) -> Array2<i64> {
        self.weights.codes()
    }
}
