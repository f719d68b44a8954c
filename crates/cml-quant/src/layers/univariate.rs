//! Functions of one variable.

use super::expression::Expression;
use super::kind::{IntegerUse, Integers, LayerKind, Operands, Place, Reaches};
use crate::accumulators::IntegerReach;
use crate::error::misfit;
use crate::to_graph::Lowering;
use crate::{Dequantizer, LayerNode, QuantError};
use cml_ir::{InputStep, NodeId, channels};
use serde::{Deserialize, Serialize};

/// A function of one variable, as the operator of its name in the ONNX operator specification
/// (<https://onnx.ai/onnx/operators>), evaluated in `f32`.
///
/// Transcendental functions are those of `libm`, so that every platform gives the same bits. Lists
/// have one entry, or one for each channel (index of axis 0).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Univariate {
    /// `max(x, 0)`.
    Relu,
    /// `alpha * x` below 0, else `x`.
    LeakyRelu {
        /// Slope below 0.
        alpha: f32,
    },
    /// `slope[c] * x` below 0, else `x`.
    #[serde(rename = "prelu")]
    PRelu {
        /// Slopes below 0.
        slope: Vec<f32>,
    },
    /// `min(max(x, lo), hi)`.
    Clip {
        /// Least value.
        lo: f32,
        /// Largest value, at least `lo`.
        hi: f32,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `max(0, min(1, alpha * x + beta))`.
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Value at 0.
        beta: f32,
    },
    /// `x * max(0, min(1, x / 6 + 0.5))`.
    HardSwish,
    /// Hyperbolic tangent.
    Tanh,
    /// `x / 2 * (1 + erf(x / sqrt(2)))`, or its approximation
    /// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`.
    Gelu {
        /// Whether it is the approximation.
        tanh: bool,
    },
    /// `alpha * (exp(x) - 1)` below 0, else `x`.
    Elu {
        /// Minus the limit at minus infinity.
        alpha: f32,
    },
    /// `gamma * alpha * (exp(x) - 1)` below 0, else `gamma * x`.
    Selu {
        /// Factor below 0.
        alpha: f32,
        /// Factor.
        gamma: f32,
    },
    /// `ln(exp(x) + 1)`.
    Softplus,
    /// Error function.
    Erf,
    /// Exponential.
    Exp,
    /// Natural logarithm.
    Log,
    /// Square root.
    Sqrt,
    /// `|x|`.
    Abs,
    /// `-x`.
    Neg,
    /// -1, 0 or 1.
    Sign,
    /// Nearest integer, halves to the even one.
    Round,
    /// Largest integer that is not above.
    Floor,
    /// Least integer that is not below.
    Ceil,
    /// `x^exponent`.
    Pow {
        /// Exponent.
        exponent: f32,
    },
    /// `1 / x`.
    Reciprocal,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// Tangent.
    Tan,
    /// Inverse sine.
    Asin,
    /// Inverse cosine.
    Acos,
    /// Inverse tangent.
    Atan,
    /// Hyperbolic sine.
    Sinh,
    /// Hyperbolic cosine.
    Cosh,
    /// Inverse hyperbolic sine.
    Asinh,
    /// Inverse hyperbolic cosine.
    Acosh,
    /// Inverse hyperbolic tangent.
    Atanh,
    /// `x * scale[c] + offset[c]`.
    Affine {
        /// Factors, of any sign.
        scale: Vec<f32>,
        /// Added to the products.
        offset: Vec<f32>,
    },
    /// Several functions of one argument, joined.
    Expression(Expression),
}

