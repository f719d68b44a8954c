//! Normalization of the raw input, which becomes part of its quantizer.

use crate::QuantError;
use crate::error::{check_number, misfit};
use serde::{Deserialize, Serialize};

/// `x' = (x - offset[c]) * factor[c]` on the raw input, in `f32`, with one
/// entry or one for each channel (axis 0; of a vector each feature is one).
///
/// In a quantized network the input's quantizer follows, and both together are
/// one [`cml_ir::InputSpec`]: see [`crate::Network::input_spec`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// Taken off the input.
    pub offset: Vec<f32>,
    /// Multiplied with the difference; positive.
    pub factor: Vec<f32>,
}

impl Normalize {
    /// Refuses what cannot normalize so many channels; `name` is the layer's.
    ///
    /// # Errors
    /// If there are neither one nor `channels` entries, an offset is not
    /// finite, or a factor is not finite and positive.
    pub(crate) fn check(&self, name: &str, channels: usize) -> Result<(), QuantError> {
        for (what, list) in [("offsets", &self.offset), ("factors", &self.factor)] {
            if ![1, channels].contains(&list.len()) {
                return Err(misfit(name, what, format!("1 or {channels}"), list.len()));
            }
        }
        self.offset
            .iter()
            .try_for_each(|&o| check_number("input offset", o))?;
        let bad = |f: &&f32| !(f.is_finite() && **f > 0.0);
        match self.factor.iter().find(bad) {
            Some(has) => Err(misfit(name, "factor", "a finite and positive number", has)),
            None => Ok(()),
        }
    }

    /// Value of a float of channel `c`.
    pub fn eval(&self, c: usize, x: f32) -> f32 {
        let pick = |list: &[f32]| if list.len() == 1 { list[0] } else { list[c] };
        (x - pick(&self.offset)) * pick(&self.factor)
    }
}
