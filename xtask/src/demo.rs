//! `cargo xtask demo`: the whole line on one network, stage by stage, then one table.

use crate::libtorch;
use crate::tools::{Cml, root};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::fs;
use std::process::ExitCode;
use std::time::Instant;

/// Train a network, compile it, and classify encrypted points with it.
///
/// Builds `cml` (with libtorch, which it provides if there is none), trains the 2-100-100-2 network
/// of the checkerboard at 3 bits, proves its accumulator widths, compiles it to TFHE, draws keys,
/// and classifies encrypted test points. Exit code 1 if a decrypted result differs from the clear
/// one.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Encrypted points to classify.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    samples: u64,
    /// Seed of data, weights and training.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
}

/// What the stages said.
struct Stages {
    train: Value,
    quantize: Value,
    integer: Value,
    widths: Value,
    compile: Value,
    noisy: Value,
    predict: Value,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let Args { samples, seed, json } = args;
    let libtorch = libtorch::ensure()?;
    let building = Instant::now();
    let cml = Cml::build(Some(&libtorch))?;
    eprintln!("built in {:.0} s", building.elapsed().as_secs_f64());

    let start = Instant::now();
    let (stages, same) = stages(&cml, samples, seed)?;
    let seconds = start.elapsed().as_secs_f64();
    if json {
        println!("{}", as_json(&stages, seed, seconds, same));
    } else {
        print!("{}", table(&stages, seconds));
    }
    Ok(if same {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs the stages, each a `cml` command as one would type it, and says what came out.
fn stages(cml: &Cml, samples: u64, seed: u64) -> Result<(Stages, bool)> {
    let folder = "target/demo";
    fs::create_dir_all(root()?.join(folder)).with_context(|| folder.to_owned())?;
    let file = |name: &str| format!("{folder}/{name}");
    let (net, graph, circuit) = (file("net.safetensors"), file("net.cmlg"), file("net.cmlc"));
    let (seed, samples) = (seed.to_string(), samples.to_string());
    let data = ["--data", "checkerboard", "--data-seed", &seed];
    let run = |args: &[&[&str]], say: &dyn Fn(&Value) -> String| -> Result<Value> {
        let args = args.concat();
        let (value, good) = cml.json(&args)?;
        eprintln!("  {}", say(&value));
        if good {
            Ok(value)
        } else {
            bail!("`cml {}` failed", args.join(" "))
        }
    };
    let accuracy = |v: &Value| format!("accuracy {}", percent(&v["accuracy"]));

    let train = run(&[&["train"], &data, &["--seed", &seed, "-o", &net]], &|v| {
        format!(
            "{} epochs, test accuracy {}",
            v["config"]["epochs"],
            percent(&v["test_accuracy"])
        )
    })?;
    let quantize = run(&[&["quantize", &net, "-o", &graph]], &|v| {
        let lookups = |stage: Option<&Value>| stage.map_or(Value::Null, |s| s["lookup_elements"].clone());
        let passes = v["passes"].as_array();
        let (first, last) = (
            lookups(passes.and_then(|p| p.first())),
            lookups(passes.and_then(|p| p.last())),
        );
        format!("{first} lookups before the passes, {last} after")
    })?;
    let integer = run(&[&["simulate", &graph], &data], &accuracy)?;
    let widths = run(&[&["analyze", &graph], &data, &["--max-bits", "8"]], &|v| {
        format!("widest accumulator {} bits, proved", v["bits"])
    })?;
    let compile = run(&[&["compile", &graph, "-o", &circuit]], &|v| {
        format!(
            "{} lookups of {} blind rotations, {}",
            v["lookups"],
            v["rotations"],
            v["parameters_text"].as_str().unwrap_or("?")
        )
    })?;
    let noisy = run(&[&["simulate", &circuit], &data, &["--noise", "1"]], &accuracy)?;
    let (predict, same) = cml.json(
        &[
            &["predict", &circuit],
            &data[..],
            &["--graph", &graph, "--samples", &samples],
        ]
        .concat(),
    )?;
    eprintln!(
        "  {} of {} decrypted results differ from the clear ones",
        predict["different"], predict["samples"]
    );
    let stages = Stages {
        train,
        quantize,
        integer,
        widths,
        compile,
        noisy,
        predict,
    };
    Ok((stages, same))
}

fn as_json(stages: &Stages, seed: u64, seconds: f64, same: bool) -> Value {
    json!({
        "seed": seed,
        "train": stages.train,
        "quantize": stages.quantize,
        "integer": stages.integer,
        "widths": stages.widths,
        "compile": stages.compile,
        "simulate_with_noise": stages.noisy,
        "predict": stages.predict,
        "decrypted_equals_interpreter": same,
        "seconds": seconds,
    })
}

fn table(s: &Stages, seconds: f64) -> String {
    let megabytes = |v: &Value| format!("{:.1} MB", number(v) / 1e6);
    let time = |v: &Value| format!("{:.2} s", number(v));
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));

    row(
        "accuracy, fake-quantized float",
        format!(
            "{} of {} test points",
            percent(&s.train["test_accuracy"]),
            s.train["test_rows"]
        ),
    );
    row(
        "accuracy, integer graph",
        format!(
            "{} of {} test points",
            percent(&s.integer["accuracy"]),
            s.integer["samples"]
        ),
    );
    row(
        "accuracy, circuit with sampled noise",
        format!(
            "{} of {} test points",
            percent(&s.noisy["accuracy"]),
            s.noisy["samples"]
        ),
    );
    row(
        "accuracy, encrypted",
        format!(
            "{} of {} test points",
            percent(&s.predict["accuracy"]),
            s.predict["samples"]
        ),
    );
    row(
        "decrypted results that differ",
        format!("{} of {}", s.predict["different"], s.predict["samples"]),
    );
    for layer in s.widths["layers"].as_array().into_iter().flatten() {
        let proved = &layer["proved"];
        let range = &proved["range"];
        row(
            &format!("width of {}", proved["layer"].as_str().unwrap_or("?")),
            format!(
                "{} bits proved: {} values, {}..{}",
                proved["bits"], proved["values"], range["lo"], range["hi"]
            ),
        );
    }
    row(
        "parameters",
        s.compile["parameters_text"].as_str().unwrap_or("?").to_owned(),
    );
    row(
        "failure odds",
        format!(
            "one inference in {}",
            s.compile["inference_fails_once_in"].as_str().unwrap_or("?")
        ),
    );
    row(
        "blind rotations an inference",
        format!(
            "{} (by level: {}), for {} lookups",
            s.compile["rotations"], s.compile["rotations_by_level"], s.compile["lookups"]
        ),
    );
    row(
        "server key",
        format!(
            "{} to upload, {} expanded",
            megabytes(&s.compile["server_key_bytes"]),
            megabytes(&s.compile["evaluation_key_bytes"])
        ),
    );
    row("client key", format!("{} B", s.compile["client_key_bytes"]));
    row(
        "ciphertexts",
        format!(
            "{} B up, {} B down",
            s.compile["input_bytes"], s.compile["output_bytes"]
        ),
    );
    row(
        "time: training",
        format!(
            "{} ({} epochs)",
            time(&s.train["seconds"]),
            s.train["config"]["epochs"]
        ),
    );
    row("time: choice of parameters", time(&s.compile["seconds"]));
    row("time: key generation", time(&s.predict["keygen_seconds"]));
    row(
        "time: key expansion on the server",
        time(&s.predict["expand_seconds"]),
    );
    row("time: encryption", time(&s.predict["encrypt_seconds"]));
    row(
        "time: first inference",
        time(&s.predict["first_inference_seconds"]),
    );
    let mean = number(&s.predict["run_seconds"]) / number(&s.predict["samples"]);
    row("time: mean inference", format!("{mean:.2} s"));
    row("time: the whole demo", format!("{seconds:.1} s"));

    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter()
        .map(|(name, value)| format!("{name:<width$}  {value}\n"))
        .collect()
}

fn number(v: &Value) -> f64 {
    v.as_f64().unwrap_or(f64::NAN)
}

fn percent(v: &Value) -> String {
    format!("{:.1}%", 100.0 * number(v))
}
