//! From a network to an integer graph.

use crate::error::EXACT;
use crate::max_pool::max_pool;
use crate::meaning::bounded;
use crate::{ActQuantizer, Dequantizer, Layer, LayerNode, Network, QuantError};
use cml_ir::{
    Dot, Graph, GraphBuilder, Interval, Lut, NodeId, Op, OutputSpec, Pad, Steps, SumPool, Tensor,
    channel_len, channels,
};
use ndarray::{Array, ArrayView, RemoveAxis};
use std::collections::BTreeSet;

/// Translates a network: linear layers keep their integer weights, and
/// everything else between two of them (scale, bias, functions, quantizer)
/// becomes a lookup table, sampled on the whole interval that the accumulator
/// can reach.
///
/// # Errors
/// If the network is float, a layer that needs plain codes reads something else (no quantizer, or a
/// bias, a function or several scales since), values that are added or joined
/// have no common scale, a function reads the input, the input has no or
/// several quantizers, the output ends with a function (but for affine ones that grow, which the
/// client evaluates), a function is not finite where an accumulator can be, or an accumulator is
/// too wide for exact `f32` arithmetic.
pub fn to_graph(network: &Network) -> Result<Graph, QuantError> {
    let output = network.output()?;
    if network.is_float() {
        return Err(QuantError::Float(network.name().to_owned()));
    }
    let mut spec = network.input_spec()?;
    spec.columns = network.columns().to_vec();
    let meanings = network.meanings()?;
    let mut lowering = Lowering::new(network);
    // The integers of each layer; `None` for raw floats.
    let mut values: Vec<Option<NodeId>> = Vec::with_capacity(network.layers().len());
    for node in network.layers() {
        let operands: Option<Vec<NodeId>> = node.operands.iter().map(|o| values[o.index()]).collect();
        let x = node.operands.first().and_then(|o| meanings[o.index()].as_ref());
        let value = match (operands.as_deref(), x, &node.layer) {
            (_, _, Layer::Input | Layer::Normalize(_)) => None,
            (Some(operands), Some(x), _) => Some(lowering.integers(node, operands, x)?),
            (_, _, Layer::Quantize(_)) => {
                let input = &network.layers()[0];
                Some(
                    lowering
                        .builder
                        .input(&input.name, input.shape.clone(), spec.clone())?,
                )
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
    lowering.builder.output(&output_name(network), y, spec)?;
    Ok(lowering.builder.finish()?)
}

/// A graph under construction.
pub(crate) struct Lowering<'a> {
    network: &'a Network,
    pub(crate) builder: GraphBuilder,
    /// Names of layers and of parts of layers.
    taken: BTreeSet<String>,
}

impl<'a> Lowering<'a> {
    fn new(network: &'a Network) -> Self {
        let mut builder = GraphBuilder::new(network.name());
        builder.set_training(network.training().copied());
        Self {
            network,
            builder,
            taken: network.layers().iter().map(|l| l.name.clone()).collect(),
        }
    }

    /// Adds an operation of a layer: the last one has its name, the others `LAYER/1`, `LAYER/2` and
    /// so on.
    pub(crate) fn push(
        &mut self,
        layer: &str,
        last: bool,
        op: Op,
        operands: &[NodeId],
    ) -> Result<NodeId, QuantError> {
        let mut name = layer.to_owned();
        let mut part = 0usize;
        while !last && self.taken.contains(&name) {
            part += 1;
            name = format!("{layer}/{part}");
        }
        self.taken.insert(name.clone());
        Ok(self.builder.push(&name, op, operands)?)
    }

    /// The integers of a layer that reads integers, the first of which stand for
    /// `x`.
    fn integers(
        &mut self,
        node: &LayerNode,
        operands: &[NodeId],
        x: &Dequantizer,
    ) -> Result<NodeId, QuantError> {
        let op = match &node.layer {
            // Functions are part of the next table.
            Layer::Input | Layer::Normalize(_) | Layer::Function(_) => return Ok(operands[0]),
            Layer::Quantize(q) => Op::Lut(self.table(node, operands[0], x, q)?),
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
            Layer::Pool(pool) if pool.is_max() => return max_pool(self, &node.name, operands[0], pool),
            Layer::Pool(pool) => {
                let mut value = operands[0];
                if pool.is_padded() {
                    let border = Op::Pad(frame(pool.padding, x.zero_point));
                    value = self.push(&node.name, false, border, &[value])?;
                }
                let sums = Op::SumPool(SumPool {
                    kernel: pool.kernel,
                    stride: pool.stride,
                });
                return self.push(&node.name, true, sums, &[value]);
            }
            Layer::Reshape { shape } => Op::Reshape { shape: shape.clone() },
            Layer::Add => Op::Add,
            Layer::Sub => Op::Sub,
            Layer::Transpose { perm } => Op::Transpose { perm: perm.clone() },
            Layer::Slice { starts, ends, steps } => {
                return self.slices(&node.name, operands[0], [starts, ends, steps]);
            }
            Layer::Pad { padding } => Op::Pad(Pad {
                before: padding.iter().map(|p| p[0]).collect(),
                after: padding.iter().map(|p| p[1]).collect(),
                value: x.zero_point,
            }),
            Layer::Concat { axis } => Op::Concat { axis: *axis },
        };
        self.push(&node.name, true, op, operands)
    }

    /// Axis by axis; where nothing changes no operation.
    fn slices(
        &mut self,
        layer: &str,
        x: NodeId,
        [starts, ends, steps]: [&[usize]; 3],
    ) -> Result<NodeId, QuantError> {
        let shape = &self.builder.ty(x).shape;
        let changes = |&a: &usize| starts[a] > 0 || ends[a] < shape[a] || steps[a] > 1;
        let axes: Vec<usize> = (0..shape.len()).filter(changes).collect();
        let mut value = x;
        for &axis in &axes {
            let last = axes.last() == Some(&axis);
            value = self.stride(layer, last, value, axis, [starts[axis], ends[axis], steps[axis]])?;
        }
        Ok(value)
    }

    /// Every `step`-th element from `start` to before `end` along an axis.
    pub(crate) fn stride(
        &mut self,
        layer: &str,
        last: bool,
        x: NodeId,
        axis: usize,
        [start, end, step]: [usize; 3],
    ) -> Result<NodeId, QuantError> {
        if step == 1 {
            return self.push(layer, last, Op::Slice { axis, start, end }, &[x]);
        }
        let mut value = self.push(layer, false, Op::Slice { axis, start, end }, &[x])?;
        // The axis between all before it and all after it; windows of one element, far apart.
        let mut shape = self.builder.ty(value).shape.clone();
        let (before, after) = (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
        let plane = vec![before, shape[axis], after];
        value = self.push(layer, false, Op::Reshape { shape: plane }, &[value])?;
        let windows = SumPool {
            kernel: [1, 1],
            stride: [step, 1],
        };
        value = self.push(layer, false, Op::SumPool(windows), &[value])?;
        shape[axis] = shape[axis].div_ceil(step);
        self.push(layer, last, Op::Reshape { shape }, &[value])
    }

    /// The table from accumulator to code: one for each channel, or one for all.
    fn table(
        &self,
        node: &LayerNode,
        x: NodeId,
        meaning: &Dequantizer,
        q: &ActQuantizer,
    ) -> Result<Lut, QuantError> {
        let intervals = self.builder.intervals(x);
        let ty = self.builder.ty(x);
        let from_zero = |bound: i64| bound.abs_diff(meaning.zero_point);
        let has = from_zero(ty.range.lo).max(from_zero(ty.range.hi));
        if has > EXACT {
            return Err(QuantError::TooWide {
                layer: node.name.clone(),
                has,
                limit: EXACT,
            });
        }
        let sample = |c: usize, on: Interval| {
            let mut bad = None;
            let steps = Steps::from_fn(on, |acc| match meaning.finite(c, acc) {
                Ok(x) => q.quantize(x),
                Err(found) => {
                    bad.get_or_insert(found);
                    0
                }
            });
            bad.map_or(Ok(steps), |bad| {
                Err(self.network.not_finite(node.operands[0], meaning, bad))
            })
        };
        if meaning.is_per_tensor() {
            return Ok(Lut::per_tensor(sample(0, ty.range)?));
        }
        let count = channels(&ty.shape);
        let width = channel_len(&ty.shape);
        let channel = |c: usize| {
            let hull = Interval::hull_of(intervals[c * width..(c + 1) * width].iter().copied());
            sample(c, hull.unwrap_or(ty.range))
        };
        let tables: Result<Vec<Steps>, QuantError> = (0..count).map(channel).collect();
        Ok(Lut::per_channel(tables?)?)
    }
}

/// A border of one value round each channel of `[channels, height, width]`.
pub(crate) fn frame([top, left, bottom, right]: [usize; 4], value: i64) -> Pad {
    Pad {
        before: vec![0, top, left],
        after: vec![0, bottom, right],
        value,
    }
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
