//! The values that rows really reach.
//!
//! Interval arithmetic forgets that wires depend on the same inputs. Where few
//! inputs with few values are behind a row, all their combinations are tried.

use super::passes::{Counts, Settings};
use super::residue::{ByResidue, Residues, Window};
use super::{Affine, Program, ProgramLookup};
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
    residues: Option<ByResidue>,
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
    residues: Residues,
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
            residues: Residues::default(),
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
        let residues = self.residues.row(terms.clone(), constant);
        let by_residue = residues.as_ref().and_then(|row| self.residues.range(row));
        let range = by_residue.unwrap_or(range);
        let column = self.column(terms, constant);
        let range = column.as_ref().map_or(range, |c| hull(&c.values));
        Some(Reached {
            range,
            column,
            residues,
        })
    }

    /// Whether all values of a row are multiples of `unit`, as far as is known.
    pub(crate) fn are_multiples(&self, row: &Reached, unit: i64) -> bool {
        let of_column = |column: &Column| column.values.iter().all(|v| v % unit == 0);
        let by_residue = |row: &ByResidue| self.residues.are_multiples(row, unit);
        unit == 1
            || row.column.as_ref().is_some_and(of_column)
            || row.residues.as_ref().is_some_and(by_residue)
    }

    /// Hull of the residues that a window shows of a row; `None` if not all of its values are known to be multiples of the
    /// window's unit.
    pub(crate) fn through(&self, row: &Reached, window: Window) -> Option<Interval> {
        if !self.are_multiples(row, window.unit) {
            return None;
        }
        let of_column = |column: &Column| {
            let residues: Vec<i64> = column.values.iter().map(|&v| window.residue(v)).collect();
            hull(&residues)
        };
        let by_residue = row.residues.as_ref();
        let known = row.column.as_ref().map(of_column);
        let known = known.or_else(|| by_residue.and_then(|row| self.residues.residues(row, window)));
        Some(known.unwrap_or(Interval::new(0, window.count - 1)))
    }

    /// Whether lookups on a row through this window are functions of what is known of it.
    pub(crate) fn is_known(&self, row: &Reached, window: Window) -> bool {
        let known = row.residues.as_ref();
        known.is_some_and(|row| self.residues.window(row) == window)
    }

    /// Defines the next wire by a table that is read through a window, as [`Reach::define`] does. The table is
    /// asked for any values of the row, and repeats with the window.
    pub(crate) fn define_through(
        &mut self,
        (terms, constant): (&[(u32, i64)], i64),
        row: &Reached,
        window: Window,
        table: impl Fn(i64) -> i64,
        image: Interval,
    ) -> Interval {
        let wire = self.wires.len() as u32;
        let known = (row.residues.as_ref(), row.range);
        self.residues
            .define(wire, (terms, constant), known, window, &table);
        self.define(row, table, image)
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
        let mut reached = before;
        let Some(found) = narrow(&mut reach, &lookup.row, &mut reached) else {
            break;
        };
        if lookup.grid.count.is_none() {
            // Were the range wider than before, the new entries would never be read.
            let read = |v: i64| lookup.read(v.clamp(before.lo, before.hi));
            let range = (reached.lo..=reached.hi).step_by(lookup.grid.unit as usize);
            lookup.values = range.map(read).collect();
            lookup.range = reached;
        }
        let image = lookup.defined(&mut reach, &found);
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
            lookup.defined(&mut reach, &found);
        }
        Some(reach)
    }
}

impl ProgramLookup {
    /// Defines the lookup's wire, of what is known of its row, and returns its hull.
    pub(crate) fn defined(&self, reach: &mut Reach, found: &Reached) -> Interval {
        let image = hull(&self.values);
        let Some(window) = self.window() else {
            return reach.define(found, |v| self.read(v), image);
        };
        let terms: Vec<(u32, i64)> = self.row.terms.iter().map(|(&wire, &w)| (wire, w)).collect();
        let row = (terms.as_slice(), self.row.constant);
        reach.define_through(row, found, window, |v| self.read(v), image)
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
