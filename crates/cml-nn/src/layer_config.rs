//! What a hidden layer is.

use serde::{Deserialize, Serialize};

use crate::Pruning;

/// A hidden layer. Dense layers, convolutions and sums are followed by ReLU (unless switched off) and
/// a quantizer; pools, flatten and concatenation work on what quantizers yield.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerConfig {
    /// What it does.
    pub op: OpConfig,
    /// Name; without one `conv1`, `fc1`, `pool1`, `add1`, ..., counted by kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Names of the layers that it reads; none for the layer before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// Whether ReLU follows a dense layer, convolution or sum.
    #[serde(default = "yes")]
    pub relu: bool,
    /// Whether batch normalization follows a dense layer or convolution; it is folded into the weights
    /// of the trained network.
    #[serde(default)]
    pub batch_norm: bool,
    /// Bits of the weights, instead of those of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_bits: Option<u32>,
    /// Bits of the quantizer that follows, instead of those of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_bits: Option<u32>,
    /// Pruning, instead of that of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruning: Option<Pruning>,
    /// Most values of an accumulator, instead of that of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_accumulator_values: Option<u64>,
}

/// Operation of a layer. Shapes are `[channels, height, width]` or `[features]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OpConfig {
    /// Dense layer; what is not a vector is flattened first.
    Linear {
        /// Outputs.
        units: usize,
    },
    /// Convolution.
    Conv2d {
        /// Output channels.
        channels: usize,
        /// Height and width of the kernel.
        kernel: [usize; 2],
        /// Vertical and horizontal stride.
        #[serde(default = "ones")]
        stride: [usize; 2],
        /// Rows and columns of 0.0 added: top, left, bottom, right.
        #[serde(default)]
        padding: [usize; 4],
        /// Channel groups that do not mix.
        #[serde(default = "one")]
        groups: usize,
    },
    /// Averages over windows.
    AveragePool {
        /// Height and width of the windows.
        kernel: [usize; 2],
        /// Vertical and horizontal stride.
        stride: [usize; 2],
    },
    /// Sums over windows.
    SumPool {
        /// Height and width of the windows.
        kernel: [usize; 2],
        /// Vertical and horizontal stride.
        stride: [usize; 2],
    },
    /// A vector of all elements.
    Flatten,
    /// Sum of two layers of one shape (a residual connection). Their quantizers get one scale.
    Add,
    /// Layers one after the other along axis 0. Their quantizers get one scale.
    Concat,
}

impl LayerConfig {
    /// A layer with ReLU and the network's defaults.
    pub fn new(op: OpConfig) -> Self {
        Self {
            op,
            name: None,
            from: Vec::new(),
            relu: true,
            batch_norm: false,
            weight_bits: None,
            activation_bits: None,
            pruning: None,
            max_accumulator_values: None,
        }
    }

    /// A dense layer of so many units.
    pub fn linear(units: usize) -> Self {
        Self::new(OpConfig::Linear { units })
    }
}

impl OpConfig {
    /// Start of a name that nobody chose.
    pub(crate) fn prefix(&self) -> &'static str {
        match self {
            Self::Linear { .. } => "fc",
            Self::Conv2d { .. } => "conv",
            Self::AveragePool { .. } | Self::SumPool { .. } => "pool",
            Self::Flatten => "flatten",
            Self::Add => "add",
            Self::Concat => "concat",
        }
    }
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

fn ones() -> [usize; 2] {
    [1, 1]
}
