//! Encodings: how integers lie on the torus.

use serde::{Deserialize, Serialize};

/// How the values of some wires, and all rows that read them, lie on the torus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Encoding {
    /// `P`, number of values in half the torus.
    ///
    /// At least the half period of every table that reads a row
    /// (`half_period` of its module in the compiler), and half the values of every output.
    pub half_period: u64,
}

impl Encoding {
    /// Half the distance of neighbouring values on the torus modulo 2^64: `floor(2^62 / P)`.
    pub fn half_step(self) -> u64 {
        (1 << 62) / self.half_period.max(1)
    }

    /// Distance of neighbouring values on the torus modulo 2^64.
    pub fn step(self) -> u64 {
        2 * self.half_step()
    }

    /// Value of an output's row that was read as so many steps, the torus from -1/2 to 1/2;
    /// it may be off by its slack.
    pub fn output_value(self, steps: i64, slack: u64) -> i64 {
        let slack = slack as i64;
        (steps + slack).rem_euclid(2 * self.half_period as i64) - slack
    }
}

/// Largest half period. Steps are whole, so twice as many of them as a half period has are not quite the torus: with
/// `P` values in half of it, the last is off by `P^2 / 2^61` steps, here 2^-9.
pub const LARGEST_HALF_PERIOD: u64 = 1 << 26;

/// Number of an encoding that no program can have, if there is one.
pub fn bad_encoding(encodings: &[Encoding]) -> Option<usize> {
    let good = |e: &Encoding| (1..=LARGEST_HALF_PERIOD).contains(&e.half_period);
    encodings.iter().position(|e| !good(e))
}

/// Nearest multiple of `step`, as a signed number of steps, the torus read from
/// -1/2 to 1/2. A step of 0 counts as 1.
pub fn nearest_value(phase: u64, step: u64) -> i64 {
    let (phase, step) = (i128::from(phase as i64), i128::from(step.max(1)));
    (2 * phase + step).div_euclid(2 * step) as i64
}
