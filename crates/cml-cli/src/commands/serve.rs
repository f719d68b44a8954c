//! `cml serve`: the server's part for many clients, over HTTP.

use crate::exit::OrFailed;
use crate::folders;
use crate::show::{Report, print_line};
use anyhow::{Context, bail};
use clap::builder::RangedU64ValueParser;
use cml_file::Artifact;
use cml_scheme::artifact;
use cml_serve::{Config, Limits, Model, ServeError, Service, Tls, Tokens};
use cml_tfhe::Circuit;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tracing_subscriber::filter::LevelFilter;

/// Serve circuits over HTTP: clients upload keys and get encrypted results. Needs no secret key and sees no data.
///
/// Once it listens, standard output has its address, with --json one object; the log goes to
/// standard error. SIGTERM and ctrl-c end it: accepted work is finished. A second one ends it at
/// once.
/// Example: cml serve --model net.cmlc --listen 127.0.0.1:8080 --data keys
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Circuit from `cml compile`; can be repeated.
    #[arg(long = "model", required = true)]
    models: Vec<PathBuf>,
    /// Address and port; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Folder for the keys and jobs of clients; one server each.
    #[arg(long)]
    data: PathBuf,
    /// Bearer tokens that are let in, one a line; everybody without.
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// Bearer tokens for GET /metrics, one a line; nobody without, since the counters tell about all callers.
    #[arg(long)]
    metrics_token_file: Option<PathBuf>,
    /// Certificates, PEM.
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the first certificate, PEM.
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Let everybody in on an address that other machines reach, without tokens or TLS.
    #[arg(long)]
    open: bool,
    /// Log JSON objects, one a line.
    #[arg(long)]
    log_json: bool,
    /// off, error, warn, info, debug or trace.
    #[arg(long, default_value = "info")]
    log_level: LevelFilter,
    #[command(flatten)]
    limits: LimitArgs,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Memory for expanded keys, in MB; those not used for longest are dropped.
    #[arg(long, default_value_t = 4096)]
    memory: u64,
    /// Disk for keys, in MB.
    #[arg(long, default_value_t = 65_536, value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    disk: u64,
    /// Keys on disk.
    #[arg(long, default_value_t = 10_000, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    keys: usize,
    /// Keys of one caller: of one token, or of one address if there are no tokens.
    #[arg(long, default_value_t = 100, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    caller_keys: usize,
    /// Jobs that wait.
    #[arg(long, default_value_t = 1024, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    queue: usize,
    /// Jobs of one caller, answers that are kept included.
    #[arg(long, default_value_t = 256, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    caller_jobs: usize,
    /// Samples of one request.
    #[arg(long, default_value_t = 1024, value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    samples: u32,
    /// Memory for inputs that wait and for answers, and as much disk for jobs, in MB; one caller may have a quarter.
    #[arg(long, default_value_t = 1024)]
    job_memory: u64,
    /// Seconds for which the answer of a finished job is kept.
    #[arg(long, default_value_t = 600)]
    keep: u64,
    /// Seconds after which a request becomes a job to ask for later.
    #[arg(long, default_value_t = 10)]
    wait: u64,
    /// Connections at a time.
    #[arg(long, default_value_t = 512, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    connections: usize,
    /// Seconds at the end for answers to be fetched and uploads to come in.
    #[arg(long, default_value_t = 10)]
    linger: u64,
}

impl LimitArgs {
    fn limits(&self, behind_proxy: bool) -> Limits {
        let megabytes = |n: u64| n.saturating_mul(1_000_000);
        Limits {
            memory_bytes: megabytes(self.memory),
            disk_bytes: megabytes(self.disk),
            keys: self.keys,
            caller_keys: self.caller_keys,
            waiting: self.queue,
            caller_jobs: self.caller_jobs,
            samples: self.samples.min(artifact::MAX_SAMPLES),
            job_bytes: megabytes(self.job_memory),
            answer_time: Duration::from_secs(self.keep),
            wait: Duration::from_secs(self.wait),
            connections: self.connections,
            linger: Duration::from_secs(self.linger),
            behind_proxy,
            ..Limits::default()
        }
    }
}

pub(crate) fn run(args: Args, json: bool) -> anyhow::Result<Report> {
    let read = |path: &Option<PathBuf>| match path {
        Some(path) => Tokens::read(path).with_context(|| path.display().to_string()),
        None => Ok(Tokens::none()),
    };
    let (tokens, metrics_tokens) = (read(&args.token_file)?, read(&args.metrics_token_file)?);
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificates), Some(key)) => Some(Tls::read(certificates, key)?),
        _ => None,
    };
    let is_guarded = tokens.are_asked_for() && tls.is_some();
    if !args.listen.ip().is_loopback() && !is_guarded && !args.open {
        bail!(
            "{} can be reached by other machines: give --token-file, --tls-cert and --tls-key, or --open if \
             something in front does their work",
            args.listen
        );
    }
    folders::check(&args.data)?;
    let mut models = Vec::with_capacity(args.models.len());
    for path in &args.models {
        models.push(Model::new(Circuit::read(path, ())?)?);
    }
    log(args.log_json, args.log_level)?;
    let names: Vec<_> = models
        .iter()
        .map(|m| json!({"name": m.name(), "hash": m.hash()}))
        .collect();
    let service = Service::open(Config {
        models,
        data: args.data.clone(),
        tokens,
        metrics_tokens,
        limits: args.limits.limits(args.open),
    });
    let service = match service {
        Err(error @ ServeError::Io { .. }) => return Err(error).or_failed(),
        service => service?,
    };
    let runtime = tokio::runtime::Runtime::new().or_failed()?;
    let listen = async {
        let listener = TcpListener::bind(args.listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {}", args.listen));
        let listener = listener.or_failed()?;
        let address = listener.local_addr().or_failed()?;
        let shutdown = ending()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{address}");
        // The caller waits for this line. It is the whole report.
        let line = match json {
            true => json!({"url": url, "models": names}).to_string(),
            false => url,
        };
        print_line(&line).or_failed()?;
        service.serve(listener, tls, shutdown).await.or_failed()
    };
    runtime.block_on(listen)?;
    Ok(Report::nothing())
}

/// Ends with the first signal; a second one ends the process.
fn ending() -> anyhow::Result<impl Future<Output = ()>> {
    let mut signals = Signals::new()?;
    let (first, gone) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        signals.next().await;
        let _ = first.send(());
        signals.next().await;
        std::process::exit(i32::from(crate::exit::FAILED));
    });
    Ok(async move {
        let _ = gone.await;
    })
}

/// What asks a process to end.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate()).or_failed()?,
            interrupt: signal(SignalKind::interrupt()).or_failed()?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What asks a process to end.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}

fn log(json: bool, level: LevelFilter) -> anyhow::Result<()> {
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr);
    let set = if json {
        log.json().flatten_event(true).try_init()
    } else {
        log.with_ansi(false).try_init()
    };
    set.map_err(|e| anyhow::anyhow!("no log: {e}"))
}
