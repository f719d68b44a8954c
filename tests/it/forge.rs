//! The wire forms of circuits and client specs with open fields: how tests write
//! files that lie. The only file here that knows bincode.

use cml_file::Artifact;
use cml_scheme::artifact::SPEC;
use cml_scheme::{Amortized, CircuitInput, ClientOutput, ClientSpec, Encoding, LweKey, Parameters};
use cml_tfhe::Circuit;
use cml_tfhe::artifact::CIRCUIT;
use cml_tfhe::circuit::{CircuitOutput, Level};
use serde::{Deserialize, Serialize};

/// [`Circuit`], field by field.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OpenCircuit {
    pub(crate) name: String,
    pub(crate) graph_hash: [u8; 32],
    pub(crate) single: Vec<Parameters>,
    pub(crate) amortized: Option<Amortized>,
    pub(crate) budget_log2: f64,
    pub(crate) samples_at_once: u32,
    pub(crate) input_key: LweKey,
    pub(crate) output_word_bytes: u32,
    pub(crate) encodings: Vec<Encoding>,
    pub(crate) layers: Vec<String>,
    pub(crate) inputs: Vec<CircuitInput>,
    pub(crate) tables: Vec<Vec<i64>>,
    pub(crate) levels: Vec<Level>,
    pub(crate) outputs: Vec<CircuitOutput>,
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard()
        .with_little_endian()
        .with_fixed_int_encoding()
}

impl OpenCircuit {
    pub(crate) fn of(circuit: &Circuit) -> Self {
        let file = circuit.to_bytes().unwrap();
        let payload = cml_file::decode(CIRCUIT, "open", &file).unwrap();
        let (open, used) = bincode::serde::decode_from_slice(payload, config()).unwrap();
        assert_eq!(used, payload.len(), "the wire form of circuits has changed");
        open
    }

    /// A `.cmlc` file with a checksum that fits.
    pub(crate) fn file(&self) -> Vec<u8> {
        cml_file::encode(CIRCUIT, &bincode::serde::encode_to_vec(self, config()).unwrap())
    }
}

/// [`ClientSpec`], field by field.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OpenSpec {
    pub(crate) name: String,
    pub(crate) circuit: [u8; 32],
    pub(crate) single: Vec<Parameters>,
    pub(crate) amortized: Option<Amortized>,
    pub(crate) budget_log2: f64,
    pub(crate) inference_log2: f64,
    pub(crate) exact: bool,
    pub(crate) input_key: LweKey,
    pub(crate) output_word_bytes: u32,
    pub(crate) encodings: Vec<Encoding>,
    pub(crate) inputs: Vec<CircuitInput>,
    pub(crate) outputs: Vec<ClientOutput>,
}

impl OpenSpec {
    pub(crate) fn of(spec: &ClientSpec) -> Self {
        let file = spec.to_bytes().unwrap();
        let payload = cml_file::decode(SPEC, "open", &file).unwrap();
        let (open, used) = bincode::serde::decode_from_slice(payload, config()).unwrap();
        assert_eq!(used, payload.len(), "the wire form of client specs has changed");
        open
    }

    /// A `.cmls` file with a checksum that fits.
    pub(crate) fn file(&self) -> Vec<u8> {
        cml_file::encode(SPEC, &bincode::serde::encode_to_vec(self, config()).unwrap())
    }
}

#[test]
fn the_open_form_is_the_wire_form() {
    let circuit = crate::networks::lowered(&crate::networks::conv_residual());
    assert_eq!(OpenCircuit::of(&circuit).file(), *circuit.to_bytes().unwrap());
}
