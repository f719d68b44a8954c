//! Encodings: where on the torus the values of a program lie.

use crate::circuit::{Body, CircuitOutput, Level, Lookup, Rotation, Row};
use crate::program::{Affine, Grid, Program, ProgramLookup, Terms};
use crate::table;
use cml_ir::{Graph, Interval};
use cml_scheme::{CircuitInput, Encoding, LweKey};
use std::collections::BTreeMap;

/// Which lookups of one accumulator become one rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// Those whose results have one encoding.
    OfOneEncoding,
    /// None.
    Nothing,
    /// All of them: their results get one encoding.
    Everything,
}

/// What is tried when a program is encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Which lookups of one accumulator, up to sign and offset, become one rotation.
    pub(crate) share: Share,
    /// Steps from one value to the next of the widest row of an encoding.
    ///
    /// A row that needs only a part of the half period is scaled up by an integer: with more steps for the widest one
    /// the others find a factor nearer to what they could have, and the noise of the wires counts for more.
    pub(crate) stretch: u64,
}

/// Gives every wire an encoding, every row its constant and its scale, and every lookup its table.
/// Results may be off by the slack of their output.
pub(crate) fn encode(program: &Program, graph: &Graph, layout: Layout, slack: &[u64]) -> Body {
    let inputs = program.input_count();
    let wires = inputs + program.lookups.len();
    let lookup_rows = program.lookups.iter().map(|l| Need {
        row: &l.row,
        half_period: l.grid.unit as u64 * half_period(l),
        apart: layout.stretch,
        wraps: l.grid != Grid::ALL,
    });
    let output_rows = program.outputs.iter().zip(slack).flat_map(|(o, slack)| {
        o.rows.iter().map(move |(row, range)| Need {
            row,
            half_period: (range.count() + 2 * slack).div_ceil(2),
            apart: 1,
            wraps: false,
        })
    });
    let together = match layout.share {
        Share::OfOneEncoding | Share::Nothing => Vec::new(),
        Share::Everything => results_of_one_accumulator(program),
    };
    let together = together.iter().map(|row| Need {
        row,
        half_period: 1,
        apart: 1,
        wraps: false,
    });
    let mut plan = Encodings::of(wires, lookup_rows.chain(output_rows).chain(together));
    let groups = groups(program, &plan, layout.share != Share::Nothing);
    let mut renamed: Vec<u32> = (0..wires as u32).collect();
    for (new, &old) in groups.iter().flat_map(|g| &g.members).enumerate() {
        renamed[inputs + old] = (inputs + new) as u32;
    }
    let row = |terms: &mut dyn Iterator<Item = (u32, i64)>, constant, encoding| {
        let mut terms: Vec<(u32, i64)> = terms.map(|(w, v)| (renamed[w as usize], v)).collect();
        terms.sort_unstable();
        Row {
            terms,
            constant,
            encoding,
        }
    };
    let mut tables: Vec<Vec<i64>> = Vec::new();
    let mut known: BTreeMap<Vec<i64>, u32> = BTreeMap::new();
    let mut levels: Vec<Level> = Vec::new();
    for group in &groups {
        let lookup = |&member: &usize| {
            let lookup = &program.lookups[member];
            let mut table = lookup.values.clone();
            if is_mirrored(&lookup.row) {
                table.reverse();
            }
            let table = *known.entry(table).or_insert_with_key(|t| {
                tables.push(t.clone());
                tables.len() as u32 - 1
            });
            Lookup {
                table,
                encoding: plan.of_wire[inputs + member],
                layer: lookup.layer,
            }
        };
        let lookups = group.members.iter().map(lookup).collect();
        let first = &program.lookups[group.members[0]];
        let sign = if is_mirrored(&first.row) { -1 } else { 1 };
        let unit = first.grid.unit;
        let (encoding, lowest) = (plan.coarse(&first.row, unit), group.accumulator.lo / unit);
        let periods = group.members.iter().map(|&m| half_period(&program.lookups[m]));
        let period = periods.max().unwrap_or(1);
        if levels.len() < first.level {
            let empty = Level {
                set: 0,
                rotations: Vec::new(),
            };
            levels.resize(first.level, empty);
        }
        levels[first.level - 1].rotations.push(Rotation {
            row: row(
                &mut first.row.terms.iter().map(|(&w, &v)| (w, sign * v)),
                -lowest,
                encoding,
            ),
            scale: plan.list[encoding as usize].half_period / period,
            lookups,
            slack: 0,
            extension: 1,
        });
    }
    levels.retain(|l| !l.rotations.is_empty());
    let mut first = 0;
    let mut circuit_inputs = Vec::new();
    for (node, (_, count)) in graph.inputs().zip(&program.inputs) {
        circuit_inputs.push(CircuitInput {
            name: node.1.name.clone(),
            shape: node.1.ty.shape.clone(),
            spec: node.2.clone(),
            encodings: plan.of_wire[first..first + count].to_vec(),
        });
        first += count;
    }
    let mut outputs = Vec::new();
    for ((output, &slack), (_, node, spec)) in program.outputs.iter().zip(slack).zip(graph.outputs()) {
        debug_assert_eq!(graph.node(output.node).name, node.name);
        let decode = |(affine, range): &(Affine, Interval)| {
            let mut terms = affine.terms.iter().map(|(&w, &v)| (w, v));
            let row = row(&mut terms, affine.constant - range.lo, plan.of_row(affine));
            (row, range.lo)
        };
        let (rows, shifts) = output.rows.iter().map(decode).unzip();
        let (name, shape) = (node.name.clone(), node.ty.shape.clone());
        outputs.push(CircuitOutput {
            name,
            shape,
            spec: spec.clone(),
            rows,
            slack,
            shifts,
        });
    }
    Body {
        input_key: LweKey::Big,
        output_word_bytes: 8,
        encodings: plan.list,
        layers: program.layers.clone(),
        inputs: circuit_inputs,
        tables,
        levels,
        outputs,
    }
}

