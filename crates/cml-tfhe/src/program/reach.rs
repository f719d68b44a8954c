//! The values that rows really reach.
//!
//! Interval arithmetic forgets that wires depend on the same inputs. Where few
//! inputs with few values are behind a row, all their combinations are tried.

use super::passes::{Counts, Settings};
use super::{Affine, Program};
use cml_ir::Interval;
use std::collections::{BTreeMap, BTreeSet};

/// Most combinations of input values that are tried for one row.
pub(crate) const MAX_COMBINATIONS: u64 = 1 << 16;

/// Most steps of one analysis, a fraction of a second. From the first row that
/// would pass it, only intervals are used: a circuit whose rows are a part of a
/// program's, in the same order, is analysed at least as far.
const MAX_WORK: u64 = 1 << 28;

/// Steps that a stored value stands for: no more than 128 MiB are stored.
const STORING: u64 = 16;

/// Larger values are refused, as in a circuit.
const MAX_MAGNITUDE: i128 = 1 << 41;

/// Inputs, and the number of combinations of their values.
struct Support {
    /// Ascending; in a column the first one changes fastest.
    inputs: Vec<u32>,
    combinations: usize,
}

/// A value for each combination of the values of some inputs.
struct Column {
    support: u32,
    values: Vec<i64>,
}

struct Wire {
    range: Interval,
    column: Option<Column>,
}

/// What [`Reach::row`] finds out about a row.
pub(crate) struct Reached {
    /// Hull of its values: attained at both ends if all combinations were tried.
    pub(crate) range: Interval,
    column: Option<Column>,
}

/// The analysis, wire by wire: it knows inputs, rows and tables, but neither
/// programs nor circuits, so that the proof for one can be run on the other.
///
/// Wires are numbered from the inputs on; a row must read defined ones only.
pub(crate) struct Reach {
    inputs: Vec<Interval>,
    wires: Vec<Wire>,
    supports: Vec<Support>,
    known: BTreeMap<Vec<u32>, u32>,
    /// Never decreases, so once it is beyond the limit it stays there.
    work: u64,
}

impl Reach {
    /// Inputs that take all values of their intervals, independently.
    pub(crate) fn new(inputs: impl IntoIterator<Item = Interval>) -> Self {
        let inputs: Vec<Interval> = inputs.into_iter().collect();
        let mut reach = Self {
            wires: Vec::with_capacity(inputs.len()),
            inputs,
            supports: Vec::new(),
            known: BTreeMap::new(),
            work: 0,
        };
        for input in 0..reach.inputs.len() {
            let range = reach.inputs[input];
            let few = range.count() <= MAX_COMBINATIONS && reach.charge(range.count(), STORING);
            let column = few.then(|| {
                let inputs = if range.lo < range.hi {
                    vec![input as u32]
                } else {
                    Vec::new()
                };
                Column {
                    support: reach.support(inputs),
                    values: (range.lo..=range.hi).collect(),
                }
            });
            reach.wires.push(Wire { range, column });
        }
        reach
    }

    /// Values of `constant + sum weight * wire`; `None` if intervals allow some
    /// beyond 2^41.
    pub(crate) fn row(
        &mut self,
        terms: impl Iterator<Item = (u32, i64)> + Clone,
        constant: i64,
    ) -> Option<Reached> {
        let range = self.interval(terms.clone(), constant)?;
        let column = self.column(terms, constant);
        let range = column.as_ref().map_or(range, |c| hull(&c.values));
        Some(Reached { range, column })
    }

    /// Defines the next wire by a table on a row, and returns its hull. The
    /// table is asked for values of the row's range only; `image` is the hull
    /// of its results on that range, for a row of too many combinations.
    pub(crate) fn define(&mut self, row: &Reached, table: impl Fn(i64) -> i64, image: Interval) -> Interval {
        let mut wire = Wire {
            range: image,
            column: None,
        };
        if let Some(column) = &row.column {
            let values: Vec<i64> = column.values.iter().map(|&v| table(v)).collect();
            wire.range = hull(&values);
            if self.charge(values.len() as u64, STORING) {
                wire.column = Some(Column {
                    support: column.support,
                    values,
                });
            }
        }
        let range = wire.range;
        self.wires.push(wire);
        range
    }

