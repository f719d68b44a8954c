//! Dense layers.

use super::kind::{IntegerUse, Integers, LayerKind, Operands, Place, Reaches};
use super::weights::{float_products, integer_products};
use crate::accumulators::IntegerReach;
use crate::error::misfit;
use crate::tensors::{Tensors, Written, invalid};
use crate::to_graph::Lowering;
use crate::{Dequantizer, LayerNode, QuantError, WeightQuantizer, Weights};
use cml_ir::{Dot, NodeId, Op};
use ndarray::{Array2, Ix2};
use serde::{Deserialize, Serialize};

/// Dense layer `y = W x + b` with a float bias, which goes into the next
/// lookup table or the output's offset. In a quantized network the weights are
/// integer codes, in a float one floats.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    weights: Weights<Ix2>,
    bias: Option<Vec<f32>>,
}

impl Linear {
    /// Layer from float weights `[out, in]`, bias `[out]`, and a quantizer, which rounds the weights to
    /// codes, or `None`.
    ///
    /// # Errors
    /// If sizes do not fit or a number is not finite.
    pub fn new(
        weights: Array2<f32>,
        bias: Option<Vec<f32>>,
        quantizer: impl Into<Option<WeightQuantizer>>,
    ) -> Result<Self, QuantError> {
        Self::from_weights(Weights::of_floats("linear", weights, quantizer.into())?, bias)
    }

    /// Layer from weights `[out, in]` and bias `[out]`.
    ///
    /// # Errors
    /// If sizes do not fit, a number is not finite, or a code is none of the quantizer's.
    pub fn from_weights(weights: Weights<Ix2>, bias: Option<Vec<f32>>) -> Result<Self, QuantError> {
        weights.check("linear", bias.as_deref())?;
        Ok(Self { weights, bias })
    }

    /// Weights, `[out, in]`.
    pub fn weights(&self) -> &Weights<Ix2> {
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

    /// Integer weights, `[out, in]`; `None` if they are float.
    pub fn codes(&self) -> Option<&Array2<i64>> {
        self.weights.codes()
    }
}

impl LayerKind for Linear {
    fn mnemonic(&self) -> &'static str {
        "linear"
    }

    fn operands(&self) -> Operands {
        Operands::Exactly(1)
    }

    fn shape(&self, name: &str, read: &[&[usize]]) -> Result<Vec<usize>, QuantError> {
        let (out, fan_in) = (self.weights.shape()[0], self.weights.shape()[1]);
        if *read[0] != [fan_in] {
            let (needs, has) = (format!("[{fan_in}]"), format!("{:?}", read[0]));
            return Err(misfit(name, "input", needs, has));
        }
        Ok(vec![out])
    }

    fn is_float(&self) -> bool {
        self.quantizer().is_none()
    }

    fn floats(&self, at: &Place<'_, Vec<f32>>) -> Result<Vec<f32>, QuantError> {
        let (weights, x) = (self.weights.floats(), at.read(0));
        let bias = |o: usize| self.bias().map_or(0.0, |b| b[o]);
        let rows = weights.rows().into_iter().enumerate();
        Ok(rows
            .map(|(o, row)| float_products(bias(o), row.iter().zip(x)))
            .collect())
    }

    fn meaning(&self, at: &Place<'_, Option<Dequantizer>>) -> Result<Option<Dequantizer>, QuantError> {
        self.weights.meaning(at, self.bias())
    }

    fn integers(&self, at: &Integers<'_>) -> Result<Vec<i64>, QuantError> {
        let (codes, x) = (self.weights.integers(&at.place.node.name)?, at.relative(0));
        let rows = codes.rows().into_iter();
        at.bounded(rows.map(|row| integer_products(row.iter().zip(&x))))
    }

    fn to_graph(&self, node: &LayerNode, graph: &mut Lowering<'_>) -> Result<Option<NodeId>, QuantError> {
        let x = graph.operand(node, 0)?;
        let (weights, bias) = self.weights.lowered(&node.name, graph.zero(node)?)?;
        let dot = Op::Dot(Dot { weights, bias });
        graph.push(&node.name, true, dot, &[x]).map(Some)
    }

    fn reach(&self, at: &Reaches<'_>) -> Result<Option<IntegerReach>, QuantError> {
        self.weights.reach(at, false)
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

/// A dense layer in a file, beside its tensors.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinearForm {
    weights: Option<WeightQuantizer>,
    bias: bool,
}

impl LinearForm {
    /// The form of a layer; its tensors are added to those of the file.
    pub(crate) fn of(linear: &Linear, name: &str, tensors: &mut Written) -> Self {
        tensors.store(name, &linear.weights, linear.bias());
        Self {
            weights: linear.quantizer().cloned(),
            bias: linear.bias.is_some(),
        }
    }

    /// The layer of this name.
    pub(crate) fn read(self, name: &str, tensors: &Tensors<'_>) -> Result<Linear, QuantError> {
        let (floats, bias) = tensors.load(name, "[out, in]", self.bias)?;
        Linear::new(floats, bias, self.weights).map_err(|e| invalid(name, &e))
    }
}
