//! What a client insists on before it draws keys or encrypts anything.

use crate::error::RemoteError;
use cml_scheme::{ClientSpec, one_in};
use std::fmt;
use std::str::FromStr;

/// log2 of the failure probability of a lookup that `cml compile --strict` asks for.
const STRICT_LOG2: f64 = -128.0;
/// log2 of the least failure probability that a client spec can state.
const LEAST_LOG2: f64 = -1000.0;

/// What a circuit has to promise before keys are drawn for it or inputs are encrypted.
///
/// The promises stand in the [`ClientSpec`]. They are the word of whoever wrote it: without the circuit a
/// client cannot check them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Requirements {
    /// A circuit of `cml compile --strict`: exact results, a failure probability of at most 2^-128 a lookup, and no
    /// amortized rotations, whose keys rest on a further assumption.
    pub strict: bool,
    /// Largest probability that an inference goes wrong.
    pub max_failure: Option<MaxFailure>,
}

impl Requirements {
    /// Refuses a circuit that promises less.
    ///
    /// # Errors
    /// [`RemoteError::Promise`] with what is promised and what is required.
    pub fn check(&self, spec: &ClientSpec) -> Result<(), RemoteError> {
        let refuse = |promises: String, requires: String| {
            Err(RemoteError::Promise {
                network: spec.name().to_owned(),
                promises,
                requires,
            })
        };
        let lookup = spec.budget_log2();
        if self.strict && !spec.is_exact() {
            return refuse("approximate results".to_owned(), "exact ones".to_owned());
        }
        if self.strict && !is_at_most(lookup, STRICT_LOG2) {
            let promises = format!("that a lookup fails with less than 2^{lookup:.0}");
            return refuse(promises, format!("2^{STRICT_LOG2}"));
        }
        if self.strict && spec.parameters().amortized().is_some() {
            let promises = "keys of amortized rotations, with sparse secrets".to_owned();
            return refuse(promises, "none".to_owned());
        }
        let inference = spec.inference_log2_p_fail();
        if let Some(most) = self.max_failure
            && !is_at_most(inference, most.log2())
        {
            let promises = format!(
                "that an inference fails less than once in {}, 2^{inference:.1}",
                one_in(inference)
            );
            return refuse(promises, format!("2^{}", most.log2()));
        }
        Ok(())
    }

    /// Whether every circuit will do.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A number that has no order is no promise.
fn is_at_most(has: f64, limit: f64) -> bool {
    has <= limit
}

/// A failure probability above 0 and up to 1, as its log2: written `2^-40` or `1e-12`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct MaxFailure(f64);

impl MaxFailure {
    /// The probability `2^log2`; none if that is above 1 or below 2^-1000.
    pub fn of_log2(log2: f64) -> Option<Self> {
        (LEAST_LOG2..=0.0).contains(&log2).then_some(Self(log2))
    }

    /// log2 of the probability.
    pub fn log2(self) -> f64 {
        self.0
    }
}

impl FromStr for MaxFailure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let log2 = match text.strip_prefix("2^") {
            Some(exponent) => exponent.parse().ok(),
            None => text.parse().ok().map(f64::log2),
        };
        log2.and_then(Self::of_log2)
            .ok_or_else(|| format!("{text:?} is no probability from 2^{LEAST_LOG2} to 1, such as 2^-40"))
    }
}

impl fmt::Display for MaxFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "2^{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_read_as_powers_or_numbers() {
        let log2 = |text: &str| text.parse::<MaxFailure>().map(MaxFailure::log2);
        assert_eq!(log2("2^-40"), Ok(-40.0));
        assert_eq!(log2("2^-40.5"), Ok(-40.5));
        assert_eq!(log2("0.25"), Ok(-2.0));
        assert_eq!(log2("1"), Ok(0.0));
        for wrong in [
            "", "2^", "2^40", "-40", "0", "1.5", "NaN", "2^NaN", "2^-inf", "2^-1001", "2**-40",
        ] {
            let message = log2(wrong).unwrap_err();
            assert!(message.contains("is no probability"), "{message}");
        }
        assert_eq!("2^-40".parse::<MaxFailure>().unwrap().to_string(), "2^-40");
    }
}
