//! Networks from ONNX files: QONNX (`Quant`), QCDQ (`QuantizeLinear`, `Clip`, `DequantizeLinear`) and
//! plain float ONNX.
//!
//! [`import`] gives a [`cml_quant::Network`] that does what the file says: integer weights are kept as they are,
//! batch normalization, factors and offsets go into the layers around them, and functions of one
//! variable stay functions, which become lookups. A file that cannot be imported gets one
//! [`Report`] with every obstacle.
//!
//! Invariants:
//! - No input makes this crate panic, and lengths are bounded before anything is allocated.
//! - Nothing outside the file's folder is read.
//! - A quantized network that is returned has a graph ([`cml_quant::to_graph`]).
//!
//! ```
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/mlp4_learned.qonnx.onnx");
//! let imported = cml_onnx::import(path.as_ref())?;
//! let graph = cml_quant::to_graph(&imported.network)?;
//! assert_eq!(imported.network.input_len(), 5);
//! # Ok::<(), cml_onnx::OnnxError>(())
//! ```

// Stages, in order: `wire` and `parse` (bytes to a model), `translate` (nodes to a draft), `fold`,
// `hoist`, `checks`, `emit` (draft to network).
mod axes;
mod checks;
mod constants;
mod draft;
mod elementwise;
mod emit;
mod error;
mod external;
mod fold;
mod functions;
mod hoist;
mod import;
mod model;
mod moves;
mod order;
mod parse;
mod pools;
mod qcdq;
mod qonnx;
mod quantizers;
mod report;
mod tensor;
mod translate;
mod value;
mod weighted;
mod window;
mod wire;

pub use error::OnnxError;
pub use import::{Imported, check, import, import_bytes, import_named};
pub use report::{Note, Obstacle, Report};
