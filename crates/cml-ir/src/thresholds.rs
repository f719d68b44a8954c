//! Inputs that a client compares with thresholds, and sends as bits.

use crate::{InputSpec, Interval, IrError};
use serde::{Deserialize, Serialize};

/// Most features of a sample.
const MAX_FEATURES: usize = 1 << 16;

/// Bit 1 where a feature reaches a value: `x[feature] >= value`, compared in `f32`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Which float of the sample.
    pub feature: u32,
    /// Finite.
    pub value: f32,
    /// The bit of a value that is missing (NaN); false where such values are not taken.
    pub of_missing: bool,
}

/// How a client turns a sample into bits, one for each element of an input that is a vector.
///
/// Comparisons of floats are exact: a model that only compares loses nothing. But whoever has the thresholds
/// knows a part of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Number of floats of a sample.
    pub features: usize,
    /// Whether a float may be missing (NaN). Where it may not, such a sample is an error.
    pub takes_missing: bool,
    /// One for each element of the input.
    pub list: Vec<Threshold>,
}

impl Thresholds {
    /// Refuses what cannot make an input of so many elements; `node` is named in the error.
    pub(crate) fn check(&self, node: &str, elements: usize) -> Result<(), IrError> {
        let fail = |what, needs: String, has: String| {
            Err(IrError::Shape {
                node: node.to_owned(),
                what,
                needs,
                has,
            })
        };
        if !(1..=MAX_FEATURES).contains(&self.features) {
            return fail(
                "features",
                format!("1 to {MAX_FEATURES}"),
                self.features.to_string(),
            );
        }
        if self.list.len() != elements {
            return fail("thresholds", elements.to_string(), self.list.len().to_string());
        }
        let beyond = |t: &&Threshold| t.feature as usize >= self.features;
        if let Some(bad) = self.list.iter().find(beyond) {
            let needs = format!("below {}", self.features);
            return fail("feature of a threshold", needs, bad.feature.to_string());
        }
        if !self.takes_missing && self.list.iter().any(|t| t.of_missing) {
            return fail("bits of missing values", "none".to_owned(), "some".to_owned());
        }
        match self.list.iter().find(|t| !t.value.is_finite()) {
            None => Ok(()),
            Some(bad) => Err(IrError::Scale {
                node: node.to_owned(),
                what: "threshold",
                has: bad.value,
            }),
        }
    }

    /// Bits of a sample; the index of the first float that has none, if one has not.
    pub(crate) fn bits(&self, sample: &[f32]) -> Result<Vec<i64>, usize> {
        let bad = |x: &f32| !(x.is_finite() || x.is_nan() && self.takes_missing);
        if let Some(i) = sample.iter().position(bad) {
            return Err(i);
        }
        let bit = |t: &Threshold| {
            let x = sample[t.feature as usize];
            i64::from(if x.is_nan() { t.of_missing } else { x >= t.value })
        };
        Ok(self.list.iter().map(bit).collect())
    }
}

impl InputSpec {
    /// Bits of comparisons with thresholds: one for each.
    pub fn of_thresholds(thresholds: Thresholds) -> Self {
        Self {
            thresholds: Some(thresholds),
            ..Self::new(1.0, 0, Interval::new(0, 1))
        }
    }

    /// Number of floats of a sample for an input of a shape.
    pub fn sample_len(&self, shape: &[usize]) -> usize {
        let elements = shape.iter().fold(1usize, |n, &d| n.saturating_mul(d));
        self.thresholds.as_ref().map_or(elements, |t| t.features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(takes_missing: bool) -> InputSpec {
        let threshold = |feature, value, of_missing| Threshold {
            feature,
            value,
            of_missing: of_missing && takes_missing,
        };
        InputSpec::of_thresholds(Thresholds {
            features: 2,
            takes_missing,
            list: vec![
                threshold(1, 0.0, false),
                threshold(0, 1.5, true),
                threshold(1, f32::MAX, true),
            ],
        })
    }

    #[test]
    fn bits_are_comparisons_of_floats() {
        let bits = |sample: [f32; 2]| spec(false).quantize_all(&[3], &sample).unwrap();
        assert_eq!(bits([1.5, -0.0]), [1, 1, 0]);
        assert_eq!(bits([1.5f32.next_down(), -f32::MIN_POSITIVE]), [0, 0, 0]);
        assert_eq!(bits([9.0, f32::MAX]), [1, 1, 1]);
        assert_eq!(spec(false).sample_len(&[3]), 2);
        assert_eq!(spec(false).count_clipped(&[3], &[9e9, -9e9]), 0);
    }

    #[test]
    fn missing_values_have_bits_where_they_are_taken() {
        let bits = |takes, sample: [f32; 2]| spec(takes).quantize_all(&[3], &sample);
        assert_eq!(bits(true, [f32::NAN, f32::NAN]), Ok(vec![0, 1, 1]));
        assert_eq!(bits(false, [0.0, f32::NAN]), Err(1));
        assert_eq!(bits(true, [f32::INFINITY, 0.0]), Err(0));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let check = |spoil: fn(&mut InputSpec), expected: &str| {
            let mut bad = spec(false);
            spoil(&mut bad);
            let error = bad.check("x", &[3]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        };
        assert!(spec(true).check("x", &[3]).is_ok());
        check(|s| s.range.hi = 2, "needs 0..1, has 0..2");
        check(
            |s| s.thresholds.as_mut().unwrap().features = 0,
            "features: needs 1 to 65536, has 0",
        );
        check(
            |s| s.thresholds.as_mut().unwrap().features = 1,
            "needs below 1, has 1",
        );
        check(
            |s| s.thresholds.as_mut().unwrap().list.truncate(2),
            "thresholds: needs 3, has 2",
        );
        check(
            |s| s.thresholds.as_mut().unwrap().list[0].value = f32::NAN,
            "threshold is NaN, must be finite",
        );
        check(
            |s| s.thresholds.as_mut().unwrap().list[0].of_missing = true,
            "bits of missing values: needs none, has some",
        );
        assert!(
            spec(false)
                .check("x", &[3, 1])
                .unwrap_err()
                .to_string()
                .contains("a vector")
        );
    }
}
