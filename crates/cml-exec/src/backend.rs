//! The seam between circuits and whatever runs their lookups.

use crate::evaluator::ExecError;
use crate::rows::ScaledRow;
use cml_scheme::{Ciphertext, ParameterSets, Progress, ServerKeys};
use cml_tfhe::optimizer::Capabilities;
use cml_tfhe::table::Reading;
use cml_tfhe::timing::Timing;

/// One blind rotation of one sample.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The wires of its sample that are there so far.
    pub wires: &'a [Ciphertext],
    /// What turns the polynomial.
    pub row: &'a ScaledRow,
    /// `extension * N` coefficients on the torus modulo 2^64.
    pub polynomial: &'a [u64],
    /// Polynomials of the key's size that make up the table, at least 1.
    pub extension: u32,
    /// One for each result.
    pub readings: &'a [Reading],
}

/// Rotations that do not depend on each other, of all samples that run together.
#[derive(Clone, Copy, Debug)]
pub struct LevelWork<'a> {
    /// Number of the parameter set, from 0.
    pub set: usize,
    /// What there is to do, in any order.
    pub tasks: &'a [Task<'a>],
}

/// Runs the lookups of circuits: a processor, a graphics card, other machines.
///
/// The order of levels, the samples that go through them together, and the rows of the outputs are the same for all,
/// and stand above it in [`crate::Server`]. Results do not depend on the backend, but for their noise.
pub trait Backend: Send + Sync {
    /// Evaluation keys of one client, in the form that this backend computes with.
    type Keys: Send + Sync;

    /// What it can run. A compiler that is given it in [`cml_tfhe::optimizer::Goal::capabilities`] chooses nothing else.
    fn capabilities(&self) -> Capabilities;

    /// Expands keys; `report` is called as it goes on.
    ///
    /// # Errors
    /// If it cannot hold them.
    fn expand(&self, keys: &ServerKeys, report: &mut dyn FnMut(Progress)) -> Result<Self::Keys, ExecError>;

    /// One level's work: for each task, in order, a ciphertext under the big key for each reading. `done` is called
    /// with the number of rotations just finished.
    ///
    /// # Errors
    /// For ciphertexts, tables or readings of other parameters.
    fn run_level(
        &self,
        keys: &Self::Keys,
        work: &LevelWork<'_>,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Ciphertext>>, ExecError>;

    /// Measures levels, without keys: for plans. The parameters must be valid.
    fn timing(&self, parameters: &ParameterSets) -> Box<dyn Timing>;
}
