//! Fake quantization whose forward value is exact.
//!
//! The usual straight-through estimator `x + (q - x)` rounds, so it is not `q`. Here values travel
//! as integer codes, and gradients enter through a term that is exactly zero.

use cml_quant::ActQuantizer;
use tch::{Tensor, no_grad};

use crate::NnError;

/// `codes`, with the gradient of `x`: `codes + (x - x)`.
pub(crate) fn straight_through(codes: &Tensor, x: &Tensor) -> Result<Tensor, NnError> {
    Ok(codes.f_add(&x.f_sub(&x.f_detach()?)?)?)
}

/// Codes of activations; the gradient is that of `x / scale` inside the range and 0 outside.
pub(crate) fn activation(x: &Tensor, quantizer: &ActQuantizer) -> Result<Tensor, NnError> {
    let range = quantizer.codes();
    let scale = Tensor::f_from_slice(&[quantizer.scale])?;
    let zero_point = Tensor::f_from_slice(&[quantizer.zero_point as f32])?;
    let relative = x.f_div(&scale)?;
    let (codes, inside) = no_grad(|| -> Result<_, NnError> {
        let rounded = relative.f_add(&zero_point)?.f_round()?;
        let codes = rounded.f_clamp(range.lo as f64, range.hi as f64)?;
        let inside = rounded.f_eq_tensor(&codes)?.f_to_kind(tch::Kind::Float)?;
        Ok((codes, inside))
    })?;
    straight_through(&codes, &relative.f_mul(&inside)?)
}

/// Values `[rows, out]` of a dense layer for codes `[rows, in]` and weight codes `[out, in]`:
/// `acc * scale + bias`, the expression of [`cml_quant::Dequantizer`], operation by operation.
pub(crate) fn linear(
    x: &Tensor,
    x_scale: f32,
    weights: &Tensor,
    weight_scale: &[f32],
    bias: Option<&Tensor>,
) -> Result<Tensor, NnError> {
    let scale: Vec<f32> = weight_scale.iter().map(|w| x_scale * w).collect();
    let y = x
        .f_matmul(&weights.f_tr()?)?
        .f_mul(&Tensor::f_from_slice(&scale)?)?;
    Ok(match bias {
        Some(bias) => y.f_add(bias)?,
        None => y,
    })
}
