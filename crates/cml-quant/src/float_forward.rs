//! The forward pass of a float network: what it computes before quantization.
//!
//! Sums of products and of windows are added up in `f64` and rounded to `f32`
//! once; everything else is one `f32` operation. Float passes of other programs
//! agree up to their own rounding, not bit for bit.

use crate::forward::positions;
use crate::moves::origins;
use crate::{Conv2d, Layer, LayerNode, Linear, Network, Pool, PoolKind, QuantError};

impl Network {
    /// Whether no layer quantizes: neither its values nor its weights.
    pub fn is_float(&self) -> bool {
        self.layers().iter().all(|node| match &node.layer {
            Layer::Quantize(_) => false,
            Layer::Linear(l) => l.quantizer().is_none(),
            Layer::Conv2d(c) => c.quantizer().is_none(),
            Layer::Input
            | Layer::Normalize(_)
            | Layer::Pool(_)
            | Layer::Function(_)
            | Layer::Reshape { .. }
            | Layer::Add
            | Layer::Sub
            | Layer::Transpose { .. }
            | Layer::Slice { .. }
            | Layer::Pad { .. }
            | Layer::Concat { .. } => true,
        })
    }

    /// Values of each layer of a float network for a checked sample.
    ///
    /// # Errors
    /// If a layer quantizes.
    pub(crate) fn float_values(&self, sample: &[f32]) -> Result<Vec<Vec<f32>>, QuantError> {
        let mut values: Vec<Vec<f32>> = Vec::with_capacity(self.layers().len());
        for node in self.layers() {
            let operands: Vec<(&[f32], &[usize])> = node
                .operands
                .iter()
                .map(|&o| (values[o.index()].as_slice(), self.layer(o).shape.as_slice()))
                .collect();
            let value = match operands.first() {
                None => sample.to_vec(),
                Some(&(x, shape)) => floats(node, x, shape, &operands)?,
            };
            values.push(value);
        }
        Ok(values)
    }
}

/// Values of a layer that reads `x` of a shape first.
fn floats(
    node: &LayerNode,
    x: &[f32],
    shape: &[usize],
    operands: &[(&[f32], &[usize])],
) -> Result<Vec<f32>, QuantError> {
    let width = node.channel_len();
    Ok(match &node.layer {
        Layer::Quantize(_) => return Err(QuantError::NotFloat(node.name.clone())),
        Layer::Input | Layer::Reshape { .. } => x.to_vec(),
        Layer::Normalize(n) => x.iter().enumerate().map(|(i, &x)| n.eval(i / width, x)).collect(),
        Layer::Function(f) => x.iter().enumerate().map(|(i, &x)| f.eval(i / width, x)).collect(),
        Layer::Linear(linear) => dense(linear, x),
        Layer::Conv2d(conv) => convolution(conv, x, shape, &node.shape),
        Layer::Pool(pool) => windows(pool, x, shape, &node.shape),
        Layer::Add => {
            let other = operands.get(1).map_or(x, |o| o.0);
            x.iter().zip(other).map(|(a, b)| a + b).collect()
        }
        Layer::Sub => {
            let other = operands.get(1).map_or(x, |o| o.0);
            x.iter().zip(other).map(|(a, b)| a - b).collect()
        }
        Layer::Transpose { .. } | Layer::Slice { .. } | Layer::Pad { .. } | Layer::Concat { .. } => {
            let shapes: Vec<&[usize]> = operands.iter().map(|o| o.1).collect();
            let from = origins(&node.layer, &shapes, &node.shape).into_iter();
            from.map(|from| from.map_or(0.0, |(operand, i)| operands[operand].0[i]))
                .collect()
        }
    })
}

/// Sum of products and bias, rounded once.
fn products<'a>(bias: f32, terms: impl Iterator<Item = (&'a f32, &'a f32)>) -> f32 {
    let sum: f64 = terms.map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
    (sum + f64::from(bias)) as f32
}

fn dense(linear: &Linear, x: &[f32]) -> Vec<f32> {
    let weights = linear.weights().floats();
    let rows = weights.rows().into_iter().enumerate();
    let bias = |o: usize| linear.bias().map_or(0.0, |b| b[o]);
    rows.map(|(o, row)| products(bias(o), row.iter().zip(x)))
        .collect()
}

/// Padding is 0.0 and adds nothing.
fn convolution(conv: &Conv2d, x: &[f32], from: &[usize], to: &[usize]) -> Vec<f32> {
    let (weights, window, size) = (conv.weights().floats(), conv.window(), [from[1], from[2]]);
    let (out, per_group, ..) = weights.dim();
    let mut sums = Vec::with_capacity(to.iter().product());
    for (o, kernel) in weights.outer_iter().enumerate() {
        let first = o / (out / conv.groups()) * per_group;
        let bias = conv.bias().map_or(0.0, |b| b[o]);
        for position in positions(to) {
            let terms = kernel.indexed_iter().filter_map(|((c, row, column), w)| {
                let under = window.under(size, position, [row, column])?;
                Some((w, &x[(first + c) * size[0] * size[1] + under]))
            });
            sums.push(products(bias, terms));
        }
    }
    sums
}

fn windows(pool: &Pool, x: &[f32], from: &[usize], to: &[usize]) -> Vec<f32> {
    let (window, size) = (pool.window(), [from[1], from[2]]);
    let mut sums = Vec::with_capacity(to.iter().product());
    for plane in x.chunks(size[0] * size[1]) {
        for position in positions(to) {
            let under = (0..pool.count()).filter_map(|i| {
                let at = [i / pool.kernel[1], i % pool.kernel[1]];
                window.under(size, position, at)
            });
            let under = under.map(|i| f64::from(plane[i]));
            sums.push(match pool.kind {
                PoolKind::Sum => under.sum::<f64>(),
                PoolKind::Average => under.sum::<f64>() / pool.count() as f64,
                PoolKind::Max => under.fold(f64::NEG_INFINITY, f64::max),
            } as f32);
        }
    }
    sums
}
