//! Maxima over windows as lookups: `max(a, b) = b + max(a - b, 0)`.

use super::pool::frame;
use crate::to_graph::Lowering;
use crate::{Pool, QuantError};
use cml_ir::{Interval, Lut, NodeId, Op};

/// Maxima over windows of codes `[channels, height, width]`: of rows first, then of columns, so that
/// windows that overlap share the maxima of their rows.
///
/// Interval arithmetic does not see that `b + max(a - b, 0)` is one of `a` and `b`. A second table
/// says so, else each maximum would double the interval: both take `2 * s + 1` values for codes of
/// span `s`.
pub(crate) fn max_pool(
    lowering: &mut Lowering<'_>,
    layer: &str,
    x: NodeId,
    pool: &Pool,
) -> Result<NodeId, QuantError> {
    let codes = lowering.builder.ty(x).range;
    let mut value = x;
    if pool.is_padded() {
        let border = Op::Pad(frame(pool.padding, codes.lo));
        value = lowering.push(layer, false, border, &[value])?;
    }
    let axes: Vec<usize> = [1, 0]
        .into_iter()
        .filter(|&a| pool.kernel[a] > 1 || pool.stride[a] > 1)
        .collect();
    for &axis in &axes {
        let along = Along {
            axis: axis + 1,
            kernel: pool.kernel[axis],
            stride: pool.stride[axis],
            codes,
        };
        value = along.maxima(lowering, layer, axes.last() == Some(&axis), value)?;
    }
    Ok(value)
}

/// Windows along one axis.
struct Along {
    axis: usize,
    kernel: usize,
    stride: usize,
    codes: Interval,
}

impl Along {
    /// A balanced tree of maxima of the windows' first elements, second elements and so on.
    fn maxima(
        &self,
        lowering: &mut Lowering<'_>,
        layer: &str,
        last: bool,
        x: NodeId,
    ) -> Result<NodeId, QuantError> {
        let size = lowering.builder.ty(x).shape[self.axis];
        let reach = (size - self.kernel) / self.stride * self.stride + 1;
        let mut parts = Vec::with_capacity(self.kernel);
        for first in 0..self.kernel {
            let taken = [first, first + reach, self.stride];
            parts.push(lowering.stride(layer, last && self.kernel == 1, x, self.axis, taken)?);
        }
        while parts.len() > 1 {
            let last = last && parts.len() == 2;
            let mut larger = Vec::with_capacity(parts.len().div_ceil(2));
            for pair in parts.chunks(2) {
                larger.push(match *pair {
                    [a, b] => self.larger(lowering, layer, last, a, b)?,
                    _ => pair[0],
                });
            }
            parts = larger;
        }
        Ok(parts[0])
    }

    fn larger(
        &self,
        lowering: &mut Lowering<'_>,
        layer: &str,
        last: bool,
        a: NodeId,
        b: NodeId,
    ) -> Result<NodeId, QuantError> {
        let pairs = lowering
            .builder
            .intervals(a)
            .iter()
            .zip(lowering.builder.intervals(b));
        let leaves = pairs
            .into_iter()
            .any(|(a, b)| b.hi + (a.hi - b.lo).max(0) > self.codes.hi);
        let difference = lowering.push(layer, false, Op::Sub, &[a, b])?;
        let domain = lowering.builder.ty(difference).range;
        let positive = Op::Lut(Lut::from_fn(domain, |d| d.max(0)));
        let more = lowering.push(layer, false, positive, &[difference])?;
        let sum = lowering.push(layer, last && !leaves, Op::Add, &[b, more])?;
        if !leaves {
            return Ok(sum);
        }
        let domain = lowering.builder.ty(sum).range;
        let within = Op::Lut(Lut::from_fn(domain, |m| m.min(self.codes.hi)));
        lowering.push(layer, last, within, &[sum])
    }
}
