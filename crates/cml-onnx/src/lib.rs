//! Neural networks from ONNX files: QONNX (`Quant`), QCDQ (`QuantizeLinear`, `Clip`, `DequantizeLinear`) and
//! plain float ONNX.
//!
//! [`import`] makes a [`cml_quant::Network`] that computes what the file says. Integer weights stay as they
//! are. Batch normalization, factors and offsets go into the layers around them. Functions of one variable
//! stay functions, and become lookup tables later. [`supported_operators`] lists the operators. A file that
//! cannot be imported gets one [`ImportReport`], which names every obstacle and what to write instead.
//!
//! Invariants:
//! - No input makes this crate panic. Lengths are bounded before anything is allocated.
//! - Only the file and files in its folder are read.
//! - A quantized network that is returned has a graph: [`cml_quant::to_graph`] was tried.
//!
//! ```
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/mlp4_learned.qonnx.onnx");
//! let imported = cml_onnx::import(path.as_ref(), &cml_onnx::Options::default())?;
//! let graph = cml_quant::to_graph(&imported.network)?;
//! assert_eq!(imported.network.input_len(), 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// In the order of the stages: bytes to a model (`wire`, `parse`, `order`), nodes to a draft (`translate`,
// which looks them up in the table of `operators`; their handlers see the state in `translation`), the draft
// to a network (`fold`, `raw_quantizer`, `raw`, `checks`, `emit`).
mod axes;
mod channels_last;
mod checks;
mod constants;
mod draft;
mod elementwise;
mod emit;
mod ensembles;
mod error;
mod external;
mod extras;
mod fold;
mod functions;
mod gates;
mod grid;
mod import;
mod inline;
mod interface;
mod layout;
mod machine_learning;
mod model;
mod moves;
mod operators;
mod order;
mod parse;
mod pools;
mod qcdq;
mod qonnx;
mod quantizers;
mod raw;
mod raw_quantizer;
mod rearrange;
mod regions;
mod report;
mod resize;
mod tensor;
mod translate;
mod translation;
mod tree_nodes;
mod value;
mod weighted;
mod window;
mod wire;

pub use error::OnnxError;
pub use import::{Imported, InputData, Options, import, import_bytes};
pub use operators::supported_operators;
pub use report::{Dialect, ImportReport, Note, Obstacle, Origin};
