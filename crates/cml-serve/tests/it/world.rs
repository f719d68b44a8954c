//! One tiny circuit with real keys, drawn once for all tests, and servers on loopback.

use cml_bitwidth::analyze;
use cml_exec::Server;
use cml_file::Artifact;
pub(crate) use cml_file::to_hex as hex;
use cml_ir::{Graph, GraphBuilder, InputSpec, Interval, Lut, OutputSpec, Tensor};
use cml_keys::Client;
use cml_scheme::Binding;
use cml_scheme::artifact::EncryptedOutputs;
use cml_serve::{Config, Limits, Model, Service, Tls, Tokens};
use cml_tfhe::{Circuit, Options, client_spec, lower};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::OnceLock;
use std::thread::JoinHandle;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::http::{Call, Reply};

/// One dense layer and one lookup on a few values: cheap keys.
fn graph(name: &str) -> Graph {
    let mut b = GraphBuilder::new(name);
    let x = b
        .input("x", vec![2], InputSpec::new(1.0, 0, Interval::new(0, 1)))
        .unwrap();
    let acc = b
        .dot("fc", x, Tensor::new(vec![1, 2], vec![1, 2]).unwrap(), vec![0])
        .unwrap();
    let act = b
        .lut("act", acc, Lut::from_fn(Interval::new(0, 3), |v| v * v % 3))
        .unwrap();
    b.output("y", act, OutputSpec::identity()).unwrap();
    b.finish().unwrap()
}

fn circuit(name: &str) -> Circuit {
    let graph = graph(name);
    lower(&graph, &analyze(&graph), &Options::default()).unwrap()
}

/// A client with its files.
pub(crate) struct Party {
    pub(crate) client: Client,
    pub(crate) server: Server,
    /// The file `server.key`.
    pub(crate) key: Vec<u8>,
    pub(crate) binding: Binding,
}

impl Party {
    fn draw(circuit: &Circuit) -> Self {
        let spec = client_spec(circuit).unwrap();
        let (client, key) = Client::generate(spec, &mut |_| {}).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.key");
        key.write(&path).unwrap();
        Self {
            server: Server::new(circuit, &key, &mut |_| {}).unwrap(),
            key: std::fs::read(path).unwrap(),
            binding: key.binding,
            client,
        }
    }

    pub(crate) fn id(&self) -> String {
        hex(&self.binding.keys)
    }

    /// Upload of the key.
    pub(crate) fn put(&self) -> Call {
        Call::put(&format!("/v1/keys/{}", self.id()), self.key.clone())
    }

    /// A file of encrypted samples: the bits of each number.
    pub(crate) fn inputs(&self, samples: &[u8]) -> Vec<u8> {
        let tensors: Vec<_> = samples
            .iter()
            .map(|s| vec![Tensor::new(vec![2], vec![i64::from(s & 1), i64::from(s >> 1 & 1)]).unwrap()])
            .collect();
        self.client
            .encrypt(&tensors)
            .unwrap()
            .to_bytes()
            .unwrap()
            .to_vec()
    }

    /// A request with such samples.
    pub(crate) fn infer(&self, samples: &[u8]) -> Call {
        let path = format!("/v1/models/{}/infer", hex(&self.binding.circuit));
        Call::post(&path, self.inputs(samples))
    }

    /// The decrypted results of an answer.
    pub(crate) fn decrypt(&self, reply: &Reply) -> Vec<i64> {
        assert_eq!(reply.status, 200, "{}", reply.text());
        let outputs = EncryptedOutputs::from_bytes("reply", &reply.body, self.client.spec()).unwrap();
        let results = self.client.decrypt(&outputs).unwrap();
        results.iter().map(|r| r[0].data()[0]).collect()
    }
}

/// What the circuit gives in the clear.
pub(crate) fn clear(samples: &[u8]) -> Vec<i64> {
    samples
        .iter()
        .map(|s| i64::from(s & 3))
        .map(|v| v * v % 3)
        .collect()
}

pub(crate) struct World {
    pub(crate) circuit: Circuit,
    /// Clients of that circuit.
    pub(crate) parties: [Party; 3],
    /// Another circuit and its client.
    pub(crate) other: Circuit,
    pub(crate) stranger: Party,
}

pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let (circuit, other) = (circuit("tiny"), circuit("other"));
        World {
            parties: std::array::from_fn(|_| Party::draw(&circuit)),
            stranger: Party::draw(&other),
            circuit,
            other,
        }
    })
}

/// A server on loopback, ended when dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) data: TempDir,
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Limits with short ends, so that tests are.
pub(crate) fn limits() -> Limits {
    Limits {
        linger: std::time::Duration::from_millis(100),
        ..Limits::default()
    }
}

const METRICS_TOKEN: &str = "the-token-for-counters";

pub(crate) fn metrics_tokens() -> Tokens {
    Tokens::parse(METRICS_TOKEN).unwrap()
}

/// Asks for the counters.
pub(crate) fn ask_metrics() -> Call {
    Call::get("/metrics").with("authorization", &format!("Bearer {METRICS_TOKEN}"))
}

pub(crate) fn config(data: &Path, limits: Limits) -> Config {
    Config {
        models: vec![Model::with_estimate(world().circuit.clone(), 0.01).unwrap()],
        data: data.to_owned(),
        tokens: Tokens::none(),
        metrics_tokens: metrics_tokens(),
        limits,
    }
}

impl Running {
    pub(crate) fn start() -> Self {
        Self::with(limits())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let data = tempfile::tempdir().unwrap();
        let config = config(data.path(), limits);
        Self::on(data, config, None)
    }

    /// A server that has a client's key already.
    pub(crate) fn knowing(party: &Party, limits: Limits) -> Self {
        let server = Self::with(limits);
        assert_eq!(server.send(&party.put()).status, 201);
        server
    }

    pub(crate) fn on(data: TempDir, config: Config, tls: Option<Tls>) -> Self {
        let (shutdown, over) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let service = Service::open(config).unwrap();
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let over = async { drop(over.await) };
                service.serve(listener, tls, over).await.unwrap();
            });
        });
        Self {
            address: told.recv().unwrap(),
            data,
            shutdown: Some(shutdown),
            thread: Some(thread),
        }
    }

    pub(crate) fn send(&self, call: &Call) -> Reply {
        call.send(self.address).unwrap()
    }

    /// Asks for a job until it has ended.
    pub(crate) fn wait(&self, accepted: &Reply) -> Reply {
        wait(self.address, accepted)
    }

    /// A counter of `/metrics`, labels included in the name.
    pub(crate) fn count(&self, name: &str) -> f64 {
        let text = self.send(&ask_metrics()).text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Asks the server to end.
    pub(crate) fn shut_down(&mut self) {
        if let Some(shutdown) = self.shutdown.take() {
            let _ = shutdown.send(());
        }
    }

    /// Waits for its end.
    pub(crate) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap();
            }
        }
    }
}

/// Asks a server for a job until it has ended.
pub(crate) fn wait(address: SocketAddr, accepted: &Reply) -> Reply {
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let ask = Call::get(accepted.header("location").unwrap());
    loop {
        let reply = ask.send(address).unwrap();
        if reply.status != 202 {
            return reply;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shut_down();
        self.join();
    }
}
