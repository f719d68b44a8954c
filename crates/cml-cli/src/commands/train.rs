//! `cml train`: data to network.

use crate::data::open_for_training;
use crate::exit::OrFailed;
use crate::output;
use crate::progress::bar;
use crate::show::{Report, timed};
use anyhow::{Context, anyhow, bail};
use cml_data::{Split, rows_digest};
use cml_nn::{Control, NnError, Pruning, TrainConfig};
use cml_quant::TrainingRows;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Train a network with quantization in the loop (needs libtorch at build time).
///
/// Without options: the 2-100-100-2 network of the demo, 3-bit weights and activations, 30
/// non-zero inputs for each neuron, accumulators bounded.
/// Columns and classes keep their names in the network, which also knows which rows were held out:
/// `cml simulate` on the same data takes those.
/// Example: cml train --data checkerboard --seed 1 -o net.safetensors
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Built-in data set (checkerboard, checkerboard.csv, iris, digits) or a CSV file with a label column
    /// (and a split column, else a fifth of the rows is held out) [default: that of the configuration].
    #[arg(long, value_name = "NAME|FILE")]
    data: Option<String>,
    /// Seed of generated data sets, and of the fifth that is held out where the data names no test rows.
    #[arg(long, value_name = "S", default_value_t = 0)]
    data_seed: u64,
    /// Column of the classes [default: the one named label, class or target, in any case].
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// Training configuration, a TOML file; the options below override it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Seed of initial weights and batches.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Passes over the training data.
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Units of the hidden layers.
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    hidden: Option<Vec<usize>>,
    /// Bits of input, weights and activations.
    #[arg(long, value_name = "BITS")]
    bits: Option<u32>,
    /// Non-zero inputs of each neuron; 0 for no pruning.
    #[arg(long, value_name = "N")]
    nonzeros: Option<usize>,
    /// Most values that an accumulator before a lookup may take; 0 for no bound.
    #[arg(long, value_name = "N")]
    max_accumulator_values: Option<u64>,
    /// Bits of every lookup: its accumulator takes at most 2^BITS values.
    #[arg(long, value_name = "BITS", conflicts_with = "max_accumulator_values", value_parser = clap::value_parser!(u32).range(1..=20))]
    lookup_bits: Option<u32>,
    /// Network to write.
    #[arg(short, long, default_value = "net.safetensors")]
    output: PathBuf,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    output::check(&args.output, &[])?;
    let config = configuration(&args)?;
    let (split, training) = load(&config.data, args.data_seed, args.label.as_deref())?;
    let progress = bar(config.epochs as u64, "epochs");
    let (trained, time) = timed(|| {
        cml_nn::train(&split, &config, &mut |p| {
            progress.set_message(format!("loss {:.3} test {:.1}%", p.loss, 100.0 * p.test_accuracy));
            progress.set_position(p.epoch as u64);
            Control::Continue
        })
    });
    progress.finish_and_clear();
    let mut trained = match trained {
        Err(error @ NnError::Config { .. }) => return Err(error.into()),
        other => other.or_failed()?,
    };
    trained.network.set_training(Some(training))?;
    cml_quant::write_network(&args.output, &trained.network).or_failed()?;
    let text = format!(
        "{} trained on {} rows in {:.1} s, epoch {} of {} kept\n{} accuracy: train {:.2}%, test {:.2}% of {} rows\nwrote {}",
        config.name,
        split.train.len(),
        time.as_secs_f64(),
        trained.best_epoch,
        config.epochs,
        if config.quantized {
            "fake-quantized"
        } else {
            "float"
        },
        100.0 * trained.train_accuracy,
        100.0 * trained.test_accuracy,
        split.test.len(),
        args.output.display(),
    );
    let json = json!({
        "network": config.name,
        "output": args.output,
        "config": config,
        "train_rows": split.train.len(),
        "test_rows": split.test.len(),
        "data_seed": args.data_seed,
        "train_accuracy": trained.train_accuracy,
        "test_accuracy": trained.test_accuracy,
        "best_epoch": trained.best_epoch,
        "history": trained.history,
        "seconds": time.as_secs_f64(),
    });
    Ok(Report::new(text, json))
}

fn configuration(args: &Args) -> anyhow::Result<TrainConfig> {
    let mut config = match &args.config {
        None => TrainConfig::default(),
        Some(path) => read_config(path)?,
    };
    if let Some(seed) = args.seed {
        config.seed = seed;
    }
    if let Some(epochs) = args.epochs {
        config.epochs = epochs;
    }
    if let Some(hidden) = &args.hidden {
        config.hidden = Some(hidden.clone());
        config.layers.clear();
    }
    if let Some(bits) = args.bits {
        (config.input_bits, config.weight_bits, config.activation_bits) = (bits, bits, bits);
    }
    if let Some(n) = args.nonzeros {
        config.pruning = if n == 0 {
            Pruning::None
        } else {
            Pruning::PerNeuron(n)
        };
    }
    if let Some(values) = args.max_accumulator_values {
        config.max_accumulator_values = (values > 0).then_some(values);
    }
    if let Some(bits) = args.lookup_bits {
        config.limit_lookups(1 << bits);
    }
    if let Some(data) = &args.data {
        config.data.clone_from(data);
    }
    config.validate()?;
    Ok(config)
}

fn read_config(path: &Path) -> anyhow::Result<TrainConfig> {
    const LONGEST: u64 = 1 << 20;
    let name = || path.display().to_string();
    if std::fs::metadata(path).with_context(name)?.len() > LONGEST {
        bail!(
            "{}: longer than {LONGEST} bytes: not a training configuration",
            name()
        );
    }
    let text = std::fs::read_to_string(path).with_context(name)?;
    toml::from_str(&text).map_err(|error: toml::de::Error| {
        let line = error.span().map_or(0, |span| {
            text[..span.start.min(text.len())].lines().count().max(1)
        });
        anyhow!("{}: line {line}: {}", name(), error.message().replace('\n', " "))
    })
}

/// Data to train on, its two parts, and what identifies them.
fn load(data: &str, seed: u64, label: Option<&str>) -> anyhow::Result<(Split, TrainingRows)> {
    let table = open_for_training(data, seed, label)?;
    let split = table.split(seed)?;
    let (held_out, drawn) = match table.held_out() {
        Some(own) => (own.to_vec(), None),
        None => (table.draw_held_out(table.fifth(), seed)?, Some(seed)),
    };
    let training = TrainingRows {
        data: table.digest(),
        held_out_rows: rows_digest(&held_out),
        rows: table.len() as u64,
        held_out: split.test.len() as u64,
        seed: drawn,
    };
    Ok((split, training))
}
