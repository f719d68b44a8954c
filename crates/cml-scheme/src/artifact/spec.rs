//! Files of client specifications.

use super::{ArtifactError, SPEC, from_payload, to_payload};
use crate::spec::{ClientSpec, SpecParts};
use cml_file::{Artifact, Kind};

impl Artifact for ClientSpec {
    const KIND: Kind = SPEC;
    type Context<'c> = ();
    type Error = ArtifactError;

    fn encode(&self) -> Result<Vec<u8>, ArtifactError> {
        to_payload(SPEC, self.name(), self.parts())
    }

    fn decode(name: &str, payload: &[u8], (): ()) -> Result<Self, ArtifactError> {
        let parts: SpecParts = from_payload(SPEC, name, payload)?;
        ClientSpec::new(parts).map_err(|source| ArtifactError::Spec {
            name: name.to_owned(),
            source,
        })
    }
}
