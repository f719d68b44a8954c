//! Codes and scale of one output channel.
//!
//! With centred inputs `X` and targets `y` the error is `E(q, s) = y'y - 2 s q'X'y + s^2 q'X'X q`: the
//! bias that corrects the means (arXiv 1906.04721, 4.2) is jointly optimal and leaves. Codes descend
//! on it one coordinate at a time, each moved to its best integer (QuantEase, arXiv 2309.01885,
//! section 3; the objective is that of AdaRound, arXiv 2004.10568, and GPFQ, arXiv 2201.11113). With a
//! budget on `sum |q|` only moves within it are made (AXE, arXiv 2409.17092).

use crate::budget;
use cml_ir::Interval;
use ndarray::{Array2, ArrayView1, ArrayViewMut1};

/// Sweeps over all coordinates, at most.
const SWEEPS: usize = 40;
/// Rounds of descent and of the best scale, at most.
const ROUNDS: usize = 12;
/// Exchanges in a round, at most.
const EXCHANGES: usize = 1000;
/// Coordinates tried on each side of an exchange.
const EXCHANGED: usize = 12;

/// The problem of one output channel.
pub(super) struct ChannelProblem<'a> {
    /// Second moments of the inputs, ridge included.
    pub(super) moments: &'a Array2<f64>,
    /// Their covariances with the target, ridge included.
    pub(super) target: Vec<f64>,
    /// The float weights.
    pub(super) weights: Vec<f64>,
    /// Codes that can occur.
    pub(super) codes: Interval,
    /// Largest `sum |q|`.
    pub(super) budget: u64,
}

/// Codes, their scale, and the error less that of no codes at all.
#[derive(Clone, Debug)]
pub(super) struct Solution {
    pub(super) codes: Vec<i64>,
    pub(super) scale: f64,
    pub(super) error: f64,
}

impl ChannelProblem<'_> {
    /// The best of the descents from nearest rounding with several scales.
    pub(super) fn solve(&self, starts: usize) -> Solution {
        let most = self.weights.iter().fold(0.0f64, |m, w| m.max(w.abs())).max(1e-10);
        let unit = most / self.codes.hi.max(1) as f64;
        let mut best = Solution {
            codes: vec![0; self.weights.len()],
            scale: unit,
            error: 0.0,
        };
        for start in 0..starts.max(1) {
            // From 1.2 times the largest weight down to a third of it.
            let scale = unit * 1.2 * (0.28f64).powf(start as f64 / starts.max(2) as f64);
            let found = self.descend(self.nearest(scale), scale);
            if found.error < best.error {
                best = found;
            }
        }
        best
    }

    /// Nearest codes within the budget.
    pub(super) fn nearest(&self, scale: f64) -> Vec<i64> {
        let mut weights: Vec<f32> = self.weights.iter().map(|&w| w as f32).collect();
        if self.budget < u64::MAX {
            let radius = self.budget as f64 * scale;
            budget::project(&mut ArrayViewMut1::from(&mut weights[..]), radius as f32);
        }
        let round = |&w: &f32| (f64::from(w) / scale).round_ties_even();
        let clamp = |q: f64| q.clamp(self.codes.lo as f64, self.codes.hi as f64) as i64;
        let mut codes: Vec<i64> = weights.iter().map(|w| clamp(round(w))).collect();
        let view = ArrayView1::from(&weights[..]);
        budget::fit(&mut ArrayViewMut1::from(&mut codes[..]), view, self.budget);
        codes
    }

    /// Codes and scale in turn, each the best for the other, until nothing changes.
    pub(super) fn descend(&self, codes: Vec<i64>, scale: f64) -> Solution {
        let mut state = Descent::new(self, codes, scale);
        let mut error = state.rescale();
        for _ in 0..ROUNDS {
            state.sweep();
            for _ in 0..EXCHANGES {
                if !state.exchange() {
                    break;
                }
            }
            let now = state.rescale();
            if now >= error - 1e-12 * error.abs() {
                break;
            }
            error = now;
        }
        Solution {
            error: state.error(),
            codes: state.codes,
            scale: state.scale,
        }
    }
}

/// Codes on their way.
struct Descent<'a> {
    row: &'a ChannelProblem<'a>,
    codes: Vec<i64>,
    scale: f64,
    /// `X'X q`.
    products: Vec<f64>,
    /// `sum |q|`.
    norm: u64,
}

