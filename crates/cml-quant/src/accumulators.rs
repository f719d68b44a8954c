//! How many values the accumulators of a network can take, from its integers alone.

use crate::budget::largest_sum;
use crate::error::EXACT;
use crate::{Conv2d, Layer, LayerId, LayerNode, Network, Pool, QuantError};
use cml_ir::Interval;
use ndarray::{Array, RemoveAxis};

/// The widest accumulator of a layer that adds integers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accumulator {
    /// Dense layer, convolution, pool or sum.
    pub layer: String,
    /// Values that it can take, `U - L + 1`, over all inputs that the quantizers before it allow.
    pub values: u64,
    /// Whether a quantizer follows, before a layer with weights does, so that encrypted it is looked
    /// up in a table, alone or as a part of what a pool or sum adds up.
    pub lookup: bool,
}

/// What the integers of a layer can be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// Interval of all of them.
    pub(crate) hull: Interval,
    /// Largest difference between two values of one element.
    pub(crate) span: u64,
}

/// The widest accumulator of each layer that adds integers, in order. A row `w` whose inputs lie
/// in intervals of span `s` takes `1 + s * sum |w|` values; after ReLU, codes of negative values do
/// not occur; a border of a convolution is one more input, 0.0. A maximum over windows looks up
/// differences of codes of span `s`: `2 * s + 1` values.
///
/// # Errors
/// If a layer reads something that is not quantized as it needs, its weights are float, or its
/// accumulator leaves what `f32` holds exactly.
pub fn accumulators(network: &Network) -> Result<Vec<Accumulator>, QuantError> {
    let reaches = reaches(network)?;
    let nodes = network.layers().iter().enumerate().zip(reaches);
    let found = nodes.filter(|((_, node), _)| adds(&node.layer));
    let count = |((i, node), reach): ((usize, &LayerNode), Option<Reach>)| {
        let is_max = matches!(&node.layer, Layer::Pool(pool) if pool.is_max());
        let span = reach?.span;
        Some(Accumulator {
            layer: node.name.clone(),
            values: 1 + if is_max { 2 * span } else { span },
            lookup: is_max || is_looked_up(network, i),
        })
    };
    Ok(found.filter_map(count).collect())
}

/// What the integers of each layer can be; `None` for floats.
pub(crate) fn reaches(network: &Network) -> Result<Vec<Option<Reach>>, QuantError> {
    let meanings = network.meanings()?;
    let mut reaches: Vec<Option<Reach>> = Vec::with_capacity(network.layers().len());
    for node in network.layers() {
        let x = node.operands.first();
        let zero = x
            .and_then(|o| meanings[o.index()].as_ref())
            .map_or(0, |m| m.zero_point);
        let reach = reach(network, node, zero, &reaches)?;
        reaches.push(reach);
    }
    Ok(reaches)
}

fn adds(layer: &Layer) -> bool {
    match layer {
        Layer::Linear(_) | Layer::Conv2d(_) | Layer::Add | Layer::Sub => true,
        // The maximum of one element is the element.
        Layer::Pool(pool) => !pool.is_max() || pool.count() > 1,
        Layer::Input
        | Layer::Normalize(_)
        | Layer::Quantize(_)
        | Layer::Function(_)
        | Layer::Reshape { .. }
        | Layer::Transpose { .. }
        | Layer::Slice { .. }
        | Layer::Pad { .. }
        | Layer::Concat { .. } => false,
    }
}

/// What the integers of a layer can be, from those before it; `None` for floats. `zero` is the zero
/// point of what it reads.
fn reach(
    network: &Network,
    node: &LayerNode,
    zero: i64,
    before: &[Option<Reach>],
) -> Result<Option<Reach>, QuantError> {
    if let Layer::Quantize(_) = &node.layer {
        return Ok(quantized(network, node));
    }
    let operands: Option<Vec<Reach>> = node.operands.iter().map(|o| before[o.index()]).collect();
    let Some((&x, others)) = operands.as_deref().and_then(<[Reach]>::split_first) else {
        return Ok(None);
    };
    Ok(Some(match &node.layer {
        Layer::Linear(l) => sums(node, l.codes(), relative(x, zero, false))?,
        Layer::Conv2d(c) => sums(node, c.codes(), relative(x, zero, is_padded(c)))?,
        Layer::Pool(pool) => windows(node, x, zero, pool)?,
        Layer::Pad { .. } => Reach {
            hull: x.hull.hull(Interval::point(zero)),
            ..x
        },
        Layer::Add => {
            let y = others.first().copied().unwrap_or(x);
            let hull = Interval::new(x.hull.lo + y.hull.lo, x.hull.hi + y.hull.hi);
            checked(node, hull, x.span + y.span)?
        }
        Layer::Sub => {
            let y = others.first().copied().unwrap_or(x);
            let hull = Interval::new(x.hull.lo - y.hull.hi, x.hull.hi - y.hull.lo);
            checked(node, hull, x.span + y.span)?
        }
        Layer::Concat { .. } => others.iter().fold(x, |a, b| Reach {
            hull: Interval::new(a.hull.lo.min(b.hull.lo), a.hull.hi.max(b.hull.hi)),
            span: a.span.max(b.span),
        }),
        Layer::Input
        | Layer::Normalize(_)
        | Layer::Quantize(_)
        | Layer::Function(_)
        | Layer::Reshape { .. }
        | Layer::Transpose { .. }
        | Layer::Slice { .. } => x,
    }))
}

