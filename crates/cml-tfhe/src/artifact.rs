//! Circuit files, and the hash that everything else is bound to.

use crate::circuit::{Body, Circuit};
use cml_file::{Artifact, Kind};
use cml_scheme::artifact::{from_payload_with_columns, to_payload_with_columns};
use cml_scheme::{ArtifactError, ParameterSets};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// `*.cmlc`.
pub const CIRCUIT: Kind = Kind {
    tag: *b"CIRC",
    name: "circuit",
    version: 7,
    max_payload: 1 << 29,
};

/// A circuit as it lies in a file. Nobody has checked it.
#[derive(Deserialize)]
struct WireCircuit {
    name: String,
    graph_hash: [u8; 32],
    parameters: ParameterSets,
    budget_log2: f64,
    samples_at_once: u32,
    body: Body,
}

impl Circuit {
    /// Keeps the hash of what the circuit says.
    pub(crate) fn seal(mut self) -> Result<Self, ArtifactError> {
        self.hash = Sha256::digest(self.encode()?).into();
        Ok(self)
    }
}

impl Artifact for Circuit {
    const KIND: Kind = CIRCUIT;
    type Context<'c> = ();
    type Error = ArtifactError;

    fn encode(&self) -> Result<Vec<u8>, ArtifactError> {
        to_payload_with_columns(CIRCUIT, self.name(), self, self.inputs())
    }

    /// Validates the circuit: references, ranges, security of the parameters, failure budget.
    fn decode(name: &str, payload: &[u8], (): ()) -> Result<Self, ArtifactError> {
        let wire: WireCircuit =
            from_payload_with_columns(CIRCUIT, name, payload, |wire: &mut WireCircuit| {
                &mut wire.body.inputs
            })?;
        let circuit = Circuit {
            name: wire.name,
            graph_hash: wire.graph_hash,
            parameters: wire.parameters,
            budget_log2: wire.budget_log2,
            samples_at_once: wire.samples_at_once,
            body: wire.body,
            hash: Sha256::digest(payload).into(),
        };
        circuit.validate().map_err(|source| ArtifactError::Invalid {
            name: name.to_owned(),
            source: Box::new(source),
        })?;
        Ok(circuit)
    }
}
