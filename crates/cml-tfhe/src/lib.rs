//! Lowering of integer graphs to TFHE table lookups.
//!
//! [`lower`] turns a [`cml_ir::Graph`] with its proved widths into a
//! [`Circuit`]: rows of integer weights, tables, encodings and parameters at
//! 132-bit security. [`client_spec`] gives the part of it that a client needs.
//! There is no key here: the crate `cml-keys` encrypts and decrypts, and the
//! crate `cml-exec` runs circuits.
//!
//! Invariants:
//! - A circuit leaves nothing to decide: it can be dumped, simulated
//!   ([`Simulator`]) and checked without any key.
//! - Nothing here can name an executor. What is known of one comes in types of ours:
//!   [`optimizer::Capabilities`], [`cost::CostModel`], [`timing::Timing`].
//! - In exact mode interpreter, simulator and decrypted result agree bit for
//!   bit, but for the stated failure probability.
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

mod amortize;
pub mod artifact;
pub mod circuit;
mod client_spec;
pub mod cost;
mod dump;
mod encode;
mod lower;
pub mod noise;
pub mod optimizer;
mod plan;
mod program;
mod simulate;
pub mod table;
pub mod timing;
mod tune;
mod validate;
mod ways;

pub use circuit::Circuit;
pub use client_spec::client_spec;
pub use lower::{LowerError, Options, lower, lower_reported};
pub use plan::{LayerPlan, Plan};
pub use program::PassReport;
pub use simulate::{Noise, Simulator};
pub use tune::{Tuned, lower_loosest, lower_tuned};
pub use validate::CircuitError;
pub use ways::Way;
