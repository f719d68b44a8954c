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

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes of the 3-bit constant quantizer, and the gradient of their sum.
    fn codes_and_gradient(x: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let quantizer = ActQuantizer::constant(3).unwrap();
        let x = Tensor::from_slice(x).set_requires_grad(true);
        let codes = activation(&x, &quantizer).unwrap();
        codes.sum(None).backward();
        let list = |t: &Tensor| Vec::<f32>::try_from(t.detach()).unwrap();
        (list(&codes), list(&x.grad()))
    }

    #[test]
    fn codes_are_whole_and_gradients_stop_outside() {
        // What rounds to a code is inside.
        let (codes, gradient) = codes_and_gradient(&[-2.0, -1.1, -0.4, 0.0, 0.1, 1.0, 1.1, 1.2]);
        assert_eq!(codes, [-3.0, -3.0, -1.0, 0.0, 0.0, 3.0, 3.0, 3.0]);
        let inside = [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0];
        let scale = 1.0f32 / 3.0;
        assert_eq!(gradient, inside.map(|i| i / scale));
    }

    #[test]
    fn straight_through_values_are_exact() {
        let x: Vec<f32> = (0..1_000).map(|i| i as f32 / 7.0 - 50.0).collect();
        let codes: Vec<f32> = (0..1_000).map(|i| (i % 7) as f32 - 3.0).collect();
        let (q, t) = (Tensor::from_slice(&codes), Tensor::from_slice(&x));
        let list = |t: Tensor| Vec::<f32>::try_from(t).unwrap();
        assert_eq!(list(straight_through(&q, &t).unwrap()), codes);
        // The usual form is not.
        assert_ne!(list(&t + (&q - &t)), codes);
    }
}
