//! `cml client`: predictions by a server that sees neither data nor results.

use crate::commands::decrypt::{results_json, results_table};
use crate::data::{DataArgs, Samples};
use crate::exit::WorkFailed;
use crate::folders;
use crate::passphrase::PassphraseArgs;
use crate::progress::{key_bars, waiting};
use crate::show::{Report, note, table, timed};
use crate::spec::spec_inputs;
use anyhow::{Context, anyhow, bail};
use cml_client::{KeyStore, Options, RemoteError, Service};
use cml_file::to_hex;
use cml_ir::Tensor;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// A year, in seconds.
const LONGEST_TIMEOUT: u64 = 365 * 24 * 3600;

/// Classify data by a server that runs a network on it encrypted.
///
/// Keys are drawn at first use of a model, and kept for the next time. Nothing that could
/// decrypt leaves this machine.
/// Example: cml client predict data.csv --server https://fhe.example.org
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Address of the server: http:// or https://, a host, perhaps a port and a path.
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// Token for the server [default: what CML_TOKEN holds, which other users of this machine do not see].
    #[arg(long, global = true)]
    token: Option<String>,
    /// File of certificates to trust instead of those of public authorities, PEM.
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Folder to keep keys in [default: cml/keys in the user's data folder].
    #[arg(long, global = true, value_name = "FOLDER")]
    keys: Option<PathBuf>,
    /// Hash or name of the model, if the server has more than one.
    #[arg(long, global = true, value_name = "HASH|NAME")]
    model: Option<String>,
    /// Largest keys to draw for a model, in MB to upload.
    #[arg(long, global = true, value_name = "MB", default_value_t = 1000)]
    max_key_mb: u64,
    /// Longest wait for a result, in seconds.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=LONGEST_TIMEOUT))]
    timeout: u64,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List the models of the server.
    Models,
    /// Classify samples.
    Predict(PredictArgs),
}

#[derive(clap::Args)]
struct PredictArgs {
    /// Built-in data set (checkerboard, checkerboard.csv, iris, digits), a CSV or a NumPy file. Of a data
    /// set with a test split, the test split is used.
    #[arg(value_name = "NAME|FILE")]
    data: String,
    /// Number of samples, drawn without replacement [default: all of a file, 10 of a built-in set].
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
    /// Seed of generated data sets and of the draw of samples.
    #[arg(long, value_name = "S", default_value_t = 0)]
    data_seed: u64,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    let url = args.server.as_deref().context("--server URL is missing")?;
    cml_client::check_address(url)?;
    let token = match (&args.token, std::env::var_os("CML_TOKEN")) {
        (Some(token), _) => Some(token.clone()),
        (None, Some(token)) => match token.into_string() {
            Ok(token) => Some(token),
            Err(_) => bail!("CML_TOKEN is not UTF-8"),
        },
        (None, None) => None,
    };
    let roots = args.ca.as_ref().map(|path| {
        let read = std::fs::read(path);
        read.with_context(|| path.display().to_string())
    });
    let token = token.filter(|token| !token.is_empty());
    if token.is_some() && cml_client::is_in_clear(url) {
        note("everyone on the way to the server can read the token: its address begins with http://");
    }
    let options = Options {
        roots: roots.transpose()?,
        token,
        max_key_bytes: args.max_key_mb.saturating_mul(1_000_000),
        timeout: Duration::from_secs(args.timeout),
        ..Options::default()
    };
    match &args.action {
        Action::Models => Ok(models(&Service::connect(url, options).map_err(marked)?)),
        Action::Predict(predict_args) => {
            // What can be wrong here is found before anybody is asked.
            let data = DataArgs {
                data: predict_args.data.clone(),
                samples: predict_args.samples,
                data_seed: predict_args.data_seed,
            };
            let samples = data.load_few()?;
            let folder = match args.keys {
                Some(folder) => folder,
                None => folders::data()?.join("keys"),
            };
            folders::check(&folder)?;
            let store = KeyStore::open(&folder).map_err(marked)?;
            let service = Service::connect(url, options).map_err(marked)?;
            predict(&service, args.model.as_deref(), store, &args.passphrase, &samples)
        }
    }
}

