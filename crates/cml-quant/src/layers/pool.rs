//! Sums, averages and maxima over windows.

use super::kind::{IntegerUse, Integers, LayerKind, Operands, Place, Reaches};
use super::max_pool::max_pool;
use super::window::{Window, positions};
use crate::accumulators::{IntegerReach, checked};
use crate::error::misfit;
use crate::meaning::bounded;
use crate::to_graph::Lowering;
use crate::{Dequantizer, LayerNode, QuantError};
use cml_ir::{Interval, NodeId, Op, Pad, SumPool};
use serde::{Deserialize, Serialize};

/// What a window becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolKind {
    /// Its sum.
    Sum,
    /// Its mean: the integers are those of the sum, the scale is divided.
    Average,
    /// Its largest element, of codes of a quantizer.
    Max,
}

/// Sum, average or maximum over windows of each channel of `[channels, height, width]`.
///
/// The integers of a window of `n = kernel[0] * kernel[1]` elements are added.
/// Of what they stand for (see [`crate::Dequantizer`]) the zero point becomes
/// `zero_point * n`; for an average the scale becomes `scale / n as f32`,
/// rounded once, and a bias stays; for a sum the scale stays, and a bias
/// becomes `bias * n as f32`.
///
/// Padding stands for 0.0, and counts in an average (ONNX `count_include_pad`); of a value with a
/// bias it is refused. It is never the largest element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Sum, average or maximum.
    pub kind: PoolKind,
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride, at least 1.
    pub stride: [usize; 2],
    /// Rows and columns added: top, left, bottom, right; of a maximum less than the kernel.
    pub padding: [usize; 4],
}

impl Pool {
    pub(crate) fn window(&self) -> Window {
        Window {
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
        }
    }

    /// Elements of a window.
    pub(crate) fn count(&self) -> usize {
        self.kernel[0].saturating_mul(self.kernel[1])
    }

    /// How many elements are added up.
    pub(crate) fn added(&self) -> usize {
        match self.kind {
            PoolKind::Sum | PoolKind::Average => self.count(),
            PoolKind::Max => 1,
        }
    }

    pub(crate) fn is_max(&self) -> bool {
        self.kind == PoolKind::Max
    }

    pub(crate) fn is_padded(&self) -> bool {
        self.padding != [0; 4]
    }

    /// Indices of a plane's elements in the window at a position, row by row; `None` for padding.
    fn elements(&self, size: [usize; 2], position: [usize; 2]) -> impl Iterator<Item = Option<usize>> {
        let (window, width) = (self.window(), self.kernel[1]);
        (0..self.count()).map(move |i| window.under(size, position, [i / width, i % width]))
    }
}

