//! Values of all calibration rows at once, `[rows, elements]`, in `f64`.
//!
//! What a layer computes is rounded to `f32`, so a float network gives what its forward pass gives.
//! Sums are in a fixed order: results do not depend on the machine.

use crate::error::misfit;
use crate::layers::moves::{Move, origins};
use crate::layers::window::positions;
use crate::{
    ActQuantizer, Conv2d, Layer, LayerNode, Linear, Network, PoolKind, QuantError, WeightQuantizer, Weights,
};
use ndarray::{Array2, ArrayD, ArrayView2, Axis, Dimension};
use std::ops::Range;

/// Weights `[out, inputs of one sum]` and biases of a dense layer or convolution.
#[derive(Clone, Debug)]
pub(super) struct LinearMap {
    pub(super) weights: Array2<f64>,
    pub(super) bias: Vec<f64>,
    pub(super) groups: usize,
}

impl LinearMap {
    /// Those of a layer that has any.
    pub(super) fn of(layer: &Layer) -> Option<Self> {
        let (values, bias, groups) = match layer {
            Layer::Linear(l) => (l.weights().floats().into_dyn(), l.bias(), 1),
            Layer::Conv2d(c) => (c.weights().floats().into_dyn(), c.bias(), c.groups()),
            Layer::Input
            | Layer::Normalize(_)
            | Layer::Quantize(_)
            | Layer::Pool(_)
            | Layer::Function(_)
            | Layer::Reshape(_)
            | Layer::Add
            | Layer::Sub
            | Layer::Mul
            | Layer::Transpose(_)
            | Layer::Slice(_)
            | Layer::Pad(_)
            | Layer::Concat(_)
            | Layer::Gather(_)
            | Layer::Trees(_) => return None,
        };
        let out = values.shape()[0];
        let values: Vec<f64> = values.iter().map(|&w| f64::from(w)).collect();
        let weights = Array2::from_shape_vec((out, values.len() / out), values).ok()?;
        let bias = bias.map_or_else(|| vec![0.0; out], |b| b.iter().map(|&b| f64::from(b)).collect());
        Some(Self {
            weights,
            bias,
            groups,
        })
    }

    /// Output channels of one group.
    pub(super) fn group_len(&self) -> usize {
        self.weights.nrows() / self.groups
    }

    /// Values `[rows, out * positions]` of rows of what the layer reads.
    ///
    /// Each sum is over inputs in their order, so that it does not depend on how the outputs are computed.
    fn apply(&self, taps: &Taps, x: ArrayView2<'_, f64>) -> Array2<f64> {
        let (each, inputs) = (self.group_len(), self.weights.ncols());
        let mut y = Array2::zeros((x.nrows(), self.weights.nrows() * taps.positions));
        for block in 0..self.weights.nrows().div_ceil(BLOCK) {
            let outputs = block * BLOCK..self.weights.nrows().min((block + 1) * BLOCK);
            // A block is within a group, or each of its outputs is computed alone.
            let parts = if outputs.start / each == (outputs.end - 1) / each {
                vec![outputs]
            } else {
                outputs.map(|o| o..o + 1).collect()
            };
            for outputs in parts {
                // Input by input, so that the sums run over outputs in step.
                let mut weights = vec![[0.0; BLOCK]; inputs];
                for (at, o) in outputs.clone().enumerate() {
                    let row = self.weights.row(o);
                    row.iter().zip(&mut weights).for_each(|(w, to)| to[at] = *w);
                }
                let offset = outputs.start / each * taps.group_stride;
                for (x, mut y) in x.rows().into_iter().zip(y.rows_mut()) {
                    for position in 0..taps.positions {
                        let under = &taps.at[position * inputs..(position + 1) * inputs];
                        let mut sums = [0.0; BLOCK];
                        for (tap, weights) in under.iter().zip(&weights) {
                            let Some(tap) = tap else { continue };
                            let x = x[offset + tap];
                            if x != 0.0 {
                                sums.iter_mut().zip(weights).for_each(|(s, w)| *s += w * x);
                            }
                        }
                        for (o, sum) in outputs.clone().zip(sums) {
                            y[o * taps.positions + position] = f64::from((sum + self.bias[o]) as f32);
                        }
                    }
                }
            }
        }
        y
    }
}

