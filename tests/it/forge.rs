//! The wire forms of circuits and client specs with open fields: how tests write
//! files that lie. The only file here that knows bincode.

use cml_tfhe::artifact::{CIRCUIT, SPEC, circuit_to_bytes, spec_to_bytes};
use cml_tfhe::circuit::{CircuitInput, CircuitOutput, Encoding, Level};
use cml_tfhe::keys::LweKey;
use cml_tfhe::{Circuit, ClientSpec, Parameters, SpecOutput};
use serde::{Deserialize, Serialize};

/// [`Circuit`], field by field.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OpenCircuit {
    pub(crate) name: String,
    pub(crate) graph_hash: [u8; 32],
    pub(crate) parameters: Parameters,
    pub(crate) more_parameters: Vec<Parameters>,
    pub(crate) budget_log2: f64,
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
        let file = circuit_to_bytes(circuit).unwrap();
        let payload = cml_ir::container::decode(CIRCUIT, "open", &file).unwrap();
        let (open, used) = bincode::serde::decode_from_slice(payload, config()).unwrap();
        assert_eq!(used, payload.len(), "the wire form of circuits has changed");
        open
    }

    /// A `.cmlc` file with a checksum that fits.
    pub(crate) fn file(&self) -> Vec<u8> {
        cml_ir::container::encode(CIRCUIT, &bincode::serde::encode_to_vec(self, config()).unwrap())
    }
}

/// [`ClientSpec`], field by field.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OpenSpec {
    pub(crate) name: String,
    pub(crate) circuit: [u8; 32],
    pub(crate) parameters: Parameters,
    pub(crate) more_parameters: Vec<Parameters>,
    pub(crate) budget_log2: f64,
    pub(crate) inference_log2: f64,
    pub(crate) exact: bool,
    pub(crate) input_key: LweKey,
    pub(crate) output_word_bytes: u32,
    pub(crate) encodings: Vec<Encoding>,
    pub(crate) inputs: Vec<CircuitInput>,
    pub(crate) outputs: Vec<SpecOutput>,
}

impl OpenSpec {
    pub(crate) fn of(spec: &ClientSpec) -> Self {
        let file = spec_to_bytes(spec).unwrap();
        let payload = cml_ir::container::decode(SPEC, "open", &file).unwrap();
        let (open, used) = bincode::serde::decode_from_slice(payload, config()).unwrap();
        assert_eq!(used, payload.len(), "the wire form of client specs has changed");
        open
    }

    /// A `.cmls` file with a checksum that fits.
    pub(crate) fn file(&self) -> Vec<u8> {
        cml_ir::container::encode(SPEC, &bincode::serde::encode_to_vec(self, config()).unwrap())
    }
}

#[test]
fn the_open_form_is_the_wire_form() {
    let circuit = crate::networks::lowered(&crate::networks::conv_residual());
    assert_eq!(
        OpenCircuit::of(&circuit).file(),
        circuit_to_bytes(&circuit).unwrap()
    );
}
