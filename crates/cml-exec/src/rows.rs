//! Rows of a circuit, ready to be added up.

use crate::evaluator::{ExecError, linear};
use cml_scheme::{Ciphertext, LweKey};
use cml_tfhe::Circuit;
use cml_tfhe::circuit::Row;

/// A row times the scale of what reads it: computed once a circuit.
#[derive(Clone, Debug)]
pub struct ScaledRow {
    key: LweKey,
    dimension: usize,
    /// Wires with their weights, modulo 2^64.
    terms: Vec<(u32, i64)>,
    /// On the torus modulo 2^64.
    constant: u64,
}

impl ScaledRow {
    pub(crate) fn of(circuit: &Circuit, row: &Row, scale: u64) -> Self {
        let key = if circuit.reads_small(row) {
            LweKey::Small
        } else {
            LweKey::Big
        };
        let scaled = |&(wire, weight): &(u32, i64)| (wire, weight.wrapping_mul(scale as i64));
        Self {
            key,
            dimension: circuit.parameters().dimension(key),
            terms: row.terms.iter().map(scaled).collect(),
            constant: (row.constant as u64)
                .wrapping_mul(scale)
                .wrapping_mul(circuit.step(row.encoding)),
        }
    }

    /// The wires that it reads, ascending, with their weights modulo 2^64.
    pub fn terms(&self) -> &[(u32, i64)] {
        &self.terms
    }

    /// What is added to them, on the torus modulo 2^64.
    pub fn constant(&self) -> u64 {
        self.constant
    }

    /// The sum, on the wires of a sample.
    ///
    /// # Errors
    /// [`ExecError::NoSuchWire`] or [`ExecError::Dimension`] for a wire that cannot be read.
    pub fn add_up(&self, wires: &[Ciphertext]) -> Result<Ciphertext, ExecError> {
        let terms = self.terms.iter().map(|&(wire, weight)| (wire as usize, weight));
        linear(self.key, self.dimension, terms, self.constant, wires)
    }
}
