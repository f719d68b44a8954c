//! The graph itself: the only file that knows petgraph.

use crate::{InputSpec, Interval, Op, OpKind, OutputSpec, TrainingRows};
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};

/// Number of a node. Operands always have smaller numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// Position in the order of definition, from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Shape and range of a node's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    /// Size of each dimension; axis 0 is the channel.
    pub shape: Vec<usize>,
    /// Smallest interval known to hold every element.
    pub range: Interval,
}

/// An operation with its name and the type of its result.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Layer name, unique in the graph.
    pub name: String,
    /// What it does.
    pub op: Op,
    /// What it yields.
    pub ty: Type,
}

/// A valid integer dataflow graph. See [`crate::GraphBuilder`].
#[derive(Clone, Debug)]
pub struct Graph {
    name: String,
    training: Option<TrainingRows>,
    // Edges go from operand to user. Nodes are never removed, so indices are
    // stable, and the edges that end at a node are added with it, the last
    // operand first: petgraph yields neighbours in reverse order of insertion.
    inner: DiGraph<Node, ()>,
}

impl Graph {
    pub(crate) fn empty(name: String) -> Self {
        Self {
            name,
            training: None,
            inner: DiGraph::new(),
        }
    }

    pub(crate) fn push(&mut self, node: Node, operands: &[NodeId]) -> NodeId {
        let id = self.inner.add_node(node);
        for operand in operands.iter().rev() {
            self.inner.add_edge(NodeIndex::new(operand.index()), id, ());
        }
        NodeId(id.index() as u32)
    }

    /// Name of the network.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which rows the network was trained on, if that is known. It decides nothing that is computed,
    /// and is no part of [`crate::graph_hash`].
    pub fn training(&self) -> Option<&TrainingRows> {
        self.training.as_ref()
    }

    pub(crate) fn set_training(&mut self, training: Option<TrainingRows>) {
        self.training = training;
    }

    /// Names the columns of each input, in order.
    pub(crate) fn set_columns(&mut self, columns: Vec<Vec<String>>) {
        let mut columns = columns.into_iter();
        for node in self.inner.node_weights_mut() {
            match &mut node.op {
                Op::Input { spec, .. } => spec.columns = columns.next().unwrap_or_default(),
                Op::Dot(_)
                | Op::Conv2d(_)
                | Op::SumPool(_)
                | Op::Add
                | Op::Sub
                | Op::Lut(_)
                | Op::Reshape { .. }
                | Op::Transpose { .. }
                | Op::Concat { .. }
                | Op::Slice { .. }
                | Op::Pad(_)
                | Op::Output { .. } => {}
            }
        }
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.inner.node_count()
    }

    /// Whether there are no nodes; never for a finished graph.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A node.
    ///
    /// # Panics
    /// If the id is of another, larger graph.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.inner[NodeIndex::new(id.index())]
    }

    /// Nodes in order of definition: operands come first.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> {
        (0..self.len() as u32).map(|i| (NodeId(i), self.node(NodeId(i))))
    }

    /// Operands of a node, in the order in which the operation takes them.
    pub fn operands(&self, id: NodeId) -> impl Iterator<Item = NodeId> + Clone {
        self.neighbours(id, Direction::Incoming)
    }

    /// Nodes that read a node, each once, the last that was defined first.
    pub fn users(&self, id: NodeId) -> impl Iterator<Item = NodeId> + Clone {
        // A user that reads the node twice stands there twice, one after the other.
        let mut last = None;
        self.neighbours(id, Direction::Outgoing)
            .filter(move |&user| last.replace(user) != Some(user))
    }

    fn neighbours(&self, id: NodeId, direction: Direction) -> impl Iterator<Item = NodeId> + Clone {
        self.inner
            .neighbors_directed(NodeIndex::new(id.index()), direction)
            .map(|n| NodeId(n.index() as u32))
    }

    /// Inputs in order of definition.
    pub fn inputs(&self) -> impl Iterator<Item = (NodeId, &Node, &InputSpec)> {
        self.nodes().filter_map(|(id, n)| match n.op.kind() {
            OpKind::Input(spec) => Some((id, n, spec)),
            OpKind::Linear | OpKind::Lookup(_) | OpKind::Output(_) => None,
        })
    }

    /// Outputs in order of definition.
    pub fn outputs(&self) -> impl Iterator<Item = (NodeId, &Node, &OutputSpec)> {
        self.nodes().filter_map(|(id, n)| match n.op.kind() {
            OpKind::Output(spec) => Some((id, n, spec)),
            OpKind::Linear | OpKind::Lookup(_) | OpKind::Input(_) => None,
        })
    }
}

impl PartialEq for Graph {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.training == other.training
            && self.len() == other.len()
            && self
                .nodes()
                .zip(other.nodes())
                .all(|((a, x), (b, y))| x == y && self.operands(a).eq(other.operands(b)))
    }
}
