//! The graph as rows and lookups: every value becomes a wire or a combination of wires.
//!
//! Passes on it remove work before encodings and parameters are chosen.

mod digits;
mod fuse;
mod merge;
mod multiples;
mod passes;
mod reach;
mod residue;
#[cfg(test)]
mod tests;
mod verify;

pub use passes::PassReport;
pub(crate) use passes::{Settings, optimize};
#[allow(unused_imports, reason = "for the validation of circuits")]
pub(crate) use reach::{Reach, Reached};
pub(crate) use residue::{MAX_RESIDUES, Window};

use crate::lower::LowerError;
use cml_bitwidth::Widths;
use cml_ir::{Graph, Interval, NodeId, OpKind, Source, channel_len, for_each_term};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Most terms of all rows together.
const MAX_TERMS: usize = 1 << 26;

/// Wires, ascending, with their weights.
pub(crate) type Terms = Vec<(u32, i64)>;

/// `constant + sum weight * wire`, wires ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Affine {
    pub(crate) terms: BTreeMap<u32, i64>,
    pub(crate) constant: i64,
}

/// `factor * wire + offset`.
#[derive(Clone, Copy, Debug)]
struct Multiple {
    wire: u32,
    factor: i64,
    offset: i64,
}

impl Multiple {
    fn itself(wire: u32) -> Self {
        Self {
            wire,
            factor: 1,
            offset: 0,
        }
    }
}

/// Which values of a row a lookup tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Grid {
    /// The row is a multiple of it.
    pub(crate) unit: i64,
    /// Units after which the row wraps, if it does: a power of two.
    pub(crate) count: Option<i64>,
}

impl Grid {
    /// All integers, none of them wrapped.
    pub(crate) const ALL: Self = Self { unit: 1, count: None };
}

#[derive(Clone, Debug)]
pub(crate) struct ProgramLookup {
    pub(crate) row: Affine,
    /// What the row takes; of a row that wraps, its residues.
    pub(crate) range: Interval,
    /// Result for each multiple of the unit in `range`, from its lower end.
    pub(crate) values: Vec<i64>,
    pub(crate) grid: Grid,
    pub(crate) layer: u32,
    /// One more than that of every lookup that the row reads.
    pub(crate) level: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct ProgramOutput {
    pub(crate) node: NodeId,
    pub(crate) rows: Vec<(Affine, Interval)>,
}

/// The graph as rows and lookups, before encodings.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Input node and number of elements.
    pub(crate) inputs: Vec<(NodeId, usize)>,
    /// What a client may send, element by element.
    pub(crate) input_ranges: Vec<Interval>,
    pub(crate) layers: Vec<String>,
    pub(crate) lookups: Vec<ProgramLookup>,
    pub(crate) outputs: Vec<ProgramOutput>,
}

impl Program {
    pub(crate) fn input_count(&self) -> usize {
        self.inputs.iter().map(|i| i.1).sum()
    }

    pub(crate) fn of(graph: &Graph, widths: &Widths) -> Result<Self, LowerError> {
        let inputs: Vec<(NodeId, usize)> = graph
            .inputs()
            .map(|(id, n, _)| (id, n.ty.shape.iter().product()))
            .collect();
        let mut program = Self {
            inputs,
            input_ranges: Vec::new(),
            layers: Vec::new(),
            lookups: Vec::new(),
            outputs: Vec::new(),
        };
        let mut ranges: Vec<Interval> = Vec::new();
        for (id, count) in &program.inputs {
            ranges.extend_from_slice(&widths.elements(*id)[..*count]);
        }
        program.input_ranges.clone_from(&ranges);
        let mut levels = vec![0usize; ranges.len()];
        let mut next_input = 0u32;
        let mut terms = 0usize;
        let mut values: Vec<Vec<Affine>> = Vec::with_capacity(graph.len());
        for (id, node) in graph.nodes() {
            let operands: Vec<NodeId> = graph.operands(id).collect();
            let elements: usize = node.ty.shape.iter().product();
            let result = match node.op.kind() {
                OpKind::Input(_) => {
                    let first = next_input;
                    next_input += elements as u32;
                    (first..next_input)
                        .map(|w| Affine {
                            terms: BTreeMap::from([(w, 1)]),
                            constant: 0,
                        })
                        .collect()
                }
                OpKind::Lookup(lut) => {
                    let width = channel_len(&node.ty.shape);
                    let layer = program.layers.len() as u32;
                    program.layers.push(node.name.clone());
                    let mut results = Vec::with_capacity(elements);
                    for (e, row) in values[operands[0].index()].iter().enumerate() {
                        let steps = lut.channel(e / width);
                        let range = row_range(row, &ranges);
                        if let Some(constant) = steps.constant_on(range) {
                            results.push(Affine {
                                terms: BTreeMap::new(),
                                constant,
                            });
                            continue;
                        }
                        let wire = ranges.len() as u32;
                        let level = row.level(&levels);
                        let table: Vec<i64> = (range.lo..=range.hi).map(|v| steps.eval(v)).collect();
                        program.lookups.push(ProgramLookup {
                            row: row.clone(),
                            range,
                            values: table,
                            grid: Grid::ALL,
                            layer,
                            level,
                        });
                        ranges.push(steps.image(range));
                        levels.push(level);
                        results.push(Affine {
                            terms: BTreeMap::from([(wire, 1)]),
                            constant: 0,
                        });
                    }
                    results
                }
                OpKind::Linear | OpKind::Output(_) => {
                    let mut results = vec![Affine::default(); elements];
                    let shapes: Vec<&[usize]> = operands
                        .iter()
                        .map(|o| graph.node(*o).ty.shape.as_slice())
                        .collect();
                    for_each_term(
                        &node.op,
                        &shapes,
                        &node.ty.shape,
                        |out, weight, source| match source {
                            Source::Constant(v) => results[out].constant += weight * v,
                            Source::Element { operand, index } => {
                                let from = &values[operands[operand].index()][index];
                                results[out].constant += weight * from.constant;
                                for (&wire, &w) in &from.terms {
                                    *results[out].terms.entry(wire).or_default() += weight * w;
                                }
                            }
                        },
                    );
                    results.iter_mut().for_each(|r| r.terms.retain(|_, w| *w != 0));
                    results
                }
            };
            terms += result.iter().map(|r: &Affine| r.terms.len()).sum::<usize>();
            if terms > MAX_TERMS {
                return Err(LowerError::TooLarge {
                    layer: node.name.clone(),
                    limit: MAX_TERMS,
                });
            }
            match node.op.kind() {
                OpKind::Input(_) | OpKind::Linear | OpKind::Lookup(_) => {}
                OpKind::Output(_) => {
                    let rows = result
                        .iter()
                        .map(|r| (r.clone(), row_range(r, &ranges)))
                        .collect();
                    program.outputs.push(ProgramOutput { node: id, rows });
                }
            }
            values.push(result);
        }
        Ok(program)
    }

