//! Neural networks whose weights and activations are small integers, and their exact translation to integer
//! graphs.
//!
//! Training and import make a [`Network`]: layers, weights, and a quantizer wherever a value becomes an
//! integer. [`to_graph`] translates it to a [`cml_ir::Graph`], in which scales, biases and activation
//! functions have become lookup tables. [`quantize_network`] makes a quantized network of a float one.
//!
//! Invariants:
//! - [`Network::forward`], the float pass with fake quantization, and the integer graph agree bit for bit.
//!   Both evaluate one `f32` expression on the same integer accumulator: see [`Dequantizer`].
//! - A layer of a quantized network holds integer weights and their quantizer, a layer of a float network
//!   floats: see [`Weights`].
//! - A network that is read from a file passes the same checks as one that is built.
//!
//! ```
//! use cml_quant::{ActQuantizer, Linear, Network, WeightQuantizer, to_graph};
//! use ndarray::array;
//!
//! let mut net = Network::new("tiny", vec![2]);
//! let x = net.quantize("x/quant", net.input(), ActQuantizer::constant(3)?)?;
//! let fc = Linear::new(array![[0.9, -0.4]], None, WeightQuantizer::constant(3)?)?;
//! let y = net.linear("fc", x, fc)?;
//! net.set_output(y, &["score"])?;
//!
//! let graph = to_graph(&net)?;
//! let codes = cml_ir::interpret(&graph, &[graph.quantize_input(&[0.7, -0.2])?])?;
//! let (_, _, spec) = graph.outputs().next().unwrap();
//! assert_eq!(spec.dequantize_all(&codes[0]), net.forward(&[0.7, -0.2])?);
//! # Ok::<(), cml_quant::QuantError>(())
//! ```

mod accumulators;
mod batch_norm;
pub mod budget;
mod dequantizer;
mod error;
mod file;
mod file_training;
mod float_forward;
mod forward;
mod input;
mod layers;
mod meaning;
mod network;
mod ptq;
mod tensors;
mod to_graph;

pub use accumulators::{Accumulator, accumulators};
pub use batch_norm::{BatchNorm, fold_batch_norm};
/// Most columns that a network can name.
pub use cml_ir::MAX_NAMES;
/// What a network knows of the rows that it was trained on.
pub use cml_ir::TrainingRows;
/// How the scores that [`Network::forward`] gives become a class.
pub use cml_ir::argmax;
/// How a client quantizes, and what it does before that; what networks say in the words of graphs.
pub use cml_ir::{InputSpec, InputStep, Interval, Probabilities, Threshold, channel_len, name_fault};
pub use dequantizer::Dequantizer;
pub use error::QuantError;
pub use file::{network_from_bytes, network_to_bytes, read_network, write_network};
pub use layers::{
    ActQuantizer, Branch, Child, Concat, Conv2d, Expression, ExpressionStep, Gather, Layer, LayerNode,
    Linear, Normalize, Pad, Pairing, Pool, PoolKind, Reshape, Slice, Transpose, Trees, Univariate,
    WeightQuantizer, Weights,
};
pub use network::{LayerId, Network};
pub use ptq::{PtqConfig, PtqMethod, quantize_network};
pub use to_graph::to_graph;
