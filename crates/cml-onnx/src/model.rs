//! The graph of a file, decoded: nodes in the order of execution, constants, interface.

use crate::draft::located;
use crate::report::{NodeProblem, Translated};
use crate::tensor::{Dtype, Tensor};
use std::collections::BTreeMap;

/// A decoded file.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) opset: i64,
    /// Each after those that it reads.
    pub(crate) nodes: Vec<Node>,
    pub(crate) inputs: Vec<Info>,
    pub(crate) outputs: Vec<String>,
    pub(crate) constants: BTreeMap<String, Tensor>,
    /// Shapes of results that the file states.
    pub(crate) shapes: BTreeMap<String, Vec<Option<usize>>>,
    /// The program that wrote it, with its version.
    pub(crate) producer: Option<String>,
}

/// Name and shape of a value; unknown sizes are `None`.
#[derive(Clone, Debug)]
pub(crate) struct Info {
    pub(crate) name: String,
    pub(crate) shape: Option<Vec<Option<usize>>>,
    pub(crate) dtype: Option<Dtype>,
    pub(crate) is_text: bool,
}

/// An attribute's value.
#[derive(Clone, Debug)]
pub(crate) enum Attribute {
    Float(f32),
    Int(i64),
    Text(String),
    Tensor(Tensor),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Texts(Vec<String>),
    Other,
}

/// An operation.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its module and operator where the exporter noted them, else its own name, or that of its first result.
    pub(crate) name: String,
    /// The line of the program that made it, where the exporter noted it.
    pub(crate) source: Option<String>,
    pub(crate) op: String,
    /// Who defines the operator; empty for ONNX itself.
    pub(crate) domain: String,
    /// Empty for those left out.
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) attributes: BTreeMap<String, Attribute>,
}

impl Node {
    /// Its name in reports.
    pub(crate) fn shown(&self) -> String {
        located(&self.name, self.source.as_deref())
    }

    fn wrong<T>(&self, name: &str, needs: &str) -> Translated<T> {
        Err(NodeProblem::malformed(format!("attribute {name} is no {needs}")))
    }

    pub(crate) fn int(&self, name: &str) -> Translated<Option<i64>> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(&Attribute::Int(i)) => Ok(Some(i)),
            Some(_) => self.wrong(name, "integer"),
        }
    }

    pub(crate) fn int_or(&self, name: &str, default: i64) -> Translated<i64> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    pub(crate) fn float_or(&self, name: &str, default: f32) -> Translated<f32> {
        match self.attributes.get(name) {
            None => Ok(default),
            Some(&Attribute::Float(f)) if f.is_finite() => Ok(f),
            Some(_) => self.wrong(name, "finite float"),
        }
    }

    pub(crate) fn text_or(&self, name: &str, default: &str) -> Translated<String> {
        match self.attributes.get(name) {
            None => Ok(default.to_owned()),
            Some(Attribute::Text(t)) => Ok(t.clone()),
            Some(_) => self.wrong(name, "text"),
        }
    }

    pub(crate) fn ints(&self, name: &str) -> Translated<Option<Vec<i64>>> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(i)) => Ok(Some(i.clone())),
            // A list that is empty may come without its type.
            Some(Attribute::Other) => Ok(Some(Vec::new())),
            Some(_) => self.wrong(name, "list of integers"),
        }
    }

    pub(crate) fn floats(&self, name: &str) -> Translated<Option<Vec<f32>>> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Floats(f)) => Ok(Some(f.clone())),
            Some(Attribute::Other) => Ok(Some(Vec::new())),
            Some(_) => self.wrong(name, "list of floats"),
        }
    }

    pub(crate) fn texts(&self, name: &str) -> Translated<Option<Vec<String>>> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Texts(t)) => Ok(Some(t.clone())),
            Some(Attribute::Other) => Ok(Some(Vec::new())),
            Some(_) => self.wrong(name, "list of texts"),
        }
    }
}