    /// Drops lookups that no output depends on, and orders the rest by level,
    /// which is found again: passes change what a row reads.
    pub(crate) fn without_unread(mut self) -> Self {
        let inputs = self.input_count();
        let mut levels = vec![0usize; inputs];
        for lookup in &mut self.lookups {
            lookup.level = lookup.row.level(&levels);
            levels.push(lookup.level);
        }
        let mut read = vec![false; inputs + self.lookups.len()];
        let mark = |row: &Affine, read: &mut [bool]| row.terms.keys().for_each(|&w| read[w as usize] = true);
        self.outputs
            .iter()
            .flat_map(|o| &o.rows)
            .for_each(|(r, _)| mark(r, &mut read));
        for (i, lookup) in self.lookups.iter().enumerate().rev() {
            if read[inputs + i] {
                mark(&lookup.row, &mut read);
            }
        }
        let mut order: Vec<usize> = (0..self.lookups.len()).filter(|i| read[inputs + i]).collect();
        order.sort_by_key(|&i| (self.lookups[i].level, i));
        let mut renamed: Vec<Multiple> = (0..read.len() as u32).map(Multiple::itself).collect();
        for (new, &old) in order.iter().enumerate() {
            renamed[inputs + old] = Multiple::itself((inputs + new) as u32);
        }
        let mut old: Vec<Option<ProgramLookup>> = self.lookups.into_iter().map(Some).collect();
        self.lookups = order.iter().filter_map(|&i| old[i].take()).collect();
        self.lookups.iter_mut().for_each(|l| l.row.substitute(&renamed));
        self.outputs
            .iter_mut()
            .flat_map(|o| &mut o.rows)
            .for_each(|(r, _)| r.substitute(&renamed));
        self
    }
}

impl ProgramLookup {
    /// Through which the row is read, if it wraps.
    pub(crate) fn window(&self) -> Option<Window> {
        let Grid { unit, count } = self.grid;
        count.map(|count| Window { unit, count })
    }

    /// Result for a value of the row.
    pub(crate) fn read(&self, value: i64) -> i64 {
        let at = match self.window() {
            Some(window) => window.residue(value),
            None => (value - self.range.lo) / self.grid.unit,
        };
        self.values[at as usize]
    }
}

impl Affine {
    /// Puts what each wire is a multiple of in its place; weights of wires that become one are added.
    fn substitute(&mut self, wires: &[Multiple]) {
        for (wire, w) in std::mem::take(&mut self.terms) {
            let Multiple { wire, factor, offset } = wires[wire as usize];
            *self.terms.entry(wire).or_default() += w * factor;
            self.constant += w * offset;
        }
        self.terms.retain(|_, w| *w != 0);
    }

    /// Level of a lookup on this row, of the levels of wires.
    fn level(&self, wires: &[usize]) -> usize {
        let levels = self.terms.keys().map(|&w| wires[w as usize] + 1);
        levels.max().unwrap_or(1)
    }
}

/// One line for each level and one for the outputs.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let levels = self.lookups.iter().map(|l| l.level).max().unwrap_or(0);
        for level in 1..=levels {
            let lookups = || self.lookups.iter().filter(|l| l.level == level);
            let rows: BTreeSet<_> = lookups().map(|l| (&l.row.terms, l.row.constant)).collect();
            writeln!(
                f,
                "level {level}: {} lookups on {} rows of at most {} values",
                lookups().count(),
                rows.len(),
                lookups().map(|l| l.range.count()).max().unwrap_or(0),
            )?;
        }
        let outputs = || self.outputs.iter().flat_map(|o| &o.rows);
        let widest = outputs().map(|(_, range)| range.count()).max().unwrap_or(0);
        writeln!(
            f,
            "outputs: {} rows of at most {widest} values",
            outputs().count()
        )
    }
}

pub(crate) fn row_range(row: &Affine, wires: &[Interval]) -> Interval {
    let start = Interval::point(row.constant);
    row.terms.iter().fold(start, |sum, (&wire, &w)| {
        let range = wires[wire as usize];
        let scaled = Interval::new(w * range.lo, w * range.hi);
        Interval {
            lo: sum.lo + scaled.lo,
            hi: sum.hi + scaled.hi,
        }
    })
}
