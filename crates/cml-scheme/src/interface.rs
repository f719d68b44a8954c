//! The interface of a circuit: what both sides know of it, the client without the program.

use crate::ciphertext::LweKey;
use crate::encoding::Encoding;
use crate::params::ParameterSets;
use cml_ir::{InputSpec, IrError, Tensor};
use serde::{Deserialize, Serialize};

/// What keys and ciphertexts are made for and checked against: a circuit, or
/// the client's part of it.
pub trait Interface {
    /// SHA-256 of the circuit: what keys and ciphertexts are bound to.
    fn circuit_hash(&self) -> &[u8; 32];

    /// TFHE parameters.
    fn parameters(&self) -> &ParameterSets;

    /// Number of encrypted input values of one sample.
    fn input_count(&self) -> usize;

    /// Which key encrypted inputs are under.
    fn input_key(&self) -> LweKey;

    /// Bytes of the encrypted inputs of one sample.
    fn input_bytes(&self) -> u64 {
        self.input_key().seeded_bytes(self.input_count() as u64)
    }

    /// Number of encrypted output values of one sample.
    fn output_count(&self) -> usize;

    /// Bytes to which each word of an encrypted output is rounded, 1 to 8.
    fn output_word_bytes(&self) -> u32;

    /// Bytes of the encrypted outputs of one sample.
    fn output_bytes(&self) -> u64 {
        let each = self
            .parameters()
            .rounded_ciphertext_bytes(self.output_word_bytes());
        each.saturating_mul(self.output_count() as u64)
    }
}

/// An encrypted input tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CircuitInput {
    /// Name.
    pub name: String,
    /// Shape of one sample.
    pub shape: Vec<usize>,
    /// How the client quantizes.
    pub spec: InputSpec,
    /// Encoding of each element.
    pub encodings: Vec<u32>,
}

impl CircuitInput {
    /// Checks an input of a circuit that has so many encodings.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, encodings: usize) -> Result<(), String> {
        check_text(&self.name)?;
        let count = self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if count != Some(self.encodings.len()) || self.encodings.is_empty() {
            return Err("encodings do not fill its shape".to_owned());
        }
        if self.encodings.iter().any(|&e| e as usize >= encodings) {
            return Err("names an encoding that is not there".to_owned());
        }
        let spec = self.spec.check(&self.name, &self.shape);
        let columns = spec.and_then(|()| self.spec.check_columns(&self.name, &self.shape));
        columns.map_err(|why| why.to_string())
    }
}

/// Longest name or label, in bytes.
const LONGEST_TEXT: usize = 1024;

/// A text that [`check_text`] takes: control characters replaced, cut at 1024 bytes.
pub fn plain_text(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        let c = if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        };
        if plain.len() + c.len_utf8() > LONGEST_TEXT {
            break;
        }
        plain.push(c);
    }
    plain
}

/// Whether a text may come from a file: texts of files end up on terminals and in error messages.
///
/// # Errors
/// What is wrong: more than 1024 bytes, or a control character.
pub fn check_text(text: &str) -> Result<(), String> {
    if text.len() > LONGEST_TEXT {
        return Err(format!("text of {} bytes, limit {LONGEST_TEXT}", text.len()));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(format!("control character {c:?} in a text")),
        None => Ok(()),
    }
}

/// Checked integer codes of a sample with the step of each, in wire order;
/// `name` says in errors whose inputs these are.
///
/// # Errors
/// If the number of inputs, a shape or a range is not the circuit's.
pub fn input_codes(
    name: &str,
    inputs: &[CircuitInput],
    encodings: &[Encoding],
    sample: &[Tensor],
) -> Result<Vec<(i64, u64)>, IrError> {
    if sample.len() != inputs.len() {
        return Err(IrError::InputCount {
            graph: name.to_owned(),
            needs: inputs.len(),
            has: sample.len(),
        });
    }
    let mut codes = Vec::with_capacity(inputs.iter().map(|i| i.encodings.len()).sum());
    for (input, given) in inputs.iter().zip(sample) {
        if given.shape() != input.shape {
            return Err(IrError::Shape {
                node: input.name.clone(),
                what: "input",
                needs: format!("{:?}", input.shape),
                has: format!("{:?}", given.shape()),
            });
        }
        let range = input.spec.range;
        if let Some(index) = given.data().iter().position(|&v| !range.contains(v)) {
            return Err(IrError::InputRange {
                node: input.name.clone(),
                index,
                has: given.data()[index],
                range,
            });
        }
        let steps = input.encodings.iter().map(|&e| encodings[e as usize].step());
        codes.extend(given.data().iter().copied().zip(steps));
    }
    Ok(codes)
}
