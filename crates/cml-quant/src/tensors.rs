//! The tensors of a network's file.

use crate::error::misfit;
use crate::{QuantError, Weights};
use ndarray::{Array, Dimension};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::BTreeMap;

/// Tensors to write, by name: shapes and little-endian numbers.
#[derive(Default)]
pub(crate) struct Written(BTreeMap<String, (Vec<usize>, Vec<u8>)>);

impl Written {
    /// Adds weights and bias of a layer.
    pub(crate) fn store<D: Dimension>(&mut self, layer: &str, weights: &Weights<D>, bias: Option<&[f32]>) {
        let floats = weights.floats().iter().copied().collect();
        self.insert(format!("{layer}.weight"), weights.shape().to_vec(), floats);
        if let Some(bias) = bias {
            self.insert(format!("{layer}.bias"), vec![bias.len()], bias.to_vec());
        }
    }

    /// Adds a tensor.
    pub(crate) fn insert(&mut self, name: String, shape: Vec<usize>, floats: Vec<f32>) {
        let bytes = floats.into_iter().flat_map(f32::to_le_bytes).collect();
        self.0.insert(name, (shape, bytes));
    }

    /// The tensors in the order of their names.
    pub(crate) fn views(&self) -> Result<Vec<(&str, TensorView<'_>)>, safetensors::SafeTensorError> {
        let mut views = Vec::with_capacity(self.0.len());
        for (name, (shape, data)) in &self.0 {
            views.push((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data)?));
        }
        Ok(views)
    }
}

/// Tensors that were read, by name.
pub(crate) struct Tensors<'a>(BTreeMap<String, TensorView<'a>>);

/// Weights and bias.
type Parameters<D> = (Array<f32, D>, Option<Vec<f32>>);

impl<'a> Tensors<'a> {
    /// Those of a file.
    pub(crate) fn of(file: &SafeTensors<'a>) -> Self {
        Self(file.tensors().into_iter().collect())
    }

    /// Names, shapes and bytes, in the order of the names.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&str, &[usize], &[u8])> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.shape(), v.data()))
    }

    /// Weights of a layer, and the bias if it has one; `needs` are the axes.
    pub(crate) fn load<D: Dimension>(
        &self,
        layer: &str,
        needs: &str,
        bias: bool,
    ) -> Result<Parameters<D>, QuantError> {
        let (shape, weights) = self.floats(&format!("{layer}.weight"))?;
        let weights = Array::from_shape_vec(shape.as_slice(), weights)
            .and_then(Array::into_dimensionality)
            .map_err(|_| misfit(layer, "weights", needs, format!("{shape:?}")))?;
        let bias = bias.then(|| self.floats(&format!("{layer}.bias"))).transpose()?;
        Ok((weights, bias.map(|(_, values)| values)))
    }

    /// Shape and numbers of a tensor.
    pub(crate) fn floats(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>), QuantError> {
        let fail = |why: &str| QuantError::File {
            name: name.to_owned(),
            why: why.to_owned(),
        };
        let view = self.0.get(name).ok_or_else(|| fail("tensor is missing"))?;
        if view.dtype() != Dtype::F32 {
            return Err(fail("tensor must be F32"));
        }
        let data = view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        Ok((view.shape().to_vec(), data))
    }
}

/// A layer of a file that is not valid.
pub(crate) fn invalid(layer: &str, error: &QuantError) -> QuantError {
    QuantError::File {
        name: format!("layer {layer}"),
        why: error.to_string(),
    }
}
