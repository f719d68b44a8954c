//! Training of neural networks for encrypted inference, on libtorch.
//!
//! [`train`] makes a [`cml_quant::Network`] of a [`cml_data::Split`] and a [`TrainConfig`]. The network has
//! dense layers, convolutions, pools, residual sums and concatenations. Its weights and activations are small
//! integers, it is pruned, and its accumulators have a guaranteed width. Without quantizers, `train` makes
//! the float network.
//!
//! Invariants:
//! - What trains is what is exported. The forward pass multiplies the integer weights that would be exported
//!   at that step, and straight-through gradients enter by terms that are exactly zero. libtorch,
//!   [`cml_quant::Network::forward`] and the integer graph agree bit for bit.
//! - The integer weights of every row keep to the bound on its accumulator, whatever the samples are.
//!   [`accumulators`] counts again.
//! - On one machine a configuration gives the same network every time.
//! - The interface has no type of libtorch, and nothing prints.
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

mod architecture;
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
pub use progress::{Control, TrainProgress};
pub use schedule::LearningRateSchedule;
pub use scores::scores;
pub use train::{Trained, train};
