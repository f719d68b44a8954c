//! Operators of qonnx's channels-last form: those of ONNX on `[batch, .., channels]`.

use crate::draft::Id;
use crate::model::Node;
use crate::report::{NodeProblem, Translated};
use crate::tensor::Tensor;
use crate::translation::{Translation, live};
use crate::value::{Coded, Value};
use crate::{constants, elementwise, pools, weighted};

pub(crate) fn conv(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let mut operands = operands.to_vec();
    if let Some(Some(weights)) = operands.get_mut(1) {
        let first = |tensor: &Tensor| {
            let rank = tensor.shape.len();
            if rank < 2 {
                return Err(NodeProblem::malformed(format!(
                    "weights of shape {:?}",
                    tensor.shape
                )));
            }
            // [out, .., in] as [out, in, ..].
            let perm: Vec<usize> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
            Ok(constants::permuted(tensor, &perm))
        };
        *weights = match &*weights {
            Value::Constant(tensor) => Value::Constant(first(tensor)?),
            Value::Coded(coded) => Value::Coded(Coded {
                codes: first(&coded.codes)?,
                scale: first(&coded.scale)?,
                ..coded.clone()
            }),
            other => other.clone(),
        };
    }
    wrapped(t, node, &operands, weighted::conv)
}

pub(crate) fn max_pool(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    wrapped(t, node, operands, pools::max)
}

pub(crate) fn batch_norm(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    wrapped(t, node, operands, elementwise::batch_norm)
}

/// An operator of ONNX between two moves of the channels.
fn wrapped(
    t: &mut Translation,
    node: &Node,
    operands: &[Option<Value>],
    apply: crate::operators::Apply,
) -> Translated<Value> {
    let x = live(operands, 0)?;
    let mut operands = operands.to_vec();
    operands[0] = Some(Value::Live(channels_first(t, node, x)));
    match apply(t, node, &operands)? {
        Value::Live(y) => {
            let rank = t.shape(y).len();
            let perm = (1..rank).chain([0]).collect();
            Ok(Value::Live(t.transpose(node, y, perm)))
        }
        other => Ok(other),
    }
}

/// The last axis of a sample as its first.
pub(crate) fn channels_first(t: &mut Translation, node: &Node, x: Id) -> Id {
    let rank = t.shape(x).len();
    let perm = [rank - 1].into_iter().chain(0..rank - 1).collect();
    t.transpose(node, x, perm)
}
