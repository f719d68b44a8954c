//! Convolutions.

use crate::error::misfit;
use crate::window::Window;
use crate::{QuantError, WeightQuantizer, Weights};
use ndarray::{Array4, Ix4};

/// 2-D cross-correlation on `[channels, height, width]` with a float bias. In a quantized network the
/// weights are integer codes, in a float one floats. Padding stands for 0.0: in codes, the zero point of
/// what the layer reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2d {
    weights: Weights<Ix4>,
    bias: Option<Vec<f32>>,
    stride: [usize; 2],
    padding: [usize; 4],
    groups: usize,
}

impl Conv2d {
    /// Layer from float weights `[out, in / groups, kernel height, kernel width]`, bias `[out]`, and a quantizer,
    /// which rounds the weights to codes, or `None`; stride 1, no padding, one group.
    ///
    /// # Errors
    /// If sizes do not fit or a number is not finite.
    pub fn new(
        weights: Array4<f32>,
        bias: Option<Vec<f32>>,
        quantizer: impl Into<Option<WeightQuantizer>>,
    ) -> Result<Self, QuantError> {
        Self::from_weights(Weights::of_floats("conv2d", weights, quantizer.into())?, bias)
    }

    /// Layer from weights `[out, in / groups, kernel height, kernel width]` and bias `[out]`; stride 1, no
    /// padding, one group.
    ///
    /// # Errors
    /// If sizes do not fit, a number is not finite, or a code is none of the quantizer's.
    pub fn from_weights(weights: Weights<Ix4>, bias: Option<Vec<f32>>) -> Result<Self, QuantError> {
        weights.check("conv2d", bias.as_deref())?;
        Ok(Self {
            weights,
            bias,
            stride: [1, 1],
            padding: [0; 4],
            groups: 1,
        })
    }

    /// The same layer with another vertical and horizontal stride, at least 1.
    #[must_use]
    pub fn with_stride(self, stride: [usize; 2]) -> Self {
        Self { stride, ..self }
    }

    /// The same layer with rows and columns of 0.0 added: top, left, bottom,
    /// right.
    #[must_use]
    pub fn with_padding(self, padding: [usize; 4]) -> Self {
        Self { padding, ..self }
    }

    /// The same layer in channel groups that do not mix: group `g` of the
    /// outputs reads group `g` of the inputs. A divisor of the output channels.
    #[must_use]
    pub fn with_groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// Weights, `[out, in / groups, kernel height, kernel width]`.
    pub fn weights(&self) -> &Weights<Ix4> {
        &self.weights
    }

    /// Float bias, `[out]`.
    pub fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }

    /// Quantizer of the weights; `None` if they are float.
    pub fn quantizer(&self) -> Option<&WeightQuantizer> {
        self.weights.quantizer()
    }

    /// Integer weights, of the shape of [`Conv2d::weights`]; `None` if they are float.
    pub fn codes(&self) -> Option<&Array4<i64>> {
        self.weights.codes()
    }

    /// Vertical and horizontal stride.
    pub fn stride(&self) -> [usize; 2] {
        self.stride
    }

    /// Rows and columns added: top, left, bottom, right.
    pub fn padding(&self) -> [usize; 4] {
        self.padding
    }

    /// Channel groups that do not mix.
    pub fn groups(&self) -> usize {
        self.groups
    }

    pub(crate) fn window(&self) -> Window {
        let shape = self.weights.shape();
        Window {
            kernel: [shape[2], shape[3]],
            stride: self.stride,
            padding: self.padding,
        }
    }

    /// Shape of the result for an input of a shape; `name` is the layer's.
    pub(crate) fn shape(&self, name: &str, input: &[usize]) -> Result<Vec<usize>, QuantError> {
        let (out, per_group) = (self.weights.shape()[0], self.weights.shape()[1]);
        if self.groups == 0 || out % self.groups != 0 {
            return Err(misfit(name, "groups", format!("a divisor of {out}"), self.groups));
        }
        let channels = per_group.saturating_mul(self.groups);
        let &[c, height, width] = input else {
            let needs = format!("[{channels}, height, width]");
            return Err(misfit(name, "input", needs, format!("{input:?}")));
        };
        if c != channels {
            return Err(misfit(name, "input channels", channels, c));
        }
        let [height, width] = self.window().positions(name, [height, width])?;
        Ok(vec![out, height, width])
    }
}
