//! The exit IR: a program of table lookups with every decision made.
//!
//! Wires are single encrypted integers. The first wires are the inputs,
//! element by element; each lookup defines the next one. Encodings, parameters
//! and order are fixed here; an executor decides nothing.

mod demand;

use crate::table::{self, Reading, Spacing};
use cml_ir::OutputSpec;
use cml_scheme::{CircuitInput, Encoding, Interface, LweKey, ParameterSets, Set};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub use demand::Demand;
pub(crate) use demand::Tables;

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

/// Memory for the wires of the samples that run together, in bytes: no more are compiled for.
pub const WIRE_BYTES: u64 = 1 << 30;

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
    /// Values by which changes may move: 0 if exact.
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

    /// What its polynomial, of so many coefficients, is made of.
    fn polynomial(&self, spacing: Spacing, size: u64) -> PolynomialKey {
        let first = &self.lookups[0];
        let table = (!self.is_shared()).then_some(first.table);
        (table, first.encoding, spacing, size)
    }
}

/// Rotations of equal keys have one polynomial: a table or a constant, the encoding of its results, spacing and size.
type PolynomialKey = (Option<u32>, u32, Spacing, u64);

/// Rotations that do not depend on each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Number of the parameter set that looks them up.
    pub set: u32,
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
///
/// Only the compiler makes one, and reading a file, which checks it; its hash is computed once.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Circuit {
    pub(crate) name: String,
    pub(crate) graph_hash: [u8; 32],
    pub(crate) parameters: ParameterSets,
    pub(crate) budget_log2: f64,
    pub(crate) samples_at_once: u32,
    pub(crate) body: Body,
    /// Of all of the above.
    #[serde(skip)]
    pub(crate) hash: [u8; 32],
}

/// The program itself, for which parameters are then chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Body {
    /// The key that all inputs are under. Rows of inputs under the small key read nothing else.
    pub(crate) input_key: LweKey,
    /// Bytes to which each word of a result is rounded: as few as the budget allows.
    pub(crate) output_word_bytes: u32,
    pub(crate) encodings: Vec<Encoding>,
    pub(crate) layers: Vec<String>,
    pub(crate) inputs: Vec<CircuitInput>,
    pub(crate) tables: Vec<Vec<i64>>,
    pub(crate) levels: Vec<Level>,
    pub(crate) outputs: Vec<CircuitOutput>,
}

/// What an executor rotates and reads.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Polynomials on the torus modulo 2^64, equal ones once.
    pub polynomials: Vec<Vec<u64>>,
    /// For each rotation, in order, its polynomial and what is read off it.
    pub rotations: Vec<(usize, Vec<Reading>)>,
}

impl Circuit {
    /// Name of the network.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the circuit: what keys and ciphertexts are bound to.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// SHA-256 of the graph that it was lowered from.
    pub fn graph_hash(&self) -> &[u8; 32] {
        &self.graph_hash
    }

    /// TFHE parameters: one set, or several, one for each level.
    pub fn parameters(&self) -> &ParameterSets {
        &self.parameters
    }

