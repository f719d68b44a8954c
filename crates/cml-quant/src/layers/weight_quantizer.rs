//! Weight quantizers.

use super::quantizer::check_bits;
use crate::QuantError;
use crate::error::check_number;
use cml_ir::Interval;
use ndarray::{ArrayView, Dimension, RemoveAxis};
use serde::{Deserialize, Serialize};

/// Symmetric quantizer of weights: `q = clamp(round_half_even(w / scale))`,
/// `w' = q * scale`, in `f32`, with one scale or one for each output channel.
///
/// One bit is binary: codes -1 and 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct WeightQuantizer {
    /// Width of the codes in bits, 1 to 16.
    pub bits: u32,
    /// Whether the smallest signed code is left out.
    pub narrow: bool,
    /// One scale, or one for each output channel.
    pub scale: Vec<f32>,
}

/// The fields of a quantizer in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    bits: u32,
    narrow: bool,
    scale: Vec<f32>,
}

impl TryFrom<Unchecked> for WeightQuantizer {
    type Error = QuantError;

    fn try_from(found: Unchecked) -> Result<Self, QuantError> {
        Self::new(found.bits, found.narrow, found.scale)
    }
}

/// Floor of a scale that is computed from weights, as in Brevitas: an all-zero
/// channel must not divide by zero.
const MIN_SCALE: f32 = 1e-10;

impl WeightQuantizer {
    /// Quantizer from its parts.
    ///
    /// # Errors
    /// If the width is not 1 to 16, or a scale is missing, not finite or not
    /// positive.
    pub fn new(bits: u32, narrow: bool, scale: Vec<f32>) -> Result<Self, QuantError> {
        let quantizer = Self { bits, narrow, scale };
        quantizer.check()?;
        Ok(quantizer)
    }

    /// The seeds' constant-scale quantizer of [-1, 1] (`CommonWeightQuant`):
    /// narrow, scale `1 / (2^(bits-1) - 1)`.
    ///
    /// # Errors
    /// If the width is not 2 to 16.
    pub fn constant(bits: u32) -> Result<Self, QuantError> {
        check_bits("weight quantizer", bits, 2)?;
        Self::new(bits, true, vec![1.0 / largest(bits) as f32])
    }

    /// Narrow, scale `max |w| / (2^(bits-1) - 1)` over all weights
    /// (of any shape, output channels first).
    ///
    /// # Errors
    /// If the width is not 2 to 16 or a weight is not finite.
    pub fn per_tensor<D: Dimension>(bits: u32, weights: ArrayView<'_, f32, D>) -> Result<Self, QuantError> {
        check_bits("weight quantizer", bits, 2)?;
        Self::new(bits, true, vec![scale_of(max_abs(weights.iter()), bits)])
    }

    /// As [`WeightQuantizer::per_tensor`], for each output channel by itself.
    ///
    /// # Errors
    /// As [`WeightQuantizer::per_tensor`].
    pub fn per_channel<D: RemoveAxis>(bits: u32, weights: ArrayView<'_, f32, D>) -> Result<Self, QuantError> {
        check_bits("weight quantizer", bits, 2)?;
        Self::new(
            bits,
            true,
            weights
                .outer_iter()
                .map(|r| scale_of(max_abs(r.iter()), bits))
                .collect(),
        )
    }

    /// Narrow, scale `2^ceil(log2 max |w|) / 2^(bits-1)` over all weights.
    ///
    /// # Errors
    /// As [`WeightQuantizer::per_tensor`].
    pub fn power_of_two<D: Dimension>(bits: u32, weights: ArrayView<'_, f32, D>) -> Result<Self, QuantError> {
        check_bits("weight quantizer", bits, 2)?;
        let ceiling = max_abs(weights.iter()).max(MIN_SCALE).log2().ceil().exp2();
        Self::new(bits, true, vec![ceiling / (1i64 << (bits - 1)) as f32])
    }

    pub(crate) fn check(&self) -> Result<(), QuantError> {
        check_bits("weight quantizer", self.bits, 1)?;
        if self.scale.is_empty() {
            return Err(QuantError::Number {
                what: "missing weight scale".to_owned(),
                has: f32::NAN,
            });
        }
        self.scale
            .iter()
            .try_for_each(|&s| check_number("weight scale", s))
    }

    /// Codes that can occur.
    pub fn codes(&self) -> Interval {
        if self.bits == 1 {
            return Interval::new(-1, 1);
        }
        let top = largest(self.bits);
        Interval::new(if self.narrow { -top } else { -top - 1 }, top)
    }

    /// Scale of an output channel.
    pub fn channel_scale(&self, channel: usize) -> f32 {
        if self.scale.len() == 1 {
            self.scale[0]
        } else {
            self.scale[channel]
        }
    }

    /// Code of one weight of an output channel. A weight of exactly zero
    /// (pruned) has code 0 at every width.
    pub fn quantize(&self, channel: usize, w: f32) -> i64 {
        if w == 0.0 {
            return 0;
        }
        if self.bits == 1 {
            return if w > 0.0 { 1 } else { -1 };
        }
        let codes = self.codes();
        let q = (w / self.channel_scale(channel)).round_ties_even();
        q.clamp(codes.lo as f32, codes.hi as f32) as i64
    }
}

fn largest(bits: u32) -> i64 {
    (1 << (bits - 1)) - 1
}

fn max_abs<'a>(weights: impl Iterator<Item = &'a f32>) -> f32 {
    weights.fold(0.0, |m, w| if w.is_nan() { f32::NAN } else { m.max(w.abs()) })
}

fn scale_of(max_abs: f32, bits: u32) -> f32 {
    (max_abs / largest(bits) as f32).max(MIN_SCALE)
}
