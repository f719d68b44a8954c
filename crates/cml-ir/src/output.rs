//! What a client makes of the integers of an output.

use crate::op::{check_count, check_floats, of_channel};
use crate::tensor::channel_len;
use crate::{IrError, LIMIT, Probabilities, Tensor};
use serde::{Deserialize, Serialize};

/// Most integers that make a score.
const MOST_WORDS: u32 = 8;
/// Largest radix of a score.
const MOST_RADIX: u32 = 1 << 16;

/// How a client turns the integers of an output into floats, and what the
/// channels (axis 0) mean.
///
/// `y = (q - zero_point) * scale[c] + offset[c]`, in `f32`; one entry serves
/// every channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "crate::wire::WireOutputSpec")]
pub struct OutputSpec {
    /// Code that stands for the offset.
    pub zero_point: i64,
    /// Factor of each channel, or one for all.
    pub scale: Vec<f32>,
    /// Offset of each channel, or one for all.
    pub offset: Vec<f32>,
    /// Class names, if the output is a score for each class; else empty.
    pub labels: Vec<String>,
    /// What makes probabilities of the scores, for the client to compute.
    pub probabilities: Probabilities,
    /// Of how many integers each score is made; 1 if every element is one by itself. Of several, the output is a vector of
    /// the first integers of all scores, then the second ones, and so on. Then the code of a score is `q[0] + radix q[1] +
    /// radix^2 q[2] ..`, and channels are scores.
    pub words: u32,
    /// What the next integer of a score counts in; 1 if there is one.
    pub radix: u32,
}

impl OutputSpec {
    /// Integers as they are.
    pub fn identity() -> Self {
        Self {
            zero_point: 0,
            scale: vec![1.0],
            offset: vec![0.0],
            labels: Vec::new(),
            probabilities: Probabilities::Unstated,
            words: 1,
            radix: 1,
        }
    }

    /// Float value of code `q` in channel `c`.
    ///
    /// # Panics
    /// If there are several scales or offsets, and none of channel `c`.
    pub fn dequantize(&self, c: usize, q: i64) -> f32 {
        q.wrapping_sub(self.zero_point) as f32 * of_channel(&self.scale, c) + of_channel(&self.offset, c)
    }

    /// Number of scores of an output of a shape.
    pub fn scores(&self, shape: &[usize]) -> usize {
        shape.iter().product::<usize>() / self.words.max(1) as usize
    }

    /// Refuses what cannot dequantize a tensor of a shape; `node` is named in the error.
    ///
    /// # Errors
    /// If there are neither one nor as many scales or offsets as channels, one is not
    /// finite or a scale not positive, the labels do not fit, the zero
    /// point is beyond [`crate::LIMIT`], or words do not fit.
    pub fn check(&self, node: &str, shape: &[usize]) -> Result<(), IrError> {
        let channels = crate::channels(shape) / self.words.max(1) as usize;
        let is_one = self.words == 1 && self.radix == 1;
        let is_vector = shape.len() == 1 && shape[0] == channels * self.words as usize;
        let is_several = (2..=MOST_WORDS).contains(&self.words) && (2..=MOST_RADIX).contains(&self.radix);
        if !(is_one || is_several && is_vector) {
            return Err(IrError::Shape {
                node: node.to_owned(),
                what: "words of scores",
                needs: format!("1, or 2 to {MOST_WORDS} that divide a vector, of radix 2 to {MOST_RADIX}"),
                has: format!("{} of radix {} for {shape:?}", self.words, self.radix),
            });
        }
        check_count(node, "output scales", self.scale.len(), 1, channels)?;
        check_count(node, "output offsets", self.offset.len(), 1, channels)?;
        check_count(node, "output labels", self.labels.len(), 0, channels)?;
        check_floats(node, &self.scale, &self.offset)?;
        if self.zero_point.unsigned_abs() >= LIMIT as u64 {
            let has = self.zero_point.unsigned_abs().into();
            return Err(IrError::Range {
                node: node.to_owned(),
                has,
                limit: LIMIT,
            });
        }
        Ok(())
    }

    /// Name of a class: its label, or its number.
    pub fn label(&self, class: usize) -> String {
        let label = self.labels.get(class).cloned();
        label.unwrap_or_else(|| class.to_string())
    }

    /// Float values of a tensor of codes: one for each score.
    pub fn dequantize_all(&self, codes: &Tensor) -> Vec<f32> {
        if self.words > 1 {
            let scores = self.scores(codes.shape());
            let code = |c: usize| {
                let words = codes.data().iter().skip(c).step_by(scores);
                let add = |sum: i64, &q: &i64| sum.wrapping_mul(self.radix.into()).wrapping_add(q);
                words.rev().fold(0, add)
            };
            return (0..scores).map(|c| self.dequantize(c, code(c))).collect();
        }
        let width = channel_len(codes.shape());
        codes
            .data()
            .iter()
            .enumerate()
            .map(|(i, &q)| self.dequantize(i / width, q))
            .collect()
    }
}

/// Number of the largest score; the first of equals.
pub fn argmax(scores: &[f32]) -> usize {
    let better = |best: usize, (i, s): (usize, &f32)| if *s > scores[best] { i } else { best };
    scores.iter().enumerate().fold(0, better)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_several_words_are_put_together() {
        let spec = OutputSpec {
            words: 3,
            radix: 15,
            scale: vec![0.5],
            ..OutputSpec::identity()
        };
        assert_eq!(spec.scores(&[6]), 2);
        let codes = Tensor::new(vec![6], vec![1, -7, 2, 0, -1, 3]).unwrap();
        assert_eq!(
            spec.dequantize_all(&codes),
            [(1 + 30 - 225) as f32 * 0.5, (-7 + 3 * 225) as f32 * 0.5]
        );
        assert!(spec.check("y", &[6]).is_ok());
        for shape in [&[7][..], &[3, 2], &[2]] {
            let error = spec.check("y", shape).unwrap_err().to_string();
            assert!(error.contains("words of scores: needs 1, or 2 to 8"), "{error}");
        }
    }
}