/// Outputs whose sums run in step.
const BLOCK: usize = 8;

/// Which elements of an operand the sums of a layer read.
pub(super) struct Taps {
    positions: usize,
    /// For each position and input of a sum of the first group; `None` for padding.
    at: Vec<Option<usize>>,
    /// Elements from a group's inputs to those of the next.
    group_stride: usize,
}

impl Taps {
    /// Those of a dense layer or convolution.
    fn of(network: &Network, node: &LayerNode) -> Self {
        let from = node
            .operands
            .first()
            .map_or(&[][..], |&o| &network.layer(o).shape);
        let Layer::Conv2d(conv) = &node.layer else {
            return Self {
                positions: 1,
                at: (0..from.iter().product()).map(Some).collect(),
                group_stride: 0,
            };
        };
        let (window, size) = (conv.window(), [from[1], from[2]]);
        let [per_group, height, width] = [1, 2, 3].map(|axis| conv.weights().shape()[axis]);
        let plane = size[0] * size[1];
        let inputs =
            (0..per_group).flat_map(|c| (0..height * width).map(move |k| (c, [k / width, k % width])));
        let at = positions(&node.shape).flat_map(|position| {
            inputs
                .clone()
                .map(move |(c, within)| Some(c * plane + window.under(size, position, within)?))
        });
        Self {
            positions: node.shape[1] * node.shape[2],
            at: at.collect(),
            group_stride: per_group * plane,
        }
    }
}

/// What each sum of a dense layer or convolution reads, `[rows * positions, inputs of one sum]`, for
/// each group.
pub(super) fn inputs_of(network: &Network, node: &LayerNode, x: ArrayView2<'_, f64>) -> Vec<Array2<f64>> {
    let Layer::Conv2d(conv) = &node.layer else {
        return vec![x.to_owned()];
    };
    let taps = Taps::of(network, node);
    let inputs = taps.at.len() / taps.positions;
    let group = |g: usize| {
        let offset = g * taps.group_stride;
        let mut all = Vec::with_capacity(x.nrows() * taps.at.len());
        for x in x.rows() {
            all.extend(taps.at.iter().map(|tap| tap.map_or(0.0, |tap| x[offset + tap])));
        }
        // As many as the shape says.
        Array2::from_shape_vec((x.nrows() * taps.positions, inputs), all).unwrap_or_default()
    };
    (0..conv.groups()).map(group).collect()
}

