//! Intervals and quantizers as files hold them: the fields of the public types, in their order.
//!
//! Files of other crates (circuits, client specifications, networks) hold these types too. So they
//! are serialized themselves, and what is read, from whatever format, goes through their checks.

use crate::{InputSpec, InputStep, Interval, IrError, OutputSpec, Probabilities, Thresholds};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct WireInterval {
    lo: i64,
    hi: i64,
}

#[derive(Deserialize)]
pub(crate) struct WireInputSpec {
    scale: Vec<f32>,
    offset: Vec<f32>,
    zero_point: i64,
    range: Interval,
    thresholds: Option<Thresholds>,
    steps: Vec<InputStep>,
}

#[derive(Deserialize)]
pub(crate) struct WireOutputSpec {
    zero_point: i64,
    scale: Vec<f32>,
    offset: Vec<f32>,
    labels: Vec<String>,
    probabilities: Probabilities,
    words: u32,
    radix: u32,
}

impl TryFrom<WireInterval> for Interval {
    type Error = IrError;

    fn try_from(wire: WireInterval) -> Result<Self, IrError> {
        let WireInterval { lo, hi } = wire;
        Interval { lo, hi }.check()
    }
}

impl TryFrom<WireInputSpec> for InputSpec {
    type Error = IrError;

    fn try_from(wire: WireInputSpec) -> Result<Self, IrError> {
        let spec = InputSpec {
            scale: wire.scale,
            offset: wire.offset,
            zero_point: wire.zero_point,
            range: wire.range,
            thresholds: wire.thresholds,
            columns: Vec::new(),
            steps: wire.steps,
        };
        // For the number of channels that the lists say; the tensor's own is checked with it.
        let lists = spec.steps.iter().filter_map(InputStep::list).map(<[f32]>::len);
        let channels = lists.fold(spec.scale.len().max(spec.offset.len()).max(1), usize::max);
        let elements = spec.thresholds.as_ref().map_or(channels, |t| t.list.len());
        spec.check("input", &[elements])?;
        Ok(spec)
    }
}

impl TryFrom<WireOutputSpec> for OutputSpec {
    type Error = IrError;

    fn try_from(wire: WireOutputSpec) -> Result<Self, IrError> {
        let spec = OutputSpec {
            zero_point: wire.zero_point,
            scale: wire.scale,
            offset: wire.offset,
            labels: wire.labels,
            probabilities: wire.probabilities,
            words: wire.words,
            radix: wire.radix,
        };
        // As for inputs.
        let lists = [spec.scale.len(), spec.offset.len(), spec.labels.len(), 1];
        let channels = lists.into_iter().fold(1, usize::max);
        let elements = channels.saturating_mul(spec.words.max(1) as usize);
        spec.check("output", &[elements])?;
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{encode, take};

    /// Both formats take what is good, unchanged, and refuse what is not.
    fn refused<T>(good: &T, spoil: impl Fn(&mut T), expected: &str)
    where
        T: Clone + PartialEq + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
    {
        assert_eq!(take::<T>(&mut encode(good).unwrap().as_slice()).unwrap(), *good);
        let json = serde_json::to_string(good).unwrap();
        assert_eq!(serde_json::from_str::<T>(&json).unwrap(), *good);
        let mut bad = good.clone();
        spoil(&mut bad);
        let binary = take::<T>(&mut encode(&bad).unwrap().as_slice())
            .unwrap_err()
            .to_string();
        let json = serde_json::to_string(&bad).unwrap();
        let text = serde_json::from_str::<T>(&json).unwrap_err().to_string();
        for message in [binary, text] {
            assert!(
                message.contains(expected),
                "{message:?} does not say {expected:?}"
            );
        }
    }

    #[test]
    fn empty_intervals_are_refused() {
        refused(&Interval::new(-3, 4), |i| i.hi = -4, "interval -3..-4 is empty");
    }

    #[test]
    fn bad_quantizers_are_refused() {
        let good = InputSpec {
            scale: vec![0.5, 2.0],
            offset: vec![-1.0],
            zero_point: 3,
            range: Interval::new(-8, 7),
            thresholds: None,
            columns: Vec::new(),
            steps: vec![InputStep::Divide(vec![-3.0]), InputStep::Sign],
        };
        let check = |spoil: fn(&mut InputSpec), expected| refused(&good, spoil, expected);
        check(|s| s.scale[1] = 0.0, "scale is 0, must be finite and positive");
        check(|s| s.scale.clear(), "input scales: needs 1 or 1, has 0");
        check(
            |s| s.steps[0] = InputStep::Divide(vec![0.0]),
            "divisor of the input",
        );
        check(|s| s.offset = vec![0.0; 3], "input scales: needs 1 or 3, has 2");
        check(|s| s.range.lo = 8, "interval 8..7 is empty");
        check(|s| s.zero_point = i64::MIN, "values reach a magnitude of");
        check(|s| s.range.hi = 1 << 40, "values reach a magnitude of");
    }

    #[test]
    fn bad_dequantizers_are_refused() {
        let good = OutputSpec {
            zero_point: -1,
            scale: vec![0.5],
            offset: vec![0.0, 0.25],
            labels: vec!["no".to_owned(), "yes".to_owned()],
            probabilities: Probabilities::Softmax,
            words: 2,
            radix: 16,
        };
        let check = |spoil: fn(&mut OutputSpec), expected| refused(&good, spoil, expected);
        check(|s| s.scale[0] = -1.0, "scale is -1, must be finite and positive");
        check(|s| s.labels.push(String::new()), "needs 1 or 3, has 2");
        check(|s| s.offset.clear(), "output offsets: needs 1 or 2, has 0");
        check(|s| s.words = 0, "words of scores: needs 1, or 2 to 8");
        check(|s| s.radix = 1, "words of scores: needs 1, or 2 to 8");
        check(|s| s.words = 1, "has 1 of radix 16");
        check(|s| s.zero_point = 1 << 40, "values reach a magnitude of");
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        // JSON has no such numbers.
        let mut spec = InputSpec::new(1.0, 0, Interval::new(0, 1));
        spec.offset[0] = f32::NAN;
        let message = take::<InputSpec>(&mut encode(&spec).unwrap().as_slice())
            .unwrap_err()
            .to_string();
        assert!(message.contains("offset is NaN, must be finite"), "{message}");
        spec.offset[0] = 0.0;
        spec.scale[0] = f32::INFINITY;
        let message = take::<InputSpec>(&mut encode(&spec).unwrap().as_slice())
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("scale is inf, must be finite and positive"),
            "{message}"
        );
    }
}
