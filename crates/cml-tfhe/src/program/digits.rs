//! Accumulators that are too wide for one lookup: digits are taken off the bottom.
//!
//! The torus wraps, so a row that is multiplied by `2P / 2^(e + 1)` leaves its lowest `e + 1` bits there. One lookup reads
//! the upper one of these bits, and it is subtracted; then the row has room for the wrap, and a second lookup reads any function
//! of the lower `e` bits (`HomFloor` of Liu, Micciancio, Polyakov, "Large-precision homomorphic sign evaluation using FHEW/TFHE
//! bootstrapping", ASIACRYPT 2022, ePrint 2021/1337, section 4).
//!
//! A table changes at few values. So the digit is not only taken off: what is left of it is its rank among the residues of these values,
//! in the upper bits of the digit's place. With `r` the digit, `rank(r)` the number of residues up to `r`, and `t` the
//! fewest bits that hold all ranks, `row - r + rank(r) 2^(e - t)` is a multiple of `2^(e - t)` and still tells on which side of
//! each change the row is: an exact table of `2^(e - t)` times fewer values. This goes on until the table is narrow
//! enough. The bit above the digit stays in the row; it was only subtracted to read the digit.

use super::multiples::with_multiples;
use super::passes::{Counts, Settings};
use super::{Affine, Grid, MAX_RESIDUES, Multiple, Program, ProgramLookup, Terms};
use crate::table;
use cml_ir::Interval;
use std::collections::{BTreeMap, BTreeSet};

/// Half periods up to this one are always looked up at once.
const NARROW: u64 = 256;

/// Half periods beyond this one are hardly ever served, whatever the noise.
const WIDEST: u64 = 1024;

/// What is tried for the number of values of a half period that one polynomial serves: what a lookup costs is
/// taken to be in proportion to its half period, from there on.
const SERVED: [u64; 4] = [16, 32, 64, 128];

/// Parts of large weights that are tried.
const PARTS: [u32; 3] = [1, 2, 4];

/// Digits must make a program cheaper by this factor: they cost lookups one after the other.
const WORTH: f64 = 0.8;

/// Largest number of bits of a digit.
const MOST_BITS: u32 = MAX_RESIDUES.ilog2() - 1;

/// Takes digits off wide rows, where that makes the program cheaper, or possible at all. The cost model decides how many
/// bits a digit has.
pub(crate) fn digits(program: Program, settings: &Settings<'_>) -> (Program, Counts) {
    let nothing = vec![("wide rows", 0), ("digits taken off", 0)];
    let groups = groups(&program, settings);
    if groups.is_empty() {
        return (program, nothing);
    }
    let mut least = (settings.cost)(&program) * WORTH;
    let mut best: Option<(Program, [usize; 2])> = None;
    let mut tried: Vec<Vec<Vec<Digit>>> = Vec::new();
    for served in SERVED {
        let digits: Vec<Vec<Digit>> = groups.iter().map(|group| group.digits(served)).collect();
        if tried.contains(&digits) || digits.iter().all(Vec::is_empty) {
            continue;
        }
        let split = split(&program, &groups, &digits).without_unread();
        for parts in PARTS {
            let split = if parts > 1 {
                with_multiples(&split, parts)
            } else {
                split.clone()
            };
            let cost = (settings.cost)(&split);
            if cost < least {
                let rows = digits.iter().filter(|digits| !digits.is_empty()).count();
                least = cost;
                best = Some((split, [rows, digits.iter().map(Vec::len).sum()]));
            }
        }
        tried.push(digits);
    }
    let Some((program, [rows, digits])) = best else {
        return (program, nothing);
    };
    (program, vec![("wide rows", rows), ("digits taken off", digits)])
}

/// Lookups of one row, which is too wide.
struct Group {
    /// Numbers of the lookups.
    members: Vec<usize>,
    /// Terms of the row, the first of a positive weight: what the digits are those of.
    sum: Affine,
    /// What the sum takes.
    range: Interval,
    /// For each member the values of the sum at which it changes, ascending, with its result from there on; its first result before.
    steps: Vec<(i64, Vec<(i64, i64)>)>,
}

impl Group {
    /// Every value of the sum at which some member changes.
    fn changes(&self) -> Vec<i64> {
        let all = self.steps.iter().flat_map(|(_, steps)| steps);
        let all: BTreeSet<i64> = all.map(|step| step.0).collect();
        all.into_iter().collect()
    }

