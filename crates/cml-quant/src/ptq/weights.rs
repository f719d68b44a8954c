//! Integer weights of one layer.

use super::batch::{LinearMap, between};
use super::gram::Gram;
use super::row::ChannelProblem;
use crate::{QuantError, WeightQuantizer, budget};
use cml_ir::Interval;
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1, Axis};

/// Work that a layer's moments may take, in multiplications.
const WORK: usize = 4_000_000_000;

/// What a layer gets instead of float weights.
pub(super) struct Quantized {
    /// Row-major, output channels first.
    pub(super) codes: Vec<i64>,
    pub(super) bias: Vec<f32>,
    pub(super) quantizer: WeightQuantizer,
}

/// Codes over the full signed range.
fn codes(bits: u32) -> Interval {
    let half = 1i64 << (bits - 1);
    Interval::new(-half, half - 1)
}

/// Nearest codes with one scale, `max |w| / (2^(b-1) - 1)`, fitted into the budget if there is one.
pub(super) fn min_max(float: &LinearMap, bits: u32, budget: u64) -> Result<Quantized, QuantError> {
    let most = float.weights.iter().fold(0.0f64, |m, w| m.max(w.abs())) as f32;
    let scale = (most / codes(bits).hi as f32).max(1e-10);
    let quantizer = WeightQuantizer::new(bits, false, vec![scale])?;
    let mut all = Vec::with_capacity(float.weights.len());
    for row in float.weights.rows() {
        let mut row: Array1<f32> = row.mapv(|w| w as f32);
        if budget < u64::MAX {
            budget::project(&mut row.view_mut(), budget as f32 * scale);
        }
        let mut codes: Vec<i64> = row.iter().map(|&w| quantizer.quantize(0, w)).collect();
        budget::fit(&mut ArrayViewMut1::from(&mut codes[..]), row.view(), budget);
        all.extend(codes);
    }
    Ok(Quantized {
        codes: all,
        bias: float.bias.iter().map(|&b| b as f32).collect(),
        quantizer,
    })
}

/// Codes, a scale for each channel, and biases of the least error of the layer's outputs: `inputs`
/// are what the layers before really give, for each group `[rows * positions, inputs of one sum]`,
/// `target` what the float layer put out, `[rows, out * positions]`.
pub(super) fn adaptive(
    float: &LinearMap,
    bits: u32,
    budget: u64,
    inputs: &[Array2<f64>],
    target: &Array2<f64>,
) -> Result<Quantized, QuantError> {
    let fan_in = float.weights.ncols();
    let starts = if fan_in <= 512 { 16 } else { 6 };
    let (mut all, mut bias, mut scales) = (Vec::new(), Vec::new(), Vec::new());
    let each = float.group_len();
    for (g, x) in inputs.iter().enumerate() {
        let positions = x.nrows() / target.nrows().max(1);
        let most = WORK / (fan_in * fan_in * float.groups).max(1) / positions.max(1);
        let rows = target.nrows().min(most.max(64));
        let gram = Gram::of(between(x.view(), Axis(0), 0..rows * positions));
        for channel in g * each..(g + 1) * each {
            let y = between(target.view(), Axis(0), 0..rows);
            let y = between(y, Axis(1), channel * positions..(channel + 1) * positions);
            let y: Array1<f64> = y.iter().copied().collect();
            let (mut covariances, mean, _) = gram.target(y.view());
            let row = float.weights.row(channel);
            pull(&mut covariances, row, gram.ridge);
            let problem = ChannelProblem {
                moments: &gram.moments,
                target: covariances,
                weights: row.to_vec(),
                codes: codes(bits),
                budget,
            };
            let found = problem.solve(starts);
            let scale = found.scale.max(1e-10) as f32;
            bias.push((mean - f64::from(scale) * gram.mean_of(&found.codes)) as f32);
            all.extend(found.codes);
            scales.push(scale);
        }
    }
    Ok(Quantized {
        codes: all,
        bias,
        quantizer: WeightQuantizer::new(bits, false, scales)?,
    })
}

/// The ridge's part of the covariances.
fn pull(covariances: &mut [f64], weights: ArrayView1<'_, f64>, ridge: f64) {
    let add = |(c, w): (&mut f64, &f64)| *c += ridge * w;
    covariances.iter_mut().zip(weights).for_each(add);
}
