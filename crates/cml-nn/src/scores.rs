//! The scores of any network on many rows, by libtorch.

use cml_quant::{Concat, Layer, LayerNode, Network, PoolKind, QuantError, Reshape, Univariate, Weights};
use ndarray::{Array, Array2, ArrayView2, Axis, Dimension};
use tch::{Tensor, no_grad};

use crate::fake_quant::activation;
use crate::linear_ops::{ConvWindow, by_channel, convolution, dense, window_sums};
use crate::normalize;
use crate::{NnError, accumulators};

/// Rows that are computed at once: a bound on memory.
const ROWS: usize = 1_024;

/// A value on its way through the network: floats, or integers (relative to the one that stands for
/// 0.0) and what they stand for.
enum Value {
    Float(Tensor),
    Integers {
        x: Tensor,
        /// `[1]` or one for each channel.
        scale: Tensor,
        bias: Option<Tensor>,
        relu: bool,
    },
}

/// Scores `[rows, outputs]` for `features` `[rows, inputs]`: [`Network::forward`] for many rows at
/// once. For a quantized network bit for bit the same; a float one may be summed in another order.
///
/// # Errors
/// If the features do not fit or are not finite, a layer reads a value without quantizer, an accumulator
/// leaves what `f32` holds exactly, a layer is none that training knows, or scales or biases of channels meet
/// a reshape that mixes channels.
pub fn scores(network: &Network, features: ArrayView2<'_, f32>) -> Result<Array2<f32>, NnError> {
    let input = &network.layers()[0];
    let needs: usize = input.shape.iter().product();
    if needs != features.ncols() {
        return Err(NnError::Quant(QuantError::Shape {
            layer: input.name.clone(),
            what: "input values",
            needs: format!("{:?}", input.shape),
            has: format!("[{}]", features.ncols()),
        }));
    }
    if let Some(&has) = features.iter().find(|x| !x.is_finite()) {
        return Err(NnError::Quant(QuantError::Number {
            what: "input".to_owned(),
            has,
        }));
    }
    let output = network.output()?;
    if !network.is_float() {
        accumulators(network)?;
    }
    let mut parts = Vec::new();
    for rows in features.axis_chunks_iter(Axis(0), ROWS) {
        parts.push(no_grad(|| batch(network, rows, output.index()))?);
    }
    let views: Vec<_> = parts.iter().map(Array2::view).collect();
    let width: usize = network.layer(output).shape.iter().product();
    Ok(ndarray::concatenate(Axis(0), &views).unwrap_or_else(|_| Array2::zeros((0, width))))
}

fn batch(network: &Network, features: ArrayView2<'_, f32>, output: usize) -> Result<Array2<f32>, NnError> {
    let mut values: Vec<Value> = Vec::with_capacity(network.layers().len());
    for node in network.layers() {
        let value = match (&node.layer, node.operands.first()) {
            (Layer::Input, _) | (_, None) => Value::Float(shaped(&features.to_owned(), &node.shape)?),
            (Layer::Normalize(normalize), _) => Value::Float(shaped(
                &normalize::apply(Some(normalize), &features.to_owned()),
                &node.shape,
            )?),
            (Layer::Quantize(q), Some(&o)) if is_raw(network, o.index()) => {
                let codes = network.input_codes(features)?;
                let codes = codes.mapv(|c| (c - q.zero_point) as f32);
                Value::Integers {
                    x: shaped(&codes, &node.shape)?,
                    scale: Tensor::f_from_slice(&[q.scale])?,
                    bias: None,
                    relu: false,
                }
            }
            _ => apply(network, node, &values)?,
        };
        values.push(value);
    }
    to_array(&values[output].float()?.f_flatten(1, -1)?)
}

/// Whether a layer yields raw or normalized input.
fn is_raw(network: &Network, layer: usize) -> bool {
    matches!(network.layers()[layer].layer, Layer::Input | Layer::Normalize(_))
}

fn shaped(rows: &Array2<f32>, shape: &[usize]) -> Result<Tensor, NnError> {
    let mut all = vec![rows.nrows() as i64];
    all.extend(shape.iter().map(|&n| n as i64));
    Ok(Tensor::try_from(rows.as_standard_layout())?.f_view(all.as_slice())?)
}

