//! The forward pass: of a quantized network the float pass with fake
//! quantization, without libtorch.
//!
//! Written by itself, not on the terms of `cml_ir`: zero points are taken off
//! before a product here, and put into biases and borders there. That the two
//! agree is a test of both.

use crate::layers::kind::{Integers, Place};
use crate::{Dequantizer, LayerId, Network, QuantError};

impl Network {
    /// Output scores of one sample (row-major floats): of a quantized network
    /// the fake-quantized forward pass that training optimizes, of a float one
    /// its float values, sums in `f64` and rounded once.
    ///
    /// # Errors
    /// If the sample has the wrong length or is not finite, the network is
    /// quantized only in part, or an integer reaches [`cml_ir::LIMIT`].
    pub fn forward(&self, sample: &[f32]) -> Result<Vec<f32>, QuantError> {
        self.check_sample(sample)?;
        if self.is_float() {
            let output = self.output()?.index();
            return Ok(self.float_values(sample)?.swap_remove(output));
        }
        let spec = self.input_spec()?;
        let meanings = self.meanings()?;
        // Integers of each layer; there are none of the raw input.
        let mut values: Vec<Vec<i64>> = Vec::with_capacity(self.layers().len());
        for node in self.layers() {
            let value = node.layer.kind().integers(&Integers {
                place: Place {
                    network: self,
                    node,
                    before: &values,
                },
                meanings: &meanings,
                sample,
                spec: &spec,
            })?;
            values.push(value);
        }
        let output = self.output()?;
        match &meanings[output.index()] {
            None => Ok(sample.to_vec()),
            Some(meaning) => self.floats(output, &values[output.index()], meaning),
        }
    }

    /// What the integers of a layer stand for.
    pub(crate) fn floats(
        &self,
        x: LayerId,
        codes: &[i64],
        meaning: &Dequantizer,
    ) -> Result<Vec<f32>, QuantError> {
        let width = self.layer(x).channel_len();
        let float = |(i, &q)| meaning.finite(i / width, q);
        let floats: Result<Vec<f32>, _> = codes.iter().enumerate().map(float).collect();
        floats.map_err(|bad| self.not_finite(x, meaning, bad))
    }
}
