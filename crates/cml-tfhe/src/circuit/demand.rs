//! What the rows of a circuit ask of its parameters.

use std::collections::{BTreeMap, BTreeSet};

use super::{Body, Circuit, Level, Row};
use crate::cost::{CostModel, LookupCost};
use crate::noise::{self, Reader, Requirement, Source};
use crate::table::{self, Spacing};
use cml_scheme::{LweKey, ParameterSets};

/// What the rows of one kind ask of the parameters, and where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// What they ask.
    pub requirement: Requirement,
    /// The parameter set that looks them up; of those that the client reads, the first.
    pub set: u32,
    /// The sets with which what they combine was looked up, ascending; none if all was encrypted by the client.
    pub from: Vec<u32>,
    /// Polynomials that make up the tables.
    pub extension: u32,
    /// Level and place in it of each rotation; empty for rows that the client reads.
    pub rotations: Vec<(usize, usize)>,
}

impl Demand {
    /// log2 of the probability that one reading goes wrong, with these sets.
    pub(crate) fn log2_p_fail(&self, sets: &ParameterSets) -> f64 {
        let reader = sets.get_or_first(self.set);
        let of = |wires| noise::log2_p_fail_of(reader, wires, self.extension, &self.requirement);
        // Of several sources the worst.
        let each = self.from.iter().map(|&set| of(sets.get_or_first(set)));
        each.reduce(f64::max).unwrap_or_else(|| of(reader))
    }
}

impl Circuit {
    /// What the rows ask of the parameters, by kind: rotations of one level, one
    /// encoding, scale, source and slack, then outputs.
    pub fn demands(&self) -> Vec<Demand> {
        self.body.demands()
    }

    /// log2 of the probability that one reading of such a row goes wrong.
    pub fn log2_p_fail(&self, demand: &Demand) -> f64 {
        demand.log2_p_fail(&self.parameters)
    }

    /// Predicted work of one inference, in nanoseconds of one thread.
    pub fn predicted_ns(&self, cost: &CostModel) -> f64 {
        let work = |d: &Demand| {
            let one: LookupCost = cost.rotation(self.set(d.set), d.extension, &d.requirement);
            d.rotations.len() as f64 * one.total_ns()
        };
        self.demands().iter().map(work).sum()
    }

    /// log2 of the failure probability of the worst lookup.
    pub fn worst_log2_p_fail(&self) -> f64 {
        let each = self.demands().into_iter().map(|d| self.log2_p_fail(&d));
        each.fold(f64::NEG_INFINITY, f64::max)
    }

    /// Upper bound on log2 of the probability that one inference goes wrong:
    /// the union bound over every rotation and every output.
    pub fn inference_log2_p_fail(&self) -> f64 {
        let sum: f64 = self
            .demands()
            .iter()
            .map(|d| {
                let rows = if d.rotations.is_empty() {
                    self.output_count()
                } else {
                    d.rotations.len()
                };
                rows as f64 * self.log2_p_fail(d).exp2()
            })
            .sum();
        sum.log2().min(0.0)
    }
}

/// Where the noise of a wire comes from.
#[derive(Clone, Copy)]
enum Origin<'a> {
    /// Encrypted by the client.
    Fresh,
    /// The rotation of its own table.
    Own,
    /// The rotation of that number and spacing, of which it reads the changes of a table.
    Shared(usize, Spacing, &'a [(u64, i64)]),
}

impl Body {
    /// Of each table.
    fn changes(&self) -> Vec<Vec<(u64, i64)>> {
        self.tables.iter().map(|t| table::changes(t).collect()).collect()
    }

    /// Steps that [`Body::demands`] takes: the terms of all rows, with each change that one reads.
    pub(crate) fn demand_steps(&self) -> u64 {
        let changes = self.changes();
        let origins = self.origins(&changes);
        let steps = |&(wire, _): &(u32, i64)| match origins[wire as usize] {
            Origin::Fresh | Origin::Own => 1,
            Origin::Shared(_, _, changes) => 1 + changes.len() as u64,
        };
        let rows = self.levels.iter().flat_map(|l| &l.rotations).map(|r| &r.row);
        let rows = rows.chain(self.outputs.iter().flat_map(|o| &o.rows));
        rows.flat_map(|row| row.terms.iter().map(steps))
            .fold(0, u64::saturating_add)
    }

