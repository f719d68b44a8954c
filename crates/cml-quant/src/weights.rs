//! Weights, bias and quantizer: what dense layers and convolutions share.

use crate::error::{check_number, misfit};
use crate::{QuantError, WeightQuantizer};
use ndarray::{Array, Dimension};

/// Float weights `[out, ..]` with their quantizer, if any, and a float bias `[out]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weights<D: Dimension> {
    pub(crate) values: Array<f32, D>,
    pub(crate) bias: Option<Vec<f32>>,
    pub(crate) quantizer: Option<WeightQuantizer>,
}

impl<D: Dimension> Weights<D> {
    /// Weights of a kind of layer, which errors name.
    pub(crate) fn new(
        kind: &str,
        values: Array<f32, D>,
        bias: Option<Vec<f32>>,
        quantizer: Option<WeightQuantizer>,
    ) -> Result<Self, QuantError> {
        let shape = values.shape();
        if values.is_empty() {
            return Err(misfit(kind, "weights", "at least one", format!("{shape:?}")));
        }
        let out = shape[0];
        if let Some(quantizer) = &quantizer {
            quantizer.check()?;
            let scales = quantizer.scale.len();
            if ![1, out].contains(&scales) {
                return Err(misfit(kind, "weight scales", format!("1 or {out}"), scales));
            }
        }
        if let Some(bias) = bias.as_ref().filter(|b| b.len() != out) {
            return Err(misfit(kind, "bias", out, bias.len()));
        }
        values.iter().try_for_each(|&w| check_number("weight", w))?;
        bias.iter().flatten().try_for_each(|&b| check_number("bias", b))?;
        Ok(Self {
            values,
            bias,
            quantizer,
        })
    }

    /// Integer weights, of the same shape; `None` without a quantizer.
    pub(crate) fn codes(&self) -> Option<Array<i64, D>> {
        let quantizer = self.quantizer.as_ref()?;
        let each = self.values.len() / self.values.shape()[0];
        let mut codes = Array::zeros(self.values.raw_dim());
        for (i, (code, &w)) in codes.iter_mut().zip(&self.values).enumerate() {
            *code = quantizer.quantize(i / each, w);
        }
        Some(codes)
    }
}
