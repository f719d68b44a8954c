//! Lookups that say the same become one.

use super::passes::{Counts, Settings};
use super::{Affine, Program, ProgramLookup};
use cml_ir::Interval;
use std::collections::BTreeMap;

type Terms = Vec<(u32, i64)>;

/// The terms of a row up to sign, and whether the sign was turned: the first
/// weight is positive.
fn direction(row: &Affine) -> (Terms, bool) {
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

/// Gives lookups whose rows are equal up to sign and offset the same row, and
/// lets the readers of lookups that are then equal read the first of them.
pub(crate) fn merge(mut program: Program, _: &Settings<'_>) -> (Program, Counts) {
    let inputs = program.input_count();
    let mut same: Vec<u32> = (0..inputs as u32).collect();
    let mut rows: BTreeMap<Terms, (Affine, bool)> = BTreeMap::new();
    let mut known: BTreeMap<(Terms, i64, Vec<i64>), u32> = BTreeMap::new();
    let (mut merged, mut aligned) = (0, 0);
    for (i, lookup) in program.lookups.iter_mut().enumerate() {
        lookup.row.rename(&same);
        let (terms, turned) = direction(&lookup.row);
        let (row, first_turned) = rows
            .entry(terms.clone())
            .or_insert_with(|| (lookup.row.clone(), turned));
        let moved = lookup.row != *row;
        align(lookup, row, turned != *first_turned);
        let wire = (inputs + i) as u32;
        let key = (terms, lookup.range.lo, lookup.values.clone());
        let first = *known.entry(key).or_insert(wire);
        same.push(first);
        merged += usize::from(first != wire);
        aligned += usize::from(moved && first == wire);
    }
    for (row, _) in program.outputs.iter_mut().flat_map(|o| &mut o.rows) {
        row.rename(&same);
    }
    (
        program,
        vec![("lookups merged", merged), ("rows aligned", aligned)],
    )
}