/// What a lookup needs, in units of its row: all of the torus for a row that wraps.
fn half_period(lookup: &ProgramLookup) -> u64 {
    let whole = lookup.grid.count.map(|count| count as u64 / 2);
    whole.unwrap_or_else(|| table::half_period(&lookup.values))
}

/// Lookups that become one rotation.
struct Group {
    members: Vec<usize>,
    /// Range of the accumulator: the row without its constant, mirrored if need be.
    accumulator: Interval,
}

/// Whether the row is read with its signs turned: the first weight is made positive.
fn is_mirrored(row: &Affine) -> bool {
    row.terms.values().next().is_some_and(|&w| w < 0)
}

/// The results of all lookups of each accumulator that has several.
fn results_of_one_accumulator(program: &Program) -> Vec<Affine> {
    let mut known: BTreeMap<Vec<(u32, i64)>, Affine> = BTreeMap::new();
    for (lookup, wire) in program.lookups.iter().zip(program.input_count() as u32..) {
        let sign = if is_mirrored(&lookup.row) { -1 } else { 1 };
        let terms = lookup.row.terms.iter().map(|(&w, &v)| (w, sign * v));
        known.entry(terms.collect()).or_default().terms.insert(wire, 1);
    }
    let several = known.into_values().filter(|results| results.terms.len() > 1);
    several.collect()
}

/// Lookups by level, and by accumulator if they may share a rotation.
fn groups(program: &Program, plan: &Encodings, share: bool) -> Vec<Group> {
    let inputs = program.input_count();
    let mut groups: Vec<Group> = Vec::new();
    let mut known: BTreeMap<(Terms, Grid, u32), usize> = BTreeMap::new();
    let mut order: Vec<usize> = (0..program.lookups.len()).collect();
    order.sort_by_key(|&i| program.lookups[i].level);
    for i in order {
        let lookup = &program.lookups[i];
        let Interval { lo, hi } = lookup.range;
        let (lo, hi) = (lo - lookup.row.constant, hi - lookup.row.constant);
        let (sign, accumulator) = if is_mirrored(&lookup.row) {
            (-1, Interval { lo: -hi, hi: -lo })
        } else {
            (1, Interval { lo, hi })
        };
        let number = if share {
            let terms = lookup.row.terms.iter().map(|(&w, &v)| (w, sign * v)).collect();
            *known
                .entry((terms, lookup.grid, plan.of_wire[inputs + i]))
                .or_insert(groups.len())
        } else {
            groups.len()
        };
        match groups.get_mut(number) {
            // The same sum has the same range.
            Some(group) if group.accumulator == accumulator => group.members.push(i),
            _ => groups.push(Group {
                members: vec![i],
                accumulator,
            }),
        }
    }
    groups
}