    /// The digits that make its lookups cheapest, if a polynomial serves so many values.
    fn digits(&self, served: u64) -> Vec<Digit> {
        // Encodings of rows that wrap are powers of two.
        let price = |period: u64| match period.next_power_of_two() {
            period if period > WIDEST => f64::INFINITY,
            period => period.div_ceil(served) as f64,
        };
        let mut left = Left {
            range: self.range,
            changes: self.changes(),
        };
        let mut digits: Vec<Digit> = Vec::new();
        let (mut spent, mut best) = (0.0, (price(left.half_period()), 0));
        loop {
            let each = (1..=MOST_BITS).filter_map(|bits| left.digit(bits));
            // Of two lookups, for each bit that is gone.
            let rate = |digit: &Digit| 2.0 * price(1 << digit.bits) / f64::from(digit.gone());
            let Some(digit) = each.min_by(|a, b| rate(a).total_cmp(&rate(b))) else {
                break;
            };
            spent += 2.0 * price(1 << digit.bits);
            left = left.without(&digit);
            digits.push(digit);
            let total = spent + price(left.half_period());
            if total < best.0 {
                best = (total, digits.len());
            }
        }
        digits.truncate(best.1);
        digits
    }
}

/// Wide rows, with all lookups of each.
fn groups(program: &Program, settings: &Settings<'_>) -> Vec<Group> {
    let mut by_row: BTreeMap<(Terms, i64), Vec<usize>> = BTreeMap::new();
    for (number, lookup) in program.lookups.iter().enumerate() {
        let terms = lookup.row.terms.iter().map(|(&wire, &w)| (wire, w)).collect();
        let members = by_row.entry((terms, lookup.row.constant)).or_default();
        members.push(number);
    }
    let lookups = |members: &[usize]| -> Vec<&ProgramLookup> {
        members.iter().map(|&number| &program.lookups[number]).collect()
    };
    let wide = |members: &[usize]| {
        let lookups = lookups(members);
        let widest = lookups.iter().map(|l| table::half_period(&l.values)).max();
        widest.is_some_and(|period| period > NARROW)
            && lookups
                .iter()
                .all(|l| l.grid == Grid::ALL && l.range == lookups[0].range)
            && lookups.iter().all(|l| (settings.exact)(l.layer))
    };
    let mut groups: Vec<Group> = by_row
        .into_values()
        .filter(|members| wide(members))
        .map(|members| group(&lookups(&members), &members))
        .collect();
    groups.sort_by_key(|group| group.members[0]);
    groups
}

fn group(lookups: &[&ProgramLookup], members: &[usize]) -> Group {
    let (row, range) = (&lookups[0].row, lookups[0].range);
    let turned = row.terms.values().next().is_some_and(|&w| w < 0);
    let sign = if turned { -1 } else { 1 };
    // The sum is `sign * (row - constant)`.
    let ends = [range.lo, range.hi].map(|v| sign * (v - row.constant));
    let range = Interval::new(ends[0].min(ends[1]), ends[0].max(ends[1]));
    let steps = lookups.iter().map(|lookup| {
        let mut values = lookup.values.clone();
        if turned {
            values.reverse();
        }
        let steps = table::changes(&values).map(|(t, _)| (range.lo + t as i64, values[t as usize]));
        (values[0], steps.collect())
    });
    Group {
        members: members.to_vec(),
        sum: Affine {
            terms: row.terms.iter().map(|(&wire, &w)| (wire, sign * w)).collect(),
            constant: 0,
        },
        range,
        steps: steps.collect(),
    }
}

/// A digit that is taken off, and what stands in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Digit {
    /// Its bits.
    bits: u32,
    /// Residues of changes, other than 0, ascending.
    residues: Vec<i64>,
    /// Bits that hold all ranks.
    ranks: u32,
}

impl Digit {
    fn of(bits: u32, changes: &[i64]) -> Self {
        let residues = changes.iter().map(|t| t.rem_euclid(1 << bits));
        let residues: BTreeSet<i64> = residues.filter(|&r| r > 0).collect();
        Self {
            bits,
            ranks: (residues.len() as u64 + 1).next_power_of_two().ilog2(),
            residues: residues.into_iter().collect(),
        }
    }

    /// Bits by which what is left is narrower.
    fn gone(&self) -> u32 {
        self.bits.saturating_sub(self.ranks)
    }

    fn rank(&self, residue: i64) -> i64 {
        self.residues.partition_point(|&r| r <= residue) as i64
    }

    /// What a value becomes, in units that are `2^gone` times as large.
    fn map(&self, value: i64) -> i64 {
        let residue = value.rem_euclid(1 << self.bits);
        (value.div_euclid(1 << self.bits) << self.ranks) + self.rank(residue)
    }

    /// What is added for each residue, in units of the row.
    fn added(&self) -> impl Iterator<Item = i64> {
        (0..1 << self.bits).map(|r| (self.rank(r) << self.gone()) - r)
    }
}

/// What is left of a row, in its units.
struct Left {
    range: Interval,
    changes: Vec<i64>,
}

impl Left {
    /// That of a table with all changes.
    fn half_period(&self) -> u64 {
        let ends = self.changes.first().zip(self.changes.last());
        ends.map_or(1, |(first, last)| {
            (self.range.hi - first + 1).max(last - self.range.lo) as u64
        })
    }

