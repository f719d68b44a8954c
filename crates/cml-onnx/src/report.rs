//! What stands in the way of an import, and what was left out of one.

use crate::model::Model;
use serde::Serialize;
use std::fmt;

/// One reason why a network cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// Name of the node, or of its result.
    pub node: String,
    /// Its operator.
    pub operator: String,
    /// Shape of what it reads, without the batch axis; empty if that is not known.
    pub shape: String,
    /// Why it cannot be imported.
    pub why: String,
    /// What to write instead.
    pub instead: String,
}

/// Something that was left out, and is for the client to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Name of the node.
    pub node: String,
    /// What was done with it.
    pub text: String,
}

/// How a file says what is quantized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// Nothing is.
    #[default]
    Float,
    /// `Quant` and its like.
    Qonnx,
    /// `QuantizeLinear` and `DequantizeLinear`.
    Qcdq,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float => "float ONNX",
            Self::Qonnx => "QONNX",
            Self::Qcdq => "QCDQ",
        })
    }
}

/// What a file is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// How it says what is quantized.
    pub dialect: Dialect,
    /// Version of ONNX's own operators.
    pub opset: i64,
    /// The program that wrote it, with its version, if it says so.
    pub producer: Option<String>,
}

impl Origin {
    pub(crate) fn of(model: &Model) -> Self {
        let has = |names: &[&str]| model.nodes.iter().any(|n| names.contains(&n.op.as_str()));
        let dialect = if has(&["Quant", "IntQuant", "BipolarQuant", "Trunc"]) {
            Dialect::Qonnx
        } else if has(&["QuantizeLinear", "DequantizeLinear"]) {
            Dialect::Qcdq
        } else {
            Dialect::Float
        };
        Self {
            dialect,
            opset: model.opset,
            producer: model.producer.clone(),
        }
    }
}

/// Every obstacle of a file, and every note.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// What the file is.
    pub origin: Origin,
    /// Why the file cannot be imported; none if it can.
    pub obstacles: Vec<Obstacle>,
    /// What an import leaves out.
    pub notes: Vec<Note>,
}

impl Obstacle {
    pub(crate) fn new(node: &str, operator: &str, shape: String, problem: NodeProblem) -> Self {
        Self {
            node: node.to_owned(),
            operator: operator.to_owned(),
            shape,
            why: problem.why,
            instead: problem.instead,
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.node, self.operator)?;
        if !self.shape.is_empty() {
            write!(f, " of {}", self.shape)?;
        }
        write!(f, "): {}; instead: {}", self.why, self.instead)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.node, self.text)
    }
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.obstacles.len() {
            0 => write!(f, "no obstacles")?,
            1 => write!(f, "1 obstacle")?,
            n => write!(f, "{n} obstacles")?,
        }
        for obstacle in &self.obstacles {
            write!(f, "\n  {obstacle}")?;
        }
        for note in &self.notes {
            write!(f, "\n  note: {note}")?;
        }
        Ok(())
    }
}

/// Why one node cannot be imported, before its name is known.
#[derive(Clone, Debug)]
pub(crate) struct NodeProblem {
    pub(crate) why: String,
    pub(crate) instead: String,
}

impl NodeProblem {
    pub(crate) fn new(why: impl Into<String>, instead: impl Into<String>) -> Self {
        Self {
            why: shortened(why.into()),
            instead: instead.into(),
        }
    }

    /// A node that breaks the rules of ONNX.
    pub(crate) fn malformed(why: impl Into<String>) -> Self {
        Self::new(why, "a file that onnx.checker accepts")
    }
}

/// A reason that a person can read, whatever lists of a file are in it.
fn shortened(why: String) -> String {
    const LONGEST: usize = 240;
    match why.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ...", &why[..end]),
        None => why,
    }
}

/// What translating a node gives.
pub(crate) type Translated<T> = Result<T, NodeProblem>;
