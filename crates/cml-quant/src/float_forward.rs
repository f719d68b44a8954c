//! The forward pass of a float network: what it computes before quantization.
//!
//! Sums of products and of windows are added up in `f64` and rounded to `f32`
//! once; everything else is one `f32` operation. Float passes of other programs
//! agree up to their own rounding, not bit for bit.

use crate::layers::kind::Place;
use crate::{Network, QuantError};

impl Network {
    /// Whether no layer quantizes: neither its values nor its weights.
    pub fn is_float(&self) -> bool {
        self.layers().iter().all(|node| node.layer.kind().is_float())
    }

    /// Values of each layer of a float network for a checked sample.
    ///
    /// # Errors
    /// If a layer quantizes.
    pub(crate) fn float_values(&self, sample: &[f32]) -> Result<Vec<Vec<f32>>, QuantError> {
        let mut values = Vec::with_capacity(self.layers().len());
        let width = self.layers()[0].channel_len();
        let prepare = |(i, &x): (usize, &f32)| {
            let steps = self.input_steps().iter();
            steps.fold(x, |x, step| step.eval(i / width, x))
        };
        values.push(sample.iter().enumerate().map(prepare).collect());
        for node in &self.layers()[1..] {
            let value = node.layer.kind().floats(&Place {
                network: self,
                node,
                before: &values,
            })?;
            values.push(value);
        }
        Ok(values)
    }
}
