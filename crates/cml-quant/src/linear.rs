//! Dense layers.

use crate::weights::Weights;
use crate::{QuantError, WeightQuantizer};
use ndarray::{Array2, Ix2};

/// Dense layer `y = W x + b` with a float bias, which goes into the next
/// lookup table or the output's offset. In a quantized network the weights have
/// a quantizer, in a float one none.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    pub(crate) weights: Weights<Ix2>,
}

impl Linear {
    /// Layer from weights `[out, in]`, bias `[out]`, and a quantizer or `None`.
    ///
    /// # Errors
    /// If sizes do not fit or a number is not finite.
    pub fn new(
        weights: Array2<f32>,
        bias: Option<Vec<f32>>,
        quantizer: impl Into<Option<WeightQuantizer>>,
    ) -> Result<Self, QuantError> {
        let weights = Weights::new("linear", weights, bias, quantizer.into())?;
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

    /// Quantizer of the weights; `None` if they are float.
    pub fn quantizer(&self) -> Option<&WeightQuantizer> {
        self.weights.quantizer.as_ref()
    }

    /// Integer weights, `[out, in]`; `None` without a quantizer.
    pub fn codes(&self) -> Option<Array2<i64>> {
        self.weights.codes()
    }
}
