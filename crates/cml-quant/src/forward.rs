//! The forward pass: of a quantized network the float pass with fake
//! quantization, without libtorch.
//!
//! Written by itself, not on the terms of `cml_ir`: zero points are taken off
//! before a product here, and put into biases and borders there. That the two
//! agree is a test of both.

use crate::meaning::bounded;
use crate::moves::origins;
use crate::{Conv2d, Dequantizer, Layer, LayerId, LayerNode, Network, Pool, QuantError};
use ndarray::{Array, Array2, Array4};

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
        // Integers of each layer; those of the raw input are never read.
        let mut values: Vec<Vec<i64>> = Vec::with_capacity(self.layers().len());
        for node in self.layers() {
            let value = match (&node.layer, node.operands.first()) {
                (Layer::Input | Layer::Normalize(_), _) | (_, None) => Vec::new(),
                (Layer::Quantize(q), Some(&x)) => match &meanings[x.index()] {
                    None => self.sample_codes(&spec, sample)?,
                    Some(meaning) => {
                        let floats = self.floats(x, &values[x.index()], meaning)?;
                        floats.into_iter().map(|x| q.quantize(x)).collect()
                    }
                },
                (_, Some(&x)) => {
                    let zero = meanings[x.index()].as_ref().map_or(0, |m| m.zero_point);
                    self.integers(node, x, zero, &values)?
                }
            };
            values.push(value);
        }
        let output = self.output()?;
        match &meanings[output.index()] {
            None => Ok(sample.to_vec()),
            Some(meaning) => self.floats(output, &values[output.index()], meaning),
        }
    }

    /// What the integers of a layer stand for.
    fn floats(&self, x: LayerId, codes: &[i64], meaning: &Dequantizer) -> Result<Vec<f32>, QuantError> {
        let width = self.layer(x).channel_len();
        let float = |(i, &q)| meaning.finite(i / width, q);
        let floats: Result<Vec<f32>, _> = codes.iter().enumerate().map(float).collect();
        floats.map_err(|bad| self.not_finite(x, meaning, bad))
    }

    /// The integers of a layer that reads integers, `x` first, whose zero
    /// point is `zero`.
    fn integers(
        &self,
        node: &LayerNode,
        x: LayerId,
        zero: i64,
        values: &[Vec<i64>],
    ) -> Result<Vec<i64>, QuantError> {
        let (codes, shape) = (&values[x.index()], &self.layer(x).shape);
        let relative = || codes.iter().map(|q| q - zero).collect::<Vec<i64>>();
        let sums: Vec<i128> = match &node.layer {
            Layer::Linear(linear) => dense(codes_of(node, linear.codes())?, &relative()),
            Layer::Conv2d(conv) => convolution(
                conv,
                codes_of(node, conv.codes())?,
                &relative(),
                shape,
                &node.shape,
            ),
            Layer::Pool(pool) => windows(pool, codes, zero, shape, &node.shape),
            Layer::Add => {
                let other = &values[node.operands[1].index()];
                let pairs = codes.iter().zip(other);
                pairs.map(|(&a, &b)| i128::from(a) + i128::from(b)).collect()
            }
            Layer::Sub => {
                let other = &values[node.operands[1].index()];
                let pairs = codes.iter().zip(other);
                pairs.map(|(&a, &b)| i128::from(a) - i128::from(b)).collect()
            }
            Layer::Transpose { .. } | Layer::Slice { .. } | Layer::Pad { .. } | Layer::Concat { .. } => {
                let shapes = node.operands.iter().map(|&o| self.layer(o).shape.as_slice());
                let from = origins(&node.layer, &shapes.collect::<Vec<_>>(), &node.shape);
                let code = |(operand, i): (usize, usize)| values[node.operands[operand].index()][i];
                return Ok(from.into_iter().map(|from| from.map_or(zero, code)).collect());
            }
            Layer::Input
            | Layer::Normalize(_)
            | Layer::Quantize(_)
            | Layer::Function(_)
            | Layer::Reshape { .. } => {
                return Ok(codes.clone());
            }
        };
        sums.into_iter().map(|s| bounded(&node.name, s)).collect()
    }
}

/// Sum of products. Integers are below `LIMIT`, 2^40, and weights below 2^16:
/// a product fits, a sum of many may not.
fn products<'a>(terms: impl Iterator<Item = (&'a i64, &'a i64)>) -> i128 {
    terms.map(|(w, x)| i128::from(w * x)).sum()
}

/// Integer weights of a layer.
fn codes_of<'a, D>(
    node: &LayerNode,
    codes: Option<&'a Array<i64, D>>,
) -> Result<&'a Array<i64, D>, QuantError> {
    codes.ok_or_else(|| QuantError::FloatWeights(node.name.clone()))
}

fn dense(weights: &Array2<i64>, x: &[i64]) -> Vec<i128> {
    weights
        .rows()
        .into_iter()
        .map(|row| products(row.iter().zip(x)))
        .collect()
}

/// Padding stands for 0.0: relative to the zero point it adds nothing.
fn convolution(conv: &Conv2d, weights: &Array4<i64>, x: &[i64], from: &[usize], to: &[usize]) -> Vec<i128> {
    let (window, size) = (conv.window(), [from[1], from[2]]);
    let (out, per_group, ..) = weights.dim();
    let mut sums = Vec::with_capacity(to.iter().product());
    for (o, kernel) in weights.outer_iter().enumerate() {
        let first = o / (out / conv.groups()) * per_group;
        for position in positions(to) {
            let terms = kernel.indexed_iter().filter_map(|((c, row, column), w)| {
                let under = window.under(size, position, [row, column])?;
                Some((w, &x[(first + c) * size[0] * size[1] + under]))
            });
            sums.push(products(terms));
        }
    }
    sums
}

/// Sums, in which padding is `zero`, or maxima, in which there is none.
fn windows(pool: &Pool, x: &[i64], zero: i64, from: &[usize], to: &[usize]) -> Vec<i128> {
    let (window, size) = (pool.window(), [from[1], from[2]]);
    let mut sums = Vec::with_capacity(to.iter().product());
    for plane in x.chunks(size[0] * size[1]) {
        for position in positions(to) {
            let under = (0..pool.count()).map(|i| {
                let at = [i / pool.kernel[1], i % pool.kernel[1]];
                window.under(size, position, at).map(|i| i128::from(plane[i]))
            });
            sums.push(if pool.is_max() {
                // No window holds padding only.
                under.flatten().max().unwrap_or(zero.into())
            } else {
                under.map(|x| x.unwrap_or(zero.into())).sum()
            });
        }
    }
    sums
}

/// Rows and columns of a result `[channels, height, width]`.
pub(crate) fn positions(shape: &[usize]) -> impl Iterator<Item = [usize; 2]> {
    let (rows, columns) = (shape[1], shape[2]);
    (0..rows).flat_map(move |row| (0..columns).map(move |column| [row, column]))
}
