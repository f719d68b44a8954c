//! What dense layers and convolutions multiply with.

use super::kind::{Place, Reaches};
use crate::accumulators::{IntegerReach, checked};
use crate::budget::largest_sum;
use crate::error::{check_number, misfit};
use crate::meaning::bounded;
use crate::{Dequantizer, QuantError, WeightQuantizer};
use cml_ir::{Interval, Tensor};
use ndarray::{Array, ArrayView, CowArray, Dimension, RemoveAxis};

/// Weights of any shape, output channels first (axis 0).
///
/// A layer checks its weights when it is built: see [`crate::Linear::from_weights`] and
/// [`crate::Conv2d::from_weights`].
#[derive(Clone, Debug, PartialEq)]
pub enum Weights<D: Dimension> {
    /// Floats, in a float network.
    Float(Array<f32, D>),
    /// Integers, in a quantized network.
    Codes {
        /// The integers that are multiplied, each within [`WeightQuantizer::codes`].
        codes: Array<i64, D>,
        /// What they stand for: each times the scale of its channel.
        quantizer: WeightQuantizer,
    },
}

impl<D: Dimension> Weights<D> {
    /// The floats as they are, or the codes that a quantizer gives them, for a layer of a kind, which errors
    /// name.
    ///
    /// # Errors
    /// If there are no weights, one is not finite, or the quantizer is not valid or has neither one scale
    /// nor one for each channel.
    pub(crate) fn of_floats(
        kind: &str,
        floats: Array<f32, D>,
        quantizer: Option<WeightQuantizer>,
    ) -> Result<Self, QuantError> {
        check_shape(kind, floats.shape())?;
        let Some(quantizer) = quantizer else {
            return Ok(Self::Float(floats));
        };
        check_scales(kind, &quantizer, floats.shape())?;
        floats.iter().try_for_each(|&w| check_number("weight", w))?;
        let each = floats.len() / floats.shape()[0];
        let mut codes = Array::zeros(floats.raw_dim());
        for (i, (code, &w)) in codes.iter_mut().zip(&floats).enumerate() {
            *code = quantizer.quantize(i / each, w);
        }
        Ok(Self::Codes { codes, quantizer })
    }

    /// Sizes of the axes.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Float(floats) => floats.shape(),
            Self::Codes { codes, .. } => codes.shape(),
        }
    }

    /// Number of weights.
    pub fn len(&self) -> usize {
        match self {
            Self::Float(floats) => floats.len(),
            Self::Codes { codes, .. } => codes.len(),
        }
    }

    /// Whether there are none; no layer has such weights.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The integers; `None` if the weights are floats.
    pub fn codes(&self) -> Option<&Array<i64, D>> {
        match self {
            Self::Float(_) => None,
            Self::Codes { codes, .. } => Some(codes),
        }
    }

    /// The quantizer; `None` if the weights are floats.
    pub fn quantizer(&self) -> Option<&WeightQuantizer> {
        match self {
            Self::Float(_) => None,
            Self::Codes { quantizer, .. } => Some(quantizer),
        }
    }

    /// The floats, or those that the codes stand for: `code as f32 * scale`, rounded once.
    ///
    /// The quantizer gives each of the latter its code back. A code has at most 16 bits, so the two
    /// roundings move `code * scale / scale` by less than 2^-7.
    ///
    /// # Panics
    /// If a quantizer has neither one scale nor one for each channel. No layer has such weights.
    pub fn floats(&self) -> CowArray<'_, f32, D> {
        match self {
            Self::Float(floats) => floats.view().into(),
            Self::Codes { codes, quantizer } => {
                let each = (codes.len() / codes.shape()[0].max(1)).max(1);
                let mut floats = Array::zeros(codes.raw_dim());
                for (i, (w, &code)) in floats.iter_mut().zip(codes).enumerate() {
                    *w = code as f32 * quantizer.channel_scale(i / each);
                }
                floats.into()
            }
        }
    }

    /// The same weights with their number of axes in the type.
    ///
    /// # Errors
    /// If they have another number of axes.
    pub fn into_dimensionality<E: Dimension>(self) -> Result<Weights<E>, QuantError> {
        let axes = format!("{:?}", self.shape());
        let misfit = |_| {
            let needs = E::NDIM.map_or_else(String::new, |n| format!("{n} axes"));
            misfit("weights", "shape", needs, &axes)
        };
        Ok(match self {
            Self::Float(floats) => Weights::Float(floats.into_dimensionality().map_err(misfit)?),
            Self::Codes { codes, quantizer } => Weights::Codes {
                codes: codes.into_dimensionality().map_err(misfit)?,
                quantizer,
            },
        })
    }

    /// Refuses weights and a bias that a layer of a kind, which errors name, cannot have.
    pub(crate) fn check(&self, kind: &str, bias: Option<&[f32]>) -> Result<(), QuantError> {
        check_shape(kind, self.shape())?;
        if let Self::Codes { codes, quantizer } = self {
            check_scales(kind, quantizer, codes.shape())?;
            let range = quantizer.codes();
            if let Some(has) = codes.iter().find(|&&code| !range.contains(code)) {
                return Err(misfit(kind, "weight codes", range, has));
            }
        }
        let out = self.shape()[0];
        if let Some(bias) = bias.filter(|b| b.len() != out) {
            return Err(misfit(kind, "bias", out, bias.len()));
        }
        self.floats()
            .iter()
            .try_for_each(|&w| check_number("weight", w))?;
        bias.into_iter()
            .flatten()
            .try_for_each(|&b| check_number("bias", b))
    }
}