/// Codes of a quantizer; after ReLU or the like none is below the zero point.
fn quantized(network: &Network, node: &LayerNode) -> Option<Reach> {
    let Layer::Quantize(q) = &node.layer else {
        return None;
    };
    let codes = q.codes();
    let lo = if is_non_negative(network, node.operands.first()) {
        codes.lo.max(q.zero_point)
    } else {
        codes.lo
    };
    Some(Reach {
        hull: Interval::new(lo, codes.hi),
        span: codes.hi.abs_diff(lo),
    })
}

fn is_non_negative(network: &Network, x: Option<&LayerId>) -> bool {
    let Some(node) = x.map(|&x| network.layer(x)) else {
        return false;
    };
    match &node.layer {
        Layer::Function(f) => f.is_non_negative(),
        Layer::Reshape { .. } | Layer::Transpose { .. } | Layer::Slice { .. } => {
            is_non_negative(network, node.operands.first())
        }
        _ => false,
    }
}

pub(crate) fn is_padded(conv: &Conv2d) -> bool {
    conv.padding() != [0; 4]
}

/// Less the zero point, and with 0 if there is a border.
pub(crate) fn relative(x: Reach, zero: i64, padded: bool) -> Reach {
    let (mut lo, mut hi) = (x.hull.lo - zero, x.hull.hi - zero);
    let mut span = x.span;
    if padded && !(lo..=hi).contains(&0) {
        (lo, hi) = (lo.min(0), hi.max(0));
        span = hi.abs_diff(lo);
    }
    Reach {
        hull: Interval::new(lo, hi),
        span,
    }
}

/// Sums of products with integer weights, output channels first.
fn sums<D: RemoveAxis>(
    node: &LayerNode,
    codes: Option<&Array<i64, D>>,
    x: Reach,
) -> Result<Reach, QuantError> {
    let Some(codes) = codes else {
        return Err(QuantError::FloatWeights(node.name.clone()));
    };
    scaled_by_sign(node, x, largest_sum(codes.view()))
}

/// A multiple of an interval, for weights of any sign.
fn scaled_by_sign(node: &LayerNode, x: Reach, sum: u64) -> Result<Reach, QuantError> {
    let magnitude = x.hull.magnitude().saturating_mul(sum);
    let bound = i64::try_from(magnitude).unwrap_or(i64::MAX);
    checked(node, Interval::new(-bound, bound), x.span.saturating_mul(sum))
}

/// Sums over windows; of a maximum the codes that it reads.
fn windows(node: &LayerNode, x: Reach, zero: i64, pool: &Pool) -> Result<Reach, QuantError> {
    if pool.is_max() {
        return Ok(Reach {
            span: x.hull.hi.abs_diff(x.hull.lo),
            ..x
        });
    }
    let hull = if pool.is_padded() {
        x.hull.hull(Interval::point(zero))
    } else {
        x.hull
    };
    scaled(node, Reach { hull, ..x }, pool.count() as u64)
}

fn scaled(node: &LayerNode, x: Reach, count: u64) -> Result<Reach, QuantError> {
    let by = |bound: i64| bound.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX));
    let hull = Interval::new(by(x.hull.lo), by(x.hull.hi));
    checked(node, hull, x.span.saturating_mul(count))
}

/// What `f32` holds exactly.
fn checked(node: &LayerNode, hull: Interval, span: u64) -> Result<Reach, QuantError> {
    let has = hull.magnitude();
    if has > EXACT {
        return Err(QuantError::TooWide {
            layer: node.name.clone(),
            has,
            limit: EXACT,
        });
    }
    Ok(Reach { hull, span })
}

/// Whether a quantizer reads layer `i`, alone or as part of what later layers add up.
fn is_looked_up(network: &Network, i: usize) -> bool {
    let readers = network.layers().iter().enumerate().skip(i + 1);
    readers
        .filter(|(_, node)| node.operands.iter().any(|o| o.index() == i))
        .any(|(reader, node)| match node.layer {
            Layer::Quantize(_) => true,
            Layer::Pool(pool) if pool.is_max() => true,
            Layer::Function(_)
            | Layer::Reshape { .. }
            | Layer::Pool(_)
            | Layer::Add
            | Layer::Sub
            | Layer::Transpose { .. }
            | Layer::Slice { .. }
            | Layer::Pad { .. }
            | Layer::Concat { .. } => is_looked_up(network, reader),
            Layer::Input | Layer::Normalize(_) | Layer::Linear(_) | Layer::Conv2d(_) => false,
        })
}
