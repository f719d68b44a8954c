//! The state of a translation: what the handlers of operators read and write.

use crate::draft::{Affine, Id, NetworkDraft, Step, Work};
use crate::machine_learning::End;
use crate::model::Node;
use crate::report::{NodeProblem, Note, Translated};
use crate::tensor::Tensor;
use crate::value::Value;
use cml_quant::{Layer, Reshape, Transpose, Univariate};

/// The draft so far, and what was left out of it.
pub(crate) struct Translation {
    /// Version of ONNX's own operators.
    pub(crate) opset: i64,
    pub(crate) draft: NetworkDraft,
    pub(crate) notes: Vec<Note>,
    /// Numbers for single elements that nodes have so far.
    pub(crate) listed: usize,
    /// Whether the results of the node at hand are outputs, or left to the client.
    pub(crate) is_last: bool,
    /// What stands behind the scores.
    pub(crate) end: End,
}

/// Most numbers for single elements.
const MOST_LISTED: usize = 1 << 24;

impl Translation {
    /// Says what was done with a node.
    pub(crate) fn note(&mut self, node: &Node, text: String) {
        self.notes.push(Note {
            node: node.shown(),
            text,
        });
    }

    /// Shape of a layer's result, without the batch axis.
    pub(crate) fn shape(&self, id: Id) -> &[usize] {
        &self.draft.layers[id].shape
    }

    /// Whether so many more numbers for single elements are not too many.
    pub(crate) fn has_room(&mut self, numbers: usize) -> bool {
        self.listed = self.listed.saturating_add(numbers);
        self.listed <= MOST_LISTED
    }

    /// Adds a layer for a node.
    pub(crate) fn push(&mut self, node: &Node, work: Work, operands: &[Id], shape: Vec<usize>) -> Id {
        self.draft.push(Step {
            name: node.name.clone(),
            source: node.source.clone(),
            operator: node.op.clone(),
            edge: node.outputs.first().cloned().unwrap_or_default(),
            work,
            operands: operands.to_vec(),
            shape,
        })
    }

    /// Adds a reshape, unless the shape is the same.
    pub(crate) fn reshape(&mut self, node: &Node, x: Id, shape: Vec<usize>) -> Id {
        if self.shape(x) == shape {
            return x;
        }
        let layer = Layer::Reshape(Reshape { shape: shape.clone() });
        self.push(node, Work::Plain(layer), &[x], shape)
    }

    /// Adds a transposition, unless every axis stays.
    pub(crate) fn transpose(&mut self, node: &Node, x: Id, perm: Vec<usize>) -> Id {
        if perm.iter().copied().eq(0..perm.len()) {
            return x;
        }
        let shape = perm.iter().map(|&axis| self.shape(x)[axis]).collect();
        let layer = Layer::Transpose(Transpose { perm });
        self.push(node, Work::Plain(layer), &[x], shape)
    }

    /// Adds a function of the same shape.
    pub(crate) fn function(&mut self, node: &Node, x: Id, function: Univariate) -> Id {
        let shape = self.shape(x).to_vec();
        self.push(node, Work::Plain(Layer::Function(function)), &[x], shape)
    }

    /// Adds factors and offsets.
    pub(crate) fn affine(&mut self, node: &Node, x: Id, affine: Affine) -> Id {
        let shape = self.shape(x).to_vec();
        self.push(node, Work::Affine(affine), &[x], shape)
    }
}

/// The first operand.
pub(crate) fn first(operands: &[Option<Value>]) -> Translated<Value> {
    let first = operands.first().cloned().flatten();
    first.ok_or_else(|| NodeProblem::malformed("operand 0 is missing"))
}

/// The layer that an operand is, if it is one.
pub(crate) fn live(operands: &[Option<Value>], slot: usize) -> Translated<Id> {
    match operands.get(slot) {
        Some(Some(Value::Live(id))) => Ok(*id),
        Some(Some(Value::Integers(..))) => Err(NodeProblem::new(
            "it works on the integers between QuantizeLinear and DequantizeLinear",
            "QuantizeLinear, Clip and DequantizeLinear one after the other (QCDQ)",
        )),
        Some(Some(_)) => Err(NodeProblem::new(
            format!("operand {slot} is a constant, needs a value that depends on the input"),
            "the same with the operands swapped",
        )),
        _ => Err(NodeProblem::malformed(format!("operand {slot} is missing"))),
    }
}

/// The constant that an operand is, dequantized; `None` if it is left out.
pub(crate) fn constant(operands: &[Option<Value>], slot: usize) -> Translated<Option<Tensor>> {
    match operands.get(slot) {
        None | Some(None) => Ok(None),
        Some(Some(value)) => value.constant().map(Some).ok_or_else(|| {
            NodeProblem::new(
                format!("operand {slot} depends on the input, needs a constant"),
                "a constant, or another operator",
            )
        }),
    }
}