    /// A parameter set; there is one of each number that a level of a valid circuit names.
    pub(crate) fn set(&self, number: u32) -> Option<Set<'_>> {
        self.parameters.get(number)
    }

    /// Samples of one client that run together, for which parameters were chosen.
    pub fn samples_at_once(&self) -> u32 {
        self.samples_at_once
    }

    /// Bytes of all wires of one sample, as ciphertexts.
    pub fn wire_bytes(&self) -> u64 {
        let wires = self.input_count() + self.lookup_count() + self.output_count();
        self.parameters.ciphertext_bytes().saturating_mul(wires as u64)
    }

    /// Bytes of the accumulators of the largest pack; 0 without amortized rotations.
    pub fn accumulator_bytes(&self) -> u64 {
        let Some(set) = self.parameters.amortized() else {
            return 0;
        };
        let levels = self.levels().iter().filter(|level| self.is_amortized(level));
        let extensions = levels.flat_map(|level| &level.rotations).map(|r| r.extension);
        extensions
            .max()
            .map_or(0, |extension| set.accumulator_bytes(extension))
    }

    /// Whether a level's rotations are amortized.
    pub fn is_amortized(&self, level: &Level) -> bool {
        matches!(self.set(level.set), Some(Set::Amortized(_)))
    }

    /// log2 of the failure probability that each lookup stays below.
    pub fn budget_log2(&self) -> f64 {
        self.budget_log2
    }

    /// The key that inputs are encrypted under.
    pub fn input_key(&self) -> LweKey {
        self.body.input_key
    }

    /// Bytes to which each word of a result is rounded, 1 to 8.
    pub fn output_word_bytes(&self) -> u32 {
        self.body.output_word_bytes
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

    /// All blind rotations in order of execution, each with the number of its parameter set.
    pub(crate) fn rotations_with_sets(&self) -> impl Iterator<Item = (&Rotation, u32)> {
        let levels = self.body.levels.iter();
        levels.flat_map(|level| level.rotations.iter().map(|rotation| (rotation, level.set)))
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

    /// Names and labels.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &String> {
        let outputs = self.body.outputs.iter();
        let outputs = outputs.flat_map(|o| o.spec.labels.iter().chain([&o.name]));
        let inputs = self.body.inputs.iter().map(|i| &i.name);
        let names = [&self.name].into_iter().chain(&self.body.layers);
        names.chain(inputs).chain(outputs)
    }

    /// The same.
    pub(crate) fn texts_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let outputs = self.body.outputs.iter_mut();
        let outputs = outputs.flat_map(|o| o.spec.labels.iter_mut().chain([&mut o.name]));
        let inputs = self.body.inputs.iter_mut().map(|i| &mut i.name);
        let names = [&mut self.name].into_iter().chain(&mut self.body.layers);
        names.chain(inputs).chain(outputs)
    }

    /// Bytes that [`Circuit::prepare`] makes: its polynomials, and the changes that are read off shared ones.
    pub(crate) fn prepared_bytes(&self) -> u64 {
        let of_table = |t: &Vec<i64>| table::changes(t).count() as u64;
        let changes: Vec<u64> = self.body.tables.iter().map(of_table).collect();
        let mut known: BTreeSet<PolynomialKey> = BTreeSet::new();
        let mut bytes = 0_u64;
        for rotation in self.rotations() {
            let size = self.parameters.ring().table_size(rotation.extension);
            let spacing = rotation.spacing(&self.body.encodings);
            if known.insert(rotation.polynomial(spacing, size)) {
                bytes = bytes.saturating_add(8 * size);
            }
            if rotation.is_shared() {
                let terms = rotation.lookups.iter().map(|l| changes[l.table as usize]);
                let terms = terms.fold(0_u64, u64::saturating_add);
                bytes = bytes.saturating_add(terms.saturating_mul(size_of::<(usize, i64)>() as u64));
            }
        }
        bytes
    }

    /// The polynomials of all rotations, and how tables are read off them.
    pub fn prepare(&self) -> Prepared {
        let mut polynomials = Vec::new();
        let mut known: BTreeMap<PolynomialKey, usize> = BTreeMap::new();
        let mut rotations = Vec::with_capacity(self.rotation_count());
        for rotation in self.rotations() {
            let size = self.parameters.ring().table_size(rotation.extension);
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
            let number = *known
                .entry(rotation.polynomial(spacing, size))
                .or_insert_with(|| {
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
}

impl Body {
    pub(crate) fn reads_small(&self, row: &Row) -> bool {
        let first = row.terms.first().map(|t| t.0 as usize);
        self.input_key == LweKey::Small && first.is_some_and(|wire| wire < self.input_count())
    }

    /// Inputs, lookups and outputs.
    pub(crate) fn wires(&self) -> usize {
        let rotations = self.levels.iter().flat_map(|l| &l.rotations);
        let outputs: usize = self.outputs.iter().map(|o| o.rows.len()).sum();
        self.input_count() + rotations.map(|r| r.lookups.len()).sum::<usize>() + outputs
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
}

impl Interface for Circuit {
    fn circuit_hash(&self) -> &[u8; 32] {
        &self.hash
    }

    fn parameters(&self) -> &ParameterSets {
        &self.parameters
    }

    fn input_count(&self) -> usize {
        self.body.input_count()
    }

    fn input_key(&self) -> LweKey {
        self.body.input_key
    }

    fn output_count(&self) -> usize {
        Circuit::output_count(self)
    }

    fn output_word_bytes(&self) -> u32 {
        self.body.output_word_bytes
    }
}
