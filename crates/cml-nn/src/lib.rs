//! Quantization-aware training on libtorch.
//!
//! [`train`] turns a [`cml_data::Split`] and a [`TrainConfig`] into a [`cml_quant::Network`]: dense layers,
//! convolutions, pools, residual sums and concatenations whose weights and activations are small integers,
//! pruned, and with accumulators of a guaranteed width; or, without quantizers, the float network.
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
//! let config = TrainConfig { hidden: Some(vec![20]), epochs: 2, ..TrainConfig::default() };
//! let trained = train(&data, &config, &mut |now| {
//!     assert!(now.loss.is_finite());
//!     Control::Continue
//! })?;
//! assert_eq!(trained.history.len(), 2);
//! assert!(accumulators(&trained.network)?[0].values <= config.max_accumulator_values.unwrap());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod augment;
mod batch_norm;
mod check;
mod config;
mod error;
mod fake_quant;
mod layer_config;
mod linear_ops;
mod model;
mod normalize;
mod plan;
mod progress;
mod prune;
mod scale;
mod schedule;
mod scores;
mod train;
mod validate;
mod weights;

use cml_quant::budget;
pub use cml_quant::{Accumulator, accumulators};
pub use config::{ActivationScale, Augment, Normalization, Pruning, TrainConfig, WeightScale};
pub use error::NnError;
pub use layer_config::{LayerConfig, OpConfig};
pub use progress::{Control, Progress};
pub use schedule::Schedule;
pub use scores::scores;
pub use train::{Trained, train};
