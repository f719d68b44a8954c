//! The reference interpreter: the oracle for every other execution.

use crate::dump::plain;
use crate::linear::{Source, for_each_term};
use crate::tensor::channel_len;
use crate::{Graph, InputSpec, IrError, Lut, Node, NodeId, Op, OpKind, Tensor};

/// The value of every node, for one sample.
#[derive(Clone, Debug)]
pub struct Values {
    all: Vec<Tensor>,
}

impl Values {
    /// Value of a node.
    pub fn get(&self, id: NodeId) -> &Tensor {
        &self.all[id.index()]
    }
}

/// Runs a graph on one sample and returns its outputs, in order.
///
/// # Errors
/// If the inputs do not have the declared number, shapes and ranges.
pub fn interpret(graph: &Graph, inputs: &[Tensor]) -> Result<Vec<Tensor>, IrError> {
    let mut values = evaluate(graph, inputs)?;
    let outputs: Vec<usize> = graph.outputs().map(|(id, ..)| id.index()).collect();
    let empty = || Tensor::from_parts(vec![0], Vec::new());
    Ok(outputs
        .into_iter()
        .map(|i| std::mem::replace(&mut values.all[i], empty()))
        .collect())
}

/// As [`interpret`], with the value of every node.
///
/// # Errors
/// As [`interpret`].
pub fn evaluate(graph: &Graph, inputs: &[Tensor]) -> Result<Values, IrError> {
    let needs = graph.inputs().count();
    if needs != inputs.len() {
        return Err(IrError::InputCount {
            graph: plain(graph.name()),
            needs,
            has: inputs.len(),
        });
    }
    let mut given = inputs.iter();
    let mut all: Vec<Tensor> = Vec::with_capacity(graph.len());
    for (id, node) in graph.nodes() {
        let operands: Vec<&Tensor> = graph.operands(id).map(|o| &all[o.index()]).collect();
        let value = match node.op.kind() {
            OpKind::Input(spec) => check_input(
                node,
                spec,
                given.next().ok_or(IrError::InputCount {
                    graph: plain(graph.name()),
                    needs,
                    has: inputs.len(),
                })?,
            )?,
            OpKind::Lookup(lut) => look_up(lut, operands[0], &node.ty.shape),
            OpKind::Linear | OpKind::Output(_) => sum(&node.op, &operands, &node.ty.shape),
        };
        all.push(value);
    }
    Ok(Values { all })
}

fn check_input(node: &Node, spec: &InputSpec, given: &Tensor) -> Result<Tensor, IrError> {
    if given.shape() != node.ty.shape {
        return Err(IrError::Shape {
            node: node.name.clone(),
            what: "input",
            needs: format!("{:?}", node.ty.shape),
            has: format!("{:?}", given.shape()),
        });
    }
    if let Some(index) = given.data().iter().position(|&v| !spec.range.contains(v)) {
        return Err(IrError::InputRange {
            node: node.name.clone(),
            index,
            has: given.data()[index],
            range: spec.range,
        });
    }
    Ok(given.clone())
}

fn look_up(lut: &Lut, operand: &Tensor, shape: &[usize]) -> Tensor {
    let width = channel_len(shape);
    let values = operand.data().iter().enumerate();
    let data = values.map(|(i, &v)| lut.channel(i / width).eval(v)).collect();
    Tensor::from_parts(shape.to_vec(), data)
}

fn sum(op: &Op, operands: &[&Tensor], shape: &[usize]) -> Tensor {
    let mut sums = vec![0i64; shape.iter().product()];
    let shapes: Vec<&[usize]> = operands.iter().map(|t| t.shape()).collect();
    for_each_term(op, &shapes, shape, |out, weight, source| {
        sums[out] += weight
            * match source {
                Source::Element { operand, index } => operands[operand].data()[index],
                Source::Constant(v) => v,
            };
    });
    Tensor::from_parts(shape.to_vec(), sums)
}

impl Graph {
    /// Quantizes one float sample for the graph's only input, in row-major
    /// order.
    ///
    /// # Errors
    /// If the graph has several inputs, the count is wrong, or a value is not
    /// finite.
    pub fn quantize_input(&self, sample: &[f32]) -> Result<Tensor, IrError> {
        let mut inputs = self.inputs();
        let (Some((_, node, spec)), None) = (inputs.next(), inputs.next()) else {
            return Err(IrError::InputCount {
                graph: plain(self.name()),
                needs: self.inputs().count(),
                has: 1,
            });
        };
        let needs = spec.sample_len(&node.ty.shape);
        if sample.len() != needs {
            return Err(IrError::Shape {
                node: node.name.clone(),
                what: "input values",
                needs: needs.to_string(),
                has: sample.len().to_string(),
            });
        }
        let codes = spec.quantize_all(&node.ty.shape, sample);
        let codes = codes.map_err(|index| IrError::InputNotFinite {
            node: node.name.clone(),
            index,
            has: sample[index],
        })?;
        Tensor::new(node.ty.shape.clone(), codes)
    }
}
