//! Quantization-aware training on libtorch.
//!
//! [`train`] turns a [`cml_data::Split`] and a [`TrainConfig`] into a [`cml_quant::Network`]: a
//! multilayer perceptron whose weights and activations are small integers, pruned, and with
//! accumulators of a guaranteed width.
//!
//! Invariants:
//! - What trains is what is exported: activations travel as integer codes, weights are quantized by
//!   `cml_quant` itself, and straight-through gradients enter through terms that are exactly zero.
//!   libtorch, [`cml_quant::Network::forward`] and the integer graph agree bit for bit.
//! - The bound on accumulators is kept by the integer weights of every row, not by samples
//!   ([`accumulators`] counts again).
//! - A configuration gives the same network every time on one machine.
//! - No type of libtorch is in the interface, and nothing prints.
//!
//! ```
//! use cml_data::{CheckerboardConfig, checkerboard};
//! use cml_nn::{Control, TrainConfig, accumulators, train};
//!
//! let data = checkerboard(1, &CheckerboardConfig::default())?;
//! let config = TrainConfig { hidden: vec![20], epochs: 2, ..TrainConfig::default() };
//! let trained = train(&data, &config, &mut |now| {
//!     assert!(now.loss.is_finite());
//!     Control::Continue
//! })?;
//! assert_eq!(trained.history.len(), 2);
//! assert!(accumulators(&trained.network)?[0].values <= config.max_accumulator_values.unwrap());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod config;
mod error;
mod fake_quant;
mod layer;
mod model;
mod progress;
mod prune;
mod schedule;
mod scores;
mod train;

use cml_quant::budget;
pub use cml_quant::{Accumulator, accumulators};
pub use config::{Pruning, TrainConfig, WeightScale};
pub use error::NnError;
pub use progress::{Control, Progress};
pub use schedule::Schedule;
pub use scores::scores;
pub use train::{Trained, train};
