//! An HTTP service that runs circuits on encrypted inputs.
//!
//! Clients upload their evaluation keys once, send encrypted inputs and get encrypted results. The service sees no secret
//! key, no input and no result: nothing here can name one.
//!
//! ```
//! use cml_serve::{Config, Limits, Model, Service, Tokens};
//! # use cml_ir::{GraphBuilder, InputSpec, Interval, Lut, OutputSpec};
//! # let mut b = GraphBuilder::new("net");
//! # let x = b.input("x", vec![1], InputSpec::new(0.5, 0, Interval::new(0, 3)))?;
//! # let y = b.lut("square", x, Lut::from_fn(Interval::new(0, 3), |v| v * v))?;
//! # b.output("y", y, OutputSpec::identity())?;
//! # let graph = b.finish()?;
//! # let circuit = cml_tfhe::lower(&graph, &cml_bitwidth::analyze(&graph), &cml_tfhe::Options::default())?;
//! # let folder = tempfile::tempdir()?;
//!
//! let service = Service::open(Config {
//!     models: vec![Model::with_estimate(circuit, 0.05)?],
//!     data: folder.path().join("data"),
//!     tokens: Tokens::parse("0123456789abcdef0123456789abcdef")?,
//!     metrics_tokens: Tokens::none(),
//!     limits: Limits::default(),
//! })?;
//! # let shutdown = std::future::ready(());
//! tokio::runtime::Runtime::new()?.block_on(async {
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//!     // Until `shutdown`: accepted work is finished first.
//!     service.serve(listener, None, shutdown).await?;
//! #    Ok::<(), Box<dyn std::error::Error>>(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`OPENAPI`] describes the interface. `docs/deploy.md` has limits and the threat model.
//!
//! Invariants:
//! - The threads of connections do nothing that takes longer than a hash of what just came. One worker expands keys and
//!   runs circuits (`worker.rs`), in batches.
//! - A key that was acknowledged is on disk as a whole (`store.rs`).
//! - Accepted work is finished, and there is room for its answer (`desk.rs`). A job to ask for later outlives the process
//!   (`spool.rs`).
//! - The state of a job changes in one function (`life.rs`). What takes work and keeps limits knows nothing of HTTP
//!   (`accept.rs`, `refusal.rs`); `jobs.rs`, `keys.rs` and `problem.rs` say it over HTTP.
//! - Every length that comes over the wire is compared with what the circuit asks for before anything is allocated.
//! - Logs and counters hold routes and names of callers, never tokens, keys or bodies.

mod accept;
mod answer;
mod body;
mod cache;
mod caller;
mod config;
mod data;
mod desk;
mod error;
mod jobs;
mod keys;
mod life;
mod listen;
mod metrics;
mod models;
mod pace;
mod prefer;
mod problem;
mod queue;
mod refusal;
mod restore;
mod routes;
mod service;
mod share;
mod shared;
mod spool;
mod store;
mod ticket;
mod tls;
mod worker;

pub use caller::Tokens;
pub use config::{Config, Limits, Model};
pub use error::ServeError;
pub use routes::OPENAPI;
pub use service::Service;
pub use tls::Tls;
