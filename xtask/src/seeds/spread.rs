//! Mean and ends of a figure over seeds.

use serde_json::Value;

/// A figure over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) mean: f64,
    pub(crate) least: f64,
    pub(crate) largest: f64,
}

impl Spread {
    /// Of some numbers; `None` of none, and if one is not finite.
    pub(crate) fn of(numbers: &[f64]) -> Option<Self> {
        if numbers.is_empty() || !numbers.iter().all(|n| n.is_finite()) {
            return None;
        }
        Some(Self {
            mean: numbers.iter().sum::<f64>() / numbers.len() as f64,
            least: numbers.iter().copied().fold(f64::INFINITY, f64::min),
            largest: numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }

    /// Of the figure at a JSON pointer in every run of a result; `None` if a run lacks it.
    pub(crate) fn over_runs(result: &Value, pointer: &str) -> Option<Self> {
        let runs = result["runs"].as_array()?;
        let numbers: Option<Vec<f64>> = runs.iter().map(|run| run.pointer(pointer)?.as_f64()).collect();
        Self::of(&numbers?)
    }

    /// `95.1% (94.0..96.2)`, of shares; one number if all are the same.
    pub(crate) fn percent(&self) -> String {
        let [mean, least, largest] = [self.mean, self.least, self.largest].map(|x| 100.0 * x);
        if self.least == self.largest {
            return format!("{mean:.1}%");
        }
        format!("{mean:.1}% ({least:.1}..{largest:.1})")
    }

    /// `6.6 (6..7)`; one number if all are the same.
    pub(crate) fn number(&self) -> String {
        if self.least == self.largest {
            return format!("{}", self.mean);
        }
        format!("{:.1} ({}..{})", self.mean, self.least, self.largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures_over_runs() {
        let result = json!({"runs": [{"a": {"b": 0.5}, "bits": 7}, {"a": {"b": 0.75}, "bits": 6}]});
        let spread = Spread::over_runs(&result, "/a/b").unwrap();
        assert_eq!((spread.mean, spread.least, spread.largest), (0.625, 0.5, 0.75));
        assert_eq!(spread.percent(), "62.5% (50.0..75.0)");
        assert_eq!(
            Spread::over_runs(&result, "/bits").unwrap().number(),
            "6.5 (6..7)"
        );
        assert_eq!(Spread::of(&[7.0, 7.0]).unwrap().number(), "7");
        assert_eq!(Spread::of(&[0.5]).unwrap().percent(), "50.0%");
        assert_eq!(Spread::over_runs(&result, "/c"), None);
        assert_eq!(Spread::over_runs(&json!({"runs": []}), "/a"), None);
        assert_eq!(Spread::of(&[f64::NAN]), None);
    }
}
