//! The quantized input: the one place where floats become codes.

use crate::error::{check_number, misfit};
use crate::{Layer, LayerNode, Network, QuantError};
use cml_ir::{InputSpec, Interval};
use ndarray::{Array1, Array2, ArrayView2};

impl Network {
    /// How the raw input becomes codes: the comparisons of trees, or the steps before it, its quantizer, and the
    /// normalization between them if there is one, `scale[c] = q.scale / factor[c]` in `f32`. Codes that the steps never
    /// lead to are not in its range.
    ///
    /// The forward pass, the graph and training all quantize with it.
    ///
    /// # Errors
    /// If the input (or its normalization) has not exactly one reader, or that
    /// is no quantizer.
    pub fn input_spec(&self) -> Result<InputSpec, QuantError> {
        let mut node = self.only_reader(0)?.1;
        if let Layer::Trees(trees) = &node.layer {
            return Ok(trees.input_spec());
        }
        let mut normalize = None;
        if let (Layer::Normalize(n), (at, _)) = (&node.layer, self.only_reader(0)?) {
            normalize = Some(n);
            node = self.only_reader(at)?.1;
        }
        let Layer::Quantize(q) = &node.layer else {
            return Err(self.not_quantized(node, 0));
        };
        let mut spec = InputSpec {
            steps: self.input_steps().to_vec(),
            ..InputSpec::new(q.scale, q.zero_point, q.codes())
        };
        if let Some(normalize) = normalize {
            spec.scale = normalize.factor.iter().map(|factor| q.scale / factor).collect();
            spec.offset.clone_from(&normalize.offset);
        }
        // A quotient may have left the range of `f32`.
        let shape = &self.layers()[0].shape;
        spec.check(&self.layers()[0].name, shape)?;
        let reached = (0..cml_ir::channels(shape)).map(|c| spec.reached(c));
        spec.range = Interval::hull_of(reached).unwrap_or(spec.range);
        Ok(spec)
    }

    /// Input codes `[rows, inputs]` of float samples `[rows, inputs]`.
    ///
    /// # Errors
    /// As [`Network::input_spec`], and if the samples have the wrong width or
    /// are not finite.
    pub fn input_codes(&self, features: ArrayView2<'_, f32>) -> Result<Array2<i64>, QuantError> {
        let spec = self.input_spec()?;
        let mut codes = Array2::zeros(features.dim());
        for (row, mut codes) in features.rows().into_iter().zip(codes.rows_mut()) {
            let row = row.to_vec();
            self.check_sample(&row)?;
            codes.assign(&Array1::from_vec(self.sample_codes(&spec, &row)?));
        }
        Ok(codes)
    }

    /// Codes of one checked sample.
    pub(crate) fn sample_codes(&self, spec: &InputSpec, sample: &[f32]) -> Result<Vec<i64>, QuantError> {
        let codes = spec.quantize_all(&self.layers()[0].shape, sample);
        codes.map_err(|i| QuantError::Number {
            what: "input".to_owned(),
            has: sample[i],
        })
    }

    /// Refuses a sample of the wrong length, or that is not finite, but for missing values where they are taken.
    pub(crate) fn check_sample(&self, sample: &[f32]) -> Result<(), QuantError> {
        if sample.len() != self.input_len() {
            let name = &self.layers()[0].name;
            return Err(misfit(name, "input values", self.input_len(), sample.len()));
        }
        let takes_missing = self.layers().iter().any(|node| match &node.layer {
            Layer::Trees(trees) => trees.takes_missing,
            _ => false,
        });
        let mut numbers = sample.iter().filter(|x| !(takes_missing && x.is_nan()));
        numbers.try_for_each(|&x| check_number("input", x))
    }

    /// The one layer that reads a layer.
    fn only_reader(&self, of: usize) -> Result<(usize, &LayerNode), QuantError> {
        let mut readers = self.layers().iter().enumerate();
        let mut reads = readers
            .by_ref()
            .filter(|(_, n)| n.operands.iter().any(|o| o.index() == of));
        let first = reads.next();
        match (first, reads.count()) {
            (Some(reader), 0) => Ok(reader),
            (first, more) => Err(QuantError::InputReaders(usize::from(first.is_some()) + more)),
        }
    }
}
