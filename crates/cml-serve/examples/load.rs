//! Load on a real server over loopback, beside the executor alone on the same machine.
//!
//! ```text
//! cargo run --release -p cml-serve --example load -- [CIRCUIT.cmlc] [--seconds N] [--rounds N] [--json]
//! ```
//!
//! Throughput at 1, 2, 8 and 64 clients, each with one sample a request and the next one as soon as the
//! answer is there, against batches of the executor just before, in three rounds; latency of a lone
//! request against a local run. What was measured is told on standard error as it comes. All clients have one key. Encryption and decryption are not in the
//! times; the first result is decrypted and compared with the local run's.

use cml_bitwidth::analyze;
use cml_exec::Server;
use cml_file::{Artifact, to_hex};
use cml_ir::{GraphBuilder, InputSpec, Interval, Lut, OutputSpec, Tensor};
use cml_keys::Client;
use cml_scheme::artifact::EncryptedOutputs;
use cml_scheme::{Bound, SeededCiphertexts};
use cml_serve::{Config, Limits, Model, Service, Tokens};
use cml_tfhe::{Circuit, Options, client_spec, lower};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// For the counters of the server, which ends with the process.
const METRICS_TOKEN: &str = "the-token-for-counters";
/// Numbers of clients that ask at a time.
const CLIENTS: [usize; 4] = [1, 2, 8, 64];
/// Runs of one sample, local and over the server in turns.
const LONE_RUNS: usize = 15;
/// Samples of a batch of the executor.
const BATCH: usize = 64;
struct Args {
    circuit: Option<PathBuf>,
    seconds: u64,
    /// Each number of clients is measured so often, beside the executor each time: a machine that is
    /// slower for a while is so for both.
    rounds: usize,
    json: bool,
}

fn args() -> Result<Args, Error> {
    let mut args = Args {
        circuit: None,
        seconds: 20,
        rounds: 3,
        json: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--json" => args.json = true,
            "--seconds" => args.seconds = words.next().ok_or("--seconds needs a number")?.parse()?,
            "--rounds" => args.rounds = words.next().ok_or("--rounds needs a number")?.parse()?,
            other if other.starts_with('-') => return Err(format!("no option {other}").into()),
            path => args.circuit = Some(path.into()),
        }
    }
    Ok(args)
}

/// A layer of 48 neurons at 4 bits, and one of 4 outputs, of fixed weights.
fn own_circuit() -> Result<Circuit, Error> {
    let mut b = GraphBuilder::new("load");
    let x = b.input("x", vec![24], InputSpec::new(1.0, 0, Interval::new(0, 3)))?;
    let weights = |rows: usize, columns: usize| {
        let weight = |i: usize| [1, 0, -1, 0, 0, 1, -1, 0, 0, 0, 1][(i * 7 + i / columns) % 11];
        Tensor::new(vec![rows, columns], (0..rows * columns).map(weight).collect())
    };
    let acc = b.dot("fc1", x, weights(48, 24)?, vec![0; 48])?;
    let relu = Lut::from_fn(Interval::new(-80, 80), |v| v.clamp(0, 7) / 2);
    let act = b.lut("fc1/quant", acc, relu)?;
    let out = b.dot("fc2", act, weights(4, 48)?, vec![0; 4])?;
    b.output("y", out, OutputSpec::identity())?;
    let graph = b.finish()?;
    Ok(lower(&graph, &analyze(&graph), &Options::default())?)
}

/// One connection that is kept, and one request.
struct Caller {
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
}

impl Caller {
    fn new(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> Result<Self, Error> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {METRICS_TOKEN}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        Ok(Self {
            stream: BufReader::new(stream),
            request: [head.as_bytes(), body].concat(),
        })
    }

