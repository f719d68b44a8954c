//! Files of encrypted samples and of encrypted results.

use super::{ArtifactError, Bound, INPUTS, MAX_SAMPLES, OUTPUTS, PREFIX, key_error, prefix, split};
use crate::interface::Interface;
use crate::keys::{self, Ciphertext, SeededCiphertexts};
use cml_ir::container::{self, Access, Kind};
use std::path::Path;

/// Writes encrypted samples.
///
/// # Errors
/// If the file cannot be written.
pub fn write_inputs(path: &Path, inputs: &Bound<Vec<SeededCiphertexts>>) -> Result<(), ArtifactError> {
    let payload = inputs_payload(inputs);
    Ok(container::write_file(INPUTS, path, &payload, Access::Shared)?)
}

/// Encrypted samples as the bytes of a `.ct` file.
pub fn inputs_to_bytes(inputs: &Bound<Vec<SeededCiphertexts>>) -> Vec<u8> {
    container::encode(INPUTS, &inputs_payload(inputs))
}

fn inputs_payload(inputs: &Bound<Vec<SeededCiphertexts>>) -> Vec<u8> {
    let mut payload = prefix(&inputs.binding).to_vec();
    payload.extend((inputs.value.len() as u32).to_le_bytes());
    inputs
        .value
        .iter()
        .for_each(|sample| payload.extend(sample.to_bytes()));
    payload
}

/// Reads encrypted samples for a circuit.
///
/// # Errors
/// If the file is missing, damaged, of another kind or of another circuit.
pub fn read_inputs(
    path: &Path,
    circuit: &impl Interface,
) -> Result<Bound<Vec<SeededCiphertexts>>, ArtifactError> {
    let payload = container::read_file(INPUTS, path)?;
    inputs_from_payload(&path.display().to_string(), &payload, circuit)
}

/// The encrypted samples in the bytes of a `.ct` file; `name` says in errors which.
///
/// # Errors
/// If the bytes are damaged, of another kind or of another circuit.
pub fn inputs_from_bytes(
    name: &str,
    bytes: &[u8],
    circuit: &impl Interface,
) -> Result<Bound<Vec<SeededCiphertexts>>, ArtifactError> {
    inputs_from_payload(name, container::decode(INPUTS, name, bytes)?, circuit)
}

fn inputs_from_payload(
    name: &str,
    payload: &[u8],
    circuit: &impl Interface,
) -> Result<Bound<Vec<SeededCiphertexts>>, ArtifactError> {
    let (binding, rest) = split(name, INPUTS, circuit, payload)?;
    let (key, count) = (circuit.input_key(), circuit.input_count());
    let each = circuit.input_bytes() as usize;
    let read = |sample| SeededCiphertexts::from_bytes(sample, key, count);
    let samples = samples(name, INPUTS, rest, each)?.map(read);
    Ok(Bound {
        binding,
        value: samples
            .collect::<Result<_, _>>()
            .map_err(|e| key_error(name, e))?,
    })
}

/// Writes encrypted results: for each sample, each element of each output.
///
/// # Errors
/// If the file cannot be written.
pub fn write_outputs(path: &Path, outputs: &Bound<Vec<Vec<Ciphertext>>>) -> Result<(), ArtifactError> {
    let payload = outputs_payload(outputs);
    Ok(container::write_file(OUTPUTS, path, &payload, Access::Shared)?)
}

/// Encrypted results as the bytes of a `.ct` file.
pub fn outputs_to_bytes(outputs: &Bound<Vec<Vec<Ciphertext>>>) -> Vec<u8> {
    container::encode(OUTPUTS, &outputs_payload(outputs))
}

fn outputs_payload(outputs: &Bound<Vec<Vec<Ciphertext>>>) -> Vec<u8> {
    let mut payload = prefix(&outputs.binding).to_vec();
    payload.extend((outputs.value.len() as u32).to_le_bytes());
    outputs
        .value
        .iter()
        .for_each(|sample| payload.extend(keys::ciphertexts_to_bytes(sample)));
    payload
}

/// Reads encrypted results of a circuit.
///
/// # Errors
/// If the file is missing, damaged, of another kind or of another circuit.
pub fn read_outputs(
    path: &Path,
    circuit: &impl Interface,
) -> Result<Bound<Vec<Vec<Ciphertext>>>, ArtifactError> {
    let payload = container::read_file(OUTPUTS, path)?;
    outputs_from_payload(&path.display().to_string(), &payload, circuit)
}

/// The encrypted results of a circuit in the bytes of a `.ct` file; `name` says
/// in errors which.
///
/// # Errors
/// If the bytes are damaged, of another kind or of another circuit.
pub fn outputs_from_bytes(
    name: &str,
    bytes: &[u8],
    circuit: &impl Interface,
) -> Result<Bound<Vec<Vec<Ciphertext>>>, ArtifactError> {
    outputs_from_payload(name, container::decode(OUTPUTS, name, bytes)?, circuit)
}

fn outputs_from_payload(
    name: &str,
    payload: &[u8],
    circuit: &impl Interface,
) -> Result<Bound<Vec<Vec<Ciphertext>>>, ArtifactError> {
    let (binding, rest) = split(name, OUTPUTS, circuit, payload)?;
    let count = circuit.output_count();
    let each = circuit.output_bytes() as usize;
    let word_bytes = circuit.output_word_bytes();
    let read = |sample| keys::ciphertexts_from_bytes(sample, circuit.parameters().first(), word_bytes, count);
    let samples = samples(name, OUTPUTS, rest, each)?.map(read);
    Ok(Bound {
        binding,
        value: samples
            .collect::<Result<_, _>>()
            .map_err(|e| key_error(name, e))?,
    })
}

/// Bytes of a file of so many encrypted samples.
pub fn inputs_bytes(circuit: &impl Interface, samples: usize) -> u64 {
    samples_bytes(circuit.input_bytes(), samples)
}

/// Bytes of a file of encrypted results of so many samples.
pub fn outputs_bytes(circuit: &impl Interface, samples: usize) -> u64 {
    samples_bytes(circuit.output_bytes(), samples)
}

fn samples_bytes(each: u64, samples: usize) -> u64 {
    let start = (container::HEADER + PREFIX + 4) as u64;
    each.saturating_mul(samples as u64).saturating_add(start)
}

/// The samples of a ciphertext payload, each of exactly `each` bytes.
fn samples<'p>(
    name: &str,
    kind: Kind,
    rest: &'p [u8],
    each: usize,
) -> Result<std::slice::ChunksExact<'p, u8>, ArtifactError> {
    let fail = |why| ArtifactError::Malformed {
        name: name.to_owned(),
        what: kind.name,
        why,
    };
    let Some((count, rest)) = rest.split_at_checked(4) else {
        return Err(fail("no number of samples".to_owned()));
    };
    let count = u32::from_le_bytes([count[0], count[1], count[2], count[3]]);
    if count == 0 || count > MAX_SAMPLES {
        return Err(fail(format!("{count} samples, needs 1 to {MAX_SAMPLES}")));
    }
    let needs = u128::from(count) * each as u128;
    if rest.len() as u128 != needs {
        return Err(fail(format!(
            "{count} samples take {needs} bytes, has {}",
            rest.len()
        )));
    }
    Ok(rest.chunks_exact(each.max(1)))
}