    /// The inputs that a row depends on, and its value for each combination of
    /// theirs, the first input fastest.
    pub(crate) fn of_row<'a>(&'a self, row: &'a Reached) -> Option<(&'a [u32], &'a [i64])> {
        row.column.as_ref().map(|column| self.combinations(column))
    }

    /// The same for a wire.
    pub(crate) fn of_wire(&self, wire: u32) -> Option<(&[u32], &[i64])> {
        let column = self.wires[wire as usize].column.as_ref();
        column.map(|column| self.combinations(column))
    }

    fn combinations<'a>(&'a self, column: &'a Column) -> (&'a [u32], &'a [i64]) {
        (&self.supports[column.support as usize].inputs, &column.values)
    }

    fn charge(&mut self, combinations: u64, steps: u64) -> bool {
        self.work = self.work.saturating_add(combinations.saturating_mul(steps));
        self.work <= MAX_WORK
    }

    /// Number of a support, which is new or known.
    fn support(&mut self, inputs: Vec<u32>) -> u32 {
        let next = self.supports.len() as u32;
        let (ranges, supports) = (&self.inputs, &mut self.supports);
        *self.known.entry(inputs).or_insert_with_key(|inputs| {
            let counts = inputs.iter().map(|&i| ranges[i as usize].count() as usize);
            supports.push(Support {
                inputs: inputs.clone(),
                combinations: counts.product(),
            });
            next
        })
    }

    /// Interval of a row, all wires taken as independent.
    fn interval(&self, terms: impl Iterator<Item = (u32, i64)>, constant: i64) -> Option<Interval> {
        let (mut lo, mut hi) = (i128::from(constant), i128::from(constant));
        for (wire, weight) in terms {
            let range = self.wires[wire as usize].range;
            let ends = [range.lo, range.hi].map(|v| i128::from(weight) * i128::from(v));
            lo += ends[0].min(ends[1]);
            hi += ends[0].max(ends[1]);
        }
        let fits = -MAX_MAGNITUDE <= lo && hi <= MAX_MAGNITUDE;
        fits.then_some(Interval {
            lo: lo as i64,
            hi: hi as i64,
        })
    }

    /// Values for all combinations, if these are few enough.
    fn column(&mut self, terms: impl Iterator<Item = (u32, i64)> + Clone, constant: i64) -> Option<Column> {
        let (mut supports, mut inputs) = (BTreeSet::new(), BTreeSet::new());
        let (mut combinations, mut steps) = (1u64, 1u64);
        for (wire, _) in terms.clone() {
            let column = self.wires[wire as usize].column.as_ref()?;
            steps += 1;
            if !supports.insert(column.support) {
                continue;
            }
            for &input in &self.supports[column.support as usize].inputs {
                if inputs.insert(input) {
                    combinations *= self.inputs[input as usize].count();
                }
                if combinations > MAX_COMBINATIONS {
                    return None;
                }
            }
        }
        if !self.charge(combinations, steps) {
            return None;
        }
        let support = self.support(inputs.into_iter().collect());
        let mut values = vec![constant; self.supports[support as usize].combinations];
        for (wire, weight) in terms {
            let column = self.wires[wire as usize].column.as_ref()?;
            self.add(&mut values, support, weight, column);
        }
        Some(Column { support, values })
    }

    /// Adds a multiple of a column of a smaller support. Partial sums may wrap:
    /// the interval says that the result does not.
    fn add(&self, sums: &mut [i64], support: u32, weight: i64, column: &Column) {
        let term = |v: i64| v.wrapping_mul(weight);
        if column.support == support {
            let pairs = sums.iter_mut().zip(&column.values);
            pairs.for_each(|(sum, &v)| *sum = sum.wrapping_add(term(v)));
            return;
        }
        // For each input of the sum: its number of values, its stride in the column.
        let of_column = &self.supports[column.support as usize].inputs;
        let mut stride = 1;
        let dimension = |&input: &u32| {
            let size = self.inputs[input as usize].count() as usize;
            let read = of_column.binary_search(&input).is_ok();
            let dimension = (size, if read { stride } else { 0 });
            stride *= if read { size } else { 1 };
            dimension
        };
        let inputs = &self.supports[support as usize].inputs;
        let dimensions: Vec<(usize, usize)> = inputs.iter().map(dimension).collect();
        let (mut digits, mut at) = (vec![0; dimensions.len()], 0);
        for sum in sums {
            *sum = sum.wrapping_add(term(column.values[at]));
            for (digit, &(size, stride)) in digits.iter_mut().zip(&dimensions) {
                *digit += 1;
                at += stride;
                if *digit < size {
                    break;
                }
                at -= stride * size;
                *digit = 0;
            }
        }
    }
}

