//! From integer accumulators to floats: the one definition that the float
//! forward and the lookup tables share.

use crate::Univariate;
use crate::layers::univariate::pick;

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

/// A function that has no finite value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotFinite {
    /// Which of the functions, from the first.
    pub(crate) function: usize,
    /// What it is applied to.
    pub(crate) argument: f32,
    /// What it gives.
    pub(crate) has: f32,
}

impl Dequantizer {
    /// Value of accumulator `acc` of a channel.
    pub fn eval(&self, channel: usize, acc: i64) -> f32 {
        let start = self.linear(channel, acc);
        self.functions.iter().fold(start, |x, f| f.eval(channel, x))
    }

    /// As [`Dequantizer::eval`].
    ///
    /// # Errors
    /// If a function gives no number, or the last an infinite one: an infinite value between two
    /// functions may be what the second needs, as in `1 / (1 + exp(-x))`.
    pub(crate) fn finite(&self, channel: usize, acc: i64) -> Result<f32, NotFinite> {
        let mut x = self.linear(channel, acc);
        let mut first = None;
        for (function, f) in self.functions.iter().enumerate() {
            let has = f.eval(channel, x);
            if !has.is_finite() && first.is_none() {
                first = Some(NotFinite {
                    function,
                    argument: x,
                    has,
                });
            }
            x = has;
            if x.is_nan() {
                break;
            }
        }
        match first {
            Some(bad) if !x.is_finite() => Err(bad),
            _ => Ok(x),
        }
    }

    fn linear(&self, channel: usize, acc: i64) -> f32 {
        let scaled = (acc - self.zero_point) as f32 * pick(&self.scale, channel);
        self.bias.as_ref().map_or(scaled, |b| scaled + b[channel])
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
        self.scale.len() == 1 && self.bias.is_none() && self.functions.iter().all(Univariate::is_per_tensor)
    }

    /// The same with what `spread` makes of the lists of an entry for each channel.
    pub(crate) fn respread(&self, spread: impl Fn(&[f32]) -> Vec<f32>) -> Self {
        Self {
            zero_point: self.zero_point,
            scale: if self.scale.len() == 1 {
                self.scale.clone()
            } else {
                spread(&self.scale)
            },
            bias: self.bias.as_deref().map(&spread),
            functions: self.functions.iter().map(|f| f.respread(&spread)).collect(),
        }
    }

    /// The same without functions, if all of them are affine and grow: `scale * factor`, `bias *
    /// factor + offset`, for so many channels.
    pub(crate) fn folded(&self, channels: usize) -> Option<Self> {
        let mut folded = Self {
            functions: Vec::new(),
            ..self.clone()
        };
        for function in &self.functions {
            let (factor, offset) = function.growing()?;
            let most = folded.scale.len().max(factor.len());
            folded.scale = (0..most)
                .map(|c| pick(&folded.scale, c) * pick(factor, c))
                .collect();
            let bias = |c: usize| {
                let scaled = folded.bias.as_ref().map_or(0.0, |b| b[c] * pick(factor, c));
                scaled + pick(offset, c)
            };
            folded.bias = Some((0..channels).map(bias).collect());
        }
        Some(folded)
    }
}
