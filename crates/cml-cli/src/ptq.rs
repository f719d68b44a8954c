//! Post-training quantization as commands ask for it.

use crate::border::Border;
use crate::data::calibration;
use crate::exit::OrFailed;
use anyhow::{Context, bail};
use cml_quant::{Network, PtqConfig, PtqMethod};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// How codes are chosen.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// Nearest codes between the least and the largest value, as Concrete ML does it.
    MinMax,
    /// Codes and scales of the least error of each layer's outputs.
    Adaptive,
}

/// What a float network is quantized with; for a quantized one none of it may be given.
#[derive(clap::Args)]
#[command(next_help_heading = "Options for a float network")]
pub(crate) struct PtqArgs {
    /// Bits of activations, and of input and weights if not given.
    #[arg(long, value_name = "BITS")]
    bits: Option<u32>,
    /// Bits of the weights.
    #[arg(long, value_name = "BITS")]
    weights_bits: Option<u32>,
    /// Bits of the input.
    #[arg(long, value_name = "BITS")]
    input_bits: Option<u32>,
    /// How scales and codes are chosen [default: adaptive].
    #[arg(long)]
    method: Option<Method>,
    /// Most values that an accumulator which is looked up may take; 0 for no bound, as without.
    #[arg(long, value_name = "N")]
    max_accumulator_values: Option<u64>,
    /// The same for the accumulators of the output.
    #[arg(long, value_name = "N")]
    max_output_values: Option<u64>,
    /// Samples to quantize with: a built-in data set, or a CSV, NPY or NPZ file. Of one with a test
    /// split, the other rows are used; of an NPZ file its array, or the one named x.
    #[arg(long, value_name = "NAME|FILE")]
    calibrate: Option<String>,
    /// Seed of generated data sets [default: 0].
    #[arg(long, value_name = "S")]
    data_seed: Option<u64>,
    /// Column of the classes in the samples [default: the one named label, class or target, in any case].
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// Write the quantized network, too.
    #[arg(long = "network", value_name = "FILE")]
    to: Option<PathBuf>,
}

impl PtqArgs {
    /// The network of a file quantized, and a report; of a network that is quantized already, itself
    /// and nothing.
    pub(crate) fn apply(&self, file: &Path, network: Network) -> anyhow::Result<(Network, Option<Value>)> {
        let file = file.display();
        if !network.is_float() {
            if let Some(option) = self.given() {
                bail!("{file}: the network is quantized already: --{option} is for float networks");
            }
            return Ok((network, None));
        }
        let Some(bits) = self.bits else {
            bail!("{file}: the network is float: say with --bits how to quantize it");
        };
        let Some(data) = &self.calibrate else {
            bail!("{file}: the network is float: name samples to quantize it with, --calibrate");
        };
        let method = self.method.unwrap_or(Method::Adaptive);
        let bound = |values: Option<u64>| values.filter(|&v| v > 0);
        let config = PtqConfig {
            input_bits: self.input_bits.unwrap_or(bits),
            activation_bits: bits,
            weight_bits: self.weights_bits.unwrap_or(bits),
            method: match method {
                Method::MinMax => PtqMethod::MinMax,
                Method::Adaptive => PtqMethod::Adaptive,
            },
            max_accumulator_values: bound(self.max_accumulator_values),
            max_output_values: bound(self.max_output_values),
        };
        config.validate()?;
        let border = Border::of_network(&network);
        let seed = self.data_seed.unwrap_or(0);
        let samples = calibration(data, seed, self.label.as_deref(), &border)?;
        let quantized = cml_quant::quantize_network(&network, samples.to_array().view(), &config)
            .with_context(|| format!("{file}, with {data}"))?;
        samples.say(false);
        if let Some(path) = &self.to {
            cml_quant::write_network(path, &quantized).or_failed()?;
        }
        let report = json!({
            "method": if method == Method::MinMax { "min-max" } else { "adaptive" },
            "input_bits": config.input_bits,
            "activation_bits": config.activation_bits,
            "weight_bits": config.weight_bits,
            "max_accumulator_values": config.max_accumulator_values,
            "max_output_values": config.max_output_values,
            "calibration_rows": samples.len(),
            "network": self.to,
        });
        Ok((quantized, Some(report)))
    }

    /// The first option that is given.
    fn given(&self) -> Option<&'static str> {
        let options = [
            ("bits", self.bits.is_some()),
            ("weights-bits", self.weights_bits.is_some()),
            ("input-bits", self.input_bits.is_some()),
            ("method", self.method.is_some()),
            ("max-accumulator-values", self.max_accumulator_values.is_some()),
            ("max-output-values", self.max_output_values.is_some()),
            ("calibrate", self.calibrate.is_some()),
            ("data-seed", self.data_seed.is_some()),
            ("label", self.label.is_some()),
            ("network", self.to.is_some()),
        ];
        options
            .into_iter()
            .find(|(_, given)| *given)
            .map(|(name, _)| name)
    }
}
