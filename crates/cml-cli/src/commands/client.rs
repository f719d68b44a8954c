//! `cml client`: predictions by a server that sees neither data nor results.

use crate::border::Border;
use crate::commands::decrypt::{results_json, results_table};
use crate::data::Choice;
use crate::exit::WorkFailed;
use crate::folders;
use crate::passphrase::PassphraseArgs;
use crate::progress::{key_bars, waiting};
use crate::requirements::{RequirementArgs, exactness, promise, promise_json};
use crate::show::{Report, note, table, timed};
use crate::spec::spec_inputs;
use anyhow::{Context, anyhow, bail};
use cml_client::{KeyStore, Options, RemoteError, Service};
use cml_file::to_hex;
use cml_ir::Tensor;
use cml_scheme::one_in;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// A year, in seconds.
const LONGEST_TIMEOUT: u64 = 365 * 24 * 3600;

/// Classify data by a server that runs a network on it encrypted.
///
/// Keys are drawn at first use of a model, and kept for the next time. Nothing that could
/// decrypt leaves this machine.
///
/// Keep results to yourself: a server that answers with ciphertexts of its own making, and learns
/// anything about what they decrypt to, recovers the secret key. No circuit prevents that, not one of
/// `cml compile --strict` either. After such an incident draw new keys. Results of approximate
/// circuits must never be shared, with an honest server neither.
/// Example: cml client models --server https://fhe.example.org
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
    #[command(flatten)]
    requirements: RequirementArgs,
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
    /// Built-in data set (checkerboard, checkerboard.csv, iris, digits), a CSV or a NumPy file. Columns are
    /// matched by their names where the model has names, else by place.
    #[arg(value_name = "NAME|FILE")]
    data: String,
    #[command(flatten)]
    choice: Choice,
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
    if cml_client::is_in_clear(url) {
        warn_of_clear(token.is_some());
    }
    let options = Options {
        roots: roots.transpose()?,
        token,
        max_key_bytes: args.max_key_mb.saturating_mul(1_000_000),
        timeout: Duration::from_secs(args.timeout),
        requirements: args.requirements.requirements(),
        ..Options::default()
    };
    match &args.action {
        Action::Models => {
            let service = Service::connect(url, options).map_err(marked)?;
            models(&service, &args.requirements)
        }
        Action::Predict(predict_args) => {
            // What can be wrong here is found before anybody is asked.
            predict_args.choice.check(&predict_args.data)?;
            let folder = match args.keys {
                Some(folder) => folder,
                None => folders::data()?.join("keys"),
            };
            folders::check(&folder)?;
            let store = KeyStore::open(&folder).map_err(marked)?;
            let service = Service::connect(url, options).map_err(marked)?;
            predict(
                &service,
                args.model.as_deref(),
                store,
                &args.passphrase,
                predict_args,
            )
        }
    }
}

/// Everybody on the way is such a server as `--strict` does not help against.
fn warn_of_clear(token: bool) {
    note(
        "the server's address begins with http://: everybody on the way to it can read and change what is sent, \
         answer in its place, and do what a dishonest server can do; use https://",
    );
    if token {
        note("everybody on the way to the server can read the token, too");
    }
}

/// The models with what each promises, as their client specs say it.
fn models(service: &Service, requirements: &RequirementArgs) -> anyhow::Result<Report> {
    let (mut rows, mut list) = (Vec::new(), Vec::<Value>::new());
    let insists = !requirements.requirements().is_empty();
    for entry in service.models() {
        let spec = service.spec(&entry.circuit).map_err(marked)?;
        let refused = requirements.check(&spec).err().map(|error| error.to_string());
        let mut row = vec![
            entry.name.clone(),
            to_hex(&entry.circuit),
            exactness(&spec).to_owned(),
            format!("2^{:.0}", spec.budget_log2()),
            one_in(spec.inference_log2_p_fail()),
        ];
        if insists {
            row.push(if refused.is_some() { "no" } else { "yes" }.to_owned());
        }
        rows.push(row);
        let mut model =
            json!({"name": entry.name, "hash": to_hex(&entry.circuit), "promise": promise_json(&spec)});
        if insists {
            model["refused"] = refused.into();
        }
        list.push(model);
    }
    let mut header = vec![
        "model",
        "circuit",
        "results",
        "lookup fails",
        "inference fails once in",
    ];
    if insists {
        header.push("as required");
    }
    Ok(Report::new(
        table(&header, &rows),
        json!({"server": service.url(), "models": list}),
    ))
}

fn predict(
    service: &Service,
    model: Option<&str>,
    store: KeyStore,
    passphrase: &PassphraseArgs,
    args: &PredictArgs,
) -> anyhow::Result<Report> {
    // Samples that do not fit are found before keys are drawn.
    let entry = service.model(model).map_err(marked)?;
    let spec = service.spec(&entry.circuit).map_err(marked)?;
    let samples = args.choice.load_few(&args.data, &Border::of_spec(&spec))?;
    spec_inputs(&spec, &samples)?;
    // It is found before a passphrase is asked for, too.
    service.check(&spec).map_err(marked)?;
    let is_new = store.is_locked(spec.circuit()).map_err(marked)?.is_none();
    let store = with_passphrase(store, passphrase, spec.circuit())?;
    if is_new {
        note(format!("keys are drawn for {}: {}", spec.name(), promise(&spec)));
    }
    let (session, preparing) = timed(|| service.session_of(entry, spec, &store, &mut key_bars("drawing")));
    let session = session.map_err(marked)?;
    samples.say(true);
    let progress = waiting(&format!("{} samples", samples.len()));
    let (results, asking) = timed(|| session.predict(&samples.rows));
    progress.finish_and_clear();
    let results = results.map_err(marked)?;
    let spec = session.spec();
    let folder = store.folder_of(spec.circuit());
    let classes: Vec<usize> = results.iter().map(|r| r.class).collect();
    let codes: Vec<Vec<Tensor>> = results.into_iter().map(|r| r.codes).collect();
    let output = &spec.outputs()[0].spec;
    let score = samples.score(&classes, spec.outputs()[0].spec.scores(&spec.outputs()[0].shape));
    let right = score.right_text();
    let text = format!(
        "{}\n\n{right}{} by {}\n{}\nkeys {} in {}: {:.1} s; {}: {:.2} s",
        results_table(output, &samples.numbers, &codes),
        spec.name(),
        service.url(),
        promise(spec),
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
        "promise": promise_json(spec),
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
    samples.report_rows(&mut report, &score);
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
