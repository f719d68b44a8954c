//! Products of two values by quarter squares.

use super::kind::{IntegerUse, Integers, LayerKind, Operands, Place, Reaches};
use crate::accumulators::{IntegerReach, checked};
use crate::error::misfit;
use crate::meaning::bounded;
use crate::to_graph::Lowering;
use crate::{Dequantizer, LayerNode, QuantError};
use cml_ir::{Interval, Lut, NodeId, Op};

/// An elementwise product of two values of one shape, each plain codes; scales may differ, and multiply.
///
/// Encrypted, `p * q = floor((p + q)^2 / 4) - floor((p - q)^2 / 4)`: sum and difference of integers are both
/// even or both odd, so the two roundings cancel. Each element costs two lookups.
pub(crate) struct Product;

/// `floor(v^2 / 4)`.
fn quarter_square(v: i64) -> i64 {
    let quarter = i128::from(v) * i128::from(v) / 4;
    i64::try_from(quarter).unwrap_or(i64::MAX)
}

/// Least and largest quarter square of some integers.
fn quarter_squares(v: Interval) -> Interval {
    let (lo, hi) = (quarter_square(v.lo), quarter_square(v.hi));
    let least = if v.contains(0) { 0 } else { lo.min(hi) };
    Interval::new(least, lo.max(hi))
}

/// What the difference of two quarter squares can be, for integers of two intervals.
fn product_hull(p: Interval, q: Interval) -> Interval {
    let sums = quarter_squares(Interval::new(p.lo + q.lo, p.hi + q.hi));
    let differences = quarter_squares(Interval::new(p.lo - q.hi, p.hi - q.lo));
    Interval::new(
        sums.lo.saturating_sub(differences.hi),
        sums.hi.saturating_sub(differences.lo),
    )
}

impl LayerKind for Product {
    fn mnemonic(&self) -> &'static str {
        "mul"
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
        Ok(pairs.map(|(a, b)| a * b).collect())
    }

    fn meaning(&self, at: &Place<'_, Option<Dequantizer>>) -> Result<Option<Dequantizer>, QuantError> {
        let scale = at.plain(0)? * at.plain(1)?;
        Ok(Some(Dequantizer {
            zero_point: 0,
            scale: vec![scale],
            bias: None,
            functions: Vec::new(),
        }))
    }

    fn integers(&self, at: &Integers<'_>) -> Result<Vec<i64>, QuantError> {
        let (a, b) = (at.relative(0), at.relative(1));
        let pairs = a.iter().zip(&b);
        at.bounded(pairs.map(|(&a, &b)| i128::from(a) * i128::from(b)))
    }

    fn to_graph(&self, node: &LayerNode, graph: &mut Lowering<'_>) -> Result<Option<NodeId>, QuantError> {
        let [a, b] = [graph.operand(node, 0)?, graph.operand(node, 1)?];
        let zero = |slot| Ok::<i64, QuantError>(graph.meaning(node, slot)?.zero_point);
        let (a_zero, b_zero) = (zero(0)?, zero(1)?);
        let mut squares = Vec::with_capacity(2);
        for (op, zero) in [(Op::Add, a_zero + b_zero), (Op::Sub, a_zero - b_zero)] {
            let sum = graph.push(&node.name, false, op, &[a, b])?;
            let domain = graph.builder.ty(sum).range;
            let from_zero = [domain.lo, domain.hi].map(|bound| bound.abs_diff(zero));
            let widest = from_zero[0].max(from_zero[1]);
            bounded(&node.name, i128::from(widest) * i128::from(widest))?;
            let table = Op::Lut(Lut::from_fn(domain, |v| quarter_square(v - zero)));
            squares.push(graph.push(&node.name, false, table, &[sum])?);
        }
        graph.push(&node.name, true, Op::Sub, &squares).map(Some)
    }

    fn reach(&self, at: &Reaches<'_>) -> Result<Option<IntegerReach>, QuantError> {
        let (Some(x), Some(y)) = (at.first(), *at.place.read(1)) else {
            return Ok(None);
        };
        let zero = |slot: usize| {
            let operand = at.place.node.operands[slot].index();
            at.meanings[operand].as_ref().map_or(0, |m| m.zero_point)
        };
        let [p, q] = [(x, zero(0)), (y, zero(1))].map(|(x, zero)| x.relative(zero, false).hull);
        let hull = product_hull(p, q);
        checked(&at.place.node.name, hull, hull.hi.abs_diff(hull.lo)).map(Some)
    }

    fn accumulator(&self, span: u64) -> Option<u64> {
        Some(1 + span)
    }

    fn reading(&self) -> IntegerUse {
        IntegerUse::LooksUp
    }

    fn is_non_negative(&self, _: bool) -> bool {
        false
    }
}
