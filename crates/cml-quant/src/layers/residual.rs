//! Sums and differences of two values: residual connections.

use super::kind::{IntegerUse, Integers, LayerKind, Operands, Place, Reaches};
use crate::accumulators::{IntegerReach, checked};
use crate::error::misfit;
use crate::meaning::bounded;
use crate::to_graph::Lowering;
use crate::{Dequantizer, LayerNode, QuantError};
use cml_ir::{Interval, NodeId, Op};

/// An elementwise sum or difference of two values of one shape and scale. Integers and zero points add or
/// subtract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Residual {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
}

impl LayerKind for Residual {
    fn mnemonic(&self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "sub",
        }
    }

    fn operands(&self) -> Operands {
        Operands::Exactly(2)
    }

    fn shape(&self, name: &str, read: &[&[usize]]) -> Result<Vec<usize>, QuantError> {
        if read[0] != read[1] {
            let (needs, has) = (format!("{:?}", read[0]), format!("{:?}", read[1]));
            return Err(misfit(name, "second operand", needs, has));
        }
        Ok(read[0].to_vec())
    }

    fn is_float(&self) -> bool {
        true
    }

    fn floats(&self, at: &Place<'_, Vec<f32>>) -> Result<Vec<f32>, QuantError> {
        let pairs = at.read(0).iter().zip(at.read(1));
        let value = |(a, b): (&f32, &f32)| match self {
            Self::Add => a + b,
            Self::Sub => a - b,
        };
        Ok(pairs.map(value).collect())
    }

    fn meaning(&self, at: &Place<'_, Option<Dequantizer>>) -> Result<Option<Dequantizer>, QuantError> {
        let (x, y) = (at.meaning(0)?, at.meaning(1)?);
        if at.plain(0)? != at.plain(1)? {
            return Err(at.not_common(1, "scale"));
        }
        let (a, b) = (i128::from(x.zero_point), i128::from(y.zero_point));
        let zero_point = match self {
            Self::Add => a + b,
            Self::Sub => a - b,
        };
        Ok(Some(Dequantizer {
            zero_point: bounded(&at.node.name, zero_point)?,
            ..x.clone()
        }))
    }

    fn integers(&self, at: &Integers<'_>) -> Result<Vec<i64>, QuantError> {
        let pairs = at.codes(0).iter().zip(at.codes(1));
        at.bounded(pairs.map(|(&a, &b)| match self {
            Self::Add => i128::from(a) + i128::from(b),
            Self::Sub => i128::from(a) - i128::from(b),
        }))
    }

    fn to_graph(&self, node: &LayerNode, graph: &mut Lowering<'_>) -> Result<Option<NodeId>, QuantError> {
        let operands = [graph.operand(node, 0)?, graph.operand(node, 1)?];
        let op = match self {
            Self::Add => Op::Add,
            Self::Sub => Op::Sub,
        };
        graph.push(&node.name, true, op, &operands).map(Some)
    }

    fn reach(&self, at: &Reaches<'_>) -> Result<Option<IntegerReach>, QuantError> {
        let (Some(x), Some(y)) = (at.first(), *at.place.read(1)) else {
            return Ok(None);
        };
        let hull = match self {
            Self::Add => Interval::new(x.hull.lo + y.hull.lo, x.hull.hi + y.hull.hi),
            Self::Sub => Interval::new(x.hull.lo - y.hull.hi, x.hull.hi - y.hull.lo),
        };
        checked(&at.place.node.name, hull, x.span + y.span).map(Some)
    }

    fn accumulator(&self, span: u64) -> Option<u64> {
        Some(1 + span)
    }

    fn reading(&self) -> IntegerUse {
        IntegerUse::PassesOn
    }

    fn is_non_negative(&self, _: bool) -> bool {
        false
    }
}
