//! Rows that are read modulo the torus: what is known of them, residue by residue.
//!
//! A row whose digits are taken off ([`super::digits`]) leaves the torus: a lookup on it sees its residue. What such a
//! lookup puts out is a function of that residue, so a sum of the row and of lookups on it is known for each residue, too:
//! that a digit is gone, or that a bit above it is 0, is proved by going through all of them.

use super::Terms;
use cml_ir::Interval;
use std::collections::BTreeMap;

/// Most residues of one window, so that each row takes some thousand steps at most.
pub(crate) const MAX_RESIDUES: i64 = 1 << 12;

/// Most steps of one analysis, some seconds; beyond it nothing is known of residues.
const MAX_WORK: u64 = 1 << 31;

/// What a lookup reads of a row that wraps: `row / unit` modulo `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Window {
    /// The row is a multiple of it.
    pub(crate) unit: i64,
    /// Residues that are told apart.
    pub(crate) count: i64,
}

impl Window {
    /// Values of the row after which everything repeats.
    pub(crate) fn period(self) -> i64 {
        self.unit.saturating_mul(self.count)
    }

    /// The residue of a value.
    pub(crate) fn residue(self, value: i64) -> i64 {
        value.div_euclid(self.unit).rem_euclid(self.count)
    }
}

/// A row that some lookup reads through a window.
struct Base {
    terms: Terms,
    constant: i64,
    window: Window,
    range: Interval,
}

/// A number for each residue of a base.
#[derive(Clone)]
pub(super) struct ByResidue {
    base: usize,
    values: Vec<i64>,
}

/// All bases, and which wires are functions of their residues.
#[derive(Default)]
pub(super) struct Residues {
    bases: Vec<Base>,
    known: BTreeMap<(Terms, i64, Window), usize>,
    wires: BTreeMap<u32, ByResidue>,
    work: u64,
}

impl Residues {
    fn charge(&mut self, steps: usize) -> bool {
        self.work = self.work.saturating_add(steps as u64);
        self.work <= MAX_WORK
    }

    /// The row modulo the period of a base, for each residue of that base: if it is a base and lookups on it.
    pub(super) fn row(
        &mut self,
        terms: impl Iterator<Item = (u32, i64)> + Clone,
        constant: i64,
    ) -> Option<ByResidue> {
        // Bases read what was defined before: lookups on the last one are the last.
        let known = terms.clone().filter_map(|(wire, _)| self.wires.get(&wire));
        let base = known.map(|wire| wire.base).max()?;
        let of_base = |wire: u32| self.wires.get(&wire).filter(|w| w.base == base);
        let Base {
            terms: read,
            constant: of_row,
            window,
            ..
        } = &self.bases[base];
        let rest = terms.clone().filter(|&(wire, _)| of_base(wire).is_none());
        if !rest.eq(read.iter().copied()) {
            return None;
        }
        let offset = constant.checked_sub(*of_row)?;
        let mut values: Vec<i64> = (0..window.count).map(|r| r * window.unit + offset).collect();
        let mut steps = values.len() + read.len();
        for (wire, weight) in terms {
            let Some(of_wire) = of_base(wire) else { continue };
            steps += values.len();
            for (sum, &v) in values.iter_mut().zip(&of_wire.values) {
                *sum = sum.checked_add(v.checked_mul(weight)?)?;
            }
        }
        self.charge(steps).then_some(ByResidue { base, values })
    }

    /// Hull of a row, by the range of its base.
    pub(super) fn range(&self, row: &ByResidue) -> Option<Interval> {
        let Base { window, range, .. } = &self.bases[row.base];
        let value = |v: i64| {
            let residue = window.residue(v);
            v - residue * window.unit + row.values[residue as usize]
        };
        // All residues at either end: further inside the same repeats.
        let aligned = |v: i64| v + (-v).rem_euclid(window.unit);
        let residues = |from: i64, to: i64| {
            let each = (0..window.count).map(move |i| aligned(from) + i * window.unit);
            each.take_while(move |&v| v <= to)
        };
        let first = range.lo.max(range.hi - window.period() + 1);
        let lo = residues(range.lo, range.hi).map(value).min()?;
        let hi = residues(first, range.hi).map(value).max()?;
        (lo <= hi).then_some(Interval { lo, hi })
    }

    /// The window of its base.
    pub(super) fn window(&self, row: &ByResidue) -> Window {
        self.bases[row.base].window
    }

    /// Whether every value of a row is a multiple of `unit`.
    pub(super) fn are_multiples(&self, row: &ByResidue, unit: i64) -> bool {
        let period = self.bases[row.base].window.period();
        period % unit == 0 && row.values.iter().all(|v| v % unit == 0)
    }

    /// The residues of a row in a window that repeats with the row; none if it does not.
    pub(super) fn residues(&self, row: &ByResidue, window: Window) -> Option<Interval> {
        if self.bases[row.base].window.period() % window.period() != 0 {
            return None;
        }
        let residues = row.values.iter().map(|&v| Interval::point(window.residue(v)));
        Interval::hull_of(residues)
    }

    /// Defines a wire as what a lookup reads of a row through a window; `row` is what is known of it.
    pub(super) fn define(
        &mut self,
        wire: u32,
        (terms, constant): (&[(u32, i64)], i64),
        (row, range): (Option<&ByResidue>, Interval),
        window: Window,
        table: impl Fn(i64) -> i64,
    ) {
        let same = row.filter(|row| self.bases[row.base].window == window);
        let (base, values): (usize, Vec<i64>) = match same {
            Some(row) => (row.base, row.values.iter().map(|&v| table(v)).collect()),
            None => {
                let next = self.bases.len();
                let key = (terms.to_vec(), constant, window);
                let base = *self.known.entry(key).or_insert(next);
                if base == next {
                    self.bases.push(Base {
                        terms: terms.to_vec(),
                        constant,
                        window,
                        range,
                    });
                }
                (base, (0..window.count).map(|r| table(r * window.unit)).collect())
            }
        };
        if self.charge(values.len() + terms.len()) {
            self.wires.insert(wire, ByResidue { base, values });
        }
    }
}
