//! Files of client specifications.

use super::{ArtifactError, SPEC, from_payload_with_columns, to_payload_with_columns};
use crate::spec::{ClientSpec, SpecParts};
use cml_file::{Artifact, Kind};

impl Artifact for ClientSpec {
    const KIND: Kind = SPEC;
    type Context<'c> = ();
    type Error = ArtifactError;

    fn encode(&self) -> Result<Vec<u8>, ArtifactError> {
        to_payload_with_columns(SPEC, self.name(), self.parts(), self.inputs())
    }

    fn decode(name: &str, payload: &[u8], (): ()) -> Result<Self, ArtifactError> {
        let parts: SpecParts =
            from_payload_with_columns(SPEC, name, payload, |parts: &mut SpecParts| &mut parts.inputs)?;
        ClientSpec::new(parts).map_err(|source| ArtifactError::Spec {
            name: name.to_owned(),
            source,
        })
    }
}
