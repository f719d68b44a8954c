//! The exit IR: a program of table lookups with every decision made.
//!
//! Wires are single encrypted integers. The first wires are the inputs,
//! element by element; each lookup defines the next one. Encodings, parameters
//! and order are fixed here; an executor decides nothing.

use crate::cost::{CostModel, LookupCost};
use crate::keys::LweKey;
use crate::noise::{self, Reader, Requirement, Source};
use crate::params::Parameters;
use crate::table::{self, Reading, Spacing};
use cml_ir::OutputSpec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use crate::interface::{CircuitInput, Encoding};

/// An integer combination of wires of one encoding: `constant + sum weight * wire`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Wires, ascending, with their non-zero weights.
    pub terms: Vec<(u32, i64)>,
    /// Clear constant; with it the row's least value is 0.
    pub constant: i64,
    /// Encoding of the wires.
    pub encoding: u32,
}

impl Row {
    /// Value for clear wires.
    pub fn eval(&self, wires: &[i64]) -> i64 {
        self.constant
            + self
                .terms
                .iter()
                .map(|&(wire, w)| w * wires[wire as usize])
                .sum::<i64>()
    }
}

/// One table lookup; defines a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// Number of the table.
    pub table: u32,
    /// Encoding of the result.
    pub encoding: u32,
    /// Number of the layer that it belongs to.
    pub layer: u32,
}

/// One blind rotation, and the lookups that are read off it.
///
/// A single lookup rotates its table. Several ones rotate a constant, of which
/// each reads its changes ([`table::table_changes`]); their results have one encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// What is looked up, times `scale`.
    pub row: Row,
    /// Steps of the encoding from one value of the row to the next.
    pub scale: u64,
    /// At least one, in the order in which they define wires.
    pub lookups: Vec<Lookup>,
    /// Values by which changes may move: 0 if exact. See [`Requirement::slack`].
    pub slack: u64,
    /// Polynomials that make up its table.
    pub extension: u32,
}

impl Rotation {
    /// Whether a constant is rotated, of which several tables are read.
    pub fn is_shared(&self) -> bool {
        self.lookups.len() > 1
    }

    /// How far apart its values lie, given the encodings of its circuit.
    pub(crate) fn spacing(&self, encodings: &[Encoding]) -> Spacing {
        Spacing {
            half_period: encodings[self.row.encoding as usize].half_period,
            scale: self.scale,
        }
    }
}

/// Rotations that do not depend on each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// In the order in which their lookups define wires.
    pub rotations: Vec<Rotation>,
}

/// An output tensor, decrypted by the client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CircuitOutput {
    /// Name.
    pub name: String,
    /// Shape of one sample.
    pub shape: Vec<usize>,
    /// How the client dequantizes.
    pub spec: OutputSpec,
    /// One row for each element. It takes at most `2P` values, from 0, its slack on both sides included.
    pub rows: Vec<Row>,
    /// Values by which a result may be off: 0 if exact.
    pub slack: u64,
    /// What the client adds to each decrypted row.
    pub shifts: Vec<i64>,
}

/// A program on encrypted integers, with parameters and proof data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Circuit {
    pub(crate) name: String,
    pub(crate) graph_hash: [u8; 32],
    pub(crate) parameters: Parameters,
    pub(crate) budget_log2: f64,
    pub(crate) body: Body,
}

/// The program itself, for which parameters are then chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Body {
    /// The key that all inputs are under. Rows of inputs under the small key read nothing else.
    pub(crate) input_key: LweKey,
    pub(crate) encodings: Vec<Encoding>,
    pub(crate) layers: Vec<String>,
    pub(crate) inputs: Vec<CircuitInput>,
    pub(crate) tables: Vec<Vec<i64>>,
    pub(crate) levels: Vec<Level>,
    pub(crate) outputs: Vec<CircuitOutput>,
}

/// What the rows of one kind ask of the parameters, and where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// What they ask.
    pub requirement: Requirement,
    /// Polynomials that make up the tables.
    pub extension: u32,
    /// Level and place in it of each rotation; empty for rows that the client reads.
    pub rotations: Vec<(usize, usize)>,
}

