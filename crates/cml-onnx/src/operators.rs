//! The operators that are read: one table of domain, name and handler.
//!
//! A new operator is a row here and a function in one of the files below it. The list of what is supported
//! ([`supported_operators`]) is made of the rows, and so is `docs/operators.md`, which a test compares.

use crate::functions::{self, MakeFunction};
use crate::model::Node;
use crate::moves::{self, NewShape};
use crate::report::{NodeProblem, Translated};
use crate::translation::{Translation, first};
use crate::value::Value;
use crate::{
    axes, channels_last, constants, elementwise, ensembles, machine_learning, pools, qcdq, qonnx, rearrange,
    weighted,
};
use cml_quant::Univariate as U;

/// Translates a node whose operands are as given; `None` stands for those that are left out.
pub(crate) type Apply = fn(&mut Translation, &Node, &[Option<Value>]) -> Translated<Value>;
/// The same with several results.
pub(crate) type ApplySeveral = fn(&mut Translation, &Node, &[Option<Value>]) -> Translated<Vec<Value>>;
/// The same where all operands are constants.
pub(crate) type Fold = fn(&Translation, &Node, &[Option<Value>]) -> Translated<Value>;

/// Who defines an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Domain {
    /// ONNX itself.
    Onnx,
    /// `ai.onnx.ml`: trees, linear models and the like.
    Ml,
    /// Quantizers of QONNX. Exporters give them domains of several names.
    Qonnx,
    /// Operators of ONNX whose channels are the last axis, as transforms of qonnx write them.
    ChannelsLast,
}

/// An operator that is read.
pub(crate) struct Operator {
    pub(crate) domain: Domain,
    pub(crate) name: &'static str,
    pub(crate) handler: Handler,
    /// Whether it may stand between the scores and the output, where the client does its work.
    pub(crate) may_end: bool,
    /// Whether it gives a class and scores, of which the second are kept.
    pub(crate) names_class: bool,
}

/// How an operator is translated.
pub(crate) enum Handler {
    /// One function for values of the sample and for constants.
    Any(Apply),
    /// Values of the sample become several results.
    Several(ApplySeveral),
    /// Values of the sample become layers; constants are folded, or refused.
    Sample { apply: Apply, fold: Option<Fold> },
    /// Constants only.
    Constants(Fold),
    /// A function of one variable.
    Function(MakeFunction),
    /// The same elements in another shape.
    Reshape(NewShape),
    /// Left to the client at the end, and refused before it.
    AtEnd,
}

impl Domain {
    /// Its usual name.
    fn name(self) -> &'static str {
        match self {
            Self::Onnx => "ai.onnx",
            Self::Ml => "ai.onnx.ml",
            Self::Qonnx => "qonnx.custom_op.general",
            Self::ChannelsLast => "qonnx.custom_op.channels_last",
        }
    }

    /// The domain of a name that a file gives.
    fn of(name: &str) -> Self {
        match name {
            "" | "ai.onnx" => Self::Onnx,
            "ai.onnx.ml" => Self::Ml,
            "qonnx.custom_op.channels_last" => Self::ChannelsLast,
            _ => Self::Qonnx,
        }
    }
}

const fn onnx(name: &'static str, handler: Handler) -> Operator {
    Operator {
        domain: Domain::Onnx,
        name,
        handler,
        may_end: false,
        names_class: false,
    }
}

const fn ending(name: &'static str, handler: Handler) -> Operator {
    Operator {
        may_end: true,
        ..onnx(name, handler)
    }
}

/// Of `ai.onnx.ml`.
const fn ml(name: &'static str, apply: Apply) -> Operator {
    Operator {
        domain: Domain::Ml,
        ..onnx(name, layer(apply))
    }
}

/// Of `ai.onnx.ml`, with a class as its first result.
const fn classifier(name: &'static str, apply: Apply) -> Operator {
    Operator {
        names_class: true,
        ..ml(name, apply)
    }
}

/// Of `ai.onnx.ml`, left to the client at the end.
const fn ml_end(name: &'static str) -> Operator {
    Operator {
        domain: Domain::Ml,
        ..ending(name, Handler::AtEnd)
    }
}

const fn qonnx(name: &'static str, apply: Apply) -> Operator {
    Operator {
        domain: Domain::Qonnx,
        ..onnx(name, Handler::Any(apply))
    }
}