pub(super) fn hull(values: &[i64]) -> Interval {
    let points = values.iter().map(|&v| Interval::point(v));
    Interval::hull_of(points).unwrap_or(Interval::point(0))
}

/// Narrows the ranges of all rows, and their tables with them, to what is
/// reached; a lookup with one result becomes a constant.
pub(crate) fn reach(mut program: Program, _: &Settings<'_>) -> (Program, Counts) {
    let mut reach = Reach::new(program.input_ranges.iter().copied());
    let mut constants: Vec<Option<i64>> = vec![None; program.input_count()];
    let (mut narrowed, mut folded) = (0, 0);
    let mut narrow = |reach: &mut Reach, row: &Affine, range: &mut Interval| {
        let found = row.reached(reach)?;
        narrowed += usize::from(found.range.count() < range.count());
        *range = found.range;
        Some(found)
    };
    for lookup in &mut program.lookups {
        lookup.row.fold(&constants);
        let before = lookup.range;
        let Some(found) = narrow(&mut reach, &lookup.row, &mut lookup.range) else {
            break;
        };
        // Were the range wider than before, the new entries would never be read.
        let last = lookup.values.len() - 1;
        let entry = |v: i64| lookup.values[((v - before.lo).max(0) as usize).min(last)];
        lookup.values = (found.range.lo..=found.range.hi).map(entry).collect();
        let image = hull(&lookup.values);
        let read = |v: i64| lookup.values[(v - found.range.lo) as usize];
        let image = reach.define(&found, read, image);
        constants.push((image.lo == image.hi).then_some(image.lo));
        folded += usize::from(image.lo == image.hi);
    }
    if constants.len() == program.input_count() + program.lookups.len() {
        for (row, range) in program.outputs.iter_mut().flat_map(|o| &mut o.rows) {
            row.fold(&constants);
            narrow(&mut reach, row, range);
        }
    }
    (
        program,
        vec![("ranges narrowed", narrowed), ("lookups folded", folded)],
    )
}

impl Program {
    /// The analysis of all its lookups.
    pub(crate) fn reach(&self) -> Option<Reach> {
        let mut reach = Reach::new(self.input_ranges.iter().copied());
        for lookup in &self.lookups {
            let found = lookup.row.reached(&mut reach)?;
            let read = |v: i64| lookup.values[(v - lookup.range.lo) as usize];
            reach.define(&found, read, hull(&lookup.values));
        }
        Some(reach)
    }
}

impl Affine {
    /// What the analysis says of this row.
    pub(crate) fn reached(&self, reach: &mut Reach) -> Option<Reached> {
        reach.row(self.terms.iter().map(|(&wire, &w)| (wire, w)), self.constant)
    }

    /// Moves wires of a known value to the constant.
    fn fold(&mut self, constants: &[Option<i64>]) {
        let constant = &mut self.constant;
        self.terms.retain(|&wire, w| match constants[wire as usize] {
            Some(v) => {
                *constant += *w * v;
                false
            }
            None => true,
        });
    }
}
