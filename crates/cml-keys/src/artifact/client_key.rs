//! Files of secret keys in clear, readable by their owner only.

use super::CLIENT_KEY;
use crate::client_keys::{BoundClientKeys, ClientKeys};
use cml_file::{Access, Artifact, Kind};
use cml_scheme::artifact::{key_error, prefix, split};
use cml_scheme::{ArtifactError, Interface};

impl Artifact for BoundClientKeys {
    const KIND: Kind = CLIENT_KEY;
    const ACCESS: Access = Access::Private;
    type Context<'c> = &'c dyn Interface;
    type Error = ArtifactError;

    fn encode(&self) -> Result<Vec<u8>, ArtifactError> {
        Ok([&prefix(&self.binding)[..], &self.value.to_bytes()].concat())
    }

    fn decode(name: &str, payload: &[u8], circuit: &dyn Interface) -> Result<Self, ArtifactError> {
        let (binding, rest) = split(name, CLIENT_KEY, circuit, payload)?;
        let value = ClientKeys::from_bytes(rest, circuit.parameters()).map_err(|e| key_error(name, e))?;
        Ok(Self { binding, value })
    }
}
