//! What to train, and how.

use std::fmt::Display;

use cml_quant::{QuantError, WeightQuantizer};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::{NnError, Schedule};

/// Most that libtorch's `f32` takes without an error of its own.
const MAX_RATE: f64 = 1e30;
const MAX_DECAY: f64 = 1e3;

/// A multilayer perceptron with quantizers, and how to train it. The default is the network of the
/// checkerboard demo, 2-100-100-2 at 3 bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Name of the network.
    pub name: String,
    /// Units of each hidden layer, at least one layer.
    pub hidden: Vec<usize>,
    /// Bits of the weights, 2 to 16.
    pub weight_bits: u32,
    /// How weights get their scale.
    pub weight_scale: WeightScale,
    /// Bits of the input, 2 to 16: codes of [-1, 1], so scale the features to that.
    pub input_bits: u32,
    /// Bits of the activations, 2 to 16. After ReLU only the codes from 0 occur.
    pub activation_bits: u32,
    /// Which weights are zero for good.
    pub pruning: Pruning,
    /// Most values that an accumulator of a hidden layer can take, `U - L + 1` over all inputs its
    /// quantizer allows. The trained network is guaranteed to keep to it.
    pub max_accumulator_values: Option<u64>,
    /// The same for the output layer, whose accumulators are decrypted, not looked up: 256 keeps them
    /// to 8 bits.
    pub max_output_values: Option<u64>,
    /// Passes over the training rows.
    pub epochs: usize,
    /// Rows of one step.
    pub batch: usize,
    /// Learning rate of AdamW at the start.
    pub learning_rate: f64,
    /// Course of the learning rate.
    pub schedule: Schedule,
    /// Weight decay of AdamW.
    pub weight_decay: f64,
    /// Seed of the initial weights and the batches.
    pub seed: u64,
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

/// Which weights training sets to zero: the smallest by magnitude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pruning {
    /// None.
    None,
    /// All but this many of each neuron: a guarantee for every neuron.
    PerNeuron(usize),
    /// All but this many per neuron on average, over the whole matrix (`l1_unstructured` of the seeds).
    WholeMatrix(usize),
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            name: "checkerboard_qat".to_owned(),
            hidden: vec![100, 100],
            weight_bits: 3,
            weight_scale: WeightScale::Constant,
            input_bits: 3,
            activation_bits: 3,
            pruning: Pruning::PerNeuron(30),
            max_accumulator_values: Some(40),
            max_output_values: Some(256),
            epochs: 25,
            batch: 64,
            learning_rate: 0.01,
            schedule: Schedule::Cosine,
            weight_decay: 0.01,
            seed: 0,
        }
    }
}

impl TrainConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`NnError::Config`] with the first field that is out of range.
    pub fn validate(&self) -> Result<(), NnError> {
        let bits = 2..=16;
        let some = "at least 1";
        check("name", &self.name, !self.name.is_empty(), "a name")?;
        let hidden = !self.hidden.is_empty() && self.hidden.iter().all(|n| (1..=65_536).contains(n));
        check(
            "hidden",
            format!("{:?}", self.hidden),
            hidden,
            "at least one layer of 1 to 65536 units",
        )?;
        for (field, has) in [
            ("weight_bits", self.weight_bits),
            ("input_bits", self.input_bits),
            ("activation_bits", self.activation_bits),
        ] {
            check(field, has, bits.contains(&has), "2 to 16")?;
        }
        if let Pruning::PerNeuron(n) | Pruning::WholeMatrix(n) = self.pruning {
            check("pruning", n, n > 0, some)?;
        }
        check("epochs", self.epochs, self.epochs > 0, some)?;
        check("batch", self.batch, self.batch > 0, some)?;
        let rate = self.learning_rate;
        check(
            "learning_rate",
            rate,
            rate > 0.0 && rate <= MAX_RATE,
            "a number above 0, at most 1e30",
        )?;
        let decay = self.weight_decay;
        check(
            "weight_decay",
            decay,
            (0.0..=MAX_DECAY).contains(&decay),
            "0 to 1000",
        )?;
        if let Some(has) = self.max_output_values {
            let span = top(self.activation_bits);
            check(
                "max_output_values",
                has,
                has > span,
                &format!("more than {span}, the span of a layer's inputs"),
            )?;
        }
        if let Some(has) = self.max_accumulator_values {
            // One weight of code 1 must fit: a step over the widest input range.
            let span = 2 * top(self.input_bits).max(if self.hidden.len() > 1 {
                top(self.activation_bits).div_ceil(2)
            } else {
                0
            });
            check(
                "max_accumulator_values",
                has,
                has > span,
                &format!("more than {span}, the span of a layer's inputs"),
            )?;
        }
        Ok(())
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

/// Largest code of a narrow signed quantizer.
fn top(bits: u32) -> u64 {
    (1 << (bits - 1)) - 1
}

fn check(field: &'static str, has: impl Display, valid: bool, needs: &str) -> Result<(), NnError> {
    if valid {
        return Ok(());
    }
    Err(NnError::Config {
        field,
        has: has.to_string(),
        needs: needs.to_owned(),
    })
}