    /// A digit of so many bits, if there are more, and less of it would be left.
    fn digit(&self, bits: u32) -> Option<Digit> {
        if self.range.count() >> (bits + 1) == 0 {
            return None;
        }
        let digit = Digit::of(bits, &self.changes);
        (digit.gone() > 0).then_some(digit)
    }

    fn without(&self, digit: &Digit) -> Self {
        Self {
            range: Interval::new(digit.map(self.range.lo), digit.map(self.range.hi)),
            changes: self.changes.iter().map(|&t| digit.map(t)).collect(),
        }
    }
}

/// The program with these digits taken off these rows.
fn split(program: &Program, groups: &[Group], digits: &[Vec<Digit>]) -> Program {
    let inputs = program.input_count();
    let mut of_lookup: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for (number, group) in groups.iter().enumerate().filter(|(g, _)| !digits[*g].is_empty()) {
        let members = group.members.iter().enumerate();
        of_lookup.extend(members.map(|(place, &member)| (member, (number, place))));
    }
    let mut wires: Vec<Multiple> = (0..inputs as u32).map(Multiple::itself).collect();
    let mut narrow: BTreeMap<usize, Narrow> = BTreeMap::new();
    let mut lookups: Vec<ProgramLookup> = Vec::with_capacity(program.lookups.len());
    for (number, lookup) in program.lookups.iter().enumerate() {
        let new = match of_lookup.get(&number) {
            None => {
                let mut lookup = lookup.clone();
                lookup.row.substitute(&wires);
                lookup
            }
            Some(&(g, place)) => {
                let group = &groups[g];
                let narrow = narrow.entry(g).or_insert_with(|| {
                    let mut sum = group.sum.clone();
                    sum.substitute(&wires);
                    take_off(sum, group.range, &digits[g], lookup.layer, inputs, &mut lookups)
                });
                narrow.lookup(&group.steps[place], &digits[g], lookup.layer)
            }
        };
        lookups.push(new);
        wires.push(Multiple::itself((inputs + lookups.len() - 1) as u32));
    }
    let mut program = program.clone();
    program.lookups = lookups;
    for (row, _) in program.outputs.iter_mut().flat_map(|o| &mut o.rows) {
        row.substitute(&wires);
    }
    program
}

/// A row without its digits.
struct Narrow {
    row: Affine,
    unit: i64,
    /// In units.
    range: Interval,
}

impl Narrow {
    /// The lookup of these steps on it.
    fn lookup(&self, (first, steps): &(i64, Vec<(i64, i64)>), digits: &[Digit], layer: u32) -> ProgramLookup {
        let mut steps = steps.iter().map(|&(t, value)| {
            let place = digits.iter().fold(t, |t, digit| digit.map(t));
            (place, value)
        });
        let (mut next, mut value) = (steps.next(), *first);
        let entry = |at: i64| {
            while let Some((_, after)) = next.filter(|step| step.0 <= at) {
                (value, next) = (after, steps.next());
            }
            value
        };
        let Interval { lo, hi } = self.range;
        ProgramLookup {
            row: self.row.clone(),
            range: Interval::new(lo * self.unit, hi * self.unit),
            values: (lo..=hi).map(entry).collect(),
            grid: Grid {
                unit: self.unit,
                count: None,
            },
            layer,
            level: 0,
        }
    }
}

/// Adds the lookups that take digits off a sum.
fn take_off(
    sum: Affine,
    range: Interval,
    digits: &[Digit],
    layer: u32,
    inputs: usize,
    lookups: &mut Vec<ProgramLookup>,
) -> Narrow {
    let mut narrow = Narrow {
        row: sum,
        unit: 1,
        range,
    };
    for digit in digits {
        let unit = narrow.unit;
        let half = 1_i64 << digit.bits;
        let mut add = |row: Affine, values: Vec<i64>| {
            lookups.push(ProgramLookup {
                row,
                range: Interval::new(0, (values.len() as i64 - 1) * unit),
                values,
                grid: Grid {
                    unit,
                    count: Some(2 * half),
                },
                layer,
                level: 0,
            });
            (inputs + lookups.len() - 1) as u32
        };
        let with = |wire: u32| {
            let mut row = narrow.row.clone();
            row.terms.insert(wire, 1);
            row
        };
        let above = (0..2 * half).map(|r| if r < half { 0 } else { -half * unit });
        let above = add(narrow.row.clone(), above.collect());
        let below = add(with(above), digit.added().map(|v| v * unit).collect());
        narrow = Narrow {
            row: with(below),
            unit: unit << digit.gone(),
            range: Interval::new(digit.map(narrow.range.lo), digit.map(narrow.range.hi)),
        };
    }
    narrow
}
