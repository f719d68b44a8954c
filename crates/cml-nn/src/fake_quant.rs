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

/// Codes of activations, relative to the zero point, for a scale `[1]`. The gradient of `x` is that of
/// `x / scale` inside the range and 0 outside; that of the scale is `-x / scale^2` inside.
pub(crate) fn activation(x: &Tensor, scale: &Tensor, quantizer: &ActQuantizer) -> Result<Tensor, NnError> {
    let range = quantizer.codes();
    let zero_point = Tensor::f_from_slice(&[quantizer.zero_point as f32])?;
    let relative = x.f_div(scale)?;
    let (codes, inside) = no_grad(|| -> Result<_, NnError> {
        let rounded = relative.f_add(&zero_point)?.f_round()?;
        let codes = rounded.f_clamp(range.lo as f64, range.hi as f64)?;
        let inside = rounded.f_eq_tensor(&codes)?.f_to_kind(tch::Kind::Float)?;
        Ok((codes.f_sub(&zero_point)?, inside))
    })?;
    straight_through(&codes, &relative.f_mul(&inside)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes of the 3-bit constant quantizer, and the gradient of their sum.
    fn codes_and_gradient(x: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let quantizer = ActQuantizer::constant(3).unwrap();
        let x = Tensor::from_slice(x).set_requires_grad(true);
        let scale = Tensor::from_slice(&[quantizer.scale]);
        let codes = activation(&x, &scale, &quantizer).unwrap();
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
