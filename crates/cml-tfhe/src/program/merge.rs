//! Lookups that say the same become one.

use super::passes::{Counts, Settings};
use super::{Affine, Multiple, Program, ProgramLookup, Terms};
use cml_ir::Interval;
use std::collections::BTreeMap;

/// The terms of a row up to sign, and whether the sign was turned: the first
/// weight is positive.
pub(super) fn direction(row: &Affine) -> (Terms, bool) {
    let turned = row.terms.values().next().is_some_and(|&w| w < 0);
    let sign = if turned { -1 } else { 1 };
    let terms = row.terms.iter().map(|(&wire, &w)| (wire, sign * w)).collect();
    (terms, turned)
}

/// Rewrites the lookup to read `row`, which is its own up to sign and offset.
fn align(lookup: &mut ProgramLookup, row: &Affine, turn: bool) {
    let own = lookup.row.constant;
    // own row = sign * (row - row.constant) + own.
    let onto = |v: i64| {
        if turn {
            row.constant + own - v
        } else {
            row.constant + v - own
        }
    };
    lookup.range = Interval::new(onto(lookup.range.lo), onto(lookup.range.hi));
    if turn {
        lookup.values.reverse();
    }
    lookup.row = row.clone();
}

/// A table up to sign and offset: from 0, and its first change is upwards.
pub(super) struct Shape {
    pub(super) steps: Vec<i64>,
    sign: i64,
    offset: i64,
}

impl Shape {
    pub(super) fn of(values: &[i64]) -> Self {
        let offset = values.first().copied().unwrap_or(0);
        let falls = values.iter().find(|&&v| v != offset).is_some_and(|&v| v < offset);
        let sign = if falls { -1 } else { 1 };
        let steps = values.iter().map(|v| sign * (v - offset)).collect();
        Self { steps, sign, offset }
    }
}

/// The first lookup of a shape: its wire, and the sign and offset of its table.
#[derive(Clone, Copy)]
struct First {
    wire: u32,
    sign: i64,
    offset: i64,
}

/// Gives lookups whose rows are equal up to sign and offset the same row, and
/// lets the readers of lookups that are then equal, up to sign and offset too, read the first of them.
///
/// That is more than a saving: the noises of two such rotations would be the same up to sign, since their polynomials
/// are, and the noise model takes those of different rotations to be independent.
pub(crate) fn merge(mut program: Program, _: &Settings<'_>) -> (Program, Counts) {
    let inputs = program.input_count();
    let mut same: Vec<Multiple> = (0..inputs as u32).map(Multiple::itself).collect();
    let mut rows: BTreeMap<Terms, (Affine, bool)> = BTreeMap::new();
    // Rows, where they begin, and shapes; each with its first lookup.
    let mut known: BTreeMap<(Terms, i64, Vec<i64>), First> = BTreeMap::new();
    let (mut merged, mut aligned) = (0, 0);
    for (i, lookup) in program.lookups.iter_mut().enumerate() {
        lookup.row.substitute(&same);
        let (terms, turned) = direction(&lookup.row);
        let (row, first_turned) = rows
            .entry(terms.clone())
            .or_insert_with(|| (lookup.row.clone(), turned));
        let moved = lookup.row != *row;
        align(lookup, row, turned != *first_turned);
        let wire = (inputs + i) as u32;
        let Shape { steps, sign, offset } = Shape::of(&lookup.values);
        let key = (terms, lookup.range.lo, steps);
        let first = *known.entry(key).or_insert(First { wire, sign, offset });
        let factor = sign * first.sign;
        same.push(Multiple {
            wire: first.wire,
            factor,
            offset: offset - factor * first.offset,
        });
        merged += usize::from(first.wire != wire);
        aligned += usize::from(moved && first.wire == wire);
    }
    for (row, _) in program.outputs.iter_mut().flat_map(|o| &mut o.rows) {
        row.substitute(&same);
    }
    (
        program,
        vec![("lookups merged", merged), ("rows aligned", aligned)],
    )
}
