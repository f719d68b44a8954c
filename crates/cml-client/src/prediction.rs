//! Decrypted results, read as classes.

use cml_ir::{OutputSpec, Tensor, argmax};

/// What the network says about one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Number of the class with the largest score; the first of equals.
    pub class: usize,
    /// Name of the class, or its number.
    pub label: String,
    /// Score of each class.
    pub scores: Vec<f32>,
    /// Probability of each class, if the network says how scores become probabilities.
    pub probabilities: Option<Vec<f64>>,
    /// Integer codes of each output, as decrypted.
    pub codes: Vec<Tensor>,
}

impl Prediction {
    /// Reads the first output as scores.
    pub(crate) fn of(spec: &OutputSpec, codes: Vec<Tensor>) -> Self {
        let scores = codes.first().map_or_else(Vec::new, |c| spec.dequantize_all(c));
        let class = argmax(&scores);
        Self {
            class,
            label: spec.label(class),
            probabilities: spec.probabilities.of(&scores),
            scores,
            codes,
        }
    }
}
