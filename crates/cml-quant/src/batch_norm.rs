//! Batch normalization, folded into the layer before it.

use crate::QuantError;
use crate::error::{check_number, misfit};
use ndarray::{Array, Axis, RemoveAxis};

/// Batch normalization as at inference, for each output channel:
/// `gamma * (x - mean) / sqrt(var + eps) + beta`.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm {
    /// Factor of each channel.
    pub gamma: Vec<f32>,
    /// Offset of each channel.
    pub beta: Vec<f32>,
    /// Running mean of each channel.
    pub mean: Vec<f32>,
    /// Running variance of each channel.
    pub var: Vec<f32>,
    /// Added to the variance.
    pub eps: f32,
}

/// Float weights `[out, ..]` and bias `[out]` of one layer, dense or
/// convolution, that does what the given one and then the normalization do:
/// `w * f` and `(bias - mean) * f + beta` with `f = gamma / sqrt(var + eps)`,
/// computed in `f64` and rounded once. Fold before choosing weight scales.
///
/// # Errors
/// If a list has not one number for each channel, a number is not finite, or
/// `var + eps` is not positive.
pub fn fold_batch_norm<D: RemoveAxis>(
    weights: &Array<f32, D>,
    bias: Option<&[f32]>,
    norm: &BatchNorm,
) -> Result<(Array<f32, D>, Vec<f32>), QuantError> {
    let out = weights.shape()[0];
    let lists = [
        ("gamma", norm.gamma.as_slice()),
        ("beta", &norm.beta),
        ("mean", &norm.mean),
        ("var", &norm.var),
    ];
    for (what, list) in lists.into_iter().chain(bias.map(|b| ("bias", b))) {
        if list.len() != out {
            return Err(misfit("batch norm", what, out, list.len()));
        }
        list.iter().try_for_each(|&v| check_number(what, v))?;
    }
    check_number("eps", norm.eps)?;
    let (mut folded, mut offsets) = (weights.clone(), Vec::with_capacity(out));
    for (c, mut channel) in folded.axis_iter_mut(Axis(0)).enumerate() {
        let variance = f64::from(norm.var[c]) + f64::from(norm.eps);
        if variance <= 0.0 {
            return Err(misfit("batch norm", "var + eps", "above 0", variance));
        }
        let factor = f64::from(norm.gamma[c]) / variance.sqrt();
        channel.mapv_inplace(|w| (f64::from(w) * factor) as f32);
        let centred = f64::from(bias.map_or(0.0, |b| b[c])) - f64::from(norm.mean[c]);
        offsets.push((centred * factor + f64::from(norm.beta[c])) as f32);
    }
    folded
        .iter()
        .try_for_each(|&w| check_number("folded weight", w))?;
    offsets.iter().try_for_each(|&b| check_number("folded bias", b))?;
    Ok((folded, offsets))
}