fn models(service: &Service) -> Report {
    let entries = service.models().iter();
    let rows: Vec<Vec<String>> = entries
        .map(|m| vec![m.name.clone(), to_hex(&m.circuit)])
        .collect();
    let list: Vec<Value> = rows.iter().map(|r| json!({"name": r[0], "hash": r[1]})).collect();
    Report::new(
        table(&["model", "circuit"], &rows),
        json!({"server": service.url(), "models": list}),
    )
}

fn predict(
    service: &Service,
    model: Option<&str>,
    store: KeyStore,
    passphrase: &PassphraseArgs,
    samples: &Samples,
) -> anyhow::Result<Report> {
    // Samples that do not fit are found before keys are drawn.
    let entry = service.model(model).map_err(marked)?;
    let spec = service.spec(&entry.circuit).map_err(marked)?;
    spec_inputs(&spec, samples)?;
    let store = with_passphrase(store, passphrase, spec.circuit())?;
    let (session, preparing) = timed(|| service.session_of(entry, spec, &store, &mut key_bars("drawing")));
    let session = session.map_err(marked)?;
    let progress = waiting(&format!("{} samples", samples.len()));
    let (results, asking) = timed(|| session.predict(&samples.rows));
    progress.finish_and_clear();
    let results = results.map_err(marked)?;
    let spec = session.spec();
    let folder = store.folder_of(spec.circuit());
    let classes: Vec<usize> = results.iter().map(|r| r.class).collect();
    let codes: Vec<Vec<Tensor>> = results.into_iter().map(|r| r.codes).collect();
    let output = &spec.outputs()[0].spec;
    let score = samples.score(&classes, spec.outputs()[0].shape.iter().product());
    let right = score.right_text();
    let text = format!(
        "{}\n\n{right}{}{} by {}\nkeys {} in {}: {:.1} s; {}: {:.2} s",
        results_table(output, &samples.numbers, &codes),
        spec.name(),
        if spec.is_exact() {
            ""
        } else {
            " (an approximate circuit)"
        },
        service.url(),
        if session.keys().new { "drawn" } else { "reused" },
        folder.display(),
        preparing.as_secs_f64(),
        samples.count_text(),
        asking.as_secs_f64(),
    );
    let json = json!({
        "server": service.url(),
        "model": spec.name(),
        "circuit": to_hex(spec.circuit()),
        "exact": spec.is_exact(),
        "keys": folder,
        "new_keys": session.keys().new,
        "samples": codes.len(),
        "correct": score.correct,
        "accuracy": score.accuracy(),
        "session_seconds": preparing.as_secs_f64(),
        "seconds": asking.as_secs_f64(),
        "results": results_json(output, &samples.numbers, &codes),
    });
    let mut report = Report::new(text, json);
    let input = &spec.inputs()[0];
    samples.warn_of_clipped(&mut report, &input.shape, &input.spec);
    Ok(report)
}

/// The store with the passphrase of the circuit's secret key, which is there or will be drawn.
fn with_passphrase(
    store: KeyStore,
    passphrase: &PassphraseArgs,
    circuit: &[u8; 32],
) -> anyhow::Result<KeyStore> {
    let key = store.secret_key_of(circuit);
    let passphrase = match store.is_locked(circuit).map_err(marked)? {
        None => passphrase.for_new()?,
        Some(true) => Some(passphrase.for_locked(&key)?),
        Some(false) => {
            passphrase.for_plain(&key)?;
            None
        }
    };
    Ok(match passphrase {
        Some(passphrase) => store.with_passphrase(passphrase),
        None => store,
    })
}

/// Marks what is not the fault of the user's input: connections, and servers that fail.
fn marked(error: RemoteError) -> anyhow::Error {
    let failed = match &error {
        RemoteError::Connection { .. }
        | RemoteError::Busy { .. }
        | RemoteError::Timeout { .. }
        | RemoteError::Answer { .. }
        | RemoteError::Content { .. }
        | RemoteError::Store { .. } => true,
        // A redirect, a request that came too slowly, an answer that is gone.
        RemoteError::Refused { status, .. } => matches!(status, 300..400 | 408 | 410 | 500..),
        _ => false,
    };
    let error = anyhow!(error);
    if failed { error.context(WorkFailed) } else { error }
}