    fn origins<'a>(&self, changes: &'a [Vec<(u64, i64)>]) -> Vec<Origin<'a>> {
        let inputs = self.inputs.iter().flat_map(|i| &i.encodings);
        let mut origins: Vec<Origin<'a>> = inputs.map(|_| Origin::Fresh).collect();
        for (number, rotation) in self.levels.iter().flat_map(|l| &l.rotations).enumerate() {
            for lookup in &rotation.lookups {
                origins.push(if rotation.is_shared() {
                    let spacing = rotation.spacing(&self.encodings);
                    Origin::Shared(number, spacing, &changes[lookup.table as usize])
                } else {
                    Origin::Own
                });
            }
        }
        origins
    }

    /// For each wire the parameter set that it was looked up with; none for inputs.
    fn wire_sets(&self) -> Vec<Option<u32>> {
        let lookups = |level: &Level| level.rotations.iter().map(|r| r.lookups.len()).sum::<usize>();
        let made = |level: &Level| std::iter::repeat_n(Some(level.set), lookups(level));
        let inputs = std::iter::repeat_n(None, self.input_count());
        inputs.chain(self.levels.iter().flat_map(made)).collect()
    }

    /// What the rows ask of the parameters, by kind, in order of execution.
    pub(crate) fn demands(&self) -> Vec<Demand> {
        let changes = self.changes();
        let origins = self.origins(&changes);
        let sets = self.wire_sets();
        let mut demands: Vec<Demand> = Vec::new();
        // Of one level: what is alike but for the growth of the noise.
        let mut known: BTreeMap<(Requirement, u32, Vec<u32>), usize> = BTreeMap::new();
        let mut ask = |row: &Row, scale, reader, slack, extension, place: Option<(usize, usize)>| {
            let from: BTreeSet<u32> = row.terms.iter().filter_map(|t| sets[t.0 as usize]).collect();
            let from: Vec<u32> = from.into_iter().collect();
            let fresh = |&(w, _): &(u32, i64)| matches!(origins[w as usize], Origin::Fresh);
            let (nu2, alike) = growth(row, &origins);
            let requirement = Requirement {
                half_period: self.encodings[row.encoding as usize].half_period,
                scale,
                nu2,
                alike,
                source: match self.input_key {
                    _ if !row.terms.iter().all(fresh) => Source::Lookup,
                    LweKey::Big => Source::Fresh,
                    LweKey::Small => Source::FreshSmall,
                },
                reader,
                slack,
            };
            // Levels are kept apart.
            if place.is_some_and(|(_, index)| index == 0) {
                known.clear();
            }
            let kind = Requirement {
                nu2: 0,
                alike: 0,
                ..requirement
            };
            let number = *known.entry((kind, extension, from)).or_insert_with_key(|kind| {
                demands.push(Demand {
                    requirement,
                    set: place.map_or(0, |(level, _)| self.levels[level].set),
                    from: kind.2.clone(),
                    extension,
                    rotations: Vec::new(),
                });
                demands.len() - 1
            });
            let demand = &mut demands[number];
            demand.requirement.nu2 = demand.requirement.nu2.max(nu2);
            demand.requirement.alike = demand.requirement.alike.max(alike);
            demand.rotations.extend(place);
        };
        for (number, level) in self.levels.iter().enumerate() {
            for (index, r) in level.rotations.iter().enumerate() {
                ask(
                    &r.row,
                    r.scale,
                    Reader::Lookup,
                    r.slack,
                    r.extension,
                    Some((number, index)),
                );
            }
        }
        for (row, slack) in self
            .outputs
            .iter()
            .flat_map(|o| o.rows.iter().map(|r| (r, o.slack)))
        {
            let word_bytes = self.output_word_bytes;
            ask(row, 1, Reader::Client { word_bytes }, slack, 1, None);
        }
        demands
    }
}

/// [`Requirement::nu2`] and [`Requirement::alike`] of a row.
fn growth(row: &Row, origins: &[Origin<'_>]) -> (u64, u64) {
    let square = |w: i64| w.unsigned_abs().saturating_pow(2);
    let mut own = 0_u64;
    // By rotation, with its spacing: the changes that are read, and their weights.
    let mut shared: BTreeMap<(usize, Spacing), BTreeMap<u64, i64>> = BTreeMap::new();
    for &(wire, weight) in &row.terms {
        match origins[wire as usize] {
            Origin::Fresh | Origin::Own => own = own.saturating_add(square(weight)),
            Origin::Shared(number, spacing, read) => {
                let changes = shared.entry((number, spacing)).or_default();
                for &(t, delta) in read {
                    let sum = changes.entry(t).or_default();
                    *sum = sum.saturating_add(weight.saturating_mul(delta));
                }
            }
        }
    }
    let mut alike = 0.0;
    for ((_, spacing), changes) in shared {
        let changes: Vec<(u64, i64)> = changes.into_iter().collect();
        own = changes.iter().fold(own, |own, c| own.saturating_add(square(c.1)));
        alike += pairs_alike(&changes, spacing);
    }
    (own, alike.ceil() as u64)
}

/// Over pairs of changes `v` at `t` and `w` at `u`, ascending, the sum of `2 |v w| (1 - 2 |t - u| / P)`, where that is
/// positive: in one pass, with the sums of `|v|` and `|v| t` over the changes that are near enough.
fn pairs_alike(changes: &[(u64, i64)], Spacing { half_period, scale }: Spacing) -> f64 {
    let (period, scale) = (half_period as f64, scale as f64);
    let (mut sum, mut moment, mut far) = (0.0, 0.0, 0);
    let mut total = 0.0;
    for &(u, w) in changes {
        let w = w.unsigned_abs() as f64;
        while 2.0 * scale * (u - changes[far].0) as f64 >= period {
            let (t, v) = (changes[far].0 as f64, changes[far].1.unsigned_abs() as f64);
            (sum, moment, far) = (sum - v, moment - v * t, far + 1);
        }
        let u = u as f64;
        total += 2.0 * w * (sum * (period - 2.0 * scale * u) + 2.0 * scale * moment);
        (sum, moment) = (sum + w, moment + w * u);
    }
    total / period
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn one_pass_counts_all_pairs(
            at in proptest::collection::btree_map(0_u64..4000, -9_i64..10, 0..40),
            half_period in 1_u64..5000,
            scale in 1_u64..5,
        ) {
            let changes: Vec<(u64, i64)> = at.into_iter().collect();
            let mut expected = 0.0;
            for (i, &(t, v)) in changes.iter().enumerate() {
                for &(u, w) in &changes[i + 1..] {
                    let near = 1.0 - 2.0 * ((u - t) * scale) as f64 / half_period as f64;
                    expected += (2 * v * w).abs() as f64 * near.max(0.0);
                }
            }
            let has = pairs_alike(&changes, Spacing { half_period, scale });
            prop_assert!((has - expected).abs() <= 1e-6 * (1.0 + expected), "{has} {expected}");
        }
    }
}
