//! What a circuit must satisfy before anything runs it.

use crate::circuit::{Circuit, Rotation, Row};
use crate::noise::Source;
use crate::optimizer::{LARGEST_TABLE, MOST_ACCUMULATOR_BYTES, MOST_EXTENSION};
use crate::program::{MAX_RESIDUES, Reach, Reached, Window};
use crate::table;
use cml_ir::Interval;
use cml_scheme::{LweKey, ParameterError, bad_encoding, check_text};

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
    /// Tables that take more memory than any circuit should.
    #[error("circuit: tables take {has} bytes in memory, limit {limit}")]
    Memory {
        /// Bytes that they take.
        has: u64,
        /// The limit.
        limit: u64,
    },
    /// Rows whose noise takes too long to be counted.
    #[error("circuit: the noise of all rows takes {has} steps to count, limit {limit}")]
    Work {
        /// Steps that it takes.
        has: u64,
        /// The limit.
        limit: u64,
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

/// Largest weight of a row: those of a graph's layers, multiplied, are far below.
const LARGEST_WEIGHT: u64 = 1 << 40;
/// Most bytes of all tables as polynomials, and of how they are read.
const MOST_PREPARED: u64 = 2 << 30;
/// Most steps of counting noise, some seconds.
const MOST_STEPS: u64 = 1 << 28;

/// Most samples that a circuit is compiled for at once.
pub(crate) const MOST_SAMPLES_AT_ONCE: u32 = 1 << 16;
/// What is asked of a table for every lookup.
struct Table {
    image: Interval,
    half_period: u64,
}

impl Table {
    /// Of a table that has entries.
    fn of(values: &[i64]) -> Option<Self> {
        Some(Self {
            image: Interval::hull_of(values.iter().map(|&v| Interval::point(v)))?,
            half_period: table::half_period(values),
        })
    }
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
        let mut wires: Vec<u32> = Vec::new();
        let mut ranges: Vec<Interval> = Vec::new();
        let fail = |what, index, why: &str| {
            Err(CircuitError::Malformed {
                what,
                index,
                why: why.to_owned(),
            })
        };
        if let Some((i, why)) = self
            .texts()
            .enumerate()
            .find_map(|(i, t)| Some((i, check_text(t).err()?)))
        {
            return fail("text", i, &why);
        }
        if self.body.inputs.is_empty() || self.body.outputs.is_empty() {
            return fail("interface", 0, "needs an input and an output");
        }
        if let Some(i) = bad_encoding(&self.body.encodings) {
            return fail("encoding", i, "number of values out of range");
        }
        for (i, input) in self.body.inputs.iter().enumerate() {
            if let Err(why) = input.check(self.body.encodings.len()) {
                return fail("input", i, &why);
            }
            wires.extend(&input.encodings);
            ranges.resize(wires.len(), input.spec.range);
        }
        if self.body.input_key == LweKey::Small && !self.body.inputs_may_be_small() {
            return fail(
                "input",
                0,
                "is under the small key, and a row reads more than such inputs",
            );
        }
        if self.body.input_key == LweKey::Small && self.parameters.single().is_empty() {
            return fail("input", 0, "is under a small key, of which there is none");
        }
        if !(1..=MOST_SAMPLES_AT_ONCE).contains(&self.samples_at_once) {
            return fail("samples", 0, "at once are none or too many");
        }
        if !(1..=8).contains(&self.body.output_word_bytes) {
            return fail("output", 0, "words have 1 to 8 bytes");
        }
        let mut reach = Reach::new(ranges);
        let tables: Vec<Option<Table>> = self.body.tables.iter().map(|t| Table::of(t)).collect();
        let mut index = 0;
        for (number, level) in self.body.levels.iter().enumerate() {
            let first = wires.len();
            if self.parameters.get(level.set).is_none() {
                return fail("level", number, "names a parameter set that is not there");
            }
            for rotation in &level.rotations {
                let accumulators = match self.parameters.amortized() {
                    Some(set) if self.is_amortized(level) => set.accumulator_bytes(rotation.extension),
                    _ => 0,
                };
                if accumulators > MOST_ACCUMULATOR_BYTES {
                    return fail("rotation", index, "takes more memory for a pack than any should");
                }
                if (level.set != 0 || self.is_amortized(level)) && self.reads_small(&rotation.row) {
                    return fail("rotation", index, "reads inputs of the small key of another set");
                }
                match self.rotation(rotation, &tables, &wires[..first], &mut reach) {
                    Ok(encoding) => wires.resize(wires.len() + rotation.lookups.len(), encoding),
                    Err(why) => return fail("rotation", index, &why),
                }
                index += 1;
            }
        }
        for (i, output) in self.body.outputs.iter().enumerate() {
            let count = output.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
            if count != Some(output.rows.len()) || output.shifts.len() != output.rows.len() {
                return fail("output", i, "rows do not fill its shape");
            }
            if output.rows.is_empty() {
                return fail("output", i, "has no elements");
            }
            if let Err(why) = output.spec.check(&output.name, &output.shape) {
                return fail("output", i, &why.to_string());
            }
            if output.shifts.iter().any(|s| s.unsigned_abs() > 1 << 41) {
                return fail("output", i, "shift beyond 2^41");
            }
            for row in &output.rows {
                let range = match self.row_range(row, 1, &wires, &mut reach) {
                    Ok(found) => found.range,
                    Err(why) => return fail("output", i, &why),
                };
                let period = self.body.encodings[row.encoding as usize].half_period;
                let Some(most) = (2 * period - 1).checked_sub(output.slack.saturating_mul(2)) else {
                    return fail("output", i, "slack leaves no room for values");
                };
                if range.lo < 0 || range.hi as u64 > most {
                    return fail(
                        "output",
                        i,
                        &format!("row reaches {range}, its domain is 0..{most}"),
                    );
                }
            }
        }
        let (has, limit) = (self.prepared_bytes(), MOST_PREPARED);
        if has > limit {
            return Err(CircuitError::Memory { has, limit });
        }
        let (has, limit) = (self.body.demand_steps(), MOST_STEPS);
        if has > limit {
            return Err(CircuitError::Work { has, limit });
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
        for (index, demand) in self.demands().into_iter().enumerate() {
            // As far as it is counted, and perhaps beyond.
            let asked = &demand.requirement;
            let together = asked.nu2.saturating_add_signed(asked.alike);
            let fresh = match asked.source {
                Source::Both { fresh } => fresh,
                Source::Fresh | Source::FreshSmall | Source::Lookup => 0,
            };
            if [asked.nu2, asked.pairs, together, fresh].contains(&u64::MAX) || asked.alike == i64::MAX {
                return Err(CircuitError::Malformed {
                    what: "kind of row",
                    index,
                    why: "noise grows by 2^64 or more".to_owned(),
                });
            }
            let has = self.log2_p_fail(&demand);
            if has > self.budget_log2 {
                return Err(CircuitError::Budget {
                    values: demand.requirement.half_period,
                    has,
                    budget: self.budget_log2,
                });
            }
        }
        Ok(())
    }

    /// Encoding of the wires that a rotation defines.
    fn rotation(
        &self,
        rotation: &Rotation,
        tables: &[Option<Table>],
        wires: &[u32],
        reach: &mut Reach,
    ) -> Result<u32, String> {
        let unit = self.unit(&rotation.row, wires)?;
        let found = self.row_range(&rotation.row, unit, wires, reach)?;
        let multiples = reach.are_multiples(&found, unit);
        let range = Interval::new(found.range.lo.div_euclid(unit), found.range.hi.div_euclid(unit));
        let window = self.window(rotation, unit);
        let size = self.parameters.ring().table_size(rotation.extension);
        if !(1..=MOST_EXTENSION).contains(&rotation.extension) || size > LARGEST_TABLE.into() {
            return Err(format!(
                "a table of {} polynomials is not supported",
                rotation.extension
            ));
        }
        let spacing = rotation.spacing(&self.body.encodings);
        if !(1..=spacing.half_period).contains(&spacing.scale) {
            return Err(format!(
                "a scale of {} does not fit in a half period of {}",
                spacing.scale, spacing.half_period
            ));
        }
        // In values, of which a part is as good as none.
        let period = spacing.half_period / spacing.scale;
        let boxes = u128::from(size) * u128::from(spacing.scale) * (2 * u128::from(rotation.slack) + 1);
        if u128::from(spacing.half_period) * 2 > boxes {
            return Err(format!(
                "a half period of {period} values does not fit in {size} coefficients"
            ));
        }
        let Some(first) = rotation.lookups.first() else {
            return Err("is read by no lookup".to_owned());
        };
        for lookup in &rotation.lookups {
            if lookup.encoding as usize >= self.body.encodings.len()
                || lookup.layer as usize >= self.body.layers.len()
            {
                return Err("names an encoding or a layer that is not there".to_owned());
            }
            if lookup.encoding != first.encoding {
                return Err("results have different encodings".to_owned());
            }
            let table = self.body.tables.get(lookup.table as usize);
            let (Some(table), Some(Some(known))) = (table, tables.get(lookup.table as usize)) else {
                return Err("names a table that is not there".to_owned());
            };
            let entries = table.len() as i64;
            let fits = |range: Interval| range.lo >= 0 && range.hi < entries;
            if !(multiples && fits(range)) {
                // Perhaps the torus wraps it into the table.
                let shown = window.and_then(|window| reach.through(&found, window));
                if !shown.is_some_and(fits) {
                    let what = shown.unwrap_or(range);
                    return Err(format!("row reaches {what}, its domain is 0..{}", entries - 1));
                }
                if rotation.slack > 0 {
                    return Err("a row that wraps has slack".to_owned());
                }
            }
            if known.image.magnitude() > 1 << 40 {
                return Err("table holds values beyond 2^40".to_owned());
            }
            if known.half_period > period {
                return Err(format!(
                    "table needs a half period of {} values, its row has {period}",
                    known.half_period
                ));
            }
            let (has, most) = (
                rotation.slack,
                table::most_slack(table, spacing, table::SLACK_SHARE),
            );
            if has > 0 && has > most {
                return Err(format!("slack of {has}, the table allows {most}"));
            }
            let at = |at: i64| table.get(at as usize).copied().unwrap_or(0);
            match window {
                Some(window) if entries == window.count || reach.is_known(&found, window) => {
                    // Residues that no row has count as 0, which only adds to what sums may reach.
                    let read = |v: i64| at(window.residue(v));
                    let row = (
                        rotation.row.terms.as_slice(),
                        rotation.row.constant.saturating_mul(unit),
                    );
                    reach.define_through(row, &found, window, read, known.image);
                }
                _ => {
                    reach.define(&found, |v| at(v.div_euclid(unit)), known.image);
                }
            }
        }
        Ok(first.encoding)
    }

    /// What a rotation sees of its row, times the unit, where the torus wraps in whole steps; not for more residues than
    /// the analysis goes through.
    fn window(&self, rotation: &Rotation, unit: i64) -> Option<Window> {
        let period = self.body.encodings[rotation.row.encoding as usize].half_period;
        let scale = rotation.scale;
        let whole = period.is_power_of_two() && scale.is_power_of_two() && scale <= period;
        let count = whole.then(|| (2 * period / scale) as i64);
        count
            .filter(|&count| count <= MAX_RESIDUES)
            .map(|count| Window { unit, count })
    }

    /// Steps of its wires that a row has from one value to the next: 1 unless its own encoding is coarser than theirs.
    fn unit(&self, row: &Row, wires: &[u32]) -> Result<i64, String> {
        let encodings = &self.body.encodings;
        let first = row.terms.first().and_then(|t| wires.get(t.0 as usize));
        let own = encodings.get(row.encoding as usize);
        let (Some(&of_wires), Some(own)) = (first, own) else {
            return Ok(1);
        };
        if of_wires == row.encoding {
            return Ok(1);
        }
        let (fine, own) = (encodings[of_wires as usize].half_period, own.half_period);
        let coarser = fine.is_power_of_two() && own.is_power_of_two() && own < fine;
        if !coarser {
            let (wire, encoding) = (row.terms[0].0, row.encoding);
            return Err(format!(
                "reads wire {wire} of encoding {of_wires}, its own is {encoding}"
            ));
        }
        Ok((fine / own) as i64)
    }

    /// What a row reaches, if its wires exist and share an encoding: its own, or one that is `unit` times as fine.
    fn row_range(&self, row: &Row, unit: i64, wires: &[u32], reach: &mut Reach) -> Result<Reached, String> {
        if row.encoding as usize >= self.body.encodings.len() {
            return Err("names an encoding that is not there".to_owned());
        }
        let first = row.terms.first().and_then(|t| wires.get(t.0 as usize));
        let of_wires = first.filter(|_| unit > 1).map_or(row.encoding, |&first| first);
        for &(wire, _) in &row.terms {
            let Some(&encoding) = wires.get(wire as usize) else {
                return Err(format!(
                    "reads wire {wire}, {} are defined before it",
                    wires.len()
                ));
            };
            if encoding != of_wires {
                return Err(format!(
                    "reads wire {wire} of encoding {encoding}, its own is {of_wires}"
                ));
            }
        }
        if row.terms.windows(2).any(|w| w[0].0 >= w[1].0) || row.terms.iter().any(|t| t.1 == 0) {
            return Err("wires of a row must ascend and have weights".to_owned());
        }
        if let Some((wire, weight)) = row.terms.iter().find(|t| t.1.unsigned_abs() > LARGEST_WEIGHT) {
            return Err(format!(
                "reads wire {wire} with weight {weight}, limit {LARGEST_WEIGHT}"
            ));
        }
        let found = row.constant.checked_mul(unit);
        let found = found.and_then(|constant| reach.row(row.terms.iter().copied(), constant));
        found.ok_or_else(|| "values exceed 2^41".to_owned())
    }
}