    /// Sends the request; status and body of the answer.
    fn call(&mut self) -> Result<(u16, Vec<u8>), Error> {
        self.stream.get_mut().write_all(&self.request)?;
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err("the server closed the connection".into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest.split(' ').next().unwrap_or_default().parse()?;
            } else if let Some(rest) = line.strip_prefix("content-length:") {
                length = rest.trim().parse()?;
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, body))
    }

    /// The results, of a server that answers at once.
    fn results(&mut self) -> Result<Vec<u8>, Error> {
        match self.call()? {
            (200, body) => Ok(body),
            (status, body) => Err(format!("status {status}: {}", String::from_utf8_lossy(&body)).into()),
        }
    }
}

/// Starts a server that knows the key; it ends with the process.
fn start(circuit: &Circuit, data: PathBuf) -> Result<SocketAddr, Error> {
    let config = Config {
        models: vec![Model::new(circuit.clone())?],
        data,
        tokens: Tokens::none(),
        metrics_tokens: Tokens::parse(METRICS_TOKEN)?,
        limits: Limits {
            // No request becomes a job.
            wait: Duration::from_secs(3600),
            ..Limits::default()
        },
    };
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || -> Result<(), Error> {
        tokio::runtime::Runtime::new()?.block_on(async {
            let service = Service::open(config)?;
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            tell.send(listener.local_addr()?)?;
            service.serve(listener, None, std::future::pending()).await?;
            Ok(())
        })
    });
    Ok(told.recv_timeout(Duration::from_secs(60))?)
}

/// What one number of clients got, in each round.
struct Load {
    clients: usize,
    /// Samples a second of the executor alone, and of the clients.
    alone: Vec<f64>,
    rates: Vec<f64>,
    /// Quotients of the two.
    shares: Vec<f64>,
    /// Samples in a batch of the server, on average.
    together: Vec<f64>,
}

impl Load {
    fn new(clients: usize) -> Self {
        Self {
            clients,
            alone: Vec::new(),
            rates: Vec::new(),
            shares: Vec::new(),
            together: Vec::new(),
        }
    }
}

/// Least and greatest, in percent.
fn bounds(shares: &[f64]) -> (f64, f64) {
    let least = shares.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = shares.iter().copied().fold(0.0, f64::max);
    (100.0 * least, 100.0 * greatest)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Samples in a second that so many clients get done, each with so many requests.
fn throughput(address: SocketAddr, path: &str, body: &[u8], clients: usize, each: u64) -> Result<f64, Error> {
    let mut callers = Vec::with_capacity(clients);
    for _ in 0..clients {
        callers.push(Caller::new(address, "POST", path, body)?);
    }
    let start = Instant::now();
    std::thread::scope(|scope| {
        let client = |mut caller: Caller| {
            scope.spawn(move || (0..each).try_for_each(|_| caller.results().map(|_| ())))
        };
        let clients: Vec<_> = callers.into_iter().map(client).collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().map_err(|_| "a client panicked")?)
    })?;
    Ok((clients as u64 * each) as f64 / start.elapsed().as_secs_f64())
}

/// Samples and batches that the server has run.
fn counts(address: SocketAddr) -> Result<(f64, f64), Error> {
    let (_, text) = Caller::new(address, "GET", "/metrics", &[])?.call()?;
    let text = String::from_utf8(text)?;
    let count = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(Ok(0.0), |value| value.trim().parse::<f64>())
    };
    Ok((count("cml_samples_total ")?, count("cml_batches_total ")?))
}

fn batch(inputs: &Bound<Vec<SeededCiphertexts>>, samples: usize) -> Bound<Vec<SeededCiphertexts>> {
    Bound {
        binding: inputs.binding,
        value: vec![inputs.value[0].clone(); samples],
    }
}

