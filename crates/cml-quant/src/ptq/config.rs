//! What a quantized network shall be like.

use crate::QuantError;
use std::ops::RangeInclusive;

/// How scales, zero points and codes are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PtqMethod {
    /// As Concrete ML does it: weights symmetric, one scale `max |w| / (2^(b-1) - 1)` for all, over
    /// the full signed range; activations unsigned, from their least to their largest value (0.0
    /// included); everything rounded to the nearest code.
    MinMax,
    /// Least error: scales and zero points by search, codes by coordinate descent on the error of
    /// each layer's output, biases corrected.
    Adaptive,
}

/// Bits, method and bounds of a post-training quantization.
#[derive(Clone, Debug, PartialEq)]
pub struct PtqConfig {
    /// Most bits of the input's codes, 1 to 16.
    pub input_bits: u32,
    /// Most bits of other activations' codes, 1 to 16.
    pub activation_bits: u32,
    /// Bits of the weights, 2 to 16.
    pub weight_bits: u32,
    /// How codes are chosen.
    pub method: PtqMethod,
    /// Most values that an accumulator which is looked up may take; at least 2.
    pub max_accumulator_values: Option<u64>,
    /// The same for accumulators that are decrypted: those of the output.
    pub max_output_values: Option<u64>,
}

impl Default for PtqConfig {
    fn default() -> Self {
        Self {
            input_bits: 3,
            activation_bits: 3,
            weight_bits: 3,
            method: PtqMethod::Adaptive,
            max_accumulator_values: None,
            max_output_values: None,
        }
    }
}

impl PtqConfig {
    /// Refuses what is out of range.
    ///
    /// # Errors
    /// Names the field, what it is and what it must be.
    pub fn validate(&self) -> Result<(), QuantError> {
        let bits = |field, has: u32, allowed: RangeInclusive<u32>| {
            if allowed.contains(&has) {
                return Ok(());
            }
            let needs = format!("{} to {}", allowed.start(), allowed.end());
            Err(config_error(field, has, needs))
        };
        bits("input_bits", self.input_bits, 1..=16)?;
        bits("activation_bits", self.activation_bits, 1..=16)?;
        bits("weight_bits", self.weight_bits, 2..=16)?;
        let bounds = [
            ("max_accumulator_values", self.max_accumulator_values),
            ("max_output_values", self.max_output_values),
        ];
        for (field, bound) in bounds {
            if let Some(has) = bound.filter(|&b| b < 2) {
                return Err(config_error(field, has, "at least 2".to_owned()));
            }
        }
        Ok(())
    }
}

fn config_error(field: &'static str, has: impl ToString, needs: String) -> QuantError {
    QuantError::Config {
        field,
        has: has.to_string(),
        needs,
    }
}
