//! What commands of a client know of the circuit.

use crate::data::Samples;
use anyhow::{Context, bail};
use cml_file::{Artifact, describe, peek_tag};
use cml_ir::Tensor;
use cml_scheme::{ClientSpec, artifact};
use cml_tfhe::artifact::CIRCUIT;
use cml_tfhe::{Circuit, client_spec};
use std::path::Path;

/// The client spec in a file, or of the circuit in it.
pub(crate) fn read_spec(path: &Path) -> anyhow::Result<ClientSpec> {
    match peek_tag(path)? {
        tag if tag == CIRCUIT.tag => Ok(client_spec(&Circuit::read(path, ())?)?),
        tag if tag == artifact::SPEC.tag => Ok(ClientSpec::read(path, ())?),
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
