//! Encodings: where on the torus the values of a program lie.

use crate::circuit::{Body, CircuitInput, CircuitOutput, Encoding, Level, Lookup, Row};
use crate::program::{Affine, Program};
use cml_ir::{Graph, Interval};
use std::collections::BTreeMap;

/// Gives every wire an encoding, every row its offset and every lookup its
/// table.
pub(crate) fn encode(program: Program, graph: &Graph) -> Body {
    let wires = program.input_count() + program.lookups.len();
    let lookup_rows = program.lookups.iter().map(|l| (&l.row, l.range));
    let output_rows = program
        .outputs
        .iter()
        .flat_map(|o| o.rows.iter().map(|(r, i)| (r, *i)));
    let plan = Encodings::of(wires, lookup_rows.chain(output_rows));
    let centred = |row: &Affine, range: Interval| {
        let encoding = plan.of_row(row);
        let spare = plan.list[encoding as usize].values - range.count();
        let terms = row.terms.iter().map(|(&w, &v)| (w, v)).collect();
        let below = (spare / 2) as i64;
        (
            Row {
                terms,
                constant: row.constant - range.lo + below,
                encoding,
            },
            below,
        )
    };
    let mut tables: Vec<Vec<i64>> = Vec::new();
    let mut known: BTreeMap<Vec<i64>, u32> = BTreeMap::new();
    let mut levels: Vec<Level> = Vec::new();
    let inputs = program.input_count();
    for (i, lookup) in program.lookups.iter().enumerate() {
        let (row, below) = centred(&lookup.row, lookup.range);
        let size = plan.list[row.encoding as usize].values as usize;
        // Beyond the row's own range the end values go on.
        let entry = |v: usize| lookup.values[v.saturating_sub(below as usize).min(lookup.values.len() - 1)];
        let table: Vec<i64> = (0..size).map(entry).collect();
        let number = *known.entry(table).or_insert_with_key(|t| {
            tables.push(t.clone());
            tables.len() as u32 - 1
        });
        if levels.len() < lookup.level {
            levels.resize(lookup.level, Level { lookups: Vec::new() });
        }
        let encoding = plan.of_wire[inputs + i];
        levels[lookup.level - 1].lookups.push(Lookup {
            row,
            table: number,
            encoding,
            layer: lookup.layer,
        });
    }
    levels.retain(|l| !l.lookups.is_empty());
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
    for (output, (_, node, spec)) in program.outputs.iter().zip(graph.outputs()) {
        debug_assert_eq!(graph.node(output.node).name, node.name);
        let centred: Vec<(Row, i64)> = output
            .rows
            .iter()
            .map(|(row, range)| {
                let (row, below) = centred(row, *range);
                (row, range.lo - below)
            })
            .collect();
        let (rows, shifts) = centred.into_iter().unzip();
        let (name, shape) = (node.name.clone(), node.ty.shape.clone());
        outputs.push(CircuitOutput {
            name,
            shape,
            spec: spec.clone(),
            rows,
            shifts,
        });
    }
    Body {
        encodings: plan.list,
        layers: program.layers,
        inputs: circuit_inputs,
        tables,
        levels,
        outputs,
    }
}

/// Which wires share an encoding: those that occur in one row, transitively.
struct Encodings {
    list: Vec<Encoding>,
    of_wire: Vec<u32>,
    /// For rows that read nothing.
    constant: u32,
}

impl Encodings {
    fn of<'a>(wires: usize, rows: impl Iterator<Item = (&'a Affine, Interval)>) -> Self {
        let mut parent: Vec<usize> = (0..wires).collect();
        let mut widest: Vec<u64> = vec![1; wires];
        let mut constant = 1;
        for (row, range) in rows {
            let Some(&first) = row.terms.keys().next() else {
                constant = constant.max(range.count());
                continue;
            };
            let head = find(&mut parent, first as usize);
            widest[head] = widest[head].max(range.count());
            for &wire in row.terms.keys().skip(1) {
                let (a, b) = (
                    find(&mut parent, first as usize),
                    find(&mut parent, wire as usize),
                );
                let (low, high) = (a.min(b), a.max(b));
                parent[high] = low;
                widest[low] = widest[low].max(widest[high]);
            }
        }
        let mut list: Vec<Encoding> = Vec::new();
        let mut number: BTreeMap<usize, u32> = BTreeMap::new();
        let mut of_wire = Vec::with_capacity(wires);
        for wire in 0..wires {
            let head = find(&mut parent, wire);
            of_wire.push(*number.entry(head).or_insert_with(|| {
                list.push(Encoding { values: widest[head] });
                list.len() as u32 - 1
            }));
        }
        list.push(Encoding { values: constant });
        let constant = list.len() as u32 - 1;
        Self {
            list,
            of_wire,
            constant,
        }
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
