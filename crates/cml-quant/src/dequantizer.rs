//! From integer accumulators to floats: the one definition that the float
//! forward and the lookup tables share.

use serde::{Deserialize, Serialize};

/// A function of one variable.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Univariate {
    /// `max(x, 0)`.
    Relu,
}

impl Univariate {
    /// Value at `x`.
    pub fn eval(self, x: f32) -> f32 {
        match self {
            Univariate::Relu => x.max(0.0),
        }
    }

    /// Lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Univariate::Relu => "relu",
        }
    }
}

/// The float that an integer accumulator of channel `c` stands for:
/// `y = (acc - zero_point) as f32 * scale[c] + bias[c]`, then the functions in
/// turn; every operation rounded to `f32`, in this order, never fused.
///
/// Training, [`crate::Network::forward`] and the lookup tables all evaluate
/// this expression, which is why they agree bit for bit.
#[derive(Clone, Debug, PartialEq)]
pub struct Dequantizer {
    /// Accumulator that stands for zero.
    pub zero_point: i64,
    /// One scale, or one for each channel.
    pub scale: Vec<f32>,
    /// Float bias of each channel; none is not the same as zero only in that
    /// nothing is added.
    pub bias: Option<Vec<f32>>,
    /// Functions applied after that, first to last.
    pub functions: Vec<Univariate>,
}

impl Dequantizer {
    /// Value of accumulator `acc` of a channel.
    pub fn eval(&self, channel: usize, acc: i64) -> f32 {
        let scale = if self.scale.len() == 1 {
            self.scale[0]
        } else {
            self.scale[channel]
        };
        let scaled = (acc - self.zero_point) as f32 * scale;
        let biased = self.bias.as_ref().map_or(scaled, |b| scaled + b[channel]);
        self.functions.iter().fold(biased, |x, f| f.eval(x))
    }

    /// The scale, if the integers are plain codes: one scale, no bias, no
    /// function. Only those can be multiplied by weights, added or joined.
    pub(crate) fn plain_scale(&self) -> Option<f32> {
        match self.scale[..] {
            [scale] if self.bias.is_none() && self.functions.is_empty() => Some(scale),
            _ => None,
        }
    }

    /// Whether every channel has the same function.
    pub fn is_per_tensor(&self) -> bool {
        self.scale.len() == 1 && self.bias.is_none()
    }
}
