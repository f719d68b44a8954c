//! What can be wrong with a network.

use cml_ir::IrError;
use std::path::PathBuf;

/// Errors of this crate. Messages name the layer, what it has and what it needs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantError {
    /// A bit width that a quantizer cannot have.
    #[error("{what} of {has} bits, needs {lo} to {hi}")]
    Bits {
        /// Which quantizer.
        what: &'static str,
        /// Bits given.
        has: u32,
        /// Fewest.
        lo: u32,
        /// Most.
        hi: u32,
    },
    /// A scale, weight, bias or input that is not a usable number.
    #[error("{what} is {has}, must be finite{}", if .what.ends_with("scale") { " and positive" } else { "" })]
    Number {
        /// What it is.
        what: String,
        /// Its value.
        has: f32,
    },
    /// Sizes that do not fit.
    #[error("layer {layer}: {what}: needs {needs}, has {has}")]
    Shape {
        /// Layer.
        layer: String,
        /// What is wrong.
        what: &'static str,
        /// What it must be.
        needs: String,
        /// What it is.
        has: String,
    },
    /// A layer that refers to one that is not there.
    #[error("layer {layer} reads layer number {operand}, which is not before it")]
    Operand {
        /// Layer that refers.
        layer: String,
        /// Number referred to.
        operand: usize,
    },
    /// Names of columns or classes that cannot be kept.
    #[error("the names of the {what} {why}")]
    Names {
        /// `columns` or `classes`.
        what: &'static str,
        /// What is wrong with them.
        why: String,
    },
    /// Two layers of one name.
    #[error("layer name {0:?} is taken or empty")]
    Name(String),
    /// A layer that reads floats where it needs codes.
    #[error("layer {layer} reads {from}, which has no quantizer: put one between {from} and {layer}")]
    NotQuantized {
        /// Layer that reads.
        layer: String,
        /// Layer that it reads.
        from: String,
    },
    /// Float weights in a network that is quantized elsewhere.
    #[error("layer {0} has float weights, but other layers are quantized: its weights need a quantizer")]
    FloatWeights(String),
    /// A float network where integers are needed.
    #[error("network {0} is float: quantize it first (cml quantize --bits)")]
    Float(String),
    /// A quantized layer where a float network is needed.
    #[error("layer {0} is quantized already, needs a float network")]
    NotFloat(String),
    /// Values that are added or joined without a common quantizer.
    #[error("layer {layer} needs values of one {what}: {first}, {second}; give both a common quantizer")]
    NotCommon {
        /// Layer that reads.
        layer: String,
        /// What must be the same.
        what: &'static str,
        /// First layer read, with its scale and zero point.
        first: String,
        /// The layer that differs.
        second: String,
    },
    /// A quantizer on the raw input that is not the only one.
    #[error("the input has {0} readers, needs exactly one quantizer")]
    InputReaders(usize),
    /// An activation function after the last quantizer.
    #[error("output {layer} ends with {function}: put a quantizer after it, or leave it to the client")]
    OutputFunction {
        /// Output layer.
        layer: String,
        /// Function found.
        function: String,
    },
    /// A function that has no finite value where it is needed.
    #[error(
        "layer {layer}: {function} of {argument} is {has}, must be finite: put a clip or a \
         quantizer before it"
    )]
    NotFinite {
        /// Layer of the function.
        layer: String,
        /// Function.
        function: &'static str,
        /// What it is applied to.
        argument: f32,
        /// What it gives.
        has: f32,
    },
    /// A field of a configuration that is out of range.
    #[error("quantization: {field} is {has}, needs {needs}")]
    Config {
        /// Field.
        field: &'static str,
        /// Its value.
        has: String,
        /// What it must be.
        needs: String,
    },
    /// An accumulator that keeps to no bound.
    #[error("layer {layer}: accumulator takes {has} values or more, limit {limit}")]
    Unbounded {
        /// Layer.
        layer: String,
        /// Values that it can take.
        has: u64,
        /// Most that are allowed.
        limit: u64,
    },
    /// A network without an output.
    #[error("network {0} has no output")]
    NoOutput(String),
    /// Accumulators that `f32` cannot hold exactly.
    #[error("layer {layer}: accumulator reaches {has}, limit {limit} for exact float arithmetic")]
    TooWide {
        /// Layer.
        layer: String,
        /// Magnitude reached.
        has: u64,
        /// Limit.
        limit: u64,
    },
    /// An error from the integer graph.
    #[error(transparent)]
    Ir(#[from] IrError),
    /// A file that could not be read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// A file that is not a network.
    #[error("{name}: {why}")]
    File {
        /// File.
        name: String,
        /// What is wrong.
        why: String,
    },
}

/// Largest integer up to which `f32` holds every integer.
pub(crate) const EXACT: u64 = 1 << 24;

/// Sizes of a layer that do not fit.
pub(crate) fn misfit(
    layer: &str,
    what: &'static str,
    needs: impl ToString,
    has: impl ToString,
) -> QuantError {
    QuantError::Shape {
        layer: layer.to_owned(),
        what,
        needs: needs.to_string(),
        has: has.to_string(),
    }
}

/// Refuses a number that is not finite, or not positive where it must be.
pub(crate) fn check_number(what: &str, has: f32) -> Result<(), QuantError> {
    if has.is_finite() && (!what.ends_with("scale") || has > 0.0) {
        return Ok(());
    }
    Err(QuantError::Number {
        what: what.to_owned(),
        has,
    })
}
