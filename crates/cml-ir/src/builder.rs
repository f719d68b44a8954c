//! The only constructor of graphs.

use crate::graph::{Graph, Node, NodeId, Type};
use crate::infer::{self, Elements};
use crate::tensor::element_count;
use crate::{
    Conv2d, Dot, InputSpec, Interval, IrError, Lut, Op, OutputSpec, Pad, SumPool, Tensor, TrainingRows,
};
use crate::{linear, verify};
use std::collections::BTreeSet;

const MAX_NAME: usize = 200;
/// Most nodes, 2^20.
const MAX_NODES: u64 = 1 << 20;
/// Most elements of all results together, 2^26: analyses keep an interval of 16 bytes for each.
const MAX_ELEMENTS: u64 = 1 << 26;
/// Most terms of all operations together, 2^33: each analysis visits every one. A ResNet-50 on
/// images of 224 by 224 has half as many.
const MAX_WORK: u64 = 1 << 33;

/// Builds a [`Graph`] node by node; each call checks the node and infers its
/// shape and range.
#[derive(Debug)]
pub struct GraphBuilder {
    graph: Graph,
    names: BTreeSet<String>,
    elements: Vec<Elements>,
    /// Number of nodes, elements and terms so far.
    size: [u64; 3],
}

impl GraphBuilder {
    /// An empty graph with the name of the network.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            graph: Graph::empty(name.into()),
            names: BTreeSet::new(),
            elements: Vec::new(),
            size: [0; 3],
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

    /// Names the columns of each input that was added, in order: a list for each, which may be empty.
    pub(crate) fn set_columns(&mut self, columns: Vec<Vec<String>>) -> Result<(), IrError> {
        let (needs, has) = (self.graph.inputs().count(), columns.len());
        if needs != has {
            return Err(IrError::Shape {
                node: "inputs".to_owned(),
                what: "lists of names of columns",
                needs: needs.to_string(),
                has: has.to_string(),
            });
        }
        self.graph.set_columns(columns);
        // They are checked with the shapes, when the graph is finished.
        Ok(())
    }

    /// Adds any operation; the methods below are shorthands.
    ///
    /// # Errors
    /// If the name is taken or unprintable, an operand is not defined yet or is
    /// an output, the operation does not fit its operands, values may exceed
    /// [`crate::LIMIT`], or the graph would have more than 2^20 nodes, 2^26
    /// elements or 2^33 terms in all.
    pub fn push(&mut self, name: &str, op: Op, operands: &[NodeId]) -> Result<NodeId, IrError> {
        self.check_name(name)?;
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
        operands
            .iter()
            .try_for_each(|&o| verify::readable(name, self.graph.node(o)))?;
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
        let shapes: Vec<&[usize]> = types.iter().map(|t| t.shape.as_slice()).collect();
        let size = self.grown(name, &op, &shapes, &shape)?;
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
        self.size = size;
        Ok(id)
    }

    /// Nodes, elements and terms with one more node.
    fn grown(&self, name: &str, op: &Op, inputs: &[&[usize]], output: &[usize]) -> Result<[u64; 3], IrError> {
        let elements = output.iter().product::<usize>() as u64;
        let more = [1, elements, linear::work(op, inputs, output)];
        let limits = [
            ("nodes", MAX_NODES),
            ("elements", MAX_ELEMENTS),
            ("terms", MAX_WORK),
        ];
        let mut size = self.size;
        for ((size, more), (what, limit)) in size.iter_mut().zip(more).zip(limits) {
            *size = size.saturating_add(more);
            if *size > limit {
                return Err(IrError::GraphTooLarge {
                    node: name.to_owned(),
                    what,
                    has: *size,
                    limit,
                });
            }
        }
        Ok(size)
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
        // Without the intervals: the verifier finds them anew.
        let graph = self.graph;
        drop(self.elements);
        verify::verify(&graph)?;
        Ok(graph)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_end_at_their_limits() {
        let push = |size| {
            let mut b = GraphBuilder::new("g");
            b.size = size;
            let spec = InputSpec::new(1.0, 0, Interval::new(0, 1));
            b.input("x", vec![2, 3], spec).map_err(|e| e.to_string())
        };
        assert!(push([MAX_NODES - 1, MAX_ELEMENTS - 6, MAX_WORK - 6]).is_ok());
        let nodes = "node x: the graph has 1048577 nodes up to here, limit 1048576";
        assert_eq!(push([MAX_NODES, 0, 0]).unwrap_err(), nodes);
        let elements = "node x: the graph has 67108865 elements up to here, limit 67108864";
        assert_eq!(push([0, MAX_ELEMENTS - 5, 0]).unwrap_err(), elements);
        let terms = "node x: the graph has 8589934593 terms up to here, limit 8589934592";
        assert_eq!(push([0, 0, MAX_WORK - 5]).unwrap_err(), terms);
    }
}
