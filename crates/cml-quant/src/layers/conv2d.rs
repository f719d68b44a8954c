//! Convolutions.

use super::kind::{IntegerUse, Integers, LayerKind, Operands, Place, Reaches};
use super::weights::{float_products, integer_products};
use super::window::{Window, positions};
use crate::accumulators::IntegerReach;
use crate::error::misfit;
use crate::tensors::{Tensors, Written, invalid};
use crate::to_graph::Lowering;
use crate::{Dequantizer, LayerNode, QuantError, WeightQuantizer, Weights};
use cml_ir::{NodeId, Op};
use ndarray::{Array4, Ix4};
use serde::{Deserialize, Serialize};

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
    /// Layer from float weights `[out, in / groups, kernel height, kernel width]`, bias `[out]`, and a
    /// quantizer, which rounds the weights to codes, or `None`; stride 1, no padding, one group.
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

    /// First input channel that an output channel reads.
    fn first_input(&self, out: usize) -> usize {
        let shape = self.weights.shape();
        out / (shape[0] / self.groups) * shape[1]
    }

    /// Whether the inputs of a sum may be padding, which stands for 0.0.
    pub(crate) fn is_padded(&self) -> bool {
        self.padding != [0; 4]
    }
}

impl LayerKind for Conv2d {
    fn mnemonic(&self) -> &'static str {
        "conv2d"
    }

    fn operands(&self) -> Operands {
        Operands::Exactly(1)
    }

    fn shape(&self, name: &str, read: &[&[usize]]) -> Result<Vec<usize>, QuantError> {
        let input = read[0];
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

    fn is_float(&self) -> bool {
        self.quantizer().is_none()
    }

    /// Padding is 0.0 and adds nothing.
    fn floats(&self, at: &Place<'_, Vec<f32>>) -> Result<Vec<f32>, QuantError> {
        let (from, x) = (at.shape(0), at.read(0));
        let (weights, window, size) = (self.weights.floats(), self.window(), [from[1], from[2]]);
        let mut sums = Vec::with_capacity(at.node.shape.iter().product());
        for (o, kernel) in weights.outer_iter().enumerate() {
            let first = self.first_input(o);
            let bias = self.bias().map_or(0.0, |b| b[o]);
            for position in positions(&at.node.shape) {
                let terms = kernel.indexed_iter().filter_map(|((c, row, column), w)| {
                    let under = window.under(size, position, [row, column])?;
                    Some((w, &x[(first + c) * size[0] * size[1] + under]))
                });
                sums.push(float_products(bias, terms));
            }
        }
        Ok(sums)
    }

    fn meaning(&self, at: &Place<'_, Option<Dequantizer>>) -> Result<Option<Dequantizer>, QuantError> {
        self.weights.meaning(at, self.bias())
    }

    /// Padding stands for 0.0: relative to the zero point it adds nothing.
    fn integers(&self, at: &Integers<'_>) -> Result<Vec<i64>, QuantError> {
        let (node, from, x) = (at.place.node, at.place.shape(0), at.relative(0));
        let (window, size) = (self.window(), [from[1], from[2]]);
        let mut sums = Vec::with_capacity(node.shape.iter().product());
        for (o, kernel) in self.weights.integers(&node.name)?.outer_iter().enumerate() {
            let first = self.first_input(o);
            for position in positions(&node.shape) {
                let terms = kernel.indexed_iter().filter_map(|((c, row, column), w)| {
                    let under = window.under(size, position, [row, column])?;
                    Some((w, &x[(first + c) * size[0] * size[1] + under]))
                });
                sums.push(integer_products(terms));
            }
        }
        at.bounded(sums.into_iter())
    }

    fn to_graph(&self, node: &LayerNode, graph: &mut Lowering<'_>) -> Result<Option<NodeId>, QuantError> {
        let (x, zero) = (graph.operand(node, 0)?, graph.zero(node)?);
        let (weights, bias) = self.weights.lowered(&node.name, zero)?;
        let conv = Op::Conv2d(cml_ir::Conv2d {
            weights,
            bias,
            stride: self.stride,
            padding: self.padding,
            pad_value: zero,
            groups: self.groups,
        });
        graph.push(&node.name, true, conv, &[x]).map(Some)
    }

    fn reach(&self, at: &Reaches<'_>) -> Result<Option<IntegerReach>, QuantError> {
        self.weights.reach(at, self.is_padded())
    }

    fn accumulator(&self, span: u64) -> Option<u64> {
        Some(1 + span)
    }

    fn reading(&self) -> IntegerUse {
        IntegerUse::Multiplies
    }

    fn is_non_negative(&self, _: bool) -> bool {
        false
    }
}

/// A convolution in a file, beside its tensors.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conv2dForm {
    weights: Option<WeightQuantizer>,
    bias: bool,
    stride: [usize; 2],
    padding: [usize; 4],
    groups: usize,
}

impl Conv2dForm {
    /// The form of a layer; its tensors are added to those of the file.
    pub(crate) fn of(conv: &Conv2d, name: &str, tensors: &mut Written) -> Self {
        tensors.store(name, &conv.weights, conv.bias());
        Self {
            weights: conv.quantizer().cloned(),
            bias: conv.bias.is_some(),
            stride: conv.stride,
            padding: conv.padding,
            groups: conv.groups,
        }
    }

    /// The layer of this name.
    pub(crate) fn read(self, name: &str, tensors: &Tensors<'_>) -> Result<Conv2d, QuantError> {
        let (floats, bias) = tensors.load(name, "[out, in / groups, height, width]", self.bias)?;
        let conv = Conv2d::new(floats, bias, self.weights).map_err(|e| invalid(name, &e))?;
        Ok(conv
            .with_stride(self.stride)
            .with_padding(self.padding)
            .with_groups(self.groups))
    }
}
