//! Integer dataflow graphs of quantized neural networks.
//!
//! A [`Graph`] holds integer tensors and the operations between them. Floats
//! appear only at its border: an input says how to quantize, an output how to
//! dequantize. Everything downstream (widths, lowering, the encrypted run) is
//! tested against [`interpret`], the one oracle.
//!
//! Invariants:
//! - A `Graph` exists only if it is valid: [`GraphBuilder`] is the only
//!   constructor, and decoding a file ([`cml_file::Artifact`]) or a text
//!   ([`graph_from_text`]) goes through it.
//! - Operands point backwards, so every analysis is one forward loop.
//! - No pass mutates: a pass maps `&Graph` to a new `Graph`.
//! - The magnitude of every value, partial sums included, is below
//!   [`LIMIT`], so no integer operation here can overflow.
//!
//! ```
//! use cml_ir::{GraphBuilder, InputSpec, Interval, Lut, OutputSpec, Tensor, interpret};
//!
//! let mut b = GraphBuilder::new("tiny");
//! let x = b.input("x", vec![2], InputSpec::new(1.0, 0, Interval::new(-3, 3)))?;
//! let w = Tensor::new(vec![1, 2], vec![2, -1])?;
//! let acc = b.dot("fc", x, w, vec![1])?;
//! let relu = b.lut("relu", acc, Lut::from_fn(Interval::new(-8, 10), |v| v.max(0)))?;
//! b.output("y", relu, OutputSpec::identity())?;
//! let graph = b.finish()?;
//!
//! let y = interpret(&graph, &[Tensor::new(vec![2], vec![3, 1])?])?;
//! assert_eq!(y[0].data(), &[6]);
//! println!("{graph}");
//! # Ok::<(), cml_ir::IrError>(())
//! ```
//!
//! This crate can do without optimization. The cryptography behind it cannot,
//! and the front page of `cml-exec` gives the lines of a profile.

// A new operation breaks every match that has to think about it.
#![warn(clippy::wildcard_enum_match_arm)]

mod builder;
mod dot;
mod dump;
mod error;
mod graph;
mod infer;
mod input_step;
mod interpret;
mod interval;
mod linear;
mod lut;
mod names;
mod op;
mod output;
pub mod passes;
mod probabilities;
mod tensor;
mod text;
mod thresholds;
mod training;
mod verify;
mod wire;

pub use builder::GraphBuilder;
pub use dot::to_dot;
pub use dump::plain;
pub use error::IrError;
pub use graph::{Graph, Node, NodeId, Type};
pub use infer::{LIMIT, intervals};
pub use input_step::InputStep;
pub use interpret::{Values, evaluate, interpret};
pub use interval::Interval;
pub use linear::{Source, for_each_term};
pub use lut::{Lut, Steps};
pub use names::{MAX_NAME_BYTES, MAX_NAMES, name_fault, names_fault};
pub use op::{Conv2d, Dot, InputSpec, Op, OpKind, Pad, SumPool};
pub use output::{OutputSpec, argmax};
pub use passes::{PASSES, optimize};
pub use probabilities::Probabilities;
pub use tensor::{Tensor, channel_len, channels};
pub use text::{graph_from_text, graph_to_text};
pub use thresholds::{Threshold, Thresholds};
pub use training::TrainingRows;
pub use verify::verify;
pub use wire::{GRAPH, graph_hash};
