//! The graph itself: the only file that knows petgraph.

use crate::{InputSpec, Interval, Op, OutputSpec, TrainingRows};
use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

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
    // The operand slot is on the edge: petgraph yields neighbours in reverse
    // order of insertion. Nodes are never removed, so indices are stable.
    inner: DiGraph<Node, u32>,
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
        for (slot, operand) in operands.iter().enumerate() {
            self.inner
                .add_edge(NodeIndex::new(operand.index()), id, slot as u32);
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

    /// Operands of a node, by slot.
    pub fn operands(&self, id: NodeId) -> Vec<NodeId> {
        let edges = self
            .inner
            .edges_directed(NodeIndex::new(id.index()), Direction::Incoming);
        let mut slots: Vec<(u32, NodeId)> = edges
            .map(|e| (*e.weight(), NodeId(e.source().index() as u32)))
            .collect();
        slots.sort_unstable();
        slots.into_iter().map(|(_, id)| id).collect()
    }

    /// Nodes that read a node, in order of definition, each once.
    pub fn users(&self, id: NodeId) -> Vec<NodeId> {
        let mut users: Vec<NodeId> = self
            .inner
            .neighbors_directed(NodeIndex::new(id.index()), Direction::Outgoing)
            .map(|n| NodeId(n.index() as u32))
            .collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    /// Inputs in order of definition.
    pub fn inputs(&self) -> impl Iterator<Item = (NodeId, &Node, &InputSpec)> {
        self.nodes().filter_map(|(id, n)| match &n.op {
            Op::Input { spec, .. } => Some((id, n, spec)),
            _ => None,
        })
    }

    /// Outputs in order of definition.
    pub fn outputs(&self) -> impl Iterator<Item = (NodeId, &Node, &OutputSpec)> {
        self.nodes().filter_map(|(id, n)| match &n.op {
            Op::Output(spec) => Some((id, n, spec)),
            _ => None,
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
                .all(|((a, x), (b, y))| x == y && self.operands(a) == other.operands(b))
    }
}
