//! What a client makes of scores.

use serde::{Deserialize, Serialize};

/// How a client makes probabilities of all scores of an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probabilities {
    /// The model says nothing of them, or its scores are probabilities.
    #[default]
    Unstated,
    /// `exp(y[c]) / sum exp(y)`.
    Softmax,
    /// `1 / (1 + exp(-y[c]))` of each score by itself.
    Logistic,
}

impl Probabilities {
    /// Lower-case name, as in dumps; none if nothing is stated.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Unstated => None,
            Self::Softmax => Some("softmax"),
            Self::Logistic => Some("logistic"),
        }
    }

    /// Probabilities of these scores, in `f64`; none if nothing is stated.
    pub fn of(self, scores: &[f32]) -> Option<Vec<f64>> {
        let wide = || scores.iter().map(|&s| f64::from(s));
        match self {
            Self::Unstated => None,
            Self::Softmax => {
                // Relative to the largest, so that nothing overflows.
                let largest = wide().fold(f64::NEG_INFINITY, f64::max);
                let powers: Vec<f64> = wide().map(|s| (s - largest).exp()).collect();
                let sum: f64 = powers.iter().sum();
                Some(powers.into_iter().map(|p| p / sum).collect())
            }
            Self::Logistic => Some(wide().map(|s| 1.0 / (1.0 + (-s).exp())).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_do_not_overflow() {
        assert_eq!(Probabilities::Unstated.of(&[1.0]), None);
        assert_eq!(Probabilities::Softmax.of(&[1e38, 1e38]), Some(vec![0.5, 0.5]));
        assert_eq!(Probabilities::Softmax.of(&[-1e38, 1e38]), Some(vec![0.0, 1.0]));
        assert_eq!(
            Probabilities::Logistic.of(&[0.0, -1e38, 1e38]),
            Some(vec![0.5, 0.0, 1.0])
        );
    }
}
