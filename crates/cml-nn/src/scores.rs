//! The scores of any network on many rows, by libtorch.

use cml_quant::{Layer, LayerNode, Linear, Network, QuantError, Univariate};
use ndarray::{Array2, ArrayView2};
use tch::{Tensor, no_grad};

use crate::fake_quant::{activation, linear};
use crate::{NnError, accumulators};

/// A value on its way through the network.
enum Value {
    Float(Tensor),
    Codes {
        codes: Tensor,
        scale: f32,
        zero_point: f32,
    },
}

/// Scores `[rows, outputs]` for `features` `[rows, inputs]`: [`Network::forward`] for many rows at
/// once, bit for bit the same, by the operations that training uses.
///
/// # Errors
/// If the features do not fit or are not finite, a layer reads a value without quantizer, or an
/// accumulator leaves what `f32` holds exactly.
pub fn scores(network: &Network, features: ArrayView2<'_, f32>) -> Result<Array2<f32>, NnError> {
    if network.layers()[0].shape != [features.ncols()] {
        return Err(NnError::Quant(QuantError::Shape {
            layer: network.layers()[0].name.clone(),
            what: "input values",
            needs: format!("{:?}", network.layers()[0].shape),
            has: format!("[{}]", features.ncols()),
        }));
    }
    if let Some(&has) = features.iter().find(|x| !x.is_finite()) {
        return Err(NnError::Quant(QuantError::Number {
            what: "input".to_owned(),
            has,
        }));
    }
    accumulators(network)?;
    let output = network.output()?;
    no_grad(|| {
        let mut values: Vec<Value> = Vec::with_capacity(network.layers().len());
        for node in network.layers() {
            let value = match node.operands.first().map(|o| &values[o.index()]) {
                None => Value::Float(Tensor::try_from(features.as_standard_layout())?),
                Some(x) => apply(network, node, x)?,
            };
            values.push(value);
        }
        to_array(&values[output.index()].float()?)
    })
}

fn apply(network: &Network, node: &LayerNode, x: &Value) -> Result<Value, NnError> {
    match (&node.layer, x) {
        (Layer::Quantize(q), x) => Ok(Value::Codes {
            codes: activation(&x.float()?, q)?,
            scale: q.scale,
            zero_point: q.zero_point as f32,
        }),
        (Layer::Function(Univariate::Relu), x) => Ok(Value::Float(x.float()?.f_relu()?)),
        (
            Layer::Linear(layer),
            Value::Codes {
                codes,
                scale,
                zero_point,
            },
        ) => {
            let x = codes.f_sub(&Tensor::f_from_slice(&[*zero_point])?)?;
            Ok(Value::Float(dense(&x, *scale, layer)?))
        }
        (Layer::Linear(_) | Layer::Input, _) => Err(NnError::Quant(QuantError::NotQuantized {
            layer: node.name.clone(),
            from: node
                .operands
                .first()
                .map_or("nothing", |&o| network.layer(o).name.as_str())
                .to_owned(),
        })),
        (
            other @ (Layer::Normalize(_)
            | Layer::Conv2d(_)
            | Layer::Pool(_)
            | Layer::Reshape { .. }
            | Layer::Add
            | Layer::Concat),
            _,
        ) => Err(NnError::Quant(QuantError::Shape {
            layer: node.name.clone(),
            what: "scores by libtorch",
            needs: "a network of dense layers".to_owned(),
            has: other.mnemonic().to_owned(),
        })),
    }
}

fn dense(x: &Tensor, scale: f32, layer: &Linear) -> Result<Tensor, NnError> {
    let Some((codes, quantizer)) = layer.codes().zip(layer.quantizer()) else {
        return Err(NnError::Quant(QuantError::FloatWeights("linear".to_owned())));
    };
    let weights = Tensor::try_from(codes.mapv(|c| c as f32))?;
    let bias = layer.bias().map(Tensor::f_from_slice).transpose()?;
    linear(x, scale, &weights, &quantizer.scale, bias.as_ref())
}

impl Value {
    fn float(&self) -> Result<Tensor, NnError> {
        match self {
            Self::Float(x) => Ok(x.shallow_clone()),
            Self::Codes {
                codes,
                scale,
                zero_point,
            } => {
                let relative = codes.f_sub(&Tensor::f_from_slice(&[*zero_point])?)?;
                Ok(relative.f_mul(&Tensor::f_from_slice(&[*scale])?)?)
            }
        }
    }
}

/// The matrix that a tensor holds.
pub(crate) fn to_array(tensor: &Tensor) -> Result<Array2<f32>, NnError> {
    let (rows, columns) = tensor.size2()?;
    let mut array = Array2::zeros((rows as usize, columns as usize));
    let len = array.len();
    if let Some(values) = array.as_slice_mut() {
        tensor.f_detach()?.f_copy_data(values, len)?;
    }
    Ok(array)
}
