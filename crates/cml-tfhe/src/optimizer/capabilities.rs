//! What an executor can run.

use super::{LARGEST_TABLE, MOST_EXTENSION};
use crate::circuit::Circuit;
use cml_scheme::{MOST_SETS, Parameters};

/// Most levels of a decomposition that [`Parameters::validate`] takes; the search looks at fewer.
const VALID_LEVELS: u32 = 16;

/// What an executor can run. The optimizer chooses nothing else, and an executor refuses other circuits.
///
/// The default is all that the compiler knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Most polynomials that make up one table.
    pub extension: u32,
    /// Most coefficients of one table.
    pub table: u32,
    /// Most levels of the decompositions of a blind rotation.
    pub bootstrap_levels: u32,
    /// Whether the body of an accumulator may have a decomposition of its own.
    pub own_body_decomposition: bool,
    /// Most parameter sets of a circuit.
    pub sets: usize,
    /// Whether it has amortized rotations.
    pub amortized: bool,
    /// Whether several lookups may be read off one blind rotation.
    pub shared_rotations: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            extension: MOST_EXTENSION,
            table: LARGEST_TABLE,
            bootstrap_levels: VALID_LEVELS,
            own_body_decomposition: true,
            sets: MOST_SETS,
            amortized: true,
            shared_rotations: true,
        }
    }
}

/// A circuit that an executor cannot run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the executor cannot run this circuit: it has {has} {what}, limit {limit}")]
pub struct Unsupported {
    /// What there is too much of.
    pub what: &'static str,
    /// How much the circuit has.
    pub has: u64,
    /// The most that can be run.
    pub limit: u64,
}

impl Capabilities {
    /// Whether blind rotations under these parameters can be run.
    pub fn allow(&self, parameters: &Parameters) -> bool {
        let mask = (parameters.pbs_base_log, parameters.pbs_level);
        let body = (parameters.pbs_body_base_log, parameters.pbs_body_level);
        parameters.polynomial_size <= self.table
            && mask.1.max(body.1) <= self.bootstrap_levels
            && (self.own_body_decomposition || mask == body)
    }

    /// Most polynomials of a table under a ring of this size.
    pub fn most_extension(&self, polynomial_size: u32) -> u32 {
        self.extension.min(self.table / polynomial_size.max(1))
    }

    /// Whether a circuit can be run.
    ///
    /// # Errors
    /// The first thing that there is too much of.
    pub fn check(&self, circuit: &Circuit) -> Result<(), Unsupported> {
        let sets = || circuit.parameters().single().iter();
        let amortized = || circuit.parameters().amortized().into_iter();
        let levels = sets().map(|p| p.pbs_level.max(p.pbs_body_level));
        let levels = levels
            .chain(amortized().map(|p| p.pbs_level.max(p.pbs_body_level)))
            .max();
        let own_body =
            |p: &Parameters| (p.pbs_base_log, p.pbs_level) != (p.pbs_body_base_log, p.pbs_body_level);
        let size = circuit.parameters().ring().polynomial_size;
        let extension = circuit.rotations().map(|r| r.extension).max().unwrap_or(1);
        let shared = circuit.rotations().map(|r| r.lookups.len()).max().unwrap_or(1);
        let most = |allowed: bool, all: usize| if allowed { u64::MAX } else { all as u64 };
        let checks = [
            (
                "parameter sets",
                circuit.parameters().single().len() as u64,
                self.sets as u64,
            ),
            (
                "levels of decomposition",
                levels.unwrap_or(0).into(),
                self.bootstrap_levels.into(),
            ),
            (
                "decompositions of bodies",
                sets().filter(|p| own_body(p)).count() as u64,
                most(self.own_body_decomposition, 0),
            ),
            (
                "sets for amortized rotations",
                amortized().count() as u64,
                most(self.amortized, 0),
            ),
            ("polynomials of a table", extension.into(), self.extension.into()),
            (
                "coefficients of a table",
                u64::from(size) * u64::from(extension),
                self.table.into(),
            ),
            (
                "lookups of a rotation",
                shared as u64,
                most(self.shared_rotations, 1),
            ),
        ];
        for (what, has, limit) in checks {
            if has > limit {
                return Err(Unsupported { what, has, limit });
            }
        }
        Ok(())
    }
}
