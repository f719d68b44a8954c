//! What the rows of a circuit ask of its parameters.

use std::collections::{BTreeMap, BTreeSet};

use super::{Body, Circuit, Level, Row};
use crate::noise::{Reader, Requirement, Source, Variances};
use crate::table::{self, Spacing};
use cml_scheme::{LweKey, ParameterSets, Set};

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
    /// log2 of the probability that one reading goes wrong, with these sets: what may be promised.
    pub(crate) fn log2_p_fail(&self, sets: &ParameterSets) -> f64 {
        self.log2_p_fail_by(sets, |set| Variances::promised(set))
    }

    fn log2_p_fail_by(&self, sets: &ParameterSets, variances: fn(Set<'_>) -> Variances) -> f64 {
        // Of a set that is not there nothing can be said.
        let of = |set| sets.get(set).or(sets.get(0)).map(variances);
        let Some(reader) = of(self.set) else {
            return 0.0;
        };
        // Of several sources the worse of each part.
        let wires = self.from.iter().filter_map(|&set| of(set));
        let wires = wires.reduce(|a, b| a.worse(&b)).unwrap_or(reader);
        reader.log2_p_fail(&wires, self.extension, &self.requirement)
    }
}

/// Which tables the rotations of a program have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tables {
    /// Not chosen yet: noise is counted so that it covers any number of polynomials.
    Any,
    /// Of polynomials of so many coefficients, as many as each rotation says.
    Of {
        /// Coefficients of a polynomial.
        polynomial_size: u64,
    },
}

impl Circuit {
    /// What the rows ask of the parameters, by kind: rotations of one level, one
    /// encoding, scale, source and slack, then outputs.
    pub fn demands(&self) -> Vec<Demand> {
        self.body.demands(Tables::Of {
            polynomial_size: u64::from(self.parameters.ring().polynomial_size),
        })
    }

    /// log2 of the probability that one reading of such a row goes wrong, at most: with all but
    /// [`KEY_SHARE_LOG2`](crate::noise::KEY_SHARE_LOG2) of keys.
    pub fn log2_p_fail(&self, demand: &Demand) -> f64 {
        demand.log2_p_fail(&self.parameters)
    }

