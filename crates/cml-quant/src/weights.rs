//! What dense layers and convolutions multiply with.

use crate::error::{check_number, misfit};
use crate::{QuantError, WeightQuantizer};
use ndarray::{Array, CowArray, Dimension};

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