/// Rows (axis 0) or columns (axis 1) of a matrix.
pub(super) fn between(x: ArrayView2<'_, f64>, axis: Axis, range: Range<usize>) -> ArrayView2<'_, f64> {
    let (_, from) = x.split_at(axis, range.start);
    from.split_at(axis, range.len()).0
}

/// Values of a layer for those of its operands.
pub(super) fn value(
    network: &Network,
    node: &LayerNode,
    products: Option<&LinearMap>,
    operands: &[ArrayView2<'_, f64>],
) -> Array2<f64> {
    let Some(&x) = operands.first() else {
        return Array2::zeros((0, 0));
    };
    let width = node.channel_len();
    let rounded = |x: f64| f64::from(x as f32);
    match &node.layer {
        // Networks with trees are not float, and never come here.
        Layer::Input | Layer::Quantize(_) | Layer::Reshape(_) | Layer::Trees(_) => x.to_owned(),
        Layer::Normalize(n) => {
            let mut y = x.to_owned();
            for mut row in y.rows_mut() {
                row.indexed_iter_mut()
                    .for_each(|(i, x)| *x = f64::from(n.eval(i / width, *x as f32)));
            }
            y
        }
        Layer::Function(f) => Array2::from_shape_fn(x.dim(), |(row, i)| {
            f64::from(f.eval(i / width, x[[row, i]] as f32))
        }),
        Layer::Linear(_) | Layer::Conv2d(_) => match products {
            Some(p) => p.apply(&Taps::of(network, node), x),
            None => Array2::zeros((x.nrows(), 0)),
        },
        Layer::Pool(pool) => {
            let from = node
                .operands
                .first()
                .map_or(&[][..], |&o| &network.layer(o).shape);
            let (window, size) = (pool.window(), [from[1], from[2]]);
            let plane = size[0] * size[1];
            let places: Vec<[usize; 2]> = positions(&node.shape).collect();
            Array2::from_shape_fn((x.nrows(), from[0] * places.len()), |(row, i)| {
                let (channel, place) = (i / places.len(), places[i % places.len()]);
                let under = (0..pool.count())
                    .filter_map(|k| window.under(size, place, [k / pool.kernel[1], k % pool.kernel[1]]));
                let under = under.map(|k| x[[row, channel * plane + k]]);
                rounded(match pool.kind {
                    PoolKind::Sum => under.sum(),
                    PoolKind::Average => under.sum::<f64>() / pool.count() as f64,
                    PoolKind::Max => under.fold(f64::NEG_INFINITY, f64::max),
                })
            })
        }
        Layer::Add => {
            let mut y = x.to_owned();
            let other = operands.get(1).unwrap_or(&x);
            y.zip_mut_with(other, |a, &b| *a = rounded(*a + b));
            y
        }
        Layer::Sub => {
            let mut y = x.to_owned();
            let other = operands.get(1).unwrap_or(&x);
            y.zip_mut_with(other, |a, &b| *a = rounded(*a - b));
            y
        }
        Layer::Mul => {
            let mut y = x.to_owned();
            let other = operands.get(1).unwrap_or(&x);
            y.zip_mut_with(other, |a, &b| *a = rounded(*a * b));
            y
        }
        Layer::Transpose(layer) => moved(layer, network, node, operands),
        Layer::Slice(layer) => moved(layer, network, node, operands),
        Layer::Pad(layer) => moved(layer, network, node, operands),
        Layer::Concat(layer) => moved(layer, network, node, operands),
        Layer::Gather(layer) => moved(layer, network, node, operands),
    }
}

/// Values of a layer that moves elements.
fn moved(
    layer: &impl Move,
    network: &Network,
    node: &LayerNode,
    operands: &[ArrayView2<'_, f64>],
) -> Array2<f64> {
    let shapes = node.operands.iter().map(|&o| network.layer(o).shape.as_slice());
    let from = origins(layer, &shapes.collect::<Vec<_>>(), &node.shape);
    let rows = operands.first().map_or(0, ArrayView2::nrows);
    Array2::from_shape_fn((rows, from.len()), |(row, i)| {
        from[i].map_or(0.0, |(operand, k)| operands[operand][[row, k]])
    })
}

/// Values as their codes stand for them.
pub(super) fn fake_quantized(q: &ActQuantizer, x: ArrayView2<'_, f64>) -> Array2<f64> {
    x.mapv(|x| f64::from(q.dequantize(q.quantize(x as f32))))
}

/// A dense layer or convolution with integer weights, row-major, of the same shape.
pub(super) fn replaced(
    layer: &Layer,
    codes: Vec<i64>,
    bias: Vec<f32>,
    quantizer: WeightQuantizer,
) -> Result<Layer, QuantError> {
    fn weights<D: Dimension>(
        before: &Weights<D>,
        codes: Vec<i64>,
        quantizer: WeightQuantizer,
    ) -> Result<Weights<D>, QuantError> {
        let codes = ArrayD::from_shape_vec(before.shape(), codes).and_then(ArrayD::into_dimensionality);
        let codes = codes.map_err(|e| misfit("weights", "shape", "that of before", e))?;
        Ok(Weights::Codes { codes, quantizer })
    }
    Ok(match layer {
        Layer::Linear(l) => {
            let weights = weights(l.weights(), codes, quantizer)?;
            Layer::Linear(Linear::from_weights(weights, Some(bias))?)
        }
        Layer::Conv2d(c) => {
            let weights = weights(c.weights(), codes, quantizer)?;
            let conv = Conv2d::from_weights(weights, Some(bias))?;
            Layer::Conv2d(
                conv.with_stride(c.stride())
                    .with_padding(c.padding())
                    .with_groups(c.groups()),
            )
        }
        Layer::Input
        | Layer::Normalize(_)
        | Layer::Quantize(_)
        | Layer::Pool(_)
        | Layer::Function(_)
        | Layer::Reshape(_)
        | Layer::Add
        | Layer::Sub
        | Layer::Transpose(_)
        | Layer::Slice(_)
        | Layer::Pad(_)
        | Layer::Mul
        | Layer::Concat(_)
        | Layer::Gather(_)
        | Layer::Trees(_) => layer.clone(),
    })
}
