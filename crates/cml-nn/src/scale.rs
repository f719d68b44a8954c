//! Learned scales of activations.
//!
//! For the first [`STEPS`] steps a scale follows the largest magnitudes that it meets, after that it is
//! a parameter (`value`, the float that the largest code stands for), as in Brevitas. The gradient
//! enters through the codes inside the range and through the factor that they carry, which together is
//! that of Learned Step Size Quantization (arXiv 1902.08153, section 2.1).

use tch::{Kind, Tensor, no_grad};

use crate::NnError;

/// Steps of collecting.
const STEPS: usize = 300;
/// Share of the elements that lies below the collected magnitude.
const PERCENTILE: f64 = 0.99999;
/// Share of a new batch.
const NEW: f64 = 0.1;
/// Least value: a scale stays positive.
const LEAST: f64 = 1e-4;

/// The scale of a group of quantizers.
pub(crate) struct LearnedScale {
    value: Tensor,
    /// Codes from 0 to `value`.
    levels: f64,
    met: usize,
}

impl LearnedScale {
    /// A scale of a quantizer with so many codes from 0 to its end.
    pub(crate) fn new(levels: f64) -> Result<Self, NnError> {
        Ok(Self {
            value: Tensor::f_from_slice(&[1f32])?.f_set_requires_grad(true)?,
            levels,
            met: 0,
        })
    }

    /// The tensor to optimize.
    pub(crate) fn parameter(&self) -> &Tensor {
        &self.value
    }

    /// Takes the magnitudes of a batch into account, for the first steps.
    pub(crate) fn meet(&mut self, x: &Tensor) -> Result<(), NnError> {
        if self.met >= STEPS {
            return Ok(());
        }
        no_grad(|| -> Result<(), NnError> {
            let x = x.f_detach()?.f_abs()?.f_flatten(0, -1)?;
            let count = x.size1()?;
            let k = ((count as f64 * PERCENTILE).ceil() as i64).clamp(1, count);
            let (found, _) = x.f_kthvalue(k, 0, false)?;
            let found = found.f_double_value(&[])?;
            let now = if self.met == 0 {
                found
            } else {
                (1.0 - NEW) * self.value.f_double_value(&[0])? + NEW * found
            };
            let _ = self.value.f_fill_(now.max(LEAST))?;
            self.met += 1;
            Ok(())
        })
    }

    /// The scale, `[1]`, with its gradient once it is learned.
    pub(crate) fn scale(&self) -> Result<Tensor, NnError> {
        let value = if self.met < STEPS {
            self.value.f_detach()?
        } else {
            self.value.shallow_clone()
        };
        let levels = Tensor::f_from_slice(&[self.levels as f32])?;
        Ok(value.f_clamp_min(LEAST)?.f_div(&levels)?.f_to_kind(Kind::Float)?)
    }
}