const fn channels_last(name: &'static str, apply: Apply) -> Operator {
    Operator {
        domain: Domain::ChannelsLast,
        ..onnx(name, layer(apply))
    }
}

/// Of values of the sample only.
const fn layer(apply: Apply) -> Handler {
    Handler::Sample { apply, fold: None }
}

const fn folding(apply: Apply, fold: Fold) -> Handler {
    Handler::Sample {
        apply,
        fold: Some(fold),
    }
}

const fn function(make: MakeFunction) -> Handler {
    Handler::Function(make)
}

/// A truth value as ONNX casts it.
fn truth(holds: bool) -> f32 {
    f32::from(u8::from(holds))
}

/// Every operator that is read.
#[rustfmt::skip]
pub(crate) const OPERATORS: &[Operator] = &[
    // Layers with weights.
    onnx("Conv", layer(weighted::conv)),
    onnx("Gemm", layer(weighted::gemm)),
    onnx("MatMul", layer(weighted::matmul)),
    // Quantizers.
    onnx("QuantizeLinear", Handler::Any(qcdq::quantize)),
    onnx("DequantizeLinear", Handler::Any(qcdq::dequantize)),
    qonnx("Quant", qonnx::quant),
    qonnx("IntQuant", qonnx::quant),
    qonnx("BipolarQuant", qonnx::bipolar),
    qonnx("Trunc", qonnx::trunc),
    // Sums, factors and offsets.
    onnx("Add", folding(elementwise::add, |_, _, x| constants::binary(x, |a, b| a + b, i64::checked_add))),
    onnx("Sub", folding(elementwise::sub, |_, _, x| constants::binary(x, |a, b| a - b, i64::checked_sub))),
    onnx("Mul", folding(elementwise::mul, |_, _, x| constants::binary(x, |a, b| a * b, i64::checked_mul))),
    onnx("Div", folding(elementwise::div, |_, _, x| constants::binary(x, |a, b| a / b, i64::checked_div))),
    onnx("Sum", layer(elementwise::sum)),
    onnx("BatchNormalization", layer(elementwise::batch_norm)),
    // The same with the channels last.
    channels_last("Conv", channels_last::conv),
    channels_last("MaxPool", channels_last::max_pool),
    channels_last("BatchNormalization", channels_last::batch_norm),
    // Windows and axes.
    onnx("AveragePool", layer(pools::average)),
    onnx("MaxPool", layer(pools::max)),
    onnx("GlobalAveragePool", layer(pools::global_average)),
    onnx("GlobalMaxPool", layer(pools::global_max)),
    onnx("ReduceMean", layer(pools::reduce_mean)),
    onnx("ReduceSum", layer(pools::reduce_sum)),
    onnx("ReduceMax", layer(pools::reduce_max)),
    // Moves.
    onnx("Flatten", Handler::Reshape(axes::flattened)),
    onnx("Reshape", Handler::Reshape(axes::reshaped)),
    onnx("Squeeze", Handler::Reshape(axes::squeezed)),
    onnx("Unsqueeze", Handler::Reshape(axes::unsqueezed)),
    onnx("Transpose", folding(moves::transpose, constants::transpose)),
    onnx("Slice", folding(moves::slice, constants::slice)),
    onnx("Concat", folding(moves::concat, constants::concat)),
    onnx("Pad", layer(moves::pad)),
    onnx("Split", Handler::Several(rearrange::split)),
    onnx("Gather", folding(rearrange::gather, constants::gather)),
    onnx("Tile", layer(rearrange::tile)),
    onnx("Expand", layer(rearrange::expand)),
    onnx("DepthToSpace", layer(rearrange::depth_to_space)),
    onnx("SpaceToDepth", layer(rearrange::space_to_depth)),
    onnx("Resize", layer(rearrange::resize)),
    onnx("Upsample", layer(rearrange::resize)),
    // Functions of one variable.
    onnx("Relu", function(|_| Ok(U::Relu))),
    onnx("LeakyRelu", function(functions::leaky_relu)),
    onnx("PRelu", function(functions::prelu)),
    onnx("Clip", folding(functions::clip, constants::clip)),
    onnx("Sigmoid", function(|_| Ok(U::Sigmoid))),
    onnx("HardSigmoid", function(functions::hard_sigmoid)),
    onnx("HardSwish", function(|_| Ok(U::HardSwish))),
    onnx("Tanh", function(|_| Ok(U::Tanh))),
    onnx("Gelu", function(functions::gelu)),
    onnx("Elu", function(functions::elu)),
    onnx("Selu", function(functions::selu)),
    onnx("Softplus", function(|_| Ok(U::Softplus))),
    onnx("Erf", function(|_| Ok(U::Erf))),
    onnx("Exp", function(|_| Ok(U::Exp))),
    onnx("Log", function(|_| Ok(U::Log))),
    onnx("Sqrt", function(|_| Ok(U::Sqrt))),
    onnx("Abs", function(|_| Ok(U::Abs))),
    onnx("Neg", function(|_| Ok(U::Neg))),
    onnx("Sign", function(|_| Ok(U::Sign))),
    onnx("Round", function(|_| Ok(U::Round))),
    onnx("Floor", function(|_| Ok(U::Floor))),
    onnx("Ceil", function(|_| Ok(U::Ceil))),
    onnx("Reciprocal", function(|_| Ok(U::Reciprocal))),
    onnx("Sin", function(|_| Ok(U::Sin))),
    onnx("Cos", function(|_| Ok(U::Cos))),
    onnx("Tan", function(|_| Ok(U::Tan))),
    onnx("Asin", function(|_| Ok(U::Asin))),
    onnx("Acos", function(|_| Ok(U::Acos))),
    onnx("Atan", function(|_| Ok(U::Atan))),
    onnx("Sinh", function(|_| Ok(U::Sinh))),
    onnx("Cosh", function(|_| Ok(U::Cosh))),
    onnx("Asinh", function(|_| Ok(U::Asinh))),
    onnx("Acosh", function(|_| Ok(U::Acosh))),
    onnx("Atanh", function(|_| Ok(U::Atanh))),
    onnx("Mish", function(functions::mish)),
    onnx("Swish", function(functions::swish)),
    onnx("Celu", function(functions::celu)),
    onnx("Softsign", function(functions::softsign)),
    onnx("ThresholdedRelu", function(functions::thresholded_relu)),
    onnx("Shrink", function(functions::shrink)),
    onnx("Min", folding(elementwise::min, |_, _, x| constants::binary(x, f32::min, |a, b| Some(a.min(b))))),
    onnx("Max", folding(elementwise::max, |_, _, x| constants::binary(x, f32::max, |a, b| Some(a.max(b))))),
    // Comparisons of one value.
    onnx("Less", folding(elementwise::less, |_, _, x| constants::binary(x, |a, b| truth(a < b), |a, b| Some(i64::from(a < b))))),
    onnx("LessOrEqual", folding(elementwise::less_or_equal, |_, _, x| constants::binary(x, |a, b| truth(a <= b), |a, b| Some(i64::from(a <= b))))),
    onnx("Greater", folding(elementwise::greater, |_, _, x| constants::binary(x, |a, b| truth(a > b), |a, b| Some(i64::from(a > b))))),
    onnx("GreaterOrEqual", folding(elementwise::greater_or_equal, |_, _, x| constants::binary(x, |a, b| truth(a >= b), |a, b| Some(i64::from(a >= b))))),
    onnx("Equal", folding(elementwise::equal, |_, _, x| constants::binary(x, |a, b| truth(a == b), |a, b| Some(i64::from(a == b))))),
    onnx("And", layer(elementwise::min)),
    onnx("Or", layer(elementwise::max)),
    onnx("Not", layer(elementwise::not)),
    onnx("Where", folding(elementwise::select, constants::chosen)),
    onnx("Pow", folding(elementwise::pow, |_, _, x| constants::binary(x, f32::powf, constants::power))),
    // Constants and shapes.
    onnx("Constant", Handler::Any(constants::literal)),
    onnx("ConstantOfShape", Handler::Constants(constants::filled)),
    onnx("Shape", Handler::Any(constants::shape)),
    // What changes nothing, and what the client does.
    onnx("Dropout", Handler::Any(|_, _, x| first(x))),
    ending("Identity", Handler::Any(|_, _, x| first(x))),
    ending("Cast", folding(functions::cast, constants::cast)),
    ending("Softmax", Handler::AtEnd),
    ending("LogSoftmax", Handler::AtEnd),
    ending("ArgMax", Handler::AtEnd),
    // Models of other kinds.
    classifier("TreeEnsembleClassifier", ensembles::classifier),
    ml("TreeEnsembleRegressor", ensembles::regressor),
    classifier("LinearClassifier", machine_learning::linear_classifier),
    ml("LinearRegressor", machine_learning::linear_regressor),
    ml("Scaler", machine_learning::scaler),
    ml_end("Normalizer"),
    ml_end("ZipMap"),
    ml_end("ArrayFeatureExtractor"),
];

