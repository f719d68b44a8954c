//! What an executor tells of its times: the seam between plans and whatever runs circuits.

use crate::cost::LookupCost;
use cml_scheme::Set;

/// Blind rotations of one level that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationShape {
    /// Polynomials of a table.
    pub extension: u32,
    /// Whether a keyswitch comes before it: not for inputs under the small key.
    pub keyswitch: bool,
    /// How many there are.
    pub count: usize,
}

/// Times of a level.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelTime {
    /// Seconds until the last thread is done.
    pub seconds: f64,
    /// For each shape, what one of its rotations takes of one thread while all are at work.
    pub each: Vec<LookupCost>,
}

/// Tells how long a level takes, without keys.
pub trait Timing {
    /// Threads that share the work.
    fn threads(&self) -> usize;

    /// Time of a level of these rotations, of one sample, under one parameter set. Amortized rotations of `samples` samples
    /// are packed together, and each sample takes its share of the time.
    fn level(&mut self, set: Set<'_>, samples: u32, rotations: &[RotationShape]) -> LevelTime;
}
