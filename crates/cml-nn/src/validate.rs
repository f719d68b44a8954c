//! What a training configuration may hold.

use std::fmt::Display;

use crate::{ActivationScale, LayerConfig, NnError, OpConfig, Pruning, TrainConfig};

/// Most that libtorch's `f32` takes without an error of its own.
const MAX_RATE: f64 = 1e30;
const MAX_DECAY: f64 = 1e3;
/// Most units of a layer, and most layers.
const MAX_UNITS: usize = 65_536;
const MAX_LAYERS: usize = 1_000;
const SOME: &str = "at least 1";

impl TrainConfig {
    /// Checks every field by itself; whether layers fit each other is checked when they meet the data.
    ///
    /// # Errors
    /// [`NnError::Config`] with the first field that is out of range.
    pub fn validate(&self) -> Result<(), NnError> {
        check("name", &self.name, !self.name.is_empty(), "a name")?;
        check(
            "layers",
            self.layers.len(),
            self.layers.is_empty() || self.hidden.is_none(),
            "none beside hidden",
        )?;
        check(
            "layers",
            self.layers.len(),
            self.layers.len() <= MAX_LAYERS,
            "at most 1000",
        )?;
        if let Some(hidden) = &self.hidden {
            let good = !hidden.is_empty() && hidden.iter().all(|n| (1..=MAX_UNITS).contains(n));
            check(
                "hidden",
                format!("{hidden:?}"),
                good,
                "at least one layer of 1 to 65536 units",
            )?;
        }
        for layer in &self.layers {
            self.layer(layer)?;
        }
        weight_bits("weight_bits", self.weight_bits)?;
        self.output_weight_bits
            .map_or(Ok(()), |bits| weight_bits("output_weight_bits", bits))?;
        let least = if self.input_signed { 2 } else { 1 };
        let needs = if self.input_signed { "2 to 16" } else { "1 to 16" };
        check(
            "input_bits",
            self.input_bits,
            (least..=16).contains(&self.input_bits),
            needs,
        )?;
        self.activation_bits("activation_bits", self.activation_bits)?;
        pruning(self.pruning)?;
        check("epochs", self.epochs, self.epochs > 0, SOME)?;
        check("batch", self.batch, self.batch > 0, SOME)?;
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
        let smoothing = self.label_smoothing;
        check(
            "label_smoothing",
            smoothing,
            (0.0..1.0).contains(&smoothing),
            "0 to below 1",
        )?;
        let noise = self.augment.noise;
        check(
            "augment.noise",
            noise,
            (0.0..=MAX_DECAY).contains(&noise),
            "0 to 1000",
        )?;
        Ok(())
    }

    fn layer(&self, layer: &LayerConfig) -> Result<(), NnError> {
        if let Some(bits) = layer.weight_bits {
            weight_bits("weight_bits", bits)?;
        }
        if let Some(bits) = layer.activation_bits {
            self.activation_bits("activation_bits", bits)?;
        }
        layer.pruning.map_or(Ok(()), pruning)?;
        let unit = |field, has: usize| check(field, has, (1..=MAX_UNITS).contains(&has), "1 to 65536");
        match layer.op {
            OpConfig::Linear { units } => unit("units", units),
            OpConfig::Conv2d {
                channels,
                kernel,
                stride,
                ..
            } => {
                unit("channels", channels)?;
                for (field, sides) in [("kernel", kernel), ("stride", stride)] {
                    sides.into_iter().try_for_each(|side| unit(field, side))?;
                }
                Ok(())
            }
            OpConfig::AveragePool { kernel, stride } | OpConfig::SumPool { kernel, stride } => {
                for (field, sides) in [("kernel", kernel), ("stride", stride)] {
                    sides.into_iter().try_for_each(|side| unit(field, side))?;
                }
                Ok(())
            }
            OpConfig::Flatten | OpConfig::Add | OpConfig::Concat => Ok(()),
        }
    }

    fn activation_bits(&self, field: &'static str, has: u32) -> Result<(), NnError> {
        let (least, needs) = match self.activation_scale {
            ActivationScale::Constant => (2, "2 to 16"),
            ActivationScale::Learned => (1, "1 to 16"),
        };
        check(field, has, (least..=16).contains(&has), needs)
    }
}

fn weight_bits(field: &'static str, has: u32) -> Result<(), NnError> {
    check(field, has, (2..=16).contains(&has), "2 to 16")
}

fn pruning(pruning: Pruning) -> Result<(), NnError> {
    match pruning {
        Pruning::None => Ok(()),
        Pruning::PerNeuron(n) | Pruning::WholeMatrix(n) | Pruning::Neurons(n) => {
            check("pruning", n, n > 0, SOME)
        }
    }
}

pub(crate) fn check(field: &'static str, has: impl Display, valid: bool, needs: &str) -> Result<(), NnError> {
    if valid {
        return Ok(());
    }
    Err(NnError::Config {
        field,
        has: has.to_string(),
        needs: needs.to_owned(),
    })
}
