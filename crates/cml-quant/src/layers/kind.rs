//! What every kind of layer says of itself, and what it is told for that.

use crate::accumulators::IntegerReach;
use crate::meaning::bounded;
use crate::to_graph::Lowering;
use crate::{Dequantizer, LayerNode, Network, QuantError};
use cml_ir::{InputSpec, NodeId};

/// A kind of layer. All methods are required: a new kind has to think of each.
///
/// [`LayerKind::integers`] and [`LayerKind::to_graph`] compute the same, written twice: the tests that
/// compare the forward pass with the graph compare two implementations. Only the meaning of the integers is
/// shared.
pub(crate) trait LayerKind {
    /// Lower-case name.
    fn mnemonic(&self) -> &'static str;

    /// How many operands it has.
    fn operands(&self) -> Operands;

    /// Shape of the result for operands of some shapes, as many as it needs; `name` is the layer's.
    ///
    /// # Errors
    /// If the shapes do not fit, or what the layer holds is not valid.
    fn shape(&self, name: &str, read: &[&[usize]]) -> Result<Vec<usize>, QuantError>;

    /// Whether it neither quantizes nor has integer weights.
    fn is_float(&self) -> bool;

    /// Values in a float network.
    ///
    /// # Errors
    /// If the layer quantizes.
    fn floats(&self, at: &Place<'_, Vec<f32>>) -> Result<Vec<f32>, QuantError>;

    /// What its integers stand for; `None` where it yields floats of the raw input.
    ///
    /// # Errors
    /// If it reads what is not quantized as it needs.
    fn meaning(&self, at: &Place<'_, Option<Dequantizer>>) -> Result<Option<Dequantizer>, QuantError>;

    /// Integers in the forward pass of a quantized network; none where it yields floats of the raw input.
    ///
    /// # Errors
    /// If an integer reaches [`cml_ir::LIMIT`], or a function is not finite.
    fn integers(&self, at: &Integers<'_>) -> Result<Vec<i64>, QuantError>;

    /// Writes its operations into a graph, and gives the node that yields its integers; `None` where it
    /// yields floats of the raw input.
    ///
    /// # Errors
    /// If the graph cannot hold them.
    fn to_graph(&self, node: &LayerNode, graph: &mut Lowering<'_>) -> Result<Option<NodeId>, QuantError>;

    /// What its integers can be; `None` where it yields floats of the raw input.
    ///
    /// # Errors
    /// If `f32` does not hold them exactly.
    fn reach(&self, at: &Reaches<'_>) -> Result<Option<IntegerReach>, QuantError>;

    /// Values of its widest accumulator, if it adds integers; `span` is the largest difference between two of
    /// its integers.
    fn accumulator(&self, span: u64) -> Option<u64>;

    /// What it does with the integers that it reads.
    fn reading(&self) -> IntegerUse;

    /// Whether no value is below 0.0; `read` says it of what it reads.
    fn is_non_negative(&self, read: bool) -> bool;
}

/// How many operands a kind of layer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operands {
    /// None: the input, which no layer can be but the first.
    None,
    /// So many.
    Exactly(usize),
    /// One or more.
    Some,
}

/// What a layer does with the integers that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntegerUse {
    /// Finds each in a table.
    LooksUp,
    /// Leaves that to its readers: it moves or adds them, or applies a function that the next table will
    /// have.
    PassesOn,
    /// Multiplies them with weights.
    Multiplies,
    /// There are none.
    Nothing,
}

/// A layer, and what was found for the layers before it.
pub(crate) struct Place<'a, T> {
    pub(crate) network: &'a Network,
    pub(crate) node: &'a LayerNode,
    /// By layer.
    pub(crate) before: &'a [T],
}

impl<'a, T> Place<'a, T> {
    /// What was found for an operand.
    pub(crate) fn read(&self, slot: usize) -> &'a T {
        &self.before[self.node.operands[slot].index()]
    }

    /// What was found for all operands.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &'a T> {
        let before = self.before;
        self.node.operands.iter().map(move |o| &before[o.index()])
    }

    /// Shape of an operand.
    pub(crate) fn shape(&self, slot: usize) -> &'a [usize] {
        &self.network.layer(self.node.operands[slot]).shape
    }

    /// Shapes of all operands.
    pub(crate) fn shapes(&self) -> Vec<&'a [usize]> {
        let network = self.network;
        let operands = self.node.operands.iter();
        operands.map(|&o| network.layer(o).shape.as_slice()).collect()
    }
}

/// A layer in the forward pass of a quantized network.
pub(crate) struct Integers<'a> {
    /// Integers of the layers before.
    pub(crate) place: Place<'a, Vec<i64>>,
    pub(crate) meanings: &'a [Option<Dequantizer>],
    /// The raw input, and how it is quantized.
    pub(crate) sample: &'a [f32],
    pub(crate) spec: &'a InputSpec,
}

impl<'a> Integers<'a> {
    /// Integers of an operand.
    pub(crate) fn codes(&self, slot: usize) -> &'a [i64] {
        self.place.read(slot)
    }

    /// What they stand for; `None` for the raw input.
    pub(crate) fn meaning(&self, slot: usize) -> Option<&'a Dequantizer> {
        self.meanings[self.place.node.operands[slot].index()].as_ref()
    }

    /// The integer of an operand that stands for 0.0.
    pub(crate) fn zero(&self, slot: usize) -> i64 {
        self.meaning(slot).map_or(0, |m| m.zero_point)
    }

    /// Integers of an operand, less that which stands for 0.0.
    pub(crate) fn relative(&self, slot: usize) -> Vec<i64> {
        let zero = self.zero(slot);
        self.codes(slot).iter().map(|q| q - zero).collect()
    }

    /// Sums, if the graph could hold them too.
    pub(crate) fn bounded(&self, sums: impl Iterator<Item = i128>) -> Result<Vec<i64>, QuantError> {
        let name = &self.place.node.name;
        sums.map(|sum| bounded(name, sum)).collect()
    }
}

/// A layer whose integers are bounded.
pub(crate) struct Reaches<'a> {
    /// What the integers of the layers before can be.
    pub(crate) place: Place<'a, Option<IntegerReach>>,
    pub(crate) meanings: &'a [Option<Dequantizer>],
    /// Whether no value of the layers before is below 0.0.
    pub(crate) non_negative: &'a [bool],
}

impl Reaches<'_> {
    /// What the integers of the first operand can be.
    pub(crate) fn first(&self) -> Option<IntegerReach> {
        *self.place.read(0)
    }

    /// The integer of the first operand that stands for 0.0.
    pub(crate) fn zero(&self) -> i64 {
        let operand = self.place.node.operands[0].index();
        self.meanings[operand].as_ref().map_or(0, |m| m.zero_point)
    }

    /// Whether no value of the first operand is below 0.0.
    pub(crate) fn is_non_negative(&self) -> bool {
        self.non_negative[self.place.node.operands[0].index()]
    }
}
