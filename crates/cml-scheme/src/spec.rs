//! What a client needs of a circuit, and nothing more: no weights, no tables.

use crate::ciphertext::LweKey;
use crate::encoding::{Encoding, bad_encoding};
use crate::interface::{self, CircuitInput, Interface, check_text};
use crate::params::{ParameterError, ParameterSets};
use cml_file::short_hex;
use cml_ir::{IrError, OutputSpec, Tensor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// log2 of the least failure probability that is stated.
pub const LEAST_LOG2: f64 = -1000.0;

/// log2 of the share of keys with which a kind of row may fail more often than promised: a circuit's compiler takes
/// variances five standard deviations above their mean over keys, and that of a Gaussian beyond them is 2^-21.7.
pub const KEY_SHARE_LOG2: i32 = -20;

/// The client's part of a circuit: inputs with how to quantize and encode
/// them, outputs with how to read and dequantize them, and the parameters.
///
/// It holds together: [`ClientSpec::new`] is the only constructor, and reading a file goes through it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientSpec {
    parts: SpecParts,
}

/// What a [`ClientSpec`] says. Nobody has checked it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpecParts {
    /// Name of the network.
    pub name: String,
    /// SHA-256 of the circuit.
    pub circuit: [u8; 32],
    /// TFHE parameters.
    pub parameters: ParameterSets,
    /// log2 of the failure probability that each lookup stays below.
    pub budget_log2: f64,
    /// Upper bound on log2 of the probability that one inference goes wrong, at least [`LEAST_LOG2`].
    pub inference_log2: f64,
    /// Whether all results are exact, but for the failure probability.
    pub exact: bool,
    /// The key that inputs are encrypted under.
    pub input_key: LweKey,
    /// Bytes to which each word of a result is rounded, 1 to 8.
    pub output_word_bytes: u32,
    /// Encodings of inputs and outputs.
    pub encodings: Vec<Encoding>,
    /// Inputs.
    pub inputs: Vec<CircuitInput>,
    /// Outputs.
    pub outputs: Vec<ClientOutput>,
}

/// An output tensor as the client reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientOutput {
    /// Name.
    pub name: String,
    /// Shape of one sample.
    pub shape: Vec<usize>,
    /// How to dequantize.
    pub spec: OutputSpec,
    /// Encoding of each element.
    pub encodings: Vec<u32>,
    /// What is added to each element after decryption.
    pub shifts: Vec<i64>,
    /// Values by which a result may be off: 0 if exact.
    pub slack: u64,
}

/// Why a client specification is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A part that contradicts another, or a number out of its range.
    #[error("client spec: {what} {index}: {why}")]
    Malformed {
        /// Kind of part.
        what: &'static str,
        /// Which.
        index: usize,
        /// What is wrong.
        why: String,
    },
    /// Parameters that are insecure or too large.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
}

impl ClientSpec {
    /// Checks what a specification says: shapes, ranges, the security of the parameters, and that names hold nothing
    /// that a terminal would obey.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn new(parts: SpecParts) -> Result<Self, SpecError> {
        parts.check()?;
        Ok(Self { parts })
    }

    /// What it says.
    pub fn parts(&self) -> &SpecParts {
        &self.parts
    }

    /// Name of the network.
    pub fn name(&self) -> &str {
        &self.parts.name
    }

    /// SHA-256 of the circuit, as its owner states it: without the circuit it
    /// cannot be checked.
    pub fn circuit(&self) -> &[u8; 32] {
        &self.parts.circuit
    }

    /// TFHE parameters.
    pub fn parameters(&self) -> &ParameterSets {
        &self.parts.parameters
    }

    /// log2 of the failure probability that each lookup stays below.
    pub fn budget_log2(&self) -> f64 {
        self.parts.budget_log2
    }

    /// Upper bound on log2 of the probability that one inference goes wrong.
    pub fn inference_log2_p_fail(&self) -> f64 {
        self.parts.inference_log2
    }

    /// Whether all results are exact, but for the failure probability.
    pub fn is_exact(&self) -> bool {
        self.parts.exact
    }

    /// Whether keys, inputs and results mean the same with another one: all but the stated
    /// failure probabilities, which are a matter of who counts.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let stated = SpecParts {
            budget_log2: self.parts.budget_log2,
            inference_log2: self.parts.inference_log2,
            ..other.parts.clone()
        };
        self.parts == stated
    }

    /// The key that inputs are encrypted under.
    pub fn input_key(&self) -> LweKey {
        self.parts.input_key
    }

    /// Inputs.
    pub fn inputs(&self) -> &[CircuitInput] {
        &self.parts.inputs
    }

    /// Outputs.
    pub fn outputs(&self) -> &[ClientOutput] {
        &self.parts.outputs
    }

    /// How elements of this encoding lie on the torus.
    ///
    /// # Panics
    /// On an encoding that no input or output of this specification has.
    pub fn encoding(&self, encoding: u32) -> Encoding {
        self.parts.encodings[encoding as usize]
    }

    /// Integer codes of a sample of floats: for each input its elements, row-major.
    ///
    /// # Errors
    /// If the number of inputs or elements is not the network's, or a float is
    /// not finite.
    pub fn quantize(&self, sample: &[&[f32]]) -> Result<Vec<Tensor>, IrError> {
        if sample.len() != self.parts.inputs.len() {
            return Err(IrError::InputCount {
                graph: self.parts.name.clone(),
                needs: self.parts.inputs.len(),
                has: sample.len(),
            });
        }
        let quantize = |(input, floats): (&CircuitInput, &&[f32])| {
            let needs = input.spec.sample_len(&input.shape);
            if floats.len() != needs {
                return Err(IrError::Shape {
                    node: input.name.clone(),
                    what: "input",
                    needs: format!("{needs} values"),
                    has: format!("{}", floats.len()),
                });
            }
            let codes = input.spec.quantize_all(&input.shape, floats);
            let codes = codes.map_err(|index| IrError::InputNotFinite {
                node: input.name.clone(),
                index,
                has: floats[index],
            })?;
            Tensor::new(input.shape.clone(), codes)
        };
        self.parts.inputs.iter().zip(sample).map(quantize).collect()
    }

    /// Checked integer codes of a sample with the step of each, in wire order.
    ///
    /// # Errors
    /// If the number of inputs, a shape or a range is not the circuit's.
    pub fn codes(&self, sample: &[Tensor]) -> Result<Vec<(i64, u64)>, IrError> {
        interface::input_codes(
            &self.parts.name,
            &self.parts.inputs,
            &self.parts.encodings,
            sample,
        )
    }
}