/// What dense layers and convolutions do alike.
impl<D: RemoveAxis> Weights<D> {
    /// The integers; of floats an error that names the layer.
    pub(crate) fn integers(&self, layer: &str) -> Result<&Array<i64, D>, QuantError> {
        let codes = self.codes();
        codes.ok_or_else(|| QuantError::FloatWeights(layer.to_owned()))
    }

    /// What sums of products of the integers and codes, each less its zero point, stand for.
    pub(crate) fn meaning(
        &self,
        at: &Place<'_, Option<Dequantizer>>,
        bias: Option<&[f32]>,
    ) -> Result<Option<Dequantizer>, QuantError> {
        let scale = at.plain(0)?;
        let Some(quantizer) = self.quantizer() else {
            return Err(QuantError::FloatWeights(at.node.name.clone()));
        };
        Ok(Some(Dequantizer {
            zero_point: 0,
            scale: quantizer.scale.iter().map(|w| scale * w).collect(),
            bias: bias.map(<[f32]>::to_vec),
            functions: Vec::new(),
        }))
    }

    /// The integers for a graph, and the bias of each output channel that takes the zero point off its
    /// inputs.
    pub(crate) fn lowered(&self, layer: &str, zero_point: i64) -> Result<(Tensor, Vec<i64>), QuantError> {
        let codes = self.integers(layer)?;
        let correction = |channel: ArrayView<'_, i64, D::Smaller>| {
            let sum: i64 = channel.iter().sum();
            bounded(layer, -i128::from(zero_point) * i128::from(sum))
        };
        let bias = codes.outer_iter().map(correction).collect::<Result<_, _>>()?;
        let tensor = Tensor::new(codes.shape().to_vec(), codes.iter().copied().collect())?;
        Ok((tensor, bias))
    }

    /// What sums of products can be, with 0.0 among the inputs if they are `padded`.
    pub(crate) fn reach(&self, at: &Reaches<'_>, padded: bool) -> Result<Option<IntegerReach>, QuantError> {
        let layer = &at.place.node.name;
        let Some(x) = at.first() else { return Ok(None) };
        let x = x.relative(at.zero(), padded);
        let sum = largest_sum(self.integers(layer)?.view());
        let magnitude = x.hull.magnitude().saturating_mul(sum);
        let bound = i64::try_from(magnitude).unwrap_or(i64::MAX);
        checked(layer, Interval::new(-bound, bound), x.span.saturating_mul(sum)).map(Some)
    }
}

/// Sum of products of integers. Those of a network are below `LIMIT`, 2^40, and weights below 2^16: a product
/// fits, a sum of many may not.
pub(crate) fn integer_products<'a>(terms: impl Iterator<Item = (&'a i64, &'a i64)>) -> i128 {
    terms.map(|(w, x)| i128::from(w * x)).sum()
}

/// Sum of products of floats and bias, rounded once.
pub(crate) fn float_products<'a>(bias: f32, terms: impl Iterator<Item = (&'a f32, &'a f32)>) -> f32 {
    let sum: f64 = terms.map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
    (sum + f64::from(bias)) as f32
}

fn check_shape(kind: &str, shape: &[usize]) -> Result<(), QuantError> {
    if shape.is_empty() || shape.contains(&0) {
        return Err(misfit(kind, "weights", "at least one", format!("{shape:?}")));
    }
    Ok(())
}

fn check_scales(kind: &str, quantizer: &WeightQuantizer, shape: &[usize]) -> Result<(), QuantError> {
    quantizer.check()?;
    let (out, scales) = (shape[0], quantizer.scale.len());
    if ![1, out].contains(&scales) {
        return Err(misfit(kind, "weight scales", format!("1 or {out}"), scales));
    }
    Ok(())
}
