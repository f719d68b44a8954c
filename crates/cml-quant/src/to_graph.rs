//! From a network to an integer graph.

use crate::{Dequantizer, LayerNode, Network, QuantError};
use cml_ir::{Graph, GraphBuilder, InputSpec, NodeId, Op, OutputSpec, SumPool};
use std::collections::BTreeSet;

/// Translates a network: linear layers keep their integer weights, and
/// everything else between two of them (scale, bias, functions, quantizer)
/// becomes a lookup table, sampled on the whole interval that the accumulator
/// can reach.
///
/// # Errors
/// If the network is float, a layer that needs plain codes reads something else (no quantizer, or a
/// bias, a function or several scales since), values that are added or joined
/// have no common scale, a function reads the input, the input has no or
/// several quantizers, the output ends with a function (but for affine ones that grow, which the
/// client evaluates), a function is not finite where an accumulator can be, or an accumulator is
/// too wide for exact `f32` arithmetic.
pub fn to_graph(network: &Network) -> Result<Graph, QuantError> {
    let output = network.output()?;
    if network.is_float() {
        return Err(QuantError::Float(network.name().to_owned()));
    }
    let mut lowering = Lowering::new(network)?;
    for node in network.layers() {
        let value = node.layer.kind().to_graph(node, &mut lowering)?;
        lowering.values.push(value);
    }
    let last = network.layer(output);
    let (Some(y), Some(meaning)) = (
        lowering.values[output.index()],
        &lowering.meanings[output.index()],
    ) else {
        return Err(network.not_quantized(last, 0));
    };
    if let Some(function) = meaning.functions.first() {
        return Err(QuantError::OutputFunction {
            layer: last.name.clone(),
            function: function.name().to_owned(),
        });
    }
    let spec = OutputSpec {
        words: lowering.words.0,
        radix: lowering.words.1,
        ..output_spec(meaning, network)
    };
    lowering.builder.output(&output_name(network), y, spec)?;
    Ok(lowering.builder.finish()?)
}

/// A graph under construction.
pub(crate) struct Lowering<'a> {
    pub(crate) network: &'a Network,
    pub(crate) builder: GraphBuilder,
    meanings: Vec<Option<Dequantizer>>,
    spec: InputSpec,
    /// The integers of each layer so far; `None` for floats of the raw input.
    values: Vec<Option<NodeId>>,
    /// Names of layers and of parts of layers.
    taken: BTreeSet<String>,
    /// Integers of a score, and what the next one counts in, where a layer gives several.
    pub(crate) words: (u32, u32),
}

impl<'a> Lowering<'a> {
    fn new(network: &'a Network) -> Result<Self, QuantError> {
        let mut builder = GraphBuilder::new(network.name());
        builder.set_training(network.training().copied());
        let mut spec = network.input_spec()?;
        spec.columns = network.columns().to_vec();
        Ok(Self {
            network,
            builder,
            spec,
            meanings: network.meanings()?,
            values: Vec::with_capacity(network.layers().len()),
            taken: network.layers().iter().map(|l| l.name.clone()).collect(),
            words: (1, 1),
        })
    }

    /// The integers of an operand.
    ///
    /// # Errors
    /// If it is floats of the raw input.
    pub(crate) fn operand(&self, node: &LayerNode, slot: usize) -> Result<NodeId, QuantError> {
        let value = node.operands.get(slot).and_then(|o| self.values[o.index()]);
        value.ok_or_else(|| self.network.not_quantized(node, slot))
    }

    /// What they stand for.
    ///
    /// # Errors
    /// As [`Lowering::operand`].
    pub(crate) fn meaning(&self, node: &LayerNode, slot: usize) -> Result<&Dequantizer, QuantError> {
        let operand = node.operands.get(slot);
        let meaning = operand.and_then(|o| self.meanings[o.index()].as_ref());
        meaning.ok_or_else(|| self.network.not_quantized(node, slot))
    }

    /// The integer of the first operand that stands for 0.0.
    ///
    /// # Errors
    /// As [`Lowering::operand`].
    pub(crate) fn zero(&self, node: &LayerNode) -> Result<i64, QuantError> {
        Ok(self.meaning(node, 0)?.zero_point)
    }

    /// Whether a layer reads floats of the raw input.
    pub(crate) fn is_raw(&self, node: &LayerNode) -> bool {
        node.operands
            .first()
            .is_some_and(|o| self.values[o.index()].is_none())
    }

    /// Adds the input of the graph: the raw input, quantized.
    pub(crate) fn input(&mut self) -> Result<NodeId, QuantError> {
        let input = &self.network.layers()[0];
        let spec = self.spec.clone();
        let bits = spec.thresholds.as_ref().map(|t| vec![t.list.len()]);
        let shape = bits.unwrap_or_else(|| input.shape.clone());
        Ok(self.builder.input(&input.name, shape, spec)?)
    }

    /// Adds an operation of a layer: the last one has its name, the others `LAYER/1`, `LAYER/2` and
    /// so on.
    pub(crate) fn push(
        &mut self,
        layer: &str,
        last: bool,
        op: Op,
        operands: &[NodeId],
    ) -> Result<NodeId, QuantError> {
        let mut name = layer.to_owned();
        let mut part = 0usize;
        while !last && self.taken.contains(&name) {
            part += 1;
            name = format!("{layer}/{part}");
        }
        self.taken.insert(name.clone());
        Ok(self.builder.push(&name, op, operands)?)
    }

    /// Every `step`-th element from `start` to before `end` along an axis.
    pub(crate) fn stride(
        &mut self,
        layer: &str,
        last: bool,
        x: NodeId,
        axis: usize,
        [start, end, step]: [usize; 3],
    ) -> Result<NodeId, QuantError> {
        if step == 1 {
            return self.push(layer, last, Op::Slice { axis, start, end }, &[x]);
        }
        let mut value = self.push(layer, false, Op::Slice { axis, start, end }, &[x])?;
        // The axis between all before it and all after it; windows of one element, far apart.
        let mut shape = self.builder.ty(value).shape.clone();
        let (before, after) = (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
        let plane = vec![before, shape[axis], after];
        value = self.push(layer, false, Op::Reshape { shape: plane }, &[value])?;
        let windows = SumPool {
            kernel: [1, 1],
            stride: [step, 1],
        };
        value = self.push(layer, false, Op::SumPool(windows), &[value])?;
        shape[axis] = shape[axis].div_ceil(step);
        self.push(layer, last, Op::Reshape { shape }, &[value])
    }
}

fn output_spec(meaning: &Dequantizer, network: &Network) -> OutputSpec {
    OutputSpec {
        zero_point: meaning.zero_point,
        scale: meaning.scale.clone(),
        offset: meaning.bias.clone().unwrap_or_else(|| vec![0.0]),
        labels: network.labels().to_vec(),
        probabilities: network.probabilities(),
        ..OutputSpec::identity()
    }
}

/// `y`, or the first of `y_`, `y__`, ... that no layer has.
fn output_name(network: &Network) -> String {
    let mut name = "y".to_owned();
    while network.layers().iter().any(|l| l.name == name) {
        name.push('_');
    }
    name
}
