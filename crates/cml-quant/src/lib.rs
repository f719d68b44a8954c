//! Networks with quantizers, and their exact translation to integer graphs.
//!
//! A [`Network`] is what training and import yield: float weights, layers, and
//! a quantizer wherever a value becomes an integer. [`to_graph`] turns it into
//! a [`cml_ir::Graph`] in which scales, biases and activation functions have
//! become lookup tables.
//!
//! Invariants:
//! - [`Network::forward`], the float pass with fake quantization, and the
//!   integer graph agree bit for bit: both evaluate the same `f32` expression
//!   on the same integer accumulator (see [`Dequantizer`]).
//! - A network that was read from a file is checked like one that was built.
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
mod activation;
mod batch_norm;
pub mod budget;
mod conv2d;
mod dequantizer;
mod error;
mod file;
mod file_training;
mod float_forward;
mod forward;
mod input;
mod layer;
mod linear;
mod max_pool;
mod meaning;
mod moves;
mod network;
mod normalize;
mod pool;
mod ptq;
mod to_graph;
mod univariate;
mod weight_quantizer;
mod weights;
mod window;

pub use accumulators::{Accumulator, accumulators};
pub use activation::ActQuantizer;
pub use batch_norm::{BatchNorm, fold_batch_norm};
/// Most columns that a network can name.
pub use cml_ir::MAX_NAMES;
/// What a network knows of the rows that it was trained on.
pub use cml_ir::TrainingRows;
/// How the scores that [`Network::forward`] gives become a class.
pub use cml_ir::argmax;
pub use conv2d::Conv2d;
pub use dequantizer::Dequantizer;
pub use error::QuantError;
pub use file::{network_from_bytes, network_to_bytes, read_network, write_network};
pub use layer::{Layer, LayerNode};
pub use linear::Linear;
pub use network::{LayerId, Network};
pub use normalize::Normalize;
pub use pool::{Pool, PoolKind};
pub use ptq::{PtqConfig, PtqMethod, quantize_network};
pub use to_graph::to_graph;
pub use univariate::Univariate;
pub use weight_quantizer::WeightQuantizer;