impl Univariate {
    /// The function as operations that a client does with its floats before it quantizes them; nothing if it
    /// takes more than these.
    pub fn input_steps(&self) -> Option<Vec<InputStep>> {
        Some(match self {
            Self::Relu => vec![InputStep::Max(vec![0.0])],
            Self::Clip { lo, hi } => vec![InputStep::Max(vec![*lo]), InputStep::Min(vec![*hi])],
            Self::Affine { scale, offset } => {
                vec![InputStep::Multiply(scale.clone()), InputStep::Add(offset.clone())]
            }
            Self::Neg => vec![InputStep::Multiply(vec![-1.0])],
            Self::Abs => vec![InputStep::Abs],
            Self::Sign => vec![InputStep::Sign],
            Self::Round => vec![InputStep::Round],
            Self::Floor => vec![InputStep::Floor],
            Self::Ceil => vec![InputStep::Ceil],
            Self::LeakyRelu { .. }
            | Self::PRelu { .. }
            | Self::Sigmoid
            | Self::HardSigmoid { .. }
            | Self::HardSwish
            | Self::Tanh
            | Self::Gelu { .. }
            | Self::Elu { .. }
            | Self::Selu { .. }
            | Self::Softplus
            | Self::Erf
            | Self::Exp
            | Self::Log
            | Self::Sqrt
            | Self::Pow { .. }
            | Self::Sin
            | Self::Cos
            | Self::Tan
            | Self::Asin
            | Self::Acos
            | Self::Atan
            | Self::Sinh
            | Self::Cosh
            | Self::Asinh
            | Self::Acosh
            | Self::Atanh
            | Self::Expression(_)
            | Self::Reciprocal => return None,
        })
    }