/// What an executor rotates and reads.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// Polynomials, equal ones once.
    pub(crate) polynomials: Vec<Vec<u64>>,
    /// For each rotation, in order, its polynomial and what is read off it.
    pub(crate) rotations: Vec<(usize, Vec<Reading>)>,
}

impl Circuit {
    /// Name of the network.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the graph that it was lowered from.
    pub fn graph_hash(&self) -> &[u8; 32] {
        &self.graph_hash
    }

    /// TFHE parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// log2 of the failure probability that each lookup stays below.
    pub fn budget_log2(&self) -> f64 {
        self.budget_log2
    }

    /// The key that inputs are encrypted under.
    pub fn input_key(&self) -> LweKey {
        self.body.input_key
    }

    /// Whether a row reads inputs under the small key, so that a rotation on it needs no keyswitch.
    pub fn reads_small(&self, row: &Row) -> bool {
        self.body.reads_small(row)
    }

    /// Encodings.
    pub fn encodings(&self) -> &[Encoding] {
        &self.body.encodings
    }

    /// Names of the layers that lookups belong to.
    pub fn layers(&self) -> &[String] {
        &self.body.layers
    }

    /// Inputs.
    pub fn inputs(&self) -> &[CircuitInput] {
        &self.body.inputs
    }

    /// Tables: entry `v` is the result for the row value `v`.
    pub fn tables(&self) -> &[Vec<i64>] {
        &self.body.tables
    }

    /// Levels, in order of execution.
    pub fn levels(&self) -> &[Level] {
        &self.body.levels
    }

    /// Outputs.
    pub fn outputs(&self) -> &[CircuitOutput] {
        &self.body.outputs
    }

    /// All blind rotations in order of execution.
    pub fn rotations(&self) -> impl Iterator<Item = &Rotation> {
        self.body.levels.iter().flat_map(|l| &l.rotations)
    }

    /// Number of blind rotations.
    pub fn rotation_count(&self) -> usize {
        self.body.levels.iter().map(|l| l.rotations.len()).sum()
    }

    /// Number of lookups: several may be read off one blind rotation.
    pub fn lookup_count(&self) -> usize {
        self.rotations().map(|r| r.lookups.len()).sum()
    }

    /// Number of encrypted input values of one sample.
    pub fn input_count(&self) -> usize {
        self.body.input_count()
    }

    /// Number of encrypted output values of one sample.
    pub fn output_count(&self) -> usize {
        self.body.outputs.iter().map(|o| o.rows.len()).sum()
    }

    /// Whether all results are exact, but for the failure probability.
    pub fn is_exact(&self) -> bool {
        self.rotations().all(|r| r.slack == 0) && self.outputs().iter().all(|o| o.slack == 0)
    }

    /// Step on the torus of a row or wire of this encoding.
    pub fn step(&self, encoding: u32) -> u64 {
        self.body.encodings[encoding as usize].step()
    }

    /// Value of a row of an output that was read as so many steps, the torus from -1/2 to 1/2.
    pub(crate) fn output_value(&self, output: &CircuitOutput, row: &Row, steps: i64) -> i64 {
        self.body.encodings[row.encoding as usize].output_value(steps, output.slack)
    }

    /// The polynomials of all rotations, and how tables are read off them.
    pub(crate) fn prepare(&self) -> Prepared {
        let mut polynomials = Vec::new();
        let mut known: BTreeMap<(Option<u32>, u32, Spacing, u64), usize> = BTreeMap::new();
        let mut rotations = Vec::with_capacity(self.rotation_count());
        for rotation in self.rotations() {
            let size = self.parameters.table_size(rotation.extension);
            let spacing = rotation.spacing(&self.body.encodings);
            let half_step = |lookup: &Lookup| self.body.encodings[lookup.encoding as usize].half_step();
            let table = |lookup: &Lookup| self.body.tables[lookup.table as usize].as_slice();
            let first = &rotation.lookups[0];
            let shared = rotation.is_shared();
            let readings = if shared {
                let reading = |l| table::table_changes(table(l), spacing, size, half_step(l));
                rotation.lookups.iter().map(reading).collect()
            } else {
                vec![table::table_reading(table(first), half_step(first))]
            };
            let key = ((!shared).then_some(first.table), first.encoding, spacing, size);
            let number = *known.entry(key).or_insert_with(|| {
                polynomials.push(if shared {
                    vec![half_step(first); size as usize]
                } else {
                    table::table_polynomial(table(first), spacing, size, half_step(first)).0
                });
                polynomials.len() - 1
            });
            rotations.push((number, readings));
        }
        Prepared {
            polynomials,
            rotations,
        }
    }

