//! From output codes to classes.

use cml_ir::{OutputSpec, Tensor, argmax};

/// Scores of one sample and the class they name.
pub(crate) struct Prediction {
    /// Float score of each class.
    pub(crate) scores: Vec<f32>,
    /// Probability of each class, if the program says how scores become probabilities.
    pub(crate) probabilities: Option<Vec<f64>>,
    /// Index of the largest score; the first of equals.
    pub(crate) class: usize,
}

/// Scores and class of an output.
pub(crate) fn predict(spec: &OutputSpec, codes: &Tensor) -> Prediction {
    let scores = spec.dequantize_all(codes);
    let class = argmax(&scores);
    let probabilities = spec.probabilities.of(&scores);
    Prediction {
        scores,
        probabilities,
        class,
    }
}
