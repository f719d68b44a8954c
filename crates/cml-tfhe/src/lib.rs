//! Lowering of integer graphs to TFHE table lookups, and their encrypted run.
//!
//! [`lower`] turns a [`cml_ir::Graph`] with its proved widths into a
//! [`Circuit`]: rows of integer weights, tables, encodings and parameters at
//! 132-bit security. A [`Client`] encrypts and decrypts; a [`Server`] computes.
//!
//! Invariants:
//! - A circuit leaves nothing to decide: it can be dumped, simulated
//!   ([`Simulator`]) and checked without any key.
//! - In exact mode interpreter, simulator and decrypted result agree bit for
//!   bit, but for the stated failure probability.
//! - Server code cannot name a secret key: the feature `client` has it, `server` the rest. A
//!   client needs a [`ClientSpec`], not the circuit.
//! - `tfhe` is named only in `noise`, `keys` and `exec`.
//!
//! ```
//! use cml_ir::{GraphBuilder, InputSpec, Interval, Lut, OutputSpec, Tensor, interpret};
//! use cml_tfhe::{Noise, Options, Simulator, lower};
//!
//! let mut b = GraphBuilder::new("tiny");
//! let x = b.input("x", vec![2], InputSpec::new(1.0, 0, Interval::new(-3, 3)))?;
//! let acc = b.dot("fc", x, Tensor::new(vec![1, 2], vec![2, -1])?, vec![1])?;
//! let relu = b.lut("relu", acc, Lut::from_fn(Interval::new(-8, 10), |v| v.max(0)))?;
//! b.output("y", relu, OutputSpec::identity())?;
//! let graph = b.finish()?;
//!
//! let circuit = lower(&graph, &cml_bitwidth::analyze(&graph), &Options::default())?;
//! println!("{circuit}");
//! let x = vec![Tensor::new(vec![2], vec![3, 1])?];
//! assert_eq!(Simulator::new(&circuit, Noise::Exact).run(&x)?, interpret(&graph, &x)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// What both sides share is written once; a build of one side leaves some of it unused.
#![cfg_attr(not(all(feature = "client", feature = "server")), allow(dead_code))]

pub mod artifact;
#[cfg(feature = "server")]
pub mod circuit;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "server")]
pub mod cost;
#[cfg(feature = "server")]
mod dump;
#[cfg(feature = "server")]
mod encode;
#[cfg(feature = "server")]
pub mod exec;
mod interface;
pub mod keys;
#[cfg(feature = "server")]
mod lower;
pub mod noise;
#[cfg(feature = "server")]
pub mod optimizer;
pub mod params;
#[cfg(feature = "server")]
mod plan;
#[cfg(feature = "server")]
mod program;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
mod simulate;
mod spec;
pub mod table;
#[cfg(feature = "server")]
mod tune;
#[cfg(feature = "server")]
mod validate;

pub use artifact::{ArtifactError, Binding, Bound};
#[cfg(feature = "server")]
pub use circuit::Circuit;
#[cfg(feature = "client")]
pub use client::{Client, ClientError};
pub use interface::{CircuitInput, Encoding, Interface};
#[cfg(feature = "server")]
pub use lower::{LowerError, Options, lower, lower_reported};
pub use params::{ParameterSets, Parameters};
#[cfg(feature = "server")]
pub use plan::{LayerPlan, Plan};
#[cfg(feature = "server")]
pub use program::PassReport;
#[cfg(feature = "server")]
pub use server::{ServedCircuit, Server, ServerError};
#[cfg(feature = "server")]
pub use simulate::{Noise, Simulator};
pub use spec::{ClientSpec, SpecError, SpecOutput, one_in};
#[cfg(feature = "server")]
pub use tune::{Tuned, lower_tuned};
#[cfg(feature = "server")]
pub use validate::CircuitError;