    /// What the rows ask of the parameters, by kind: rotations of one level, one
    /// encoding, scale, source and slack, then outputs.
    pub fn demands(&self) -> Vec<Demand> {
        self.body.demands()
    }

    /// log2 of the probability that one reading of such a row goes wrong.
    pub fn log2_p_fail(&self, demand: &Demand) -> f64 {
        noise::log2_p_fail(&self.parameters, demand.extension, &demand.requirement)
    }

    /// Predicted work of one inference, in nanoseconds of one thread.
    pub fn predicted_ns(&self, cost: &CostModel) -> f64 {
        let work = |d: &Demand| {
            let one: LookupCost = cost.rotation(&self.parameters, d.extension, &d.requirement);
            d.rotations.len() as f64 * one.total_ns()
        };
        self.demands().iter().map(work).sum()
    }

    /// log2 of the failure probability of the worst lookup.
    pub fn worst_log2_p_fail(&self) -> f64 {
        let each = self.demands().into_iter().map(|d| self.log2_p_fail(&d));
        each.fold(f64::NEG_INFINITY, f64::max)
    }

    /// Upper bound on log2 of the probability that one inference goes wrong:
    /// the union bound over every rotation and every output.
    pub fn inference_log2_p_fail(&self) -> f64 {
        let sum: f64 = self
            .demands()
            .iter()
            .map(|d| {
                let rows = if d.requirement.reader == Reader::Client {
                    self.output_count()
                } else {
                    d.rotations.len()
                };
                rows as f64 * self.log2_p_fail(d).exp2()
            })
            .sum();
        sum.log2().min(0.0)
    }
}

/// Where the noise of a wire comes from.
#[derive(Clone, Copy)]
enum Origin<'a> {
    /// Encrypted by the client.
    Fresh,
    /// The rotation of its own table.
    Own,
    /// The rotation of that number and spacing, of which it reads the changes of a table.
    Shared(usize, Spacing, &'a [i64]),
}

impl Body {
    fn reads_small(&self, row: &Row) -> bool {
        let first = row.terms.first().map(|t| t.0 as usize);
        self.input_key == LweKey::Small && first.is_some_and(|wire| wire < self.input_count())
    }

    pub(crate) fn input_count(&self) -> usize {
        self.inputs.iter().map(|i| i.encodings.len()).sum()
    }

    /// Whether inputs may be under the small key: whoever reads one reads nothing else, and looks it up.
    pub(crate) fn inputs_may_be_small(&self) -> bool {
        let inputs = self.input_count();
        let reads = |row: &Row| row.terms.first().is_some_and(|t| (t.0 as usize) < inputs);
        let only = |row: &Row| row.terms.last().is_none_or(|t| (t.0 as usize) < inputs);
        let mut rotations = self.levels.iter().flat_map(|l| &l.rotations);
        let mut outputs = self.outputs.iter().flat_map(|o| &o.rows);
        rotations.all(|r| !reads(&r.row) || only(&r.row)) && !outputs.any(reads)
    }