fn main() -> Result<(), Error> {
    let args = args()?;
    let circuit = match &args.circuit {
        Some(path) => Circuit::read(path, ())?,
        None => own_circuit()?,
    };
    let spec = client_spec(&circuit)?;
    let (client, key) = Client::generate(spec, &mut |_| {})?;
    let least = |shape: &[usize], lo: i64| Tensor::new(shape.to_vec(), vec![lo; shape.iter().product()]);
    let sample: Result<Vec<Tensor>, _> = circuit
        .inputs()
        .iter()
        .map(|input| least(&input.shape, input.spec.range.lo))
        .collect();
    let inputs = client.encrypt(&[sample?])?;
    let server = Server::new(&circuit, &key, &mut |_| {})?;

    let folder = tempfile::tempdir()?;
    let file = folder.path().join("server.key");
    key.write(&file)?;
    let address = start(&circuit, folder.path().join("data"))?;
    let path = format!("/v1/keys/{}", to_hex(&key.binding.keys));
    let (status, _) = Caller::new(address, "PUT", &path, &std::fs::read(&file)?)?.call()?;
    if status != 201 {
        return Err(format!("the key was refused with {status}").into());
    }
    drop(key);
    let path = format!("/v1/models/{}/infer", to_hex(&inputs.binding.circuit));
    let body = inputs.to_bytes()?.to_vec();

    let mut lone = Caller::new(address, "POST", &path, &body)?;
    let answer = EncryptedOutputs::from_bytes("answer", &lone.results()?, &circuit)?;
    let local = server.run(&inputs, &mut |_| {})?;
    if client.decrypt(&answer)? != client.decrypt(&local)? {
        return Err("the server's result is not that of the local run".into());
    }
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for _ in 0..LONE_RUNS {
        let start = Instant::now();
        server.run(&inputs, &mut |_| {})?;
        here.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        lone.results()?;
        there.push(start.elapsed().as_secs_f64());
    }
    let (here, there) = (median(&mut here), median(&mut there));
    eprintln!("one sample: local run {here:.4} s, request {there:.4} s");

    let time = Duration::from_secs(args.seconds.max(1));
    let many = batch(&inputs, BATCH);
    let mut loads = CLIENTS.map(Load::new);
    for _ in 0..args.rounds.max(1) {
        for load in &mut loads {
            let (start, mut done) = (Instant::now(), 0);
            while done == 0 || start.elapsed() < time {
                server.run(&many, &mut |_| {})?;
                done += BATCH;
            }
            let alone = done as f64 / start.elapsed().as_secs_f64();
            // All clients end at about the same time, after several batches.
            let each = (alone * time.as_secs_f64() / load.clients as f64).ceil() as u64;
            let before = counts(address)?;
            let rate = throughput(address, &path, &body, load.clients, each.max(3))?;
            let after = counts(address)?;
            load.alone.push(alone);
            load.rates.push(rate);
            load.shares.push(rate / alone);
            load.together.push((after.0 - before.0) / (after.1 - before.1));
            eprintln!(
                "{} clients: {rate:.2} samples a second, executor {alone:.2}",
                load.clients
            );
        }
    }

    if args.json {
        let loads: Vec<_> = loads
            .iter_mut()
            .map(|load| {
                json!({
                    "clients": load.clients,
                    "samples_a_second": median(&mut load.rates),
                    "executor_samples_a_second": median(&mut load.alone),
                    "share": median(&mut load.shares),
                    "samples_a_batch": median(&mut load.together),
                })
            })
            .collect();
        let json = json!({
            "circuit": circuit.name(),
            "rotations": circuit.rotation_count(),
            "threads": std::thread::available_parallelism().map_or(1, usize::from),
            "rounds": args.rounds,
            "local_seconds": here,
            "request_seconds": there,
            "server": loads,
        });
        println!("{json}");
    } else {
        println!(
            "{}: {} blind rotations a sample",
            circuit.name(),
            circuit.rotation_count()
        );
        println!(
            "one sample   local run {here:.4} s, request {there:.4} s ({:+.1}%)",
            100.0 * (there / here - 1.0)
        );
        println!(
            "samples a second, medians of {} rounds; the executor alone in batches of {BATCH}, just before:",
            args.rounds
        );
        for load in &mut loads {
            let (least, greatest) = bounds(&load.shares);
            println!(
                "{:>2} clients   {:.2}, executor {:.2}: {:.1}% ({least:.1}..{greatest:.1}), {:.1} a batch",
                load.clients,
                median(&mut load.rates),
                median(&mut load.alone),
                100.0 * median(&mut load.shares),
                median(&mut load.together),
            );
        }
    }
    Ok(())
}
