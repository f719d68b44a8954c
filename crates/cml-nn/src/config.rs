//! What to train, and how.

use cml_quant::{ActQuantizer, QuantError, WeightQuantizer};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::{LayerConfig, LearningRateSchedule};

/// A network with quantizers, and how to train it. The default is the network of the checkerboard demo,
/// 2-100-100-2 at 3 bits.
///
/// The input is normalized and quantized, hidden layers follow, and a dense layer with one output for
/// each class ends it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Name of the network.
    pub name: String,
    /// Data set that the network is for; [`crate::train`] takes its data as an argument and does not
    /// look at it.
    pub data: String,
    /// Whether to train with quantizers. Without, the network is a float one, and everything that
    /// speaks of bits and accumulators is ignored.
    pub quantized: bool,
    /// Shape of one sample; empty for a vector of the data's columns.
    pub input_shape: Vec<usize>,
    /// How to scale the features, channel by channel, by the training rows. It becomes part of the
    /// network.
    pub normalize: Normalization,
    /// Units of dense hidden layers; `[100, 100]` if neither this nor `layers` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Vec<usize>>,
    /// Hidden layers of any kind, instead of `hidden`.
    pub layers: Vec<LayerConfig>,
    /// Bits of the weights, 2 to 16.
    pub weight_bits: u32,
    /// Bits of the output layer's weights, instead of `weight_bits`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_weight_bits: Option<u32>,
    /// How weights get their scale.
    pub weight_scale: WeightScale,
    /// Bits of the input, 1 to 16 (signed: 2 to 16).
    pub input_bits: u32,
    /// Whether the input's codes cover [-1, 1]; otherwise [0, 1].
    pub input_signed: bool,
    /// Bits of the activations, 2 to 16 (after ReLU with learned scales: 1 to 16).
    pub activation_bits: u32,
    /// How activations get their scale.
    pub activation_scale: ActivationScale,
    /// Which weights are zero for good.
    pub pruning: Pruning,
    /// Most values that an accumulator of a hidden layer can take, `U - L + 1` over all inputs its
    /// quantizer allows. The trained network is guaranteed to keep to it.
    pub max_accumulator_values: Option<u64>,
    /// The same for the output layer, whose accumulators are decrypted, not looked up: 128 keeps them
    /// to 7 bits.
    pub max_output_values: Option<u64>,
    /// Passes over the training rows.
    pub epochs: usize,
    /// Rows of one step.
    pub batch: usize,
    /// Learning rate of AdamW at the start.
    pub learning_rate: f64,
    /// Course of the learning rate.
    pub schedule: LearningRateSchedule,
    /// Weight decay of AdamW.
    pub weight_decay: f64,
    /// Label smoothing of the cross entropy, 0 to below 1.
    pub label_smoothing: f64,
    /// What is done to training rows before each step.
    pub augment: Augment,
    /// Seed of the initial weights, the batches and the augmentation.
    pub seed: u64,
}

/// How features are scaled, one offset and factor for each channel (axis 0) of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// Not at all.
    None,
    /// The training rows' least value to 0, their largest to 1.
    MinMax,
    /// To mean 0 and standard deviation 1/2 over the training rows, so that most lies in [-1, 1].
    Standard,
}

/// Random changes of training rows, after normalization.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Standard deviation of Gaussian noise.
    pub noise: f64,
    /// Images are moved by up to so many pixels in each direction; what comes in is 0.
    pub shift: usize,
}

/// How activations get their scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivationScale {
    /// Narrow signed codes of [-1, 1], scale `1 / (2^(b-1) - 1)`, as in the seeds. After ReLU only the
    /// codes from 0 occur.
    Constant,
    /// From the values met in the first 300 steps, then a parameter: unsigned codes after ReLU, else signed.
    Learned,
}

/// How weights get their scale; the codes are narrow signed (`-(2^(b-1)-1) ..= 2^(b-1)-1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightScale {
    /// `1 / (2^(b-1) - 1)`, as in the seeds.
    Constant,
    /// From the largest weight of the layer.
    PerTensor,
    /// From the largest weight of each row.
    PerChannel,
    /// From the largest weight of the layer, rounded up to a power of two.
    PowerOfTwo,
}

/// Which weights training sets to zero: the smallest by magnitude (neurons: by their sum).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pruning {
    /// None.
    None,
    /// All but this many of each neuron: a guarantee for every neuron.
    PerNeuron(usize),
    /// All but this many per neuron on average, over the whole matrix (`l1_unstructured` of the seeds).
    WholeMatrix(usize),
    /// Whole neurons (or channels): all but this many of a layer. The output layer is left alone.
    Neurons(usize),
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            name: "checkerboard_qat".to_owned(),
            data: "checkerboard".to_owned(),
            quantized: true,
            input_shape: Vec::new(),
            normalize: Normalization::None,
            hidden: None,
            layers: Vec::new(),
            weight_bits: 3,
            output_weight_bits: None,
            weight_scale: WeightScale::Constant,
            input_bits: 3,
            input_signed: true,
            activation_bits: 3,
            activation_scale: ActivationScale::Constant,
            pruning: Pruning::PerNeuron(30),
            max_accumulator_values: Some(40),
            max_output_values: Some(128),
            epochs: 25,
            batch: 64,
            learning_rate: 0.01,
            schedule: LearningRateSchedule::Cosine,
            weight_decay: 0.01,
            label_smoothing: 0.0,
            augment: Augment::default(),
            seed: 0,
        }
    }
}

impl TrainConfig {
    /// The hidden layers, whichever way they are given.
    pub fn hidden_layers(&self) -> Vec<LayerConfig> {
        if !self.layers.is_empty() {
            return self.layers.clone();
        }
        let units = self.hidden.as_deref().unwrap_or(&[100, 100]);
        units.iter().map(|&units| LayerConfig::linear(units)).collect()
    }

    /// Gives every lookup a domain of at most `values` values, whatever the layers had of their own.
    pub fn limit_lookups(&mut self, values: u64) {
        self.max_accumulator_values = Some(values);
        for layer in &mut self.layers {
            layer.max_accumulator_values = None;
        }
    }

    /// The quantizer of the input.
    pub(crate) fn input_quantizer(&self) -> Result<ActQuantizer, QuantError> {
        if self.input_signed {
            return ActQuantizer::constant(self.input_bits);
        }
        let scale = 1.0 / ((1u32 << self.input_bits.min(16)) - 1) as f32;
        ActQuantizer::new(self.input_bits, false, false, scale, 0)
    }
}

impl WeightScale {
    /// The quantizer for weights `[out, in]`.
    pub(crate) fn quantizer(
        self,
        bits: u32,
        weights: ArrayView2<'_, f32>,
    ) -> Result<WeightQuantizer, QuantError> {
        match self {
            Self::Constant => WeightQuantizer::constant(bits),
            Self::PerTensor => WeightQuantizer::per_tensor(bits, weights),
            Self::PerChannel => WeightQuantizer::per_channel(bits, weights),
            Self::PowerOfTwo => WeightQuantizer::power_of_two(bits, weights),
        }
    }
}