    /// Value at `x` in a channel; not finite where the function is not defined or too large.
    pub fn eval(&self, channel: usize, x: f32) -> f32 {
        let hard_sigmoid = |alpha: f32, beta: f32| (alpha * x + beta).clamp(0.0, 1.0);
        match self {
            Self::Relu => x.max(0.0),
            Self::LeakyRelu { alpha } => below_zero(x, alpha * x),
            Self::PRelu { slope } => below_zero(x, pick(slope, channel) * x),
            Self::Clip { lo, hi } => x.max(*lo).min(*hi),
            Self::Sigmoid => 1.0 / (1.0 + libm::expf(-x)),
            Self::HardSigmoid { alpha, beta } => hard_sigmoid(*alpha, *beta),
            Self::HardSwish => x * hard_sigmoid(1.0 / 6.0, 0.5),
            Self::Tanh => libm::tanhf(x),
            Self::Gelu { tanh: false } => 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2)),
            Self::Gelu { tanh: true } => {
                // sqrt(2 / pi).
                let factor = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
                0.5 * x * (1.0 + libm::tanhf(factor * (x + 0.044_715 * x * x * x)))
            }
            Self::Elu { alpha } => below_zero(x, alpha * libm::expm1f(x)),
            Self::Selu { alpha, gamma } => gamma * below_zero(x, alpha * libm::expm1f(x)),
            // exp(x) overflows early: ln(exp(x) + 1) = max(x, 0) + ln(1 + exp(-|x|)).
            Self::Softplus => x.max(0.0) + libm::log1pf(libm::expf(-x.abs())),
            Self::Erf => libm::erff(x),
            Self::Exp => libm::expf(x),
            Self::Log => libm::logf(x),
            Self::Sqrt => libm::sqrtf(x),
            Self::Abs => x.abs(),
            Self::Neg => -x,
            Self::Sign if x == 0.0 => 0.0,
            Self::Sign => x.signum(),
            Self::Round => x.round_ties_even(),
            Self::Floor => x.floor(),
            Self::Ceil => x.ceil(),
            Self::Pow { exponent } => libm::powf(x, *exponent),
            Self::Reciprocal => 1.0 / x,
            Self::Sin => libm::sinf(x),
            Self::Cos => libm::cosf(x),
            Self::Tan => libm::tanf(x),
            Self::Asin => libm::asinf(x),
            Self::Acos => libm::acosf(x),
            Self::Atan => libm::atanf(x),
            Self::Sinh => libm::sinhf(x),
            Self::Cosh => libm::coshf(x),
            Self::Asinh => libm::asinhf(x),
            Self::Acosh => libm::acoshf(x),
            Self::Atanh => libm::atanhf(x),
            Self::Affine { scale, offset } => x * pick(scale, channel) + pick(offset, channel),
            Self::Expression(expression) => expression.eval(channel, x),
        }
    }

    /// Lower-case name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::PRelu { .. } => "prelu",
            Self::Clip { .. } => "clip",
            Self::Sigmoid => "sigmoid",
            Self::HardSigmoid { .. } => "hard_sigmoid",
            Self::HardSwish => "hard_swish",
            Self::Tanh => "tanh",
            Self::Gelu { .. } => "gelu",
            Self::Elu { .. } => "elu",
            Self::Selu { .. } => "selu",
            Self::Softplus => "softplus",
            Self::Erf => "erf",
            Self::Exp => "exp",
            Self::Log => "log",
            Self::Sqrt => "sqrt",
            Self::Abs => "abs",
            Self::Neg => "neg",
            Self::Sign => "sign",
            Self::Round => "round",
            Self::Floor => "floor",
            Self::Ceil => "ceil",
            Self::Pow { .. } => "pow",
            Self::Reciprocal => "reciprocal",
            Self::Sin => "sin",
            Self::Cos => "cos",
            Self::Tan => "tan",
            Self::Asin => "asin",
            Self::Acos => "acos",
            Self::Atan => "atan",
            Self::Sinh => "sinh",
            Self::Cosh => "cosh",
            Self::Asinh => "asinh",
            Self::Acosh => "acosh",
            Self::Atanh => "atanh",
            Self::Affine { .. } => "affine",
            Self::Expression(_) => "expression",
        }
    }

    /// Refuses parameters that are not finite or do not fit so many channels; `layer` is named in
    /// errors.
    ///
    /// # Errors
    /// As said, and if the least value of a clip is above the largest.
    pub(crate) fn check(&self, layer: &str, channels: usize) -> Result<(), QuantError> {
        let finite = |what, list: &[f32]| match list.iter().find(|v| !v.is_finite()) {
            Some(has) => Err(misfit(layer, what, "finite numbers", has)),
            None => Ok(()),
        };
        let list = |what, list: &[f32]| {
            if ![1, channels].contains(&list.len()) {
                return Err(misfit(layer, what, format!("1 or {channels}"), list.len()));
            }
            finite(what, list)
        };
        match self {
            Self::LeakyRelu { alpha } | Self::Elu { alpha } => finite("alpha", &[*alpha]),
            Self::PRelu { slope } => list("slopes", slope),
            Self::Clip { lo, hi } if lo > hi => Err(misfit(
                layer,
                "clip",
                "a least value up to the largest",
                format!("{lo} and {hi}"),
            )),
            Self::Clip { lo, hi } => finite("clip", &[*lo, *hi]),
            Self::HardSigmoid { alpha, beta } => finite("alpha and beta", &[*alpha, *beta]),
            Self::Selu { alpha, gamma } => finite("alpha and gamma", &[*alpha, *gamma]),
            Self::Pow { exponent } => finite("exponent", &[*exponent]),
            Self::Affine { scale, offset } => {
                list("scales", scale)?;
                list("offsets", offset)
            }
            Self::Expression(expression) => expression.check(layer, channels),
            Self::Relu
            | Self::Sigmoid
            | Self::HardSwish
            | Self::Tanh
            | Self::Gelu { .. }
            | Self::Softplus
            | Self::Erf
            | Self::Exp
            | Self::Log
            | Self::Sqrt
            | Self::Abs
            | Self::Neg
            | Self::Sign
            | Self::Round
            | Self::Floor
            | Self::Ceil
            | Self::Sin
            | Self::Cos
            | Self::Tan
            | Self::Asin
            | Self::Acos
            | Self::Atan
            | Self::Sinh
            | Self::Cosh
            | Self::Asinh
            | Self::Acosh
            | Self::Atanh
            | Self::Reciprocal => Ok(()),
        }
    }

    /// Whether every channel has the same function.
    pub fn is_per_tensor(&self) -> bool {
        match self {
            Self::PRelu { slope } => slope.len() == 1,
            Self::Affine { scale, offset } => scale.len() == 1 && offset.len() == 1,
            Self::Expression(expression) => expression.is_per_tensor(),
            _ => true,
        }
    }

    /// The same function with what `spread` makes of its lists of an entry for each channel.
    pub fn respread(&self, spread: impl Fn(&[f32]) -> Vec<f32>) -> Self {
        let spread = |list: &[f32]| {
            if list.len() == 1 {
                list.to_vec()
            } else {
                spread(list)
            }
        };
        match self {
            Self::PRelu { slope } => Self::PRelu { slope: spread(slope) },
            Self::Affine { scale, offset } => Self::Affine {
                scale: spread(scale),
                offset: spread(offset),
            },
            Self::Expression(expression) => Self::Expression(expression.respread(&spread)),
            other => other.clone(),
        }
    }

    /// Factors and offsets of an affine function that grows.
    pub(crate) fn growing(&self) -> Option<(&[f32], &[f32])> {
        match self {
            Self::Affine { scale, offset } if scale.iter().all(|&s| s > 0.0) => Some((scale, offset)),
            _ => None,
        }
    }
}

