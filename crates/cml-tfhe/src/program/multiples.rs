//! Large weights in parts: a wire is looked up at several multiples of its value.
//!
//! The noise of a row grows with the squares of its weights, and digits of wide rows leave little room for it. A lookup may put
//! out `2^h` times its value as well, with no more noise, by a rotation of its own. Then a weight `w = a + 2^h b` becomes `a` and
//! `b`, of which the squares are far smaller than that of `w`. Both have the sign of `w`, so that intervals stay what they are.

use super::{Affine, Program, ProgramLookup};
use std::collections::BTreeMap;

/// Weights up to this one stay as they are.
const SMALL: u64 = 3;

/// The program with weights of lookups in up to so many parts.
pub(super) fn with_multiples(program: &Program, parts: u32) -> Program {
    let inputs = program.input_count();
    let mut largest = vec![0_u64; inputs + program.lookups.len()];
    let mut note = |row: &Affine| {
        for (&wire, w) in &row.terms {
            let most = &mut largest[wire as usize];
            *most = w.unsigned_abs().max(*most);
        }
    };
    program.lookups.iter().for_each(|lookup| note(&lookup.row));
    program
        .outputs
        .iter()
        .flat_map(|o| &o.rows)
        .for_each(|(row, _)| note(row));
    let mut wires: Vec<Multiples> = (0..inputs as u32).map(Multiples::only).collect();
    let mut lookups: Vec<ProgramLookup> = Vec::with_capacity(program.lookups.len());
    for (lookup, &largest) in program.lookups.iter().zip(&largest[inputs..]) {
        let mut lookup = lookup.clone();
        rewrite(&mut lookup.row, &wires);
        let first = (inputs + lookups.len()) as u32;
        let bits = (u64::BITS - largest.leading_zeros()).div_ceil(parts);
        let count = if largest > SMALL {
            (u64::BITS - largest.leading_zeros()).div_ceil(bits)
        } else {
            1
        };
        for part in 0..count {
            let mut multiple = lookup.clone();
            multiple.values.iter_mut().for_each(|v| *v <<= part * bits);
            lookups.push(multiple);
        }
        wires.push(Multiples { first, bits, count });
    }
    let mut program = program.clone();
    program.lookups = lookups;
    for (row, _) in program.outputs.iter_mut().flat_map(|o| &mut o.rows) {
        rewrite(row, &wires);
    }
    program.without_unread()
}

/// Wires that hold a value, `2^bits` times the value, and so on.
#[derive(Clone, Copy)]
struct Multiples {
    first: u32,
    bits: u32,
    count: u32,
}

impl Multiples {
    fn only(wire: u32) -> Self {
        Self {
            first: wire,
            bits: 0,
            count: 1,
        }
    }
}

fn rewrite(row: &mut Affine, wires: &[Multiples]) {
    let terms: BTreeMap<u32, i64> = std::mem::take(&mut row.terms);
    for (wire, w) in terms {
        let Multiples { first, bits, count } = wires[wire as usize];
        let mut left = w.unsigned_abs() as i64;
        for part in 0..count {
            let (here, above) = if part + 1 < count {
                (left & ((1 << bits) - 1), left >> bits)
            } else {
                (left, 0)
            };
            left = above;
            if here != 0 {
                row.terms.insert(first + part, w.signum() * here);
            }
        }
    }
}