impl<'a> Descent<'a> {
    fn new(row: &'a ChannelProblem<'a>, codes: Vec<i64>, scale: f64) -> Self {
        let mut products = vec![0.0; codes.len()];
        for (&q, moments) in codes.iter().zip(row.moments.rows()) {
            if q != 0 {
                let add = |(p, m): (&mut f64, &f64)| *p += q as f64 * m;
                products.iter_mut().zip(moments).for_each(add);
            }
        }
        let norm = codes.iter().map(|q| q.unsigned_abs()).sum();
        Self {
            row,
            codes,
            scale,
            products,
            norm,
        }
    }

    fn set(&mut self, i: usize, code: i64) {
        let step = (code - self.codes[i]) as f64;
        let moments = self.row.moments.row(i);
        let add = |(p, m): (&mut f64, &f64)| *p += step * m;
        self.products.iter_mut().zip(moments).for_each(add);
        self.norm = self.norm - self.codes[i].unsigned_abs() + code.unsigned_abs();
        self.codes[i] = code;
    }

    /// Linear and quadratic part of the error in the scale.
    fn parts(&self) -> (f64, f64) {
        let sum = |of: &[f64]| self.codes.iter().zip(of).map(|(&q, v)| q as f64 * v).sum::<f64>();
        (sum(&self.row.target), sum(&self.products))
    }

    fn error(&self) -> f64 {
        let (linear, square) = self.parts();
        self.scale * (self.scale * square - 2.0 * linear)
    }

    /// Takes the best scale, and gives the error.
    fn rescale(&mut self) -> f64 {
        let (linear, square) = self.parts();
        if linear > 0.0 && square > 0.0 {
            self.scale = linear / square;
        }
        self.error()
    }

    /// Each coordinate to its best integer in turn, until none moves.
    fn sweep(&mut self) {
        for _ in 0..SWEEPS {
            let mut moved = false;
            for i in 0..self.codes.len() {
                let own = self.row.moments[[i, i]];
                let code = self.codes[i];
                let best = code as f64 + (self.row.target[i] / self.scale - self.products[i]) / own;
                let codes = self.row.codes;
                let best = best.round_ties_even().clamp(codes.lo as f64, codes.hi as f64) as i64;
                let room = self.row.budget.saturating_sub(self.norm) + code.unsigned_abs();
                let room = i64::try_from(room).unwrap_or(i64::MAX);
                let best = best.clamp(-room, room);
                if best != code && self.change(i, best - code) < 0.0 {
                    self.set(i, best);
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Change of the error if a code moves by a step.
    fn change(&self, i: usize, step: i64) -> f64 {
        let (s, d) = (self.scale, step as f64);
        let square = 2.0 * d * self.products[i] + d * d * self.row.moments[[i, i]];
        s * (s * square - 2.0 * d * self.row.target[i])
    }

    /// Two codes at once by one step each, if that is better and within the budget; tried for the
    /// steps that cost least alone.
    fn exchange(&mut self) -> bool {
        let mut steps: Vec<(f64, usize, i64)> = Vec::with_capacity(2 * self.codes.len());
        for (i, &code) in self.codes.iter().enumerate() {
            for step in [-1, 1] {
                if self.row.codes.contains(code + step) {
                    steps.push((self.change(i, step), i, step));
                }
            }
        }
        let first = |steps: &mut Vec<(f64, usize, i64)>| {
            steps.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
            steps.truncate(EXCHANGED);
        };
        let grows = |&(_, i, step): &(f64, usize, i64)| self.codes[i] * step >= 0;
        let (mut up, mut down): (Vec<_>, Vec<_>) = steps.into_iter().partition(grows);
        first(&mut up);
        first(&mut down);
        let all: Vec<_> = up.into_iter().chain(down).collect();
        let mut best = (-1e-12 * self.error().abs(), None);
        for (k, &(a, i, di)) in all.iter().enumerate() {
            for &(b, j, dj) in &all[k + 1..] {
                let norm = |i: usize, d: i64| (self.codes[i] + d).unsigned_abs();
                let now = self.codes[i].unsigned_abs() + self.codes[j].unsigned_abs();
                if i == j || self.norm - now + norm(i, di) + norm(j, dj) > self.row.budget {
                    continue;
                }
                let cross = 2.0 * self.scale * self.scale * (di * dj) as f64 * self.row.moments[[i, j]];
                if a + b + cross < best.0 {
                    best = (a + b + cross, Some((i, di, j, dj)));
                }
            }
        }
        let Some((i, di, j, dj)) = best.1 else {
            return false;
        };
        self.set(i, self.codes[i] + di);
        self.set(j, self.codes[j] + dj);
        true
    }
}