impl LayerKind for Univariate {
    fn mnemonic(&self) -> &'static str {
        self.name()
    }

    fn operands(&self) -> Operands {
        Operands::Exactly(1)
    }

    fn shape(&self, name: &str, read: &[&[usize]]) -> Result<Vec<usize>, QuantError> {
        self.check(name, channels(read[0]))?;
        Ok(read[0].to_vec())
    }

    fn is_float(&self) -> bool {
        true
    }

    fn floats(&self, at: &Place<'_, Vec<f32>>) -> Result<Vec<f32>, QuantError> {
        let width = at.node.channel_len();
        let x = at.read(0).iter().enumerate();
        Ok(x.map(|(i, &x)| self.eval(i / width, x)).collect())
    }

    /// The function is part of the next table.
    fn meaning(&self, at: &Place<'_, Option<Dequantizer>>) -> Result<Option<Dequantizer>, QuantError> {
        let mut meaning = at.meaning(0)?.clone();
        meaning.functions.push(self.clone());
        Ok(Some(meaning))
    }

    fn integers(&self, at: &Integers<'_>) -> Result<Vec<i64>, QuantError> {
        Ok(at.codes(0).to_vec())
    }

    fn to_graph(&self, node: &LayerNode, graph: &mut Lowering<'_>) -> Result<Option<NodeId>, QuantError> {
        graph.operand(node, 0).map(Some)
    }

    fn reach(&self, at: &Reaches<'_>) -> Result<Option<IntegerReach>, QuantError> {
        Ok(at.first())
    }

    fn accumulator(&self, _: u64) -> Option<u64> {
        None
    }

    fn reading(&self) -> IntegerUse {
        IntegerUse::PassesOn
    }

    fn is_non_negative(&self, _: bool) -> bool {
        match self {
            Self::Relu
            | Self::Sigmoid
            | Self::HardSigmoid { .. }
            | Self::Softplus
            | Self::Exp
            | Self::Sqrt
            | Self::Cosh
            | Self::Abs => true,
            Self::Clip { lo, .. } => *lo >= 0.0,
            Self::LeakyRelu { .. }
            | Self::PRelu { .. }
            | Self::HardSwish
            | Self::Tanh
            | Self::Gelu { .. }
            | Self::Elu { .. }
            | Self::Selu { .. }
            | Self::Erf
            | Self::Log
            | Self::Neg
            | Self::Sign
            | Self::Round
            | Self::Floor
            | Self::Ceil
            | Self::Sin
            | Self::Cos
            | Self::Tan
            | Self::Asin
            | Self::Acos
            | Self::Atan
            | Self::Sinh
            | Self::Asinh
            | Self::Acosh
            | Self::Atanh
            | Self::Expression(_)
            | Self::Pow { .. }
            | Self::Reciprocal
            | Self::Affine { .. } => false,
        }
    }
}

/// `other` below 0, else `x` (a NaN stays).
fn below_zero(x: f32, other: f32) -> f32 {
    if x < 0.0 { other } else { x }
}

/// The entry of a channel in a list of one for each channel, or one for all.
pub(crate) fn pick(list: &[f32], channel: usize) -> f32 {
    if list.len() == 1 { list[0] } else { list[channel] }
}