fn apply(network: &Network, node: &LayerNode, values: &[Value]) -> Result<Value, NnError> {
    let read: Vec<&Value> = node.operands.iter().map(|o| &values[o.index()]).collect();
    let x = read[0];
    match &node.layer {
        Layer::Quantize(q) => {
            let scale = Tensor::f_from_slice(&[q.scale])?;
            Ok(Value::Integers {
                x: activation(&x.float()?, &scale, q)?,
                scale,
                bias: None,
                relu: false,
            })
        }
        Layer::Linear(linear) => {
            let scale = linear.quantizer().map(|q| q.scale.as_slice());
            let weights = factors(linear.weights())?;
            weighted(network, node, x, &weights, scale, linear.bias(), dense)
        }
        Layer::Conv2d(conv) => {
            let scale = conv.quantizer().map(|q| q.scale.as_slice());
            let weights = factors(conv.weights())?;
            let window = ConvWindow {
                kernel: [2, 3].map(|axis| conv.weights().shape()[axis]),
                stride: conv.stride(),
                padding: conv.padding(),
                groups: conv.groups(),
            };
            let convolve = |x: &Tensor, w: &Tensor| convolution(x, w, window);
            weighted(network, node, x, &weights, scale, conv.bias(), convolve)
        }
        Layer::Function(Univariate::Relu) => x.with_relu(),
        Layer::Pool(pool) if pool.kind == PoolKind::Max || pool.padding != [0; 4] => {
            Err(unsupported(node, "a maximum or padding of a pool"))
        }
        Layer::Pool(pool) => {
            let count = (pool.kernel[0] * pool.kernel[1]) as f64;
            let (tensor, scale, bias) = match x {
                Value::Float(x) => {
                    let sums = window_sums(x, pool)?;
                    return Ok(Value::Float(match pool.kind {
                        PoolKind::Sum | PoolKind::Max => sums,
                        PoolKind::Average => sums.f_div_scalar(count)?,
                    }));
                }
                Value::Integers {
                    x,
                    scale,
                    bias,
                    relu: false,
                } => (window_sums(x, pool)?, scale, bias),
                Value::Integers { .. } => return Err(not_quantized(network, node, 0)),
            };
            let bias = bias.as_ref();
            let (scale, bias) = match pool.kind {
                PoolKind::Sum | PoolKind::Max => (
                    scale.shallow_clone(),
                    bias.map(|b| b.f_mul_scalar(count)).transpose()?,
                ),
                PoolKind::Average => (scale.f_div_scalar(count)?, bias.map(Tensor::shallow_clone)),
            };
            Ok(Value::Integers {
                x: tensor,
                scale,
                bias,
                relu: false,
            })
        }
        Layer::Reshape(Reshape { shape }) => {
            let mut all = vec![-1];
            all.extend(shape.iter().map(|&n| n as i64));
            let reshaped = |x: &Tensor| x.f_reshape(all.as_slice());
            match x {
                Value::Float(x) => Ok(Value::Float(reshaped(x)?)),
                Value::Integers { x, scale, bias, relu } => {
                    let channels = scale.size1()?.max(bias.as_ref().map_or(Ok(1), Tensor::size1)?);
                    if channels != 1 && shape.first() != Some(&(channels as usize)) {
                        return Err(not_quantized(network, node, 0));
                    }
                    Ok(Value::Integers {
                        x: reshaped(x)?,
                        scale: scale.shallow_clone(),
                        bias: bias.as_ref().map(Tensor::shallow_clone),
                        relu: *relu,
                    })
                }
            }
        }
        Layer::Add | Layer::Sub | Layer::Concat(_) => {
            let mut parts = Vec::new();
            let mut common = None;
            for (slot, value) in read.iter().enumerate() {
                match value {
                    Value::Float(x) if network.is_float() => parts.push(x.shallow_clone()),
                    Value::Integers {
                        x,
                        scale,
                        bias: None,
                        relu: false,
                    } => {
                        common = Some(scale.shallow_clone());
                        parts.push(x.shallow_clone());
                    }
                    _ => return Err(not_quantized(network, node, slot)),
                }
            }
            let x = match node.layer {
                Layer::Add => parts[0].f_add(&parts[1])?,
                Layer::Sub => parts[0].f_sub(&parts[1])?,
                // Axis 0 of the network is that of the rows.
                Layer::Concat(Concat { axis }) => Tensor::f_cat(&parts, axis as i64 + 1)?,
                _ => return Err(unsupported(node, node.layer.mnemonic())),
            };
            Ok(match common {
                None => Value::Float(x),
                Some(scale) => Value::Integers {
                    x,
                    scale,
                    bias: None,
                    relu: false,
                },
            })
        }
        Layer::Function(_)
        | Layer::Mul
        | Layer::Transpose(_)
        | Layer::Slice(_)
        | Layer::Pad(_)
        | Layer::Gather(_)
        | Layer::Trees(_) => Err(unsupported(node, node.layer.mnemonic())),
        Layer::Input | Layer::Normalize(_) => Err(not_quantized(network, node, 0)),
    }
}

