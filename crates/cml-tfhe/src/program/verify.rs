//! What every program satisfies, before the first pass and after each one.
//!
//! - Inputs: a range for each element.
//! - Rows read wires that are defined before them, each once, with weights other than 0.
//! - A lookup has an entry for each value of its range, a layer that exists, and a level one above those of what it reads;
//!   lookups are in the order of their levels, and each is read.
//! - Ranges hold what rows reach ([`values`]).
//! - After `merge`: no two lookups are equal up to sign and offset ([`merged`]), since the noise model takes
//!   those of different rotations to be independent.
//!
//! A pass changes nothing that a client sees: number and ranges of inputs, number of results ([`interface`]).

use super::merge::{Shape, direction};
use super::reach::Reach;
use super::{Affine, Grid, Program, ProgramLookup, Terms};
use cml_ir::{Interval, NodeId};
use std::collections::BTreeMap;

/// Checks that rows read what is defined before them, on which everything else rests: the removal of lookups, too.
pub(crate) fn order(program: &Program) -> Result<(), String> {
    let inputs = program.input_count();
    for (number, lookup) in program.lookups.iter().enumerate() {
        check_row(&lookup.row, lookup.range, inputs + number)
            .map_err(|why| format!("lookup {number} {why}"))?;
    }
    let defined = inputs + program.lookups.len();
    for (number, (row, range)) in program.outputs.iter().flat_map(|o| &o.rows).enumerate() {
        check_row(row, *range, defined).map_err(|why| format!("output {number} {why}"))?;
    }
    Ok(())
}

/// Checks structure: everything but what rows reach.
pub(crate) fn structure(program: &Program) -> Result<(), String> {
    order(program)?;
    let inputs = program.input_count();
    if program.input_ranges.len() != inputs {
        let ranges = program.input_ranges.len();
        return Err(format!("{inputs} inputs have {ranges} ranges"));
    }
    let mut levels = vec![0; inputs];
    let mut read = vec![false; inputs + program.lookups.len()];
    let mut last = 0;
    for (number, lookup) in program.lookups.iter().enumerate() {
        check_lookup(program, lookup, &levels).map_err(|why| format!("lookup {number} {why}"))?;
        if lookup.level < last {
            let level = lookup.level;
            return Err(format!(
                "lookup {number} of level {level} comes after one of level {last}"
            ));
        }
        last = lookup.level;
        levels.push(lookup.level);
        mark(&lookup.row, &mut read);
    }
    let outputs = program.outputs.iter().flat_map(|o| &o.rows);
    outputs.for_each(|(row, _)| mark(row, &mut read));
    match read[inputs..].iter().position(|read| !read) {
        Some(number) => Err(format!("lookup {number} is read by nothing")),
        None => Ok(()),
    }
}

fn mark(row: &Affine, read: &mut [bool]) {
    row.terms.keys().for_each(|&wire| read[wire as usize] = true);
}

fn check_lookup(program: &Program, lookup: &ProgramLookup, levels: &[usize]) -> Result<(), String> {
    let unit = lookup.grid.unit;
    if unit < 1 {
        return Err(format!("tells values {unit} apart"));
    }
    let (entries, values) = (
        lookup.values.len() as u64,
        (lookup.range.hi - lookup.range.lo) as u64 / unit as u64 + 1,
    );
    if entries != values {
        return Err(format!("has {entries} entries for {values} values"));
    }
    let (layer, layers) = (lookup.layer, program.layers.len());
    if layer as usize >= layers {
        return Err(format!("is of layer {layer}, there are {layers}"));
    }
    let (has, needs) = (lookup.level, lookup.row.level(levels));
    if has != needs {
        return Err(format!("has level {has}, what it reads makes it {needs}"));
    }
    Ok(())
}

fn check_row(row: &Affine, range: Interval, defined: usize) -> Result<(), String> {
    if let Some(wire) = row.terms.keys().find(|&&wire| wire as usize >= defined) {
        return Err(format!("reads wire {wire}, {defined} are defined before it"));
    }
    if let Some((wire, _)) = row.terms.iter().find(|t| *t.1 == 0) {
        return Err(format!("reads wire {wire} with weight 0"));
    }
    if range.lo > range.hi {
        return Err(format!("has the empty range {range}"));
    }
    Ok(())
}

/// Checks that ranges hold what rows reach, by the analysis of [`super::reach`], in a structure that was checked.
pub(crate) fn values(program: &Program) -> Result<(), String> {
    let mut reach = Reach::new(program.input_ranges.iter().copied());
    let holds = |reached: Interval, range: Interval| {
        if range.lo <= reached.lo && reached.hi <= range.hi {
            return Ok(());
        }
        Err(format!("reaches {reached}, its range is {range}"))
    };
    for (number, lookup) in program.lookups.iter().enumerate() {
        // Where sums are too large for the analysis, the circuit is refused later.
        let Some(found) = lookup.row.reached(&mut reach) else {
            return Ok(());
        };
        let (shown, range) = match lookup.window() {
            Some(window) => {
                let residues = Interval::new(0, lookup.values.len() as i64 - 1);
                (reach.through(&found, window), residues)
            }
            None => {
                let multiples = reach.are_multiples(&found, lookup.grid.unit);
                (multiples.then_some(found.range), lookup.range)
            }
        };
        let Some(shown) = shown else {
            let unit = lookup.grid.unit;
            return Err(format!("lookup {number} reads what may be no multiple of {unit}"));
        };
        holds(shown, range).map_err(|why| format!("lookup {number} {why}"))?;
        lookup.defined(&mut reach, &found);
    }
    for (number, (row, range)) in program.outputs.iter().flat_map(|o| &o.rows).enumerate() {
        if let Some(found) = row.reached(&mut reach) {
            holds(found.range, *range).map_err(|why| format!("output {number} {why}"))?;
        }
    }
    Ok(())
}

/// Checks that no two lookups are equal up to sign and offset.
pub(crate) fn merged(program: &Program) -> Result<(), String> {
    let mut known: BTreeMap<(Terms, i64, Grid, Vec<i64>), usize> = BTreeMap::new();
    for (number, lookup) in program.lookups.iter().enumerate() {
        let (terms, turned) = direction(&lookup.row);
        let constant = lookup.row.constant;
        let mut values = lookup.values.clone();
        // Where the sum of the terms begins, in the direction that all have.
        let lowest = if turned {
            values.reverse();
            constant - lookup.range.hi
        } else {
            lookup.range.lo - constant
        };
        let key = (terms, lowest, lookup.grid, Shape::of(&values).steps);
        if let Some(first) = known.insert(key, number) {
            return Err(format!(
                "lookups {first} and {number} are equal up to sign and offset"
            ));
        }
    }
    Ok(())
}

/// Nothing beyond what every program satisfies.
pub(crate) fn nothing_more(_: &Program) -> Result<(), String> {
    Ok(())
}

/// Inputs with their numbers of elements, the ranges of those, and outputs with their numbers of elements.
pub(crate) type ProgramInterface = (Vec<(NodeId, usize)>, Vec<Interval>, Vec<(NodeId, usize)>);

/// What a client sees of a program.
pub(crate) fn interface(program: &Program) -> ProgramInterface {
    let outputs = program.outputs.iter().map(|o| (o.node, o.rows.len()));
    (
        program.inputs.clone(),
        program.input_ranges.clone(),
        outputs.collect(),
    )
}
