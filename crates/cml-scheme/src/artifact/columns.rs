//! Names of columns behind a value, where an input has any. A value without them has the bytes that it had
//! before names were kept.

use super::{ArtifactError, from_payload, from_start, malformed, to_payload};
use crate::interface::CircuitInput;
use cml_file::Kind;
use serde::{Serialize, de::DeserializeOwned};

/// As [`to_payload`], followed by the names of the columns of these inputs, if one has names.
///
/// # Errors
/// As [`to_payload`].
pub fn to_payload_with_columns<T: Serialize>(
    kind: Kind,
    name: &str,
    value: &T,
    inputs: &[CircuitInput],
) -> Result<Vec<u8>, ArtifactError> {
    let mut payload = to_payload(kind, name, value)?;
    if inputs.iter().any(|input| !input.spec.columns.is_empty()) {
        let columns: Vec<&Vec<String>> = inputs.iter().map(|input| &input.spec.columns).collect();
        payload.extend(to_payload(kind, name, &columns)?);
    }
    Ok(payload)
}

/// What [`to_payload_with_columns`] wrote: the value, whose inputs `inputs_of` gives, with the names in
/// their places. Nobody has checked either.
///
/// # Errors
/// If the payload does not decode, has bytes left over, or has not one list of names for each input.
pub fn from_payload_with_columns<T: DeserializeOwned>(
    kind: Kind,
    name: &str,
    payload: &[u8],
    inputs_of: impl FnOnce(&mut T) -> &mut [CircuitInput],
) -> Result<T, ArtifactError> {
    let (mut value, rest): (T, &[u8]) = from_start(kind, name, payload)?;
    if rest.is_empty() {
        return Ok(value);
    }
    let left_over = |why: &str| malformed(kind, name, format!("{} bytes left over: {why}", rest.len()));
    let columns: Result<Vec<Vec<String>>, ArtifactError> = from_payload(kind, name, rest);
    let columns = columns.map_err(|_| left_over("not names of columns"))?;
    let inputs = inputs_of(&mut value);
    if columns.len() != inputs.len() {
        return Err(left_over("not one list of names for each input"));
    }
    // Equal values have equal bytes: what is left out is not written as empty lists.
    if columns.iter().all(Vec::is_empty) {
        return Err(left_over("lists of no names"));
    }
    for (input, columns) in inputs.iter_mut().zip(columns) {
        input.spec.columns = columns;
    }
    Ok(value)
}