/// Products of a linear layer; `scale` is that of integer weights.
fn weighted(
    network: &Network,
    node: &LayerNode,
    x: &Value,
    weights: &Tensor,
    scale: Option<&[f32]>,
    bias: Option<&[f32]>,
    product: impl Fn(&Tensor, &Tensor) -> Result<Tensor, NnError>,
) -> Result<Value, NnError> {
    let bias = bias.map(Tensor::f_from_slice).transpose()?;
    match (x, scale) {
        (Value::Float(x), None) => {
            let y = product(x, weights)?;
            Ok(Value::Float(match bias {
                None => y,
                Some(bias) => y.f_add(&by_channel(&bias, &y)?)?,
            }))
        }
        (
            Value::Integers {
                x,
                scale: read,
                bias: None,
                relu: false,
            },
            Some(scale),
        ) if read.size1()? == 1 => Ok(Value::Integers {
            x: product(x, weights)?,
            scale: read.f_mul(&Tensor::f_from_slice(scale)?)?,
            bias,
            relu: false,
        }),
        _ => Err(not_quantized(network, node, 0)),
    }
}

fn unsupported(node: &LayerNode, what: &str) -> NnError {
    NnError::Unsupported {
        layer: node.name.clone(),
        what: what.to_owned(),
    }
}

fn not_quantized(network: &Network, node: &LayerNode, slot: usize) -> NnError {
    NnError::Quant(QuantError::NotQuantized {
        layer: node.name.clone(),
        from: node
            .operands
            .get(slot)
            .map_or("nothing", |&o| network.layer(o).name.as_str())
            .to_owned(),
    })
}

impl Value {
    /// What the value stands for: the expression of [`cml_quant::Dequantizer`], operation by operation.
    fn float(&self) -> Result<Tensor, NnError> {
        match self {
            Self::Float(x) => Ok(x.shallow_clone()),
            Self::Integers { x, scale, bias, relu } => {
                let y = x.f_mul(&by_channel(scale, x)?)?;
                let y = match bias {
                    None => y,
                    Some(bias) => y.f_add(&by_channel(bias, x)?)?,
                };
                Ok(if *relu { y.f_relu()? } else { y })
            }
        }
    }

    fn with_relu(&self) -> Result<Self, NnError> {
        Ok(match self {
            Self::Float(x) => Self::Float(x.f_relu()?),
            Self::Integers { x, scale, bias, .. } => Self::Integers {
                x: x.shallow_clone(),
                scale: scale.shallow_clone(),
                bias: bias.as_ref().map(Tensor::shallow_clone),
                relu: true,
            },
        })
    }
}

/// What is multiplied with: integer weights, or floats, as a matrix `[out, fan_in]`.
fn factors<D: Dimension>(weights: &Weights<D>) -> Result<Tensor, NnError> {
    match weights {
        Weights::Float(floats) => rows_of(floats),
        Weights::Codes { codes, .. } => rows_of(&codes.mapv(|c| c as f32)),
    }
}

/// Weights `[out, ..]` as a matrix `[out, fan_in]`.
fn rows_of<D: Dimension>(weights: &Array<f32, D>) -> Result<Tensor, NnError> {
    let out = weights.shape()[0] as i64;
    Ok(Tensor::try_from(weights.as_standard_layout())?.f_view([out, -1])?)
}

/// The matrix that a tensor holds.
pub(crate) fn to_array(tensor: &Tensor) -> Result<Array2<f32>, NnError> {
    let (rows, columns) = tensor.size2()?;
    let mut array = Array2::zeros((rows as usize, columns as usize));
    let len = array.len();
    if let Some(values) = array.as_slice_mut() {
        tensor.f_detach()?.f_contiguous()?.f_copy_data(values, len)?;
    }
    Ok(array)
}
