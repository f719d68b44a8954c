//! The exit IR: a program of table lookups with every decision made.
//!
//! Wires are single encrypted integers. The first wires are the inputs,
//! element by element; each lookup defines the next one. Encodings, parameters
//! and order are fixed here; an executor decides nothing.

use crate::noise::{self, Reader, Requirement, Source};
use crate::params::Parameters;
use crate::table;
use cml_ir::{InputSpec, OutputSpec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the values of some wires, and all rows that read them, lie on the torus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoding {
    /// `R`, number of values of the widest row: the domain of its lookups.
    pub values: u64,
}

impl Encoding {
    /// Distance of neighbouring values on the torus modulo 2^64: `floor(2^64 / 2R)`.
    pub fn step(self) -> u64 {
        let step = (1u128 << 63) / u128::from(self.values.max(1));
        u64::try_from(step).unwrap_or(u64::MAX)
    }
}

/// An integer combination of wires of one encoding: `constant + sum weight * wire`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Wires, ascending, with their non-zero weights.
    pub terms: Vec<(u32, i64)>,
    /// Clear constant; with it the row's values fit in `0..R`.
    pub constant: i64,
    /// Encoding of the wires.
    pub encoding: u32,
}

impl Row {
    /// Sum of squared weights: how much the noise of the wires grows.
    pub fn nu2(&self) -> u64 {
        self.terms
            .iter()
            .map(|&(_, w)| w.unsigned_abs().saturating_pow(2))
            .fold(0, u64::saturating_add)
    }

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// What is looked up.
    pub row: Row,
    /// Number of the table.
    pub table: u32,
    /// Encoding of the result.
    pub encoding: u32,
    /// Number of the layer that it belongs to.
    pub layer: u32,
}

/// Lookups that do not depend on each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// In the order in which they define wires.
    pub lookups: Vec<Lookup>,
}

/// An encrypted input tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CircuitInput {
    /// Name.
    pub name: String,
    /// Shape of one sample.
    pub shape: Vec<usize>,
    /// How the client quantizes.
    pub spec: InputSpec,
    /// Encoding of each element.
    pub encodings: Vec<u32>,
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
    /// One row for each element.
    pub rows: Vec<Row>,
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
    pub(crate) encodings: Vec<Encoding>,
    pub(crate) layers: Vec<String>,
    pub(crate) inputs: Vec<CircuitInput>,
    pub(crate) tables: Vec<Vec<i64>>,
    pub(crate) levels: Vec<Level>,
    pub(crate) outputs: Vec<CircuitOutput>,
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

    /// All lookups in order of execution.
    pub fn lookups(&self) -> impl Iterator<Item = &Lookup> {
        self.body.levels.iter().flat_map(|l| &l.lookups)
    }

    /// Number of lookups, which is the number of blind rotations.
    pub fn lookup_count(&self) -> usize {
        self.body.levels.iter().map(|l| l.lookups.len()).sum()
    }

    /// Number of encrypted input values of one sample.
    pub fn input_count(&self) -> usize {
        self.body.inputs.iter().map(|i| i.encodings.len()).sum()
    }

    /// Number of encrypted output values of one sample.
    pub fn output_count(&self) -> usize {
        self.body.outputs.iter().map(|o| o.rows.len()).sum()
    }

    /// Step on the torus of a row or wire of this encoding.
    pub fn step(&self, encoding: u32) -> u64 {
        self.body.encodings[encoding as usize].step()
    }

    /// The table as the polynomial of a blind rotation.
    pub fn polynomial(&self, lookup: &Lookup) -> Vec<u64> {
        let values = &self.body.tables[lookup.table as usize];
        table::lookup_polynomial(
            values,
            self.parameters.polynomial_size,
            self.step(lookup.encoding),
        )
    }

    /// The polynomials of all lookups, equal ones once, and for each lookup the
    /// number of its own.
    pub(crate) fn polynomials(&self) -> (Vec<Vec<u64>>, Vec<usize>) {
        let mut list = Vec::new();
        let mut known: BTreeMap<(u32, u32), usize> = BTreeMap::new();
        let number = |lookup: &Lookup| {
            *known.entry((lookup.table, lookup.encoding)).or_insert_with(|| {
                list.push(self.polynomial(lookup));
                list.len() - 1
            })
        };
        let numbers = self.lookups().map(number).collect();
        (list, numbers)
    }

    /// What the rows ask of the parameters, each kind once.
    pub fn requirements(&self) -> Vec<Requirement> {
        self.body.requirements()
    }

    /// log2 of the failure probability of the worst lookup.
    pub fn worst_log2_p_fail(&self) -> f64 {
        let each = self
            .requirements()
            .into_iter()
            .map(|r| noise::log2_p_fail(&self.parameters, &r));
        each.fold(f64::NEG_INFINITY, f64::max)
    }

    /// Upper bound on log2 of the probability that one inference goes wrong:
    /// the union bound over every lookup and every output.
    pub fn inference_log2_p_fail(&self) -> f64 {
        let rows = self.lookup_count() + self.output_count();
        (self.worst_log2_p_fail() + (rows as f64).log2()).min(0.0)
    }
}

impl Body {
    /// What the rows ask of the parameters, each kind once.
    pub(crate) fn requirements(&self) -> Vec<Requirement> {
        let inputs = self.inputs.iter().map(|i| i.encodings.len()).sum::<usize>() as u32;
        let mut hardest: BTreeMap<(u64, Source, Reader), u64> = BTreeMap::new();
        let mut ask = |row: &Row, reader| {
            let source = if row.terms.iter().all(|&(w, _)| w < inputs) {
                Source::Fresh
            } else {
                Source::Lookup
            };
            let values = self.encodings[row.encoding as usize].values;
            let nu2 = hardest.entry((values, source, reader)).or_default();
            *nu2 = row.nu2().max(*nu2);
        };
        self.levels
            .iter()
            .flat_map(|l| &l.lookups)
            .for_each(|l| ask(&l.row, Reader::Lookup));
        self.outputs
            .iter()
            .flat_map(|o| &o.rows)
            .for_each(|r| ask(r, Reader::Client));
        let requirement = |((values, source, reader), nu2)| Requirement {
            values,
            nu2,
            source,
            reader,
        };
        hardest.into_iter().map(requirement).collect()
    }
}
