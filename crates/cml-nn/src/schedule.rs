//! What changes over the steps of a training.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// Share of the steps over which the accumulator budget narrows to its final value. A network that
/// starts narrow gets stuck: of 12 seeds on the checkerboard, 2 missed a field of the board.
pub(crate) const NARROWED: f64 = 0.5;

/// Share of the steps after which the pruned weights stay the same.
const CHOSEN: f64 = 0.6;

/// Share of the steps after which batch normalization uses its running statistics, as at inference.
const FROZEN: f64 = 0.8;

/// Course of the learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LearningRateSchedule {
    /// The same for all steps.
    Constant,
    /// Half a cosine, down to zero.
    Cosine,
}

impl LearningRateSchedule {
    /// Factor of the learning rate when a share `done` of the steps is done.
    pub(crate) fn factor(self, done: f64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Cosine => 0.5 * (1.0 + (PI * done).cos()),
        }
    }
}

/// How far the accumulator budget is from its final value: 1 at the start, then 0.
pub(crate) fn slack(done: f64) -> f64 {
    (1.0 - done / NARROWED).max(0.0).powi(2)
}

/// Whether to choose anew which weights are pruned.
pub(crate) fn choose(done: f64) -> bool {
    done < CHOSEN
}

/// Whether batch normalization is as at inference.
pub(crate) fn frozen(done: f64) -> bool {
    done >= FROZEN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_goes_from_one_to_zero() {
        let rate = |done| LearningRateSchedule::Cosine.factor(done);
        assert_eq!(rate(0.0), 1.0);
        assert!((rate(0.5) - 0.5).abs() < 1e-12 && rate(1.0) < 1e-12);
        assert_eq!(LearningRateSchedule::Constant.factor(0.9), 1.0);
    }

    #[test]
    fn the_budget_is_narrow_before_the_choice_is_final() {
        assert_eq!((slack(0.0), slack(NARROWED), slack(1.0)), (1.0, 0.0, 0.0));
        assert!(choose(NARROWED) && !choose(1.0));
    }
}
