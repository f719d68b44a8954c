//! Whole layers as single lookups on the inputs.

use super::passes::{Counts, Settings};
use super::reach::Reach;
use super::{Affine, Grid, Program, ProgramLookup};
use cml_ir::Interval;
use std::collections::BTreeMap;

/// Replaces all lookups of a level, or all outputs, that depend on few
/// combinations of input values, each by one lookup on the number of the
/// combination. Lookups on the same inputs get the same row.
///
/// The cut that makes the program cheapest is taken, and again, until none
/// makes it cheaper.
pub(crate) fn fuse(mut program: Program, settings: &Settings<'_>) -> (Program, Counts) {
    let (mut cuts, before) = (0, program.lookups.len());
    let mut least = None;
    while let Some((cost, fused)) = cheapest(&program, settings) {
        if cost >= least.unwrap_or_else(|| (settings.cost)(&program)) {
            break;
        }
        (program, least) = (fused, Some(cost));
        cuts += 1;
    }
    let removed = before.saturating_sub(program.lookups.len());
    (program, vec![("cuts", cuts), ("lookups removed", removed)])
}

/// The first of the cheapest cuts.
fn cheapest(program: &Program, settings: &Settings<'_>) -> Option<(f64, Program)> {
    let mut reach = program.reach().filter(|_| settings.fuse_limit > 1)?;
    let levels = program.lookups.iter().map(|l| l.level).max().unwrap_or(0);
    let mut best: Option<(f64, Program)> = None;
    for level in 1..=levels + 1 {
        let fused = if level <= levels {
            fuse_level(program, &reach, level, settings.fuse_limit)
        } else {
            fuse_outputs(program, &mut reach, settings.fuse_limit)
        };
        let Some(fused) = fused.map(Program::without_unread) else {
            continue;
        };
        let cost = (settings.cost)(&fused);
        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
            best = Some((cost, fused));
        }
    }
    best
}

/// Every lookup of the level that can be, on the inputs; `None` if there is none.
fn fuse_level(program: &Program, reach: &Reach, level: usize, limit: u64) -> Option<Program> {
    let inputs = program.input_count();
    let fused = |(i, old): (usize, &ProgramLookup)| {
        let combinations = reach.of_wire((inputs + i) as u32)?;
        let new = on_inputs(program, combinations, old.layer, limit)?;
        (old.level == level && old.row != new.row).then_some((i, new))
    };
    let fused: Vec<(usize, ProgramLookup)> = program
        .lookups
        .iter()
        .enumerate()
        .filter(|(_, l)| l.level == level)
        .filter_map(fused)
        .collect();
    if fused.is_empty() {
        return None;
    }
    let mut program = program.clone();
    for (i, lookup) in fused {
        program.lookups[i] = lookup;
    }
    Some(program)
}

/// A lookup on the inputs for every output that reads lookups and can be;
/// `None` if there is none.
fn fuse_outputs(program: &Program, reach: &mut Reach, limit: u64) -> Option<Program> {
    let inputs = program.input_count();
    let mut fused = program.clone();
    for (row, range) in fused.outputs.iter_mut().flat_map(|o| &mut o.rows) {
        let Some(&last) = row.terms.keys().next_back().filter(|&&w| w as usize >= inputs) else {
            continue;
        };
        let layer = program.lookups[last as usize - inputs].layer;
        let found = row.reached(reach)?;
        let combinations = reach.of_row(&found);
        let Some(lookup) = combinations.and_then(|c| on_inputs(program, c, layer, limit)) else {
            continue;
        };
        let wire = (inputs + fused.lookups.len()) as u32;
        fused.lookups.push(lookup);
        (row.terms, row.constant) = (BTreeMap::from([(wire, 1)]), 0);
        *range = found.range;
    }
    (fused.lookups.len() > program.lookups.len()).then_some(fused)
}

/// The lookup of these values on the number of the combination of inputs.
fn on_inputs(
    program: &Program,
    (inputs, values): (&[u32], &[i64]),
    layer: u32,
    limit: u64,
) -> Option<ProgramLookup> {
    if values.len() as u64 > limit {
        return None;
    }
    let mut row = Affine::default();
    let mut stride = 1;
    for &input in inputs {
        let range = program.input_ranges[input as usize];
        row.terms.insert(input, stride);
        row.constant -= stride * range.lo;
        stride *= range.count() as i64;
    }
    Some(ProgramLookup {
        row,
        range: Interval::new(0, stride - 1),
        values: values.to_vec(),
        grid: Grid::ALL,
        layer,
        level: 1,
    })
}
