//! Targets, and whether the figures meet them.

use super::spread::Spread;
use super::systems::{Bound, System, Target, Work};
use serde_json::Value;

/// A target beside what was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) title: &'static str,
    /// What was asked: figure and bound.
    pub(crate) needs: String,
    /// What was measured; a dash if it was not.
    pub(crate) has: String,
    pub(crate) met: bool,
}

/// Every target of an entry.
pub(crate) fn verdicts(system: &System, result: &Value) -> Vec<Verdict> {
    let targets = system.targets.iter();
    targets.map(|target| verdict(system, target, result)).collect()
}

fn verdict(system: &System, target: &Target, result: &Value) -> Verdict {
    let encrypted = &result["encrypted"];
    let number = |field: &str| encrypted[field].as_f64();
    let (bound, has, met) = match target.bound {
        Bound::MeanAtLeast(pointer, percent) => {
            let spread = Spread::over_runs(result, pointer);
            (
                format!(">= {percent}%"),
                spread.map(|s| s.percent()),
                spread.is_some_and(|s| 100.0 * s.mean >= percent),
            )
        }
        Bound::LargestAtMost(pointer, bits) => {
            let spread = Spread::over_runs(result, pointer);
            (
                format!("<= {bits} bits"),
                spread.map(|s| format!("{} bits", s.largest)),
                spread.is_some_and(|s| s.largest <= bits),
            )
        }
        Bound::DecryptedEqual => {
            let (different, samples) = (number("different"), number("samples"));
            let has = different
                .zip(samples)
                .map(|(different, samples)| format!("{different} of {samples}"));
            let asked = match system.work {
                Work::Aware { samples, .. } => samples as f64,
                _ => 1.0,
            };
            let met = different == Some(0.0) && samples >= Some(asked);
            (format!("none of {asked}"), has, met)
        }
        Bound::WithinLimits => {
            let rows = result["rows"].as_array().into_iter().flatten();
            let trained: Vec<(Option<f64>, Spread)> = rows
                .filter_map(|row| {
                    Some((
                        row["limit"].as_f64(),
                        Spread::over_runs(row, "/graph/lookup_bits")?,
                    ))
                })
                .collect();
            let wider = trained
                .iter()
                .filter(|(limit, spread)| Some(spread.largest) > *limit)
                .count();
            let has = format!("at {wider} of {} widths", trained.len());
            ("none".to_owned(), Some(has), wider == 0 && !trained.is_empty())
        }
        Bound::NoiseWithin(points) => {
            let both = number("noisy_accuracy").zip(number("exact_accuracy"));
            let off = both.map(|(noisy, exact)| 100.0 * (noisy - exact).abs());
            (
                format!("within {points} point"),
                off.map(|off| format!("{off:.1} points off")),
                off.is_some_and(|off| off <= points),
            )
        }
    };
    Verdict {
        title: system.title,
        needs: format!("{}: {bound}", target.what),
        has: has.unwrap_or_else(|| "-".to_owned()),
        met,
    }
}

#[cfg(test)]
mod tests {
    use super::super::systems::named;
    use super::*;
    use serde_json::json;

    fn result(integer: f64, bits: u64, different: u64, noisy: f64) -> Value {
        json!({
            "runs": [
                {"graph": {"accuracy": integer, "bits": bits}},
                {"graph": {"accuracy": 0.95, "bits": 6}},
            ],
            "encrypted": {"different": different, "samples": 5, "exact_accuracy": 0.95, "noisy_accuracy": noisy},
        })
    }

    #[test]
    fn lookups_keep_to_their_limits() {
        let system = named("widths_digits").unwrap();
        let row = |limit: u64, bits: u64| json!({"limit": limit, "runs": [{"graph": {"lookup_bits": bits}}]});
        let check = |rows: &[Value], has: &str, met: bool| {
            let verdicts = verdicts(system, &json!({"rows": rows}));
            assert_eq!((verdicts[0].has.as_str(), verdicts[0].met), (has, met));
        };
        let nothing = json!({"limit": 3, "runs": [], "errors": ["no"]});
        check(&[row(8, 7), row(5, 5), nothing.clone()], "at 0 of 2 widths", true);
        check(&[row(8, 7), row(5, 6)], "at 1 of 2 widths", false);
        check(&[nothing], "at 0 of 0 widths", false);
    }

    #[test]
    fn met_and_not_met() {
        let system = named("qat_checkerboard").unwrap();
        let check = |result: &Value, met: [bool; 4]| {
            let verdicts = verdicts(system, result);
            assert_eq!(
                verdicts.iter().map(|v| v.met).collect::<Vec<_>>(),
                met,
                "{verdicts:?}"
            );
        };
        check(&result(0.96, 7, 0, 0.948), [true; 4]);
        check(&result(0.94, 8, 1, 0.93), [false; 4]);
        check(&json!({"runs": []}), [false; 4]);
        let verdict = &verdicts(system, &result(0.96, 7, 0, 0.948))[0];
        assert_eq!(
            (verdict.needs.as_str(), verdict.has.as_str()),
            (
                "accuracy of the integer graph, mean: >= 95%",
                "95.5% (95.0..96.0)"
            )
        );
    }
}
