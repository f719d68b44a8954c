//! What a circuit must satisfy before anything runs it.

use crate::circuit::{Circuit, Row};
use crate::noise;
use crate::params::ParameterError;
use cml_ir::Interval;

/// Why a circuit is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CircuitError {
    /// A part that contradicts another.
    #[error("circuit: {what} {index}: {why}")]
    Malformed {
        /// Kind of part.
        what: &'static str,
        /// Which.
        index: usize,
        /// What is wrong.
        why: String,
    },
    /// Parameters that are insecure or too large.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// A lookup that fails more often than the circuit promises.
    #[error("circuit: a lookup on {values} values fails with probability 2^{has:.1}, budget 2^{budget:.1}")]
    Budget {
        /// Size of its domain.
        values: u64,
        /// log2 of its failure probability.
        has: f64,
        /// log2 of the budget.
        budget: f64,
    },
}

impl Circuit {
    /// Checks a circuit that came from a file: every reference, every range
    /// (the interval analysis is run again on the circuit), the parameters'
    /// security and the failure budget.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), CircuitError> {
        self.parameters.validate()?;
        let mut wires: Vec<(u32, Interval)> = Vec::new();
        let fail = |what, index, why: &str| {
            Err(CircuitError::Malformed {
                what,
                index,
                why: why.to_owned(),
            })
        };
        if self.body.inputs.is_empty() || self.body.outputs.is_empty() {
            return fail("interface", 0, "needs an input and an output");
        }
        let most = u64::from(self.parameters.polynomial_size);
        if let Some(i) = self
            .body
            .encodings
            .iter()
            .position(|e| !(1..=1 << 40).contains(&e.values))
        {
            return fail("encoding", i, "number of values out of range");
        }
        for (i, input) in self.body.inputs.iter().enumerate() {
            let count = input.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
            if count != Some(input.encodings.len()) || input.encodings.is_empty() {
                return fail("input", i, "encodings do not fill its shape");
            }
            if input
                .encodings
                .iter()
                .any(|&e| e as usize >= self.body.encodings.len())
            {
                return fail("input", i, "names an encoding that is not there");
            }
            if let Err(why) = input.spec.check(&input.name, cml_ir::channels(&input.shape)) {
                return fail("input", i, &why.to_string());
            }
            let range = input.spec.range;
            wires.extend(input.encodings.iter().map(|&e| (e, range)));
        }
        let tables: Vec<Option<Interval>> = self
            .body
            .tables
            .iter()
            .map(|t| Interval::hull_of(t.iter().map(|&v| Interval::point(v))))
            .collect();
        let mut index = 0;
        for level in &self.body.levels {
            let first = wires.len();
            for lookup in &level.lookups {
                let range = self
                    .row_range(&lookup.row, &wires[..first])
                    .or_else(|why| fail("lookup", index, &why).map(|()| Interval::point(0)))?;
                let values = self.body.encodings[lookup.row.encoding as usize].values;
                if range.lo < 0 || range.hi as u64 >= values || values > most {
                    return fail(
                        "lookup",
                        index,
                        &format!("row reaches {range}, its domain is 0..{}", values - 1),
                    );
                }
                let table = self.body.tables.get(lookup.table as usize).map(Vec::len);
                let Some(Some(image)) = tables
                    .get(lookup.table as usize)
                    .filter(|_| table == Some(values as usize))
                else {
                    return fail("lookup", index, "table does not have one entry for each value");
                };
                if lookup.encoding as usize >= self.body.encodings.len()
                    || lookup.layer as usize >= self.body.layers.len()
                {
                    return fail("lookup", index, "names an encoding or a layer that is not there");
                }
                if image.magnitude() > 1 << 40 {
                    return fail("lookup", index, "table holds values beyond 2^40");
                }
                wires.push((lookup.encoding, *image));
                index += 1;
            }
        }
        for (i, output) in self.body.outputs.iter().enumerate() {
            let count = output.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
            if count != Some(output.rows.len()) || output.shifts.len() != output.rows.len() {
                return fail("output", i, "rows do not fill its shape");
            }
            if let Err(why) = output.spec.check(&output.name, cml_ir::channels(&output.shape)) {
                return fail("output", i, &why.to_string());
            }
            if output.shifts.iter().any(|s| s.unsigned_abs() > 1 << 41) {
                return fail("output", i, "shift beyond 2^41");
            }
            for row in &output.rows {
                let range = self
                    .row_range(row, &wires)
                    .or_else(|why| fail("output", i, &why).map(|()| Interval::point(0)))?;
                let values = self.body.encodings[row.encoding as usize].values;
                if range.lo < 0 || range.hi as u64 >= values {
                    return fail(
                        "output",
                        i,
                        &format!("row reaches {range}, its domain is 0..{}", values - 1),
                    );
                }
            }
        }
        self.check_budget()
    }

    fn check_budget(&self) -> Result<(), CircuitError> {
        if !(-1000.0..=-1.0).contains(&self.budget_log2) {
            return Err(CircuitError::Malformed {
                what: "budget",
                index: 0,
                why: format!(
                    "2^{} is not a failure probability between 2^-1000 and 2^-1",
                    self.budget_log2
                ),
            });
        }
        for requirement in self.requirements() {
            let has = noise::log2_p_fail(&self.parameters, &requirement);
            if has > self.budget_log2 {
                return Err(CircuitError::Budget {
                    values: requirement.values,
                    has,
                    budget: self.budget_log2,
                });
            }
        }
        Ok(())
    }

    /// Interval of a row, if its wires exist and share its encoding.
    fn row_range(&self, row: &Row, wires: &[(u32, Interval)]) -> Result<Interval, String> {
        if row.encoding as usize >= self.body.encodings.len() {
            return Err("names an encoding that is not there".to_owned());
        }
        let (mut lo, mut hi) = (i128::from(row.constant), i128::from(row.constant));
        for &(wire, weight) in &row.terms {
            let Some(&(encoding, range)) = wires.get(wire as usize) else {
                return Err(format!(
                    "reads wire {wire}, {} are defined before it",
                    wires.len()
                ));
            };
            if encoding != row.encoding {
                return Err(format!(
                    "reads wire {wire} of encoding {encoding}, its own is {}",
                    row.encoding
                ));
            }
            let (a, b) = (
                i128::from(weight) * i128::from(range.lo),
                i128::from(weight) * i128::from(range.hi),
            );
            lo += a.min(b);
            hi += a.max(b);
        }
        if row.terms.windows(2).any(|w| w[0].0 >= w[1].0) || row.terms.iter().any(|t| t.1 == 0) {
            return Err("wires of a row must ascend and have weights".to_owned());
        }
        match (i64::try_from(lo), i64::try_from(hi)) {
            (Ok(lo), Ok(hi)) if lo.unsigned_abs().max(hi.unsigned_abs()) <= 1 << 41 => {
                Ok(Interval { lo, hi })
            }
            _ => Err("values exceed 2^41".to_owned()),
        }
    }
}