/// What a row asks of the encoding of its wires.
struct Need<'a> {
    row: &'a Affine,
    half_period: u64,
    /// Steps that its values should be apart.
    apart: u64,
    /// Whether it is read modulo the torus.
    wraps: bool,
}

/// Which wires share an encoding: those that occur in one row, transitively.
struct Encodings {
    list: Vec<Encoding>,
    of_wire: Vec<u32>,
    /// For rows that read nothing.
    constant: u32,
}

impl Encodings {
    fn of<'a>(wires: usize, rows: impl Iterator<Item = Need<'a>>) -> Self {
        let mut parent: Vec<usize> = (0..wires).collect();
        let mut widest: Vec<u64> = vec![1; wires];
        let mut stretch: Vec<u64> = vec![1; wires];
        let mut wraps: Vec<bool> = vec![false; wires];
        let mut constant = 1;
        for need in rows {
            let Need { row, .. } = need;
            let Some(&first) = row.terms.keys().next() else {
                constant = constant.max(need.half_period);
                continue;
            };
            let head = find(&mut parent, first as usize);
            widest[head] = widest[head].max(need.half_period);
            stretch[head] = stretch[head].max(need.apart);
            wraps[head] |= need.wraps;
            for &wire in row.terms.keys().skip(1) {
                let (a, b) = (
                    find(&mut parent, first as usize),
                    find(&mut parent, wire as usize),
                );
                let (low, high) = (a.min(b), a.max(b));
                parent[high] = low;
                widest[low] = widest[low].max(widest[high]);
                stretch[low] = stretch[low].max(stretch[high]);
                wraps[low] |= wraps[high];
            }
        }
        let mut list: Vec<Encoding> = Vec::new();
        let mut number: BTreeMap<usize, u32> = BTreeMap::new();
        let mut of_wire = Vec::with_capacity(wires);
        for wire in 0..wires {
            let head = find(&mut parent, wire);
            of_wire.push(*number.entry(head).or_insert_with(|| {
                let (mut widest, mut stretch) = (widest[head], stretch[head]);
                if wraps[head] {
                    // Powers of two, of which the torus is a whole number of steps.
                    (widest, stretch) = (widest.next_power_of_two(), stretch.next_power_of_two());
                }
                list.push(Encoding {
                    half_period: widest * stretch,
                });
                list.len() as u32 - 1
            }));
        }
        list.push(Encoding {
            half_period: constant,
        });
        let constant = list.len() as u32 - 1;
        Self {
            list,
            of_wire,
            constant,
        }
    }

    /// Of a row that is a multiple of `unit`, read in units.
    fn coarse(&mut self, row: &Affine, unit: i64) -> u32 {
        let fine = self.of_row(row);
        if unit == 1 {
            return fine;
        }
        let coarse = Encoding {
            half_period: self.list[fine as usize].half_period / unit as u64,
        };
        let known = self.list.iter().position(|&e| e == coarse);
        let number = known.unwrap_or_else(|| {
            self.list.push(coarse);
            self.list.len() - 1
        });
        number as u32
    }

    fn of_row(&self, row: &Affine) -> u32 {
        row.terms
            .keys()
            .next()
            .map_or(self.constant, |&w| self.of_wire[w as usize])
    }
}

fn find(parent: &mut [usize], mut i: usize) -> usize {
    while parent[i] != i {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    i
}
