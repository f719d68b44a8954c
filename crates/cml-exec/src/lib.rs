//! Runs circuits on encrypted inputs.
//!
//! A [`Server`] has a circuit and the evaluation keys of one client. A [`Backend`] does the work of a level,
//! and [`Processor`] is that of this machine. [`plan`] tells what a circuit will cost here before any key
//! exists.
//!
//! Invariants:
//! - The crate cannot name a secret key: nothing that it depends on has one.
//! - A circuit that a backend cannot run is refused before any work ([`Backend::capabilities`]).
//! - Results do not depend on the backend, but for their noise.
//!
//! Cryptography is unusable unoptimized: what takes 0.1 s in release takes half a minute in a debug build.
//! These lines in your `Cargo.toml` optimize dependencies in debug builds:
//!
//! ```toml
//! [profile.dev.package."*"]
//! opt-level = 3
//! ```
//!
//! From a graph to a decrypted result:
//!
//! ```
//! use cml_exec::Server;
//! use cml_ir::{GraphBuilder, InputSpec, Interval, Lut, OutputSpec, Tensor, interpret};
//! use cml_keys::Client;
//! use cml_tfhe::{Options, client_spec, lower};
//!
//! let mut b = GraphBuilder::new("tiny");
//! let x = b.input("x", vec![2], InputSpec::new(1.0, 0, Interval::new(-3, 3)))?;
//! let acc = b.dot("fc", x, Tensor::new(vec![1, 2], vec![2, -1])?, vec![1])?;
//! let relu = b.lut("relu", acc, Lut::from_fn(Interval::new(-8, 10), |v| v.max(0)))?;
//! b.output("y", relu, OutputSpec::identity())?;
//! let graph = b.finish()?;
//! let circuit = lower(&graph, &cml_bitwidth::analyze(&graph), &Options::default())?;
//!
//! // The client knows the specification. It draws keys, and keeps the secret ones.
//! let (client, server_key) = Client::generate(client_spec(&circuit)?, &mut |_| {})?;
//! let x = vec![Tensor::new(vec![2], vec![3, 1])?];
//! let encrypted = client.encrypt(&[x.clone()])?;
//!
//! // The server knows the circuit, the evaluation keys and ciphertexts.
//! let server = Server::new(&circuit, &server_key, &mut |_| {})?;
//! let results = server.run(&encrypted, &mut |_| {})?;
//!
//! assert_eq!(client.decrypt(&results)?[0], interpret(&graph, &x)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod aligned;
mod amortized;
mod backend;
mod digits;
mod evaluator;
mod key;
mod processor;
mod products;
mod rows;
mod server;
mod timing;
mod transform;

pub use backend::{Backend, LevelWork, Task};
pub use evaluator::{Evaluator, ExecError, Job, Load, measure};
pub use key::EvaluationKey;
pub use processor::Processor;
pub use rows::ScaledRow;
pub use server::{ServedCircuit, Server, ServerError};
pub use timing::{estimate_seconds, measure_costs, plan};

#[cfg(test)]
mod tests;
