//! Post-training quantization: from a float network and samples to a quantized network.
//!
//! In reading order: `config`, `placement` (where quantizers go), `batch` (values of all calibration
//! rows), `calibration` (the float network on them), `activations` (scale and zero point), `weights`
//! (codes and biases; `gram`, `row`), `loss` (what is judged by), `driver` (one layer after the other).

mod activations;
mod batch;
mod calibration;
mod config;
mod driver;
mod gram;
mod loss;
mod placement;
mod row;
mod weights;

pub use config::{PtqConfig, PtqMethod};
pub use driver::quantize_network;
