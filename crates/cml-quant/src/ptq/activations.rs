//! Quantizers of activations.

use crate::{ActQuantizer, QuantError};
use ndarray::ArrayView2;

/// Ratio of neighbouring scales in the first search.
const RATIO: f64 = 1.06;
/// Largest scale tried, in units of that of the whole range: coarser grids may fit data better
/// that lie on one.
const COARSEST: f64 = 8.0;
/// Finest scale tried: what is outside its range is clipped.
const FINEST: f64 = 0.25;
/// Zero points tried for a scale that clips.
const ZERO_POINTS: i64 = 4;
/// Halvings of the step between scales around the best.
const REFINEMENTS: i32 = 6;

/// Least and largest of some values, 0.0 included.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ValueRange {
    lo: f32,
    hi: f32,
}

impl ValueRange {
    /// The range with that of more values.
    pub(super) fn with(self, values: ArrayView2<'_, f64>) -> Self {
        values.iter().fold(self, |r, &x| Self {
            lo: r.lo.min(x as f32),
            hi: r.hi.max(x as f32),
        })
    }

    /// Concrete ML's quantizer: unsigned, `scale = (hi - lo) / (2^b - 1)`, zero point `round(-lo /
    /// scale)`; of values that are all zero the scale is 1.
    pub(super) fn min_max(self, bits: u32) -> Result<ActQuantizer, QuantError> {
        let top = ((1i64 << bits) - 1) as f32;
        let scale = (self.hi - self.lo) / top;
        if scale <= 0.0 {
            return ActQuantizer::new(bits, false, false, 1.0, 0);
        }
        let zero = (-self.lo / scale).round_ties_even().clamp(0.0, top);
        ActQuantizer::new(bits, false, false, scale, zero as i64)
    }

    /// The quantizer of the least loss among scales (and, where they clip, zero points) of a grid,
    /// then between its points. `loss` says how the network does with one; where that is above the least loss
    /// so far, which it is told, any number above it will do.
    pub(super) fn search(
        self,
        bits: u32,
        mut loss: impl FnMut(&ActQuantizer, f64) -> f64,
    ) -> Result<ActQuantizer, QuantError> {
        let start = self.min_max(bits)?;
        if self.lo == self.hi {
            return Ok(start);
        }
        let top = (1i64 << bits) - 1;
        let unit = f64::from(self.hi - self.lo) / top as f64;
        let mut best = (loss(&start, f64::INFINITY), start);
        let mut try_scale = |best: &mut (f64, ActQuantizer), scale: f64| -> Result<(), QuantError> {
            for zero in self.zero_points(scale, top) {
                let q = ActQuantizer::new(bits, false, false, scale as f32, zero)?;
                let now = loss(&q, best.0);
                if now < best.0 {
                    *best = (now, q);
                }
            }
            Ok(())
        };
        let mut scale = unit * FINEST;
        while scale <= unit * COARSEST.min(top as f64) {
            try_scale(&mut best, scale)?;
            scale *= RATIO;
        }
        for halving in 1..=REFINEMENTS {
            let centre = f64::from(best.1.scale);
            let step = RATIO.powf((0.5f64).powi(halving));
            try_scale(&mut best, centre * step)?;
            try_scale(&mut best, centre / step)?;
        }
        Ok(best.1)
    }

    /// Zero points from that which keeps the least value to that which keeps the largest.
    fn zero_points(self, scale: f64, top: i64) -> Vec<i64> {
        let bound = |zero: f64| (zero.round_ties_even() as i64).clamp(0, top);
        let low = bound(-f64::from(self.lo) / scale);
        let high = bound(top as f64 - f64::from(self.hi) / scale);
        if high >= low {
            // Nothing is clipped.
            return vec![low];
        }
        let count = (low - high).min(ZERO_POINTS - 1);
        (0..=count).map(|k| high + (low - high) * k / count).collect()
    }

    /// The quantizer with fewer bits, if no value needs all of its codes.
    pub(super) fn trimmed(self, q: ActQuantizer) -> Result<ActQuantizer, QuantError> {
        let (lo, hi) = (q.quantize(self.lo), q.quantize(self.hi));
        let bits = (1..q.bits).find(|&b| hi - lo < 1 << b).unwrap_or(q.bits);
        if bits == q.bits {
            return Ok(q);
        }
        ActQuantizer::new(bits, false, false, q.scale, q.zero_point - lo)
    }
}
