//! What a client does with its floats before it quantizes them.

use crate::IrError;
use serde::{Deserialize, Serialize};

/// Most steps of an input.
const MOST_STEPS: usize = 64;

/// An operation on one float, in `f32`, rounded as IEEE 754 says: every platform gives the same bits. Lists
/// have one entry, or one for each channel.
///
/// Each operation grows or falls with its operand (but for `Abs`), so [`InputStep::image`] is exact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputStep {
    /// `x + c`.
    Add(Vec<f32>),
    /// `x * c`.
    Multiply(Vec<f32>),
    /// `x / c`.
    Divide(Vec<f32>),
    /// `max(x, c)`.
    Max(Vec<f32>),
    /// `min(x, c)`.
    Min(Vec<f32>),
    /// -1, 0 or 1.
    Sign,
    /// `|x|`.
    Abs,
    /// Nearest integer, halves to the even one.
    Round,
    /// Largest integer that is not above.
    Floor,
    /// Least integer that is not below.
    Ceil,
}

impl InputStep {
    /// The numbers that it has for each channel, or for all.
    pub fn list(&self) -> Option<&[f32]> {
        match self {
            Self::Add(list)
            | Self::Multiply(list)
            | Self::Divide(list)
            | Self::Max(list)
            | Self::Min(list) => Some(list),
            Self::Sign | Self::Abs | Self::Round | Self::Floor | Self::Ceil => None,
        }
    }

    /// The same operation with other numbers.
    #[must_use]
    pub fn with_list(&self, list: Vec<f32>) -> Self {
        match self {
            Self::Add(_) => Self::Add(list),
            Self::Multiply(_) => Self::Multiply(list),
            Self::Divide(_) => Self::Divide(list),
            Self::Max(_) => Self::Max(list),
            Self::Min(_) => Self::Min(list),
            Self::Sign | Self::Abs | Self::Round | Self::Floor | Self::Ceil => self.clone(),
        }
    }

    /// Its lower-case name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "add",
            Self::Multiply(_) => "multiply",
            Self::Divide(_) => "divide",
            Self::Max(_) => "max",
            Self::Min(_) => "min",
            Self::Sign => "sign",
            Self::Abs => "abs",
            Self::Round => "round",
            Self::Floor => "floor",
            Self::Ceil => "ceil",
        }
    }

    /// Value at `x` in channel `c`.
    ///
    /// # Panics
    /// If there are several numbers, and none of channel `c`.
    pub fn eval(&self, c: usize, x: f32) -> f32 {
        let of = |list: &[f32]| if list.len() == 1 { list[0] } else { list[c] };
        match self {
            Self::Add(list) => x + of(list),
            Self::Multiply(list) => x * of(list),
            Self::Divide(list) => x / of(list),
            Self::Max(list) => x.max(of(list)),
            Self::Min(list) => x.min(of(list)),
            Self::Sign if x == 0.0 => 0.0,
            Self::Sign => x.signum(),
            Self::Abs => x.abs(),
            Self::Round => x.round_ties_even(),
            Self::Floor => x.floor(),
            Self::Ceil => x.ceil(),
        }
    }

    /// Least and largest value for `x` from `lo` to `hi` in channel `c`.
    ///
    /// # Panics
    /// As [`InputStep::eval`].
    pub fn image(&self, c: usize, [lo, hi]: [f32; 2]) -> [f32; 2] {
        let ends = [self.eval(c, lo), self.eval(c, hi)];
        // An infinite end times 0.
        let ends = ends.map(|end| if end.is_nan() { 0.0 } else { end });
        let least = if matches!(self, Self::Abs) && lo < 0.0 && hi > 0.0 {
            0.0
        } else {
            ends[0].min(ends[1])
        };
        [least, ends[0].max(ends[1])]
    }

    /// Refuses what cannot be done with a tensor of so many channels; `node` is named in the error.
    ///
    /// # Errors
    /// If there are neither one nor `channels` numbers, one is not finite, or a divisor is 0.
    pub(crate) fn check(&self, node: &str, channels: usize) -> Result<(), IrError> {
        let Some(list) = self.list() else {
            return Ok(());
        };
        let shape = |what, needs: String, has: String| IrError::Shape {
            node: node.to_owned(),
            what,
            needs,
            has,
        };
        if list.len() != 1 && list.len() != channels {
            let needs = format!("1 or {channels}");
            return Err(shape("numbers of an input step", needs, list.len().to_string()));
        }
        let divides = matches!(self, Self::Divide(_));
        let bad = |c: &&f32| !c.is_finite() || (divides && **c == 0.0);
        match list.iter().find(bad) {
            None => Ok(()),
            Some(bad) if divides => Err(shape(
                "divisor of the input",
                "a finite number but 0".to_owned(),
                bad.to_string(),
            )),
            Some(bad) => Err(shape(
                "number of an input step",
                "a finite one".to_owned(),
                bad.to_string(),
            )),
        }
    }
}

/// Refuses steps that a tensor of so many channels cannot go through, or too many of them.
///
/// # Errors
/// As [`InputStep::check`].
pub(crate) fn check(steps: &[InputStep], node: &str, channels: usize) -> Result<(), IrError> {
    if steps.len() > MOST_STEPS {
        return Err(IrError::Shape {
            node: node.to_owned(),
            what: "input steps",
            needs: format!("at most {MOST_STEPS}"),
            has: steps.len().to_string(),
        });
    }
    steps.iter().try_for_each(|step| step.check(node, channels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn steps() -> impl Strategy<Value = InputStep> {
        let number = -4i32..5;
        prop_oneof![
            number.clone().prop_map(|c| InputStep::Add(vec![c as f32 / 2.0])),
            number
                .clone()
                .prop_map(|c| InputStep::Multiply(vec![c as f32 / 2.0])),
            (1i32..5).prop_map(|c| InputStep::Divide(vec![-c as f32 / 2.0])),
            number.clone().prop_map(|c| InputStep::Max(vec![c as f32])),
            number.prop_map(|c| InputStep::Min(vec![c as f32])),
            Just(InputStep::Sign),
            Just(InputStep::Abs),
            Just(InputStep::Round),
            Just(InputStep::Floor),
            Just(InputStep::Ceil),
        ]
    }

    proptest! {
        #[test]
        fn images_hold_every_value_and_are_reached(step in steps(), lo in -9i32..9, width in 0i32..9) {
            let values: Vec<f32> = (4 * lo..=4 * (lo + width)).map(|x| step.eval(0, x as f32 / 4.0)).collect();
            let [least, most] = step.image(0, [lo as f32, (lo + width) as f32]);
            prop_assert_eq!(values.iter().copied().fold(f32::INFINITY, f32::min), least);
            prop_assert_eq!(values.iter().copied().fold(f32::NEG_INFINITY, f32::max), most);
        }
    }

    #[test]
    fn bad_numbers_are_refused() {
        let check = |step: InputStep| step.check("x", 3).unwrap_err().to_string();
        assert!(check(InputStep::Add(vec![0.0; 2])).ends_with("needs 1 or 3, has 2"));
        assert!(check(InputStep::Divide(vec![0.0])).ends_with("a finite number but 0, has 0"));
        assert!(check(InputStep::Min(vec![f32::NAN])).ends_with("a finite one, has NaN"));
        assert!(InputStep::Multiply(vec![0.0]).check("x", 3).is_ok());
        let many = vec![InputStep::Sign; MOST_STEPS + 1];
        assert!(super::check(&many, "x", 1).is_err() && super::check(&many[1..], "x", 1).is_ok());
    }
}
