//! The steps of a measurement, each a `cml` command as one would type it.

use crate::tools::Cml;
use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::time::Instant;

/// Width of the lookups beyond which values are counted: narrower than any that is needed.
pub(crate) const OVERFLOW_BITS: u32 = 5;

/// What answers `cml` commands with JSON: the binary, or a stand-in in tests.
pub(crate) trait Tool {
    /// The object, and whether `cml` was content with it.
    fn json(&self, args: &[&str]) -> Result<(Value, bool)>;
}

impl Tool for Cml {
    fn json(&self, args: &[&str]) -> Result<(Value, bool)> {
        Cml::json(self, args)
    }
}

/// Runs steps, and says on standard error which one and since when.
pub(crate) struct Stages<'t> {
    pub(crate) tool: &'t dyn Tool,
    pub(crate) start: Instant,
    /// Folder for networks, graphs and circuits, relative to the workspace's root.
    pub(crate) folder: String,
    /// What is measured: `iris (8 of 13)`.
    pub(crate) label: String,
    /// Passes over the training data, instead of the configuration's.
    pub(crate) epochs: Option<u64>,
}

/// A network that was trained.
pub(crate) struct Trained {
    pub(crate) seed: u64,
    /// Without extension.
    stem: String,
    /// Data set it was trained on.
    pub(crate) data: String,
    pub(crate) report: Value,
}

impl Trained {
    /// The network's file.
    pub(crate) fn network(&self) -> String {
        format!("{}.safetensors", self.stem)
    }

    /// The file of a graph or circuit made of it.
    pub(crate) fn file(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.stem)
    }
}

impl Stages<'_> {
    /// Says what happens now, with the time since the start.
    pub(crate) fn say(&self, text: &str) {
        eprintln!(
            "[{:>5.0} s] {}: {text}",
            self.start.elapsed().as_secs_f64(),
            self.label
        );
    }

    /// A step that must succeed.
    pub(crate) fn run(&self, args: &[&str]) -> Result<Value> {
        match self.tool.json(args)? {
            (value, true) => Ok(value),
            (_, false) => bail!("`cml {}` failed", args.join(" ")),
        }
    }

    /// Trains a configuration; `name` tells its files from others, `options` follow the command's own.
    pub(crate) fn train(&self, config: &str, name: &str, seed: u64, options: &[&str]) -> Result<Trained> {
        let with = [&[config], options].concat().join(" ");
        self.say(&format!("seed {seed}: train {with}"));
        let stem = format!("{}/{name}-{seed}", self.folder);
        let (file, network) = (format!("examples/{config}.toml"), format!("{stem}.safetensors"));
        let (seed_text, epochs) = (seed.to_string(), self.epochs.map(|n| n.to_string()));
        let mut args = vec!["train", "--config", &file, "--seed", &seed_text];
        args.extend(["--data-seed", &seed_text]);
        if let Some(epochs) = &epochs {
            args.extend(["--epochs", epochs]);
        }
        args.extend(options);
        args.extend(["-o", &network]);
        let report = self.run(&args)?;
        let accuracy = 100.0 * report["test_accuracy"].as_f64().unwrap_or(f64::NAN);
        self.say(&format!("seed {seed}: test accuracy {accuracy:.1}%"));
        let data = report["config"]["data"].as_str().unwrap_or("checkerboard");
        Ok(Trained {
            seed,
            stem,
            data: data.to_owned(),
            report,
        })
    }

    /// Quantizes, runs and analyses; the figures of a graph. `options` follow `cml quantize`.
    pub(crate) fn graph(&self, trained: &Trained, suffix: &str, options: &[&str]) -> Result<Value> {
        let seed = trained.seed;
        let with = [&["integer graph"], options].concat().join(" ");
        self.say(&format!("seed {seed}: {with}"));
        let (network, graph) = (trained.network(), trained.file(suffix));
        self.run(&[&["quantize", &network, "-o", &graph], options].concat())?;
        let limit = OVERFLOW_BITS.to_string();
        let simulated = self.on_data(&["simulate", &graph], trained, &["--bits", &limit])?;
        let widths = self.on_data(&["analyze", &graph], trained, &[])?;
        Ok(json!({
            "accuracy": simulated["accuracy"],
            "samples": simulated["samples"],
            "clipped_inputs": simulated["clipped_inputs"],
            "overflow_bits": simulated["overflow_bits"],
            "overflowing": simulated["overflowing"],
            "samples_overflowing": simulated["samples_overflowing"],
            "bits": widths["bits"],
            "observed_bits": widest(&widths, "observed", |_| true),
            "lookup_bits": widest(&widths, "proved", |lookups| lookups > 0),
            "lookups": widths["lookups"],
            "accumulator_size": widths["accumulator_size"],
            "observed_accumulator_size": widths["observed_accumulator_size"],
            "layers": widths["layers"],
        }))
    }

    /// A step on the test split of the network's data.
    pub(crate) fn on_data(&self, step: &[&str], trained: &Trained, options: &[&str]) -> Result<Value> {
        let seed = trained.seed.to_string();
        let data = ["--data", &trained.data, "--data-seed", &seed];
        self.run(&[step, &data, options].concat())
    }
}

/// Width of the widest layer, in bits, of those that as many lookups read.
fn widest(widths: &Value, basis: &str, read_by: impl Fn(u64) -> bool) -> Option<u64> {
    let layers = widths["layers"].as_array()?.iter();
    let read = layers.filter(|layer| read_by(layer["proved"]["lookups"].as_u64().unwrap_or(0)));
    read.filter_map(|layer| layer[basis]["bits"].as_u64()).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lookups_count_as_lookups() {
        let layer = |bits, lookups| json!({"proved": {"bits": bits, "lookups": lookups}});
        let widths = json!({"layers": [layer(5, 20), layer(6, 1), layer(8, 0)]});
        assert_eq!(widest(&widths, "proved", |lookups| lookups > 0), Some(6));
        assert_eq!(widest(&widths, "proved", |_| true), Some(8));
        assert_eq!(widest(&widths, "observed", |_| true), None);
        assert_eq!(widest(&json!({"layers": []}), "proved", |_| true), None);
    }
}
