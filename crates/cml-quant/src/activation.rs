//! Activation quantizers.

use crate::QuantError;
use crate::error::check_number;
use cml_ir::Interval;
use serde::{Deserialize, Serialize};

/// Uniform quantizer of activations: `q = clamp(round_half_even(x / scale +
/// zero_point))`, `x' = (q - zero_point) * scale`, in `f32`.
///
/// Ranges as in Brevitas: unsigned `0 ..= 2^b - 1`, signed `-2^(b-1) ..=
/// 2^(b-1) - 1`, narrow signed without the smallest value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActQuantizer {
    /// Width of the codes in bits, 1 to 16.
    pub bits: u32,
    /// Whether codes can be negative.
    pub signed: bool,
    /// Whether the smallest signed code is left out.
    pub narrow: bool,
    /// Size of one step, in units of the float value.
    pub scale: f32,
    /// Code of 0.0.
    pub zero_point: i64,
}

impl ActQuantizer {
    /// Quantizer from its parts.
    ///
    /// # Errors
    /// If the width is not 1 to 16 (narrow signed: 2 to 16), or the scale is not finite and
    /// positive, or the zero point is not among the codes.
    pub fn new(
        bits: u32,
        signed: bool,
        narrow: bool,
        scale: f32,
        zero_point: i64,
    ) -> Result<Self, QuantError> {
        Self {
            bits,
            signed,
            narrow,
            scale,
            zero_point,
        }
        .checked()
    }

    /// The seeds' constant-scale quantizer of [-1, 1] (`CommonActQuant`):
    /// narrow signed, scale `1 / (2^(bits-1) - 1)`.
    ///
    /// # Errors
    /// If the width is not 2 to 16.
    pub fn constant(bits: u32) -> Result<Self, QuantError> {
        check_bits("activation quantizer", bits, 2)?;
        Self::new(bits, true, true, 1.0 / ((1i64 << (bits - 1)) - 1) as f32, 0)
    }

    /// The quantizer, if its fields are valid.
    ///
    /// # Errors
    /// As [`ActQuantizer::new`].
    pub fn checked(self) -> Result<Self, QuantError> {
        check_bits(
            "activation quantizer",
            self.bits,
            if self.signed && self.narrow { 2 } else { 1 },
        )?;
        check_number("activation scale", self.scale)?;
        if !self.codes().contains(self.zero_point) {
            return Err(QuantError::Shape {
                layer: "quantizer".to_owned(),
                what: "zero point",
                needs: self.codes().to_string(),
                has: self.zero_point.to_string(),
            });
        }
        Ok(self)
    }

    /// Codes that can occur.
    pub fn codes(&self) -> Interval {
        let half = 1i64 << (self.bits - 1);
        match (self.signed, self.narrow) {
            (false, _) => Interval::new(0, 2 * half - 1),
            (true, false) => Interval::new(-half, half - 1),
            (true, true) => Interval::new(-(half - 1), half - 1),
        }
    }

    /// Code of a float; a NaN becomes the zero point.
    pub fn quantize(&self, x: f32) -> i64 {
        if x.is_nan() {
            return self.zero_point;
        }
        let codes = self.codes();
        let q = (x / self.scale + self.zero_point as f32).round_ties_even();
        q.clamp(codes.lo as f32, codes.hi as f32) as i64
    }

    /// Float of a code.
    pub fn dequantize(&self, q: i64) -> f32 {
        (q - self.zero_point) as f32 * self.scale
    }
}

pub(crate) fn check_bits(what: &'static str, has: u32, lo: u32) -> Result<(), QuantError> {
    const MOST: u32 = 16;
    if (lo..=MOST).contains(&has) {
        Ok(())
    } else {
        Err(QuantError::Bits {
            what,
            has,
            lo,
            hi: MOST,
        })
    }
}
