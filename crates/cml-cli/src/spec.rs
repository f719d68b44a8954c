//! What commands of a client know of the circuit.

use crate::data::Samples;
use anyhow::{Context, bail};
use cml_ir::Tensor;
use cml_ir::container::{describe, peek_tag};
use cml_tfhe::{ClientSpec, artifact};
use std::path::Path;

/// The client spec in a file, or of the circuit in it.
pub(crate) fn read_spec(path: &Path) -> anyhow::Result<ClientSpec> {
    match peek_tag(path)? {
        tag if tag == artifact::CIRCUIT.tag => Ok(ClientSpec::of(&artifact::read_circuit(path)?)?),
        tag if tag == artifact::SPEC.tag => Ok(artifact::read_spec(path)?),
        tag => bail!(
            "{}: is {}, needs a client spec or a circuit",
            path.display(),
            describe(tag)
        ),
    }
}

/// Quantized samples for the one input of a network.
pub(crate) fn spec_inputs(spec: &ClientSpec, samples: &Samples) -> anyhow::Result<Vec<Vec<Tensor>>> {
    let [input] = spec.inputs() else {
        bail!(
            "network {} has {} inputs: a data set serves one",
            spec.name(),
            spec.inputs().len()
        );
    };
    samples
        .quantize(&input.name, &input.shape, &input.spec)
        .context(spec.name().to_owned())
}
