//! Files of encrypted samples and of encrypted results.

use super::{ArtifactError, Bound, INPUTS, MAX_SAMPLES, OUTPUTS, PREFIX, key_error, prefix, split};
use crate::ciphertext::{Ciphertext, SeededCiphertexts, ciphertexts_from_bytes, ciphertexts_to_bytes};
use crate::interface::Interface;
use cml_file::{Artifact, HEADER, Kind};

/// Encrypted samples: the `.ct` file that a client writes.
pub type EncryptedInputs = Bound<Vec<SeededCiphertexts>>;

/// Encrypted results, for each sample each element of each output: the `.ct` file that a server writes.
pub type EncryptedOutputs = Bound<Vec<Vec<Ciphertext>>>;

impl Artifact for EncryptedInputs {
    const KIND: Kind = INPUTS;
    type Context<'c> = &'c dyn Interface;
    type Error = ArtifactError;

    fn encode(&self) -> Result<Vec<u8>, ArtifactError> {
        let mut payload = start(self);
        self.value
            .iter()
            .for_each(|sample| payload.extend(sample.to_bytes()));
        Ok(payload)
    }

    fn decode(name: &str, payload: &[u8], circuit: &dyn Interface) -> Result<Self, ArtifactError> {
        let (binding, rest) = split(name, INPUTS, circuit, payload)?;
        let (key, count) = (circuit.input_key(), circuit.input_count());
        let each = circuit.input_bytes() as usize;
        let read = |sample| SeededCiphertexts::from_bytes(sample, key, count);
        let samples = samples(name, INPUTS, rest, each)?.map(read);
        let value = samples.collect::<Result<_, _>>();
        Ok(Bound {
            binding,
            value: value.map_err(|e| key_error(name, e))?,
        })
    }
}

impl Artifact for EncryptedOutputs {
    const KIND: Kind = OUTPUTS;
    type Context<'c> = &'c dyn Interface;
    type Error = ArtifactError;

    fn encode(&self) -> Result<Vec<u8>, ArtifactError> {
        let mut payload = start(self);
        self.value
            .iter()
            .for_each(|sample| payload.extend(ciphertexts_to_bytes(sample)));
        Ok(payload)
    }

    fn decode(name: &str, payload: &[u8], circuit: &dyn Interface) -> Result<Self, ArtifactError> {
        let (binding, rest) = split(name, OUTPUTS, circuit, payload)?;
        let count = circuit.output_count();
        let each = circuit.output_bytes() as usize;
        let (ring, word_bytes) = (circuit.parameters().ring(), circuit.output_word_bytes());
        let read = |sample| ciphertexts_from_bytes(sample, &ring, word_bytes, count);
        let samples = samples(name, OUTPUTS, rest, each)?.map(read);
        let value = samples.collect::<Result<_, _>>();
        Ok(Bound {
            binding,
            value: value.map_err(|e| key_error(name, e))?,
        })
    }
}

/// What both kinds begin with.
fn start<T>(samples: &Bound<Vec<T>>) -> Vec<u8> {
    let mut payload = prefix(&samples.binding).to_vec();
    payload.extend((samples.value.len() as u32).to_le_bytes());
    payload
}

/// Bytes of a file of so many encrypted samples.
pub fn inputs_bytes(circuit: &dyn Interface, samples: usize) -> u64 {
    samples_bytes(circuit.input_bytes(), samples)
}

/// Bytes of a file of encrypted results of so many samples.
pub fn outputs_bytes(circuit: &dyn Interface, samples: usize) -> u64 {
    samples_bytes(circuit.output_bytes(), samples)
}

fn samples_bytes(each: u64, samples: usize) -> u64 {
    let start = (HEADER + PREFIX + 4) as u64;
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