/// Operators that a file may use, as domain and name, in the order of their kinds.
///
/// `Softmax`, `LogSoftmax` and `ArgMax` are read at the end of a network only, where they are left to the
/// client. The quantizers of QONNX are found in any domain that is none of ONNX's own.
pub fn supported_operators() -> impl Iterator<Item = (&'static str, &'static str)> {
    OPERATORS.iter().map(|o| (o.domain.name(), o.name))
}

/// The operator of a node, if it is read.
pub(crate) fn find(node: &Node) -> Option<&'static Operator> {
    let domain = Domain::of(&node.domain);
    OPERATORS.iter().find(|o| o.domain == domain && o.name == node.op)
}

/// The operator of a node as reports name it: with its domain where that is not clear.
pub(crate) fn shown(node: &Node) -> String {
    if Domain::of(&node.domain) == Domain::Onnx || find(node).is_some() {
        return node.op.clone();
    }
    format!("{}.{}", node.domain, node.op)
}

/// Whether the result of an operator has the shape of what it reads, read or not.
pub(crate) fn keeps_shape(node: &Node) -> bool {
    const SAME: &[&str] = &[
        "Add",
        "BatchNormalization",
        "Celu",
        "Div",
        "GroupNormalization",
        "InstanceNormalization",
        "LayerNormalization",
        "LpNormalization",
        "Mish",
        "Mul",
        "Pow",
        "Silu",
        "Sub",
        "Swish",
        "ThresholdedRelu",
    ];
    let of_kind = find(node).is_some_and(|o| {
        o.domain == Domain::Qonnx || matches!(o.handler, Handler::Function(_) | Handler::AtEnd)
    });
    of_kind || (Domain::of(&node.domain) == Domain::Onnx && SAME.contains(&node.op.as_str()))
}

