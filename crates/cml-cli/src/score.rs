//! From output codes to classes.

use cml_ir::{OutputSpec, Tensor};

/// Scores of one sample and the class they name.
pub(crate) struct Prediction {
    /// Float score of each class.
    pub(crate) scores: Vec<f32>,
    /// Index of the largest score; the first of equals.
    pub(crate) class: usize,
}

/// Scores and class of an output.
pub(crate) fn predict(spec: &OutputSpec, codes: &Tensor) -> Prediction {
    let scores = spec.dequantize_all(codes);
    let class = argmax(&scores);
    Prediction { scores, class }
}

/// Index of the largest score; the first of equals.
pub(crate) fn argmax(scores: &[f32]) -> usize {
    let mut best = 0;
    for (i, s) in scores.iter().enumerate() {
        if *s > scores[best] {
            best = i;
        }
    }
    best
}

/// Name of a class: its label, or its number.
pub(crate) fn label(spec: &OutputSpec, class: usize) -> String {
    spec.labels
        .get(class)
        .cloned()
        .unwrap_or_else(|| class.to_string())
}
