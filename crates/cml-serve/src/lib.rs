//! HTTP service that runs circuits on encrypted inputs.
//!
//! Clients upload their evaluation keys once, send encrypted inputs and get encrypted results. The
//! service never sees a secret key, an input or a result: nothing here can name one.
//!
//! Invariants:
//! - Threads of connections do nothing that takes longer than a hash of the bytes that just came. One
//!   worker expands keys and runs circuits, and hands the executor whole batches.
//! - A key that was acknowledged is on disk; one that was half received is not.
//! - Work that was accepted is finished, and there is room for its answer. A job that is asked for
//!   later outlives the process.
//! - Every length that comes over the wire is compared with what the circuit asks for before anything
//!   is allocated.
//! - Logs and counters hold routes and names of callers, never tokens, keys or bodies.
//!
//! [`Service::open`] and [`Service::serve`] are the way in; [`OPENAPI`] describes the interface.

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
mod listen;
mod metrics;
mod models;
mod pace;
mod prefer;
mod problem;
mod queue;
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
