//! Dense layers.

use crate::{QuantError, WeightQuantizer, Weights};
use ndarray::{Array2, Ix2};

/// Dense layer `y = W x + b` with a float bias, which goes into the next
/// lookup table or the output's offset. In a quantized network the weights are
/// integer codes, in a float one floats.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    weights: Weights<Ix2>,
    bias: Option<Vec<f32>>,
}

impl Linear {
    /// Layer from float weights `[out, in]`, bias `[out]`, and a quantizer, which rounds the weights to codes,
    /// or `None`.
    ///
    /// # Errors
    /// If sizes do not fit or a number is not finite.
    pub fn new(
        weights: Array2<f32>,
        bias: Option<Vec<f32>>,
        quantizer: impl Into<Option<WeightQuantizer>>,
    ) -> Result<Self, QuantError> {
        Self::from_weights(Weights::of_floats("linear", weights, quantizer.into())?, bias)
    }

    /// Layer from weights `[out, in]` and bias `[out]`.
    ///
    /// # Errors
    /// If sizes do not fit, a number is not finite, or a code is none of the quantizer's.
    pub fn from_weights(weights: Weights<Ix2>, bias: Option<Vec<f32>>) -> Result<Self, QuantError> {
        weights.check("linear", bias.as_deref())?;
        Ok(Self { weights, bias })
    }

    /// Weights, `[out, in]`.
    pub fn weights(&self) -> &Weights<Ix2> {
        &self.weights
    }

    /// Float bias, `[out]`.
    pub fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }

    /// Quantizer of the weights; `None` if they are float.
    pub fn quantizer(&self) -> Option<&WeightQuantizer> {
        self.weights.quantizer()
    }

    /// Integer weights, `[out, in]`; `None` if they are float.
    pub fn codes(&self) -> Option<&Array2<i64>> {
        self.weights.codes()
    }
}
