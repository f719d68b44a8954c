//! From a network to an integer graph.

use crate::error::EXACT;
use crate::meaning::bounded;
use crate::{ActQuantizer, Dequantizer, Layer, LayerNode, Network, QuantError};
use cml_ir::{
    Dot, Graph, GraphBuilder, Interval, Lut, NodeId, Op, OutputSpec, Steps, SumPool, Tensor, channel_len,
    channels,
};
use ndarray::{Array, ArrayView, RemoveAxis};

/// Translates a network: linear layers keep their integer weights, and
/// everything else between two of them (scale, bias, functions, quantizer)
/// becomes a lookup table, sampled on the whole interval that the accumulator
/// can reach.
///
/// # Errors
/// If the network is float, a layer that needs plain codes reads something else (no quantizer, or a
/// bias, a function or several scales since), values that are added or joined
/// have no common scale, a function reads the input, the input has no or
/// several quantizers, the output ends with a function, or an accumulator is
/// too wide for exact `f32` arithmetic.
pub fn to_graph(network: &Network) -> Result<Graph, QuantError> {
    let output = network.output()?;
    if network.is_float() {
        return Err(QuantError::Float(network.name().to_owned()));
    }
    let spec = network.input_spec()?;
    let meanings = network.meanings()?;
    let mut builder = GraphBuilder::new(network.name());
    // The integers of each layer; `None` for raw floats.
    let mut values: Vec<Option<NodeId>> = Vec::with_capacity(network.layers().len());
    for node in network.layers() {
        let operands: Option<Vec<NodeId>> = node.operands.iter().map(|o| values[o.index()]).collect();
        let x = node.operands.first().and_then(|o| meanings[o.index()].as_ref());
        let value = match (operands.as_deref(), x, &node.layer) {
            (_, _, Layer::Input | Layer::Normalize(_)) => None,
            (Some(operands), Some(x), _) => Some(integers(&mut builder, node, operands, x)?),
            (_, _, Layer::Quantize(_)) => {
                let input = &network.layers()[0];
                Some(builder.input(&input.name, input.shape.clone(), spec.clone())?)
            }
            _ => return Err(network.not_quantized(node, 0)),
        };
        values.push(value);
    }
    let last = network.layer(output);
    let (Some(y), Some(meaning)) = (values[output.index()], &meanings[output.index()]) else {
        return Err(network.not_quantized(last, 0));
    };
    if let Some(function) = meaning.functions.first() {
        return Err(QuantError::OutputFunction {
            layer: last.name.clone(),
            function: function.name().to_owned(),
        });
    }
    let spec = output_spec(meaning, network.labels());
    builder.output(&output_name(network), y, spec)?;
    Ok(builder.finish()?)
}

/// The integers of a layer that reads integers, the first of which stand for
/// `x`.
fn integers(
    builder: &mut GraphBuilder,
    node: &LayerNode,
    operands: &[NodeId],
    x: &Dequantizer,
) -> Result<NodeId, QuantError> {
    let op = match &node.layer {
        // Functions are part of the next table.
        Layer::Input | Layer::Normalize(_) | Layer::Function(_) => return Ok(operands[0]),
        Layer::Quantize(q) => Op::Lut(table(builder, node, operands[0], x, q)?),
        Layer::Linear(linear) => {
            let (weights, bias) = weights(node, linear.codes(), x.zero_point)?;
            Op::Dot(Dot { weights, bias })
        }
        Layer::Conv2d(conv) => {
            let (weights, bias) = weights(node, conv.codes(), x.zero_point)?;
            Op::Conv2d(cml_ir::Conv2d {
                weights,
                bias,
                stride: conv.stride(),
                padding: conv.padding(),
                pad_value: x.zero_point,
                groups: conv.groups(),
            })
        }
        Layer::Pool(pool) => Op::SumPool(SumPool {
            kernel: pool.kernel,
            stride: pool.stride,
        }),
        Layer::Reshape { shape } => Op::Reshape { shape: shape.clone() },
        Layer::Add => Op::Add,
        Layer::Concat => Op::Concat { axis: 0 },
    };
    Ok(builder.push(&node.name, op, operands)?)
}

/// Integer weights, and the bias of each output channel that takes the zero
/// point off its inputs.
fn weights<D: RemoveAxis>(
    node: &LayerNode,
    codes: Option<Array<i64, D>>,
    zero_point: i64,
) -> Result<(Tensor, Vec<i64>), QuantError> {
    let codes = codes.ok_or_else(|| QuantError::FloatWeights(node.name.clone()))?;
    let correction = |channel: ArrayView<'_, i64, D::Smaller>| {
        let sum: i64 = channel.iter().sum();
        bounded(&node.name, -i128::from(zero_point) * i128::from(sum))
    };
    let bias = codes.outer_iter().map(correction).collect::<Result<_, _>>()?;
    let tensor = Tensor::new(codes.shape().to_vec(), codes.iter().copied().collect())?;
    Ok((tensor, bias))
}

fn output_spec(meaning: &Dequantizer, labels: &[String]) -> OutputSpec {
    OutputSpec {
        zero_point: meaning.zero_point,
        scale: meaning.scale.clone(),
        offset: meaning.bias.clone().unwrap_or_else(|| vec![0.0]),
        labels: labels.to_vec(),
    }
}

/// `y`, or the first of `y_`, `y__`, ... that no layer has.
fn output_name(network: &Network) -> String {
    let mut name = "y".to_owned();
    while network.layers().iter().any(|l| l.name == name) {
        name.push('_');
    }
    name
}

/// The table from accumulator to code: one for each channel, or one for all.
fn table(
    builder: &GraphBuilder,
    node: &LayerNode,
    x: NodeId,
    meaning: &Dequantizer,
    q: &ActQuantizer,
) -> Result<Lut, QuantError> {
    let intervals = builder.intervals(x);
    let ty = builder.ty(x);
    let from_zero = |bound: i64| bound.abs_diff(meaning.zero_point);
    let has = from_zero(ty.range.lo).max(from_zero(ty.range.hi));
    if has > EXACT {
        return Err(QuantError::TooWide {
            layer: node.name.clone(),
            has,
            limit: EXACT,
        });
    }
    let sample = |c: usize, on: Interval| Steps::from_fn(on, |acc| q.quantize(meaning.eval(c, acc)));
    if meaning.is_per_tensor() {
        return Ok(Lut::per_tensor(sample(0, ty.range)));
    }
    let count = channels(&ty.shape);
    let width = channel_len(&ty.shape);
    let channel = |c: usize| {
        let hull = Interval::hull_of(intervals[c * width..(c + 1) * width].iter().copied());
        sample(c, hull.unwrap_or(ty.range))
    };
    Ok(Lut::per_channel((0..count).map(channel).collect())?)
}