    /// [`Circuit::log2_p_fail`] on average over keys and without allowance: what the simulator samples. Of a row that reads
    /// lookups of several parameter sets the worse of each part.
    pub fn expected_log2_p_fail(&self, demand: &Demand) -> f64 {
        demand.log2_p_fail_by(&self.parameters, |set| Variances::expected(set))
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
    /// A rotation that others share, of which it reads the changes of a table.
    Shared(Shared, &'a [(u64, i64)]),
}

/// A rotation off which several tables are read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Shared {
    number: usize,
    spacing: Spacing,
    extension: u32,
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
            Origin::Shared(_, changes) => 1 + changes.len() as u64,
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
                    let shared = Shared {
                        number,
                        spacing: rotation.spacing(&self.encodings),
                        extension: rotation.extension,
                    };
                    Origin::Shared(shared, &changes[lookup.table as usize])
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
    pub(crate) fn demands(&self, tables: Tables) -> Vec<Demand> {
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
            let mut growth = Growth::of(row, &origins, tables);
            let source = match self.input_key {
                _ if !row.terms.iter().all(fresh) => match growth.fresh {
                    0 => Source::Lookup,
                    fresh => Source::Both { fresh },
                },
                LweKey::Big => Source::Fresh,
                LweKey::Small => Source::FreshSmall,
            };
            if matches!(source, Source::Fresh | Source::FreshSmall) {
                (growth.nu2, growth.together) = (growth.fresh, growth.fresh);
            }
            let requirement = Requirement {
                half_period: self.encodings[row.encoding as usize].half_period,
                scale,
                nu2: growth.nu2,
                alike: growth.alike(),
                pairs: growth.pairs,
                source,
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
                pairs: 0,
                source: match source {
                    Source::Both { .. } => Source::Both { fresh: 0 },
                    other => other,
                },
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
            let most = Growth::asked(&demand.requirement).most(&growth);
            demand.requirement.nu2 = most.nu2;
            demand.requirement.alike = most.alike();
            demand.requirement.pairs = most.pairs;
            if let Source::Both { fresh } = &mut demand.requirement.source {
                *fresh = most.fresh;
            }
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

/// How the noise of a row grows: see [`crate::noise`].
struct Growth {
    /// [`Requirement::nu2`].
    nu2: u64,
    /// Of the part in which coefficients of a rotation are alike, `nu2` included.
    together: u64,
    /// [`Requirement::pairs`].
    pairs: u64,
    /// Squared weights of what the client encrypted; nothing else counts them.
    fresh: u64,
}

/// Share that pairs of changes whose noises cancel are counted with.
///
/// Those whose noises add up count in full. What cancels depends on how the errors of one transform are alike, so it is not
/// relied on in full: transforms with rounded constants had 0.59 to 0.69 of the model's correlation at a distance of exactly `N / 4`.
const CREDIT: f64 = 0.5;

/// Changes of one rotation that a row reads, ascending: the value at which each is, and its weight.
type Changes = Vec<(u64, i64)>;

impl Growth {
    fn of(row: &Row, origins: &[Origin<'_>], tables: Tables) -> Self {
        let (mut own, mut fresh) = (0_u64, 0_u64);
        let mut shared: BTreeMap<Shared, BTreeMap<u64, i64>> = BTreeMap::new();
        for &(wire, weight) in &row.terms {
            match origins[wire as usize] {
                Origin::Fresh => fresh = fresh.saturating_add(square(weight)),
                Origin::Own => own = own.saturating_add(square(weight)),
                Origin::Shared(rotation, read) => {
                    let changes = shared.entry(rotation).or_default();
                    for &(t, delta) in read {
                        let sum = changes.entry(t).or_default();
                        *sum = sum.saturating_add(weight.saturating_mul(delta));
                    }
                }
            }
        }
        let mut growth = Self {
            nu2: own,
            together: own,
            pairs: 0,
            fresh,
        };
        for (rotation, changes) in shared {
            let changes: Changes = changes.into_iter().filter(|c| c.1 != 0).collect();
            growth.add(rotation, &changes, tables);
        }
        growth
    }

    fn add(&mut self, rotation: Shared, changes: &Changes, tables: Tables) {
        let squares = changes
            .iter()
            .fold(0_u64, |sum, c| sum.saturating_add(square(c.1)));
        let magnitudes: f64 = changes.iter().map(|c| c.1.unsigned_abs() as f64).sum();
        let spacing = rotation.spacing;
        let together = match tables {
            Tables::Any => squares as f64 + pairs_at_most(changes, spacing),
            Tables::Of { polynomial_size } => by_polynomial(changes, rotation, polynomial_size)
                .map(|changes| {
                    let squares: f64 = changes.iter().map(|c| (c.1 as f64).powi(2)).sum();
                    let at_most = squares + pairs_at_most(&changes, spacing);
                    at_most - CREDIT * (at_most - together(&changes, spacing)).max(0.0)
                })
                .sum(),
        };
        self.nu2 = self.nu2.saturating_add(squares);
        self.together = self.together.saturating_add(together.ceil() as u64);
        let pairs = (magnitudes.powi(2) - squares as f64).max(0.0);
        self.pairs = self.pairs.saturating_add(pairs.ceil() as u64);
    }

    /// What a requirement has of it.
    fn asked(requirement: &Requirement) -> Self {
        Self {
            nu2: requirement.nu2,
            together: requirement.nu2.saturating_add_signed(requirement.alike),
            pairs: requirement.pairs,
            fresh: match requirement.source {
                Source::Both { fresh } => fresh,
                Source::Fresh | Source::FreshSmall | Source::Lookup => 0,
            },
        }
    }

    /// The larger of each.
    fn most(&self, other: &Self) -> Self {
        Self {
            nu2: self.nu2.max(other.nu2),
            together: self.together.max(other.together),
            pairs: self.pairs.max(other.pairs),
            fresh: self.fresh.max(other.fresh),
        }
    }

    /// [`Requirement::alike`].
    fn alike(&self) -> i64 {
        let alike = i128::from(self.together) - i128::from(self.nu2);
        alike.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

fn square(weight: i64) -> u64 {
    weight.unsigned_abs().saturating_pow(2)
}

/// The changes that fall into each of the polynomials of a table.
fn by_polynomial(
    changes: &Changes,
    Shared {
        spacing, extension, ..
    }: Shared,
    polynomial_size: u64,
) -> impl Iterator<Item = Changes> {
    let extension = u64::from(extension.max(1));
    let size = polynomial_size.saturating_mul(extension);
    let mut parts: BTreeMap<u64, Changes> = BTreeMap::new();
    for &(t, v) in changes {
        // Read at the coefficient `size - boundary`, of which each `extension`th is in one polynomial.
        let part = table::boundary(t, spacing, size) % extension;
        parts.entry(part).or_default().push((t, v));
    }
    parts.into_values()
}

/// Over all pairs of changes `v` at `t` and `w` at `u`, in both orders and each with itself, the sum of
/// `v w (1 - 2c |t - u| / P)`: the mean over the half period of `(2F - F(0) - F(R))^2`, for the table `F` of these changes.
fn together(changes: &[(u64, i64)], Spacing { half_period, scale }: Spacing) -> f64 {
    let (Some(&(first, _)), Some(&(last, _))) = (changes.first(), changes.last()) else {
        return 0.0;
    };
    let total: f64 = changes.iter().map(|c| c.1 as f64).sum();
    let share = |values: u64| values as f64 * scale as f64 / half_period as f64;
    let (mut sum, mut inside) = (0.0, 0.0);
    for pair in changes.windows(2) {
        sum += pair[0].1 as f64;
        inside += share(pair[1].0 - pair[0].0) * (2.0 * sum - total).powi(2);
    }
    (inside + (1.0 - share(last - first)) * total.powi(2)).max(0.0)
}

/// Over pairs of changes `v` at `t` and `w` at `u`, the sum of `2 v w (1 - 2c |t - u| / P)` where that is positive: no
/// less than their sum over the pairs that fall into one polynomial, however many polynomials there are.
///
/// In one pass, with the sums of `|v|` and `|v| t`, by sign, over the changes that are near enough for a positive correlation,
/// and over those that are farther.
fn pairs_at_most(changes: &[(u64, i64)], Spacing { half_period, scale }: Spacing) -> f64 {
    #[derive(Clone, Copy, Default)]
    struct Sums {
        weight: f64,
        moment: f64,
    }
    let (period, scale) = (half_period as f64, scale as f64);
    // Near and far, each of negative and of positive weights.
    let (mut near, mut far) = ([Sums::default(); 2], [Sums::default(); 2]);
    let (mut next, mut total) = (0, 0.0);
    for &(u, w) in changes {
        while 2.0 * scale * (u - changes[next].0) as f64 >= period {
            let (t, v) = changes[next];
            let (sign, v) = (usize::from(v > 0), v.unsigned_abs() as f64);
            for (sums, v) in [(&mut near, -v), (&mut far, v)] {
                sums[sign].weight += v;
                sums[sign].moment += v * t as f64;
            }
            next += 1;
        }
        let (sign, u, w) = (usize::from(w > 0), u as f64, w.unsigned_abs() as f64);
        let (alike, opposite) = (near[sign], far[1 - sign]);
        total += 2.0 * w * (alike.weight * (period - 2.0 * scale * u) + 2.0 * scale * alike.moment);
        total += 2.0 * w * (opposite.weight * (2.0 * scale * u - period) - 2.0 * scale * opposite.moment);
        near[sign].weight += w;
        near[sign].moment += w * u;
    }
    (total / period).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Over pairs, of all sums of `2 v w (1 - 2c |t - u| / P)` what `of` makes of each.
    fn by_pairs(changes: &[(u64, i64)], Spacing { half_period, scale }: Spacing, of: fn(f64) -> f64) -> f64 {
        let mut sum = 0.0;
        for (i, &(t, v)) in changes.iter().enumerate() {
            for &(u, w) in &changes[i + 1..] {
                let near = 1.0 - 2.0 * ((u - t) * scale) as f64 / half_period as f64;
                sum += of((2 * v * w) as f64 * near);
            }
        }
        sum
    }

    proptest! {
        #[test]
        fn one_pass_counts_all_pairs(
            at in proptest::collection::btree_map(0_u64..4000, -9_i64..10, 0..40),
            half_period in 1_u64..5000,
            scale in 1_u64..5,
        ) {
            let changes: Vec<(u64, i64)> = at.into_iter().collect();
            let spacing = Spacing { half_period, scale };
            let expected = by_pairs(&changes, spacing, |pair| pair.max(0.0));
            let has = pairs_at_most(&changes, spacing);
            prop_assert!((has - expected).abs() <= 1e-6 * (1.0 + expected), "{has} {expected}");
        }

        #[test]
        fn the_mean_square_of_a_table_counts_all_pairs_with_their_signs(
            at in proptest::collection::btree_map(1_u64..4000, -9_i64..10, 1..40),
            more in 0_u64..1000,
            scale in 1_u64..5,
            polynomial_size in prop_oneof![Just(256_u64), Just(1024), Just(4096)],
            extension in 1_u32..9,
        ) {
            let changes: Changes = at.into_iter().collect();
            let reach = changes[changes.len() - 1].0 - changes[0].0;
            let spacing = Spacing { half_period: (reach + 1 + more) * scale, scale };
            let squares: i64 = changes.iter().map(|c| c.1 * c.1).sum();
            let expected = squares as f64 + by_pairs(&changes, spacing, |pair| pair);
            let has = together(&changes, spacing);
            prop_assert!((has - expected).abs() <= 1e-6 * (1.0 + expected), "{has} {expected}");
            // Whatever number of polynomials is chosen, there is no more than what was asked for.
            let shared = Shared { number: 0, spacing, extension };
            let parts: Vec<Changes> = by_polynomial(&changes, shared, polynomial_size).collect();
            prop_assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), changes.len());
            let each: f64 = parts.iter().map(|part| together(part, spacing)).sum();
            let most = squares as f64 + pairs_at_most(&changes, spacing);
            prop_assert!(each <= most * (1.0 + 1e-9), "{each} {most}");
        }
    }
}
