//! The only constructor of graphs.

use crate::graph::{Graph, Node, NodeId, Type};
use crate::infer::{self, Elements};
use crate::tensor::element_count;
use crate::{
    Conv2d, Dot, InputSpec, Interval, IrError, Lut, Op, OutputSpec, Pad, SumPool, Tensor, TrainingRows,
};
use std::collections::BTreeSet;

const MAX_NAME: usize = 200;

/// Builds a [`Graph`] node by node; each call checks the node and infers its
/// shape and range.
#[derive(Debug)]
pub struct GraphBuilder {
    graph: Graph,
    names: BTreeSet<String>,
    elements: Vec<Elements>,
}

impl GraphBuilder {
    /// An empty graph with the name of the network.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            graph: Graph::empty(name.into()),
            names: BTreeSet::new(),
            elements: Vec::new(),
        }
    }

    /// An empty graph with the name of another and what that knows of its training: what a pass
    /// begins with.
    pub fn like(graph: &Graph) -> Self {
        let mut builder = Self::new(graph.name());
        builder.set_training(graph.training().copied());
        builder
    }

    /// Says which rows the network was trained on.
    pub fn set_training(&mut self, training: Option<TrainingRows>) {
        self.graph.set_training(training);
    }

    /// Adds any operation; the methods below are shorthands.
    ///
    /// # Errors
    /// If the name is taken or unprintable, an operand is not defined yet, the
    /// operation does not fit its operands, or values may exceed
    /// [`crate::LIMIT`].
    pub fn push(&mut self, name: &str, op: Op, operands: &[NodeId]) -> Result<NodeId, IrError> {
        self.check_name(name)?;
        op.check_parts()?;
        if let Some(bad) = operands.iter().find(|o| o.index() >= self.graph.len()) {
            return Err(IrError::Operand {
                node: name.to_owned(),
                operand: bad.0,
            });
        }
        if op.arity().is_some_and(|n| n != operands.len()) || (op.arity().is_none() && operands.is_empty()) {
            return Err(IrError::Shape {
                node: name.to_owned(),
                what: "operands",
                needs: op.arity().map_or("one or more".to_owned(), |n| n.to_string()),
                has: operands.len().to_string(),
            });
        }
        let types: Vec<&Type> = operands.iter().map(|&o| &self.graph.node(o).ty).collect();
        let shape = infer::shape(name, &op, &types)?;
        element_count(&shape)?;
        if shape.contains(&0) {
            return Err(IrError::Shape {
                node: name.to_owned(),
                what: "result",
                needs: "at least one element".to_owned(),
                has: format!("{shape:?}"),
            });
        }
        let inputs: Vec<(&[usize], &Elements)> = operands
            .iter()
            .zip(&types)
            .map(|(o, t)| (t.shape.as_slice(), &self.elements[o.index()]))
            .collect();
        let elements = infer::elements(name, &op, &inputs, &shape)?;
        let range = Interval::hull_of(elements.iter().copied()).unwrap_or(Interval::point(0));
        let id = self.graph.push(
            Node {
                name: name.to_owned(),
                op,
                ty: Type { shape, range },
            },
            operands,
        );
        self.names.insert(name.to_owned());
        self.elements.push(elements);
        Ok(id)
    }

    fn check_name(&self, name: &str) -> Result<(), IrError> {
        let why = if name.is_empty() {
            "is empty"
        } else if name.len() > MAX_NAME {
            "is longer than 200 bytes"
        } else if name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            "holds white space or control characters"
        } else if self.names.contains(name) {
            "is taken"
        } else {
            return Ok(());
        };
        Err(IrError::Name {
            name: name.to_owned(),
            why,
        })
    }

    /// Interval of each element of a node that was added, in row-major order.
    pub fn intervals(&self, id: NodeId) -> &[Interval] {
        &self.elements[id.index()]
    }

    /// Type of a node that was added.
    pub fn ty(&self, id: NodeId) -> &Type {
        &self.graph.node(id).ty
    }

    /// Encrypted input.
    pub fn input(&mut self, name: &str, shape: Vec<usize>, spec: InputSpec) -> Result<NodeId, IrError> {
        self.push(name, Op::Input { shape, spec }, &[])
    }

    /// Dense layer on a vector: `weights` is `[out, in]`, `bias` is `[out]`.
    pub fn dot(&mut self, name: &str, x: NodeId, weights: Tensor, bias: Vec<i64>) -> Result<NodeId, IrError> {
        self.push(name, Op::Dot(Dot { weights, bias }), &[x])
    }

    /// Convolution on `[channels, height, width]`.
    pub fn conv2d(&mut self, name: &str, x: NodeId, conv: Conv2d) -> Result<NodeId, IrError> {
        self.push(name, Op::Conv2d(conv), &[x])
    }

    /// Sums over windows of `[channels, height, width]`.
    pub fn sum_pool(&mut self, name: &str, x: NodeId, pool: SumPool) -> Result<NodeId, IrError> {
        self.push(name, Op::SumPool(pool), &[x])
    }

    /// Elementwise sum.
    pub fn add(&mut self, name: &str, a: NodeId, b: NodeId) -> Result<NodeId, IrError> {
        self.push(name, Op::Add, &[a, b])
    }

    /// Elementwise difference.
    pub fn sub(&mut self, name: &str, a: NodeId, b: NodeId) -> Result<NodeId, IrError> {
        self.push(name, Op::Sub, &[a, b])
    }

    /// Table lookup on every element.
    pub fn lut(&mut self, name: &str, x: NodeId, lut: Lut) -> Result<NodeId, IrError> {
        self.push(name, Op::Lut(lut), &[x])
    }

    /// The same elements in another shape.
    pub fn reshape(&mut self, name: &str, x: NodeId, shape: Vec<usize>) -> Result<NodeId, IrError> {
        self.push(name, Op::Reshape { shape }, &[x])
    }

    /// Constant border.
    pub fn pad(&mut self, name: &str, x: NodeId, pad: Pad) -> Result<NodeId, IrError> {
        self.push(name, Op::Pad(pad), &[x])
    }

    /// What the client decrypts.
    pub fn output(&mut self, name: &str, x: NodeId, spec: OutputSpec) -> Result<NodeId, IrError> {
        self.push(name, Op::Output(spec), &[x])
    }

    /// The finished graph.
    ///
    /// # Errors
    /// If it has no input or no output.
    pub fn finish(self) -> Result<Graph, IrError> {
        crate::verify::verify(&self.graph)?;
        Ok(self.graph)
    }
}