    fn origins(&self) -> Vec<Origin<'_>> {
        let inputs = self.inputs.iter().flat_map(|i| &i.encodings);
        let mut origins: Vec<Origin<'_>> = inputs.map(|_| Origin::Fresh).collect();
        for (number, rotation) in self.levels.iter().flat_map(|l| &l.rotations).enumerate() {
            for lookup in &rotation.lookups {
                origins.push(if rotation.is_shared() {
                    let spacing = rotation.spacing(&self.encodings);
                    Origin::Shared(number, spacing, &self.tables[lookup.table as usize])
                } else {
                    Origin::Own
                });
            }
        }
        origins
    }

    /// What the rows ask of the parameters, by kind, in order of execution.
    pub(crate) fn demands(&self) -> Vec<Demand> {
        let origins = self.origins();
        let mut demands: Vec<Demand> = Vec::new();
        let mut first = 0;
        let mut ask = |row: &Row, scale, reader, slack, extension, place: Option<(usize, usize)>| {
            let fresh = |&(w, _): &(u32, i64)| matches!(origins[w as usize], Origin::Fresh);
            let (nu2, alike) = growth(row, &origins);
            let requirement = Requirement {
                half_period: self.encodings[row.encoding as usize].half_period,
                scale,
                nu2,
                alike,
                source: match self.input_key {
                    _ if !row.terms.iter().all(fresh) => Source::Lookup,
                    LweKey::Big => Source::Fresh,
                    LweKey::Small => Source::FreshSmall,
                },
                reader,
                slack,
            };
            // Levels are kept apart.
            if place.is_some_and(|(_, index)| index == 0) {
                first = demands.len();
            }
            let same = |d: &Demand| {
                let mut other = d.requirement;
                (other.nu2, other.alike) = (nu2, alike);
                d.extension == extension && other == requirement
            };
            let number = match demands[first..].iter().position(same) {
                Some(number) => first + number,
                None => {
                    demands.push(Demand {
                        requirement,
                        extension,
                        rotations: Vec::new(),
                    });
                    demands.len() - 1
                }
            };
            let demand = &mut demands[number];
            demand.requirement.nu2 = demand.requirement.nu2.max(nu2);
            demand.requirement.alike = demand.requirement.alike.max(alike);
            demand.rotations.extend(place);
        };
        for (number, level) in self.levels.iter().enumerate() {
            for (index, r) in level.rotations.iter().enumerate() {
                ask(
                    &r.row,
                    r.scale,
                    Reader::Lookup,
                    r.slack,
                    r.extension,
                    Some((number, index)),
                );
            }
        }
        for (row, slack) in self
            .outputs
            .iter()
            .flat_map(|o| o.rows.iter().map(|r| (r, o.slack)))
        {
            ask(row, 1, Reader::Client, slack, 1, None);
        }
        demands
    }
}

/// [`Requirement::nu2`] and [`Requirement::alike`] of a row.
fn growth(row: &Row, origins: &[Origin<'_>]) -> (u64, u64) {
    let square = |w: i64| w.unsigned_abs().saturating_pow(2);
    let mut own = 0_u64;
    // By rotation, with its spacing: the changes that are read, and their weights.
    let mut shared: BTreeMap<(usize, Spacing), BTreeMap<u64, i64>> = BTreeMap::new();
    for &(wire, weight) in &row.terms {
        match origins[wire as usize] {
            Origin::Fresh | Origin::Own => own = own.saturating_add(square(weight)),
            Origin::Shared(number, spacing, table) => {
                let changes = shared.entry((number, spacing)).or_default();
                for (t, delta) in table::changes(table) {
                    let sum = changes.entry(t).or_default();
                    *sum = sum.saturating_add(weight.saturating_mul(delta));
                }
            }
        }
    }
    let mut alike = 0.0;
    for ((_, Spacing { half_period, scale }), changes) in shared {
        let period = half_period as f64 / scale as f64;
        let changes: Vec<(u64, i64)> = changes.into_iter().collect();
        for (i, &(t, v)) in changes.iter().enumerate() {
            own = own.saturating_add(square(v));
            for &(u, w) in &changes[i + 1..] {
                let near = 1.0 - 2.0 * (u - t) as f64 / period;
                alike += (2.0 * v as f64 * w as f64).abs() * near.max(0.0);
            }
        }
    }
    (own, alike.ceil() as u64)
}
