//! The client's part of a circuit.

use crate::circuit::{Circuit, CircuitOutput};
use cml_scheme::{CircuitInput, ClientOutput, ClientSpec, Encoding, LEAST_LOG2, SpecError, SpecParts};
use std::collections::BTreeMap;

/// What the client of a circuit needs.
///
/// # Errors
/// [`SpecError`] if the circuit has names that no client would show; one that was lowered or read from a file has none.
pub fn client_spec(circuit: &Circuit) -> Result<ClientSpec, SpecError> {
    let mut used = Used::default();
    let inputs = circuit.inputs().iter().map(|input| CircuitInput {
        name: input.name.clone(),
        shape: input.shape.clone(),
        spec: input.spec.clone(),
        encodings: used.numbers(circuit, input.encodings.iter().copied()),
    });
    let inputs = inputs.collect();
    let output = |output: &CircuitOutput| ClientOutput {
        name: output.name.clone(),
        shape: output.shape.clone(),
        spec: output.spec.clone(),
        encodings: used.numbers(circuit, output.rows.iter().map(|r| r.encoding)),
        shifts: output.shifts.clone(),
        slack: output.slack,
    };
    let outputs = circuit.outputs().iter().map(output).collect();
    ClientSpec::new(SpecParts {
        name: circuit.name().to_owned(),
        circuit: *circuit.hash(),
        parameters: circuit.parameters().clone(),
        budget_log2: circuit.budget_log2(),
        inference_log2: circuit.inference_log2_p_fail().max(LEAST_LOG2),
        exact: circuit.is_exact(),
        input_key: circuit.input_key(),
        output_word_bytes: circuit.output_word_bytes(),
        encodings: used.encodings,
        inputs,
        outputs,
    })
}

/// The encodings of the interface, numbered by first use.
#[derive(Default)]
struct Used {
    encodings: Vec<Encoding>,
    numbers: BTreeMap<u32, u32>,
}

impl Used {
    fn numbers(&mut self, circuit: &Circuit, encodings: impl Iterator<Item = u32>) -> Vec<u32> {
        let number = |encoding: u32| {
            *self.numbers.entry(encoding).or_insert_with(|| {
                self.encodings.push(circuit.encodings()[encoding as usize]);
                self.encodings.len() as u32 - 1
            })
        };
        encodings.map(number).collect()
    }
}