impl LayerKind for Pool {
    fn mnemonic(&self) -> &'static str {
        "pool"
    }

    fn operands(&self) -> Operands {
        Operands::Exactly(1)
    }

    fn shape(&self, name: &str, read: &[&[usize]]) -> Result<Vec<usize>, QuantError> {
        let &[channels, height, width] = read[0] else {
            let needs = "[channels, height, width]";
            return Err(misfit(name, "input", needs, format!("{:?}", read[0])));
        };
        let [height, width] = self.window().positions(name, [height, width])?;
        // Else a window might hold padding only.
        if self.is_max() && (0..4).any(|side| self.padding[side] >= self.kernel[side % 2]) {
            let needs = format!("less than the kernel {:?} of a maximum", self.kernel);
            return Err(misfit(name, "padding", needs, format!("{:?}", self.padding)));
        }
        Ok(vec![channels, height, width])
    }

    fn is_float(&self) -> bool {
        true
    }

    fn floats(&self, at: &Place<'_, Vec<f32>>) -> Result<Vec<f32>, QuantError> {
        let (from, to) = (at.shape(0), &at.node.shape);
        let size = [from[1], from[2]];
        let mut values = Vec::with_capacity(to.iter().product());
        for plane in at.read(0).chunks(size[0] * size[1]) {
            for position in positions(to) {
                let under = self.elements(size, position).flatten();
                let under = under.map(|i| f64::from(plane[i]));
                values.push(match self.kind {
                    PoolKind::Sum => under.sum::<f64>(),
                    PoolKind::Average => under.sum::<f64>() / self.count() as f64,
                    PoolKind::Max => under.fold(f64::NEG_INFINITY, f64::max),
                } as f32);
            }
        }
        Ok(values)
    }

    fn meaning(&self, at: &Place<'_, Option<Dequantizer>>) -> Result<Option<Dequantizer>, QuantError> {
        let x = at.meaning(0)?;
        if self.is_max() {
            at.plain(0)?;
            return Ok(Some(x.clone()));
        }
        // A border of 0.0 is a code only where there is no bias.
        if !x.functions.is_empty() || self.is_padded() && x.bias.is_some() {
            return Err(at.network.not_quantized(at.node, 0));
        }
        let count = self.count();
        let n = count as f32;
        let zero_point = bounded(&at.node.name, i128::from(x.zero_point) * count as i128)?;
        let meaning = Dequantizer {
            zero_point,
            ..x.clone()
        };
        Ok(Some(match self.kind {
            PoolKind::Sum => Dequantizer {
                bias: x.bias.as_ref().map(|b| b.iter().map(|b| b * n).collect()),
                ..meaning
            },
            PoolKind::Average => Dequantizer {
                scale: x.scale.iter().map(|s| s / n).collect(),
                ..meaning
            },
            PoolKind::Max => x.clone(),
        }))
    }

    /// Sums, in which padding is the zero point, or maxima, in which there is none.
    fn integers(&self, at: &Integers<'_>) -> Result<Vec<i64>, QuantError> {
        let (from, to) = (at.place.shape(0), &at.place.node.shape);
        let (size, zero) = ([from[1], from[2]], i128::from(at.zero(0)));
        let mut sums = Vec::with_capacity(to.iter().product());
        for plane in at.codes(0).chunks(size[0] * size[1]) {
            for position in positions(to) {
                let under = self.elements(size, position);
                let under = under.map(|at| at.map(|i| i128::from(plane[i])));
                sums.push(if self.is_max() {
                    // No window holds padding only.
                    under.flatten().max().unwrap_or(zero)
                } else {
                    under.map(|x| x.unwrap_or(zero)).sum()
                });
            }
        }
        at.bounded(sums.into_iter())
    }

    fn to_graph(&self, node: &LayerNode, graph: &mut Lowering<'_>) -> Result<Option<NodeId>, QuantError> {
        let (mut value, zero) = (graph.operand(node, 0)?, graph.zero(node)?);
        if self.is_max() {
            return max_pool(graph, &node.name, value, self).map(Some);
        }
        if self.is_padded() {
            let border = Op::Pad(frame(self.padding, zero));
            value = graph.push(&node.name, false, border, &[value])?;
        }
        let sums = Op::SumPool(SumPool {
            kernel: self.kernel,
            stride: self.stride,
        });
        graph.push(&node.name, true, sums, &[value]).map(Some)
    }

    /// Of a maximum the codes that it reads.
    fn reach(&self, at: &Reaches<'_>) -> Result<Option<IntegerReach>, QuantError> {
        let Some(x) = at.first() else { return Ok(None) };
        if self.is_max() {
            let span = x.hull.hi.abs_diff(x.hull.lo);
            return Ok(Some(IntegerReach { span, ..x }));
        }
        let mut hull = x.hull;
        if self.is_padded() {
            hull = hull.hull(Interval::point(at.zero()));
        }
        let count = self.count() as u64;
        let by = |bound: i64| bound.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX));
        let hull = Interval::new(by(hull.lo), by(hull.hi));
        checked(&at.place.node.name, hull, x.span.saturating_mul(count)).map(Some)
    }

    /// A maximum looks up differences of codes. That of one element is the element.
    fn accumulator(&self, span: u64) -> Option<u64> {
        match self.kind {
            PoolKind::Sum | PoolKind::Average => Some(1 + span),
            PoolKind::Max => (self.count() > 1).then_some(1 + 2 * span),
        }
    }

    fn reading(&self) -> IntegerUse {
        match self.kind {
            PoolKind::Sum | PoolKind::Average => IntegerUse::PassesOn,
            PoolKind::Max => IntegerUse::LooksUp,
        }
    }

    fn is_non_negative(&self, _: bool) -> bool {
        false
    }
}

/// A border of one value round each channel of `[channels, height, width]`.
pub(crate) fn frame([top, left, bottom, right]: [usize; 4], value: i64) -> Pad {
    Pad {
        before: vec![0, top, left],
        after: vec![0, bottom, right],
        value,
    }
}