impl SpecParts {
    fn check(&self) -> Result<(), SpecError> {
        self.parameters.validate()?;
        let fail = |what, index, why: String| Err(SpecError::Malformed { what, index, why });
        check_text(&self.name).or_else(|why| fail("name", 0, why))?;
        for (i, log2) in [self.budget_log2, self.inference_log2].into_iter().enumerate() {
            if !(LEAST_LOG2..=0.0).contains(&log2) {
                let why = format!("2^{log2} is not a failure probability between 2^{LEAST_LOG2} and 1");
                return fail("probability", i, why);
            }
        }
        if !(1..=8).contains(&self.output_word_bytes) {
            let why = format!("{} bytes a word, needs 1 to 8", self.output_word_bytes);
            return fail("interface", 0, why);
        }
        if self.inputs.is_empty() || self.outputs.is_empty() {
            return fail("interface", 0, "needs an input and an output".to_owned());
        }
        if let Some(i) = bad_encoding(&self.encodings) {
            return fail("encoding", i, "number of values out of range".to_owned());
        }
        for (i, input) in self.inputs.iter().enumerate() {
            input
                .check(self.encodings.len())
                .or_else(|why| fail("input", i, why))?;
        }
        for (i, output) in self.outputs.iter().enumerate() {
            let checked = output.check(&self.encodings);
            checked.or_else(|why| fail("output", i, why))?;
        }
        Ok(())
    }
}

impl ClientOutput {
    fn check(&self, encodings: &[Encoding]) -> Result<(), String> {
        self.spec
            .labels
            .iter()
            .chain([&self.name])
            .try_for_each(|text| check_text(text))?;
        let count = self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if count != Some(self.encodings.len()) || self.shifts.len() != self.encodings.len() {
            return Err("encodings and shifts do not fill its shape".to_owned());
        }
        if self.encodings.is_empty() {
            return Err("has no elements".to_owned());
        }
        for &encoding in &self.encodings {
            let Some(encoding) = encodings.get(encoding as usize) else {
                return Err("names an encoding that is not there".to_owned());
            };
            if self.slack >= encoding.half_period {
                return Err("slack leaves no room for values".to_owned());
            }
        }
        if self.shifts.iter().any(|s| s.unsigned_abs() > 1 << 41) {
            return Err("shift beyond 2^41".to_owned());
        }
        let spec = self.spec.check(&self.name, &self.shape);
        spec.map_err(|why| why.to_string())
    }
}

impl Interface for ClientSpec {
    fn circuit_hash(&self) -> &[u8; 32] {
        &self.parts.circuit
    }

    fn parameters(&self) -> &ParameterSets {
        ClientSpec::parameters(self)
    }

    fn input_count(&self) -> usize {
        self.parts.inputs.iter().map(|i| i.encodings.len()).sum()
    }

    fn input_key(&self) -> LweKey {
        self.parts.input_key
    }

    fn output_count(&self) -> usize {
        self.parts.outputs.iter().map(|o| o.encodings.len()).sum()
    }

    fn output_word_bytes(&self) -> u32 {
        self.parts.output_word_bytes
    }
}

impl fmt::Display for ClientSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "client spec {}  of circuit #{}",
            self.parts.name,
            short_hex(&self.parts.circuit)
        )?;
        for set in self.parts.parameters.iter() {
            writeln!(f, "parameters {set}")?;
        }
        writeln!(
            f,
            "failure    budget 2^{:.0} a lookup; an inference fails less than once in {}, with all but 2^{KEY_SHARE_LOG2} of keys; results {}",
            self.parts.budget_log2,
            one_in(self.parts.inference_log2),
            if self.parts.exact { "exact" } else { "approximate" }
        )?;
        for input in &self.parts.inputs {
            let codes = input.spec.range;
            write!(f, "input      {} {:?} ", input.name, input.shape)?;
            match &input.spec.thresholds {
                None => write!(f, "codes {codes}")?,
                Some(thresholds) => write!(f, "bits of thresholds of {} features", thresholds.features)?,
            }
            if !input.spec.columns.is_empty() {
                write!(f, " columns {}", input.spec.columns.join(", "))?;
            }
            writeln!(f)?;
        }
        for output in &self.parts.outputs {
            write!(f, "output     {} {:?}", output.name, output.shape)?;
            if !output.spec.labels.is_empty() {
                write!(f, " {}", output.spec.labels.join(", "))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The reciprocal of a probability, for people: `2^36 (6.9e10)`.
pub fn one_in(log2_p: f64) -> String {
    let odds = (-log2_p).exp2();
    if odds < 1e4 {
        format!("{odds:.0}")
    } else {
        format!("{odds:.1e}")
    }
}