/// What to say of operators that are not read.
const HINTS: &[(&[&str], &str, &str)] = &[
    (
        &[
            "QLinearConv",
            "QLinearMatMul",
            "ConvInteger",
            "MatMulInteger",
            "DynamicQuantizeLinear",
        ],
        "integer operators are not read",
        "QuantizeLinear and DequantizeLinear around float operators (QCDQ), or QONNX",
    ),
    (
        &["If", "Loop", "Scan"],
        "the program that runs must not depend on data",
        "the branch itself",
    ),
    (
        &[
            "LayerNormalization",
            "InstanceNormalization",
            "GroupNormalization",
            "LpNormalization",
        ],
        "it divides by a value of the sample",
        "BatchNormalization",
    ),
    (
        &["LSTM", "GRU", "RNN"],
        "recurrent networks are not supported",
        "dense layers or convolutions",
    ),
];

/// The operator of a node.
///
/// # Errors
/// If it is not read.
pub(crate) fn supported(node: &Node) -> Translated<&'static Operator> {
    if let Some(operator) = find(node) {
        return Ok(operator);
    }
    let hint = HINTS.iter().find(|(names, ..)| names.contains(&node.op.as_str()));
    let (why, instead) = match (Domain::of(&node.domain), hint) {
        (Domain::Onnx, Some(&(_, why, instead))) => (why, instead),
        (Domain::Onnx | Domain::Qonnx | Domain::ChannelsLast, _) => (
            "this operator is not supported",
            "layers with weights, pools, BatchNormalization, or functions of one variable",
        ),
        (Domain::Ml, _) => (
            "this model of ai.onnx.ml is not supported",
            "a tree ensemble or a linear model, or a neural network of ONNX's own operators",
        ),
    };
    Err(NodeProblem::new(why, instead))
}
