//! How many values the accumulators of a network can take, from its integers alone.

use cml_quant::{Layer, LayerNode, Linear, Network, QuantError, Univariate};

use crate::NnError;

/// Largest integer up to which `f32` holds every integer.
const EXACT: u64 = 1 << 24;

/// The widest accumulator of a dense layer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accumulator {
    /// Dense layer.
    pub layer: String,
    /// Values that it can take, `U - L + 1`, over all inputs that the quantizer before it allows.
    pub values: u64,
    /// Whether a quantizer follows, so that encrypted it is looked up in a table.
    pub lookup: bool,
}

/// The widest accumulator of each dense layer, in order. A row `w` whose inputs lie in intervals of
/// span `s` takes `1 + s * sum |w|` values; after ReLU, codes of negative values do not occur.
///
/// # Errors
/// If a dense layer reads something other than a quantizer, or its accumulator leaves what `f32`
/// holds exactly.
pub fn accumulators(network: &Network) -> Result<Vec<Accumulator>, NnError> {
    let mut found = Vec::new();
    for (i, node) in network.layers().iter().enumerate() {
        if let Layer::Linear(linear) = &node.layer {
            let (span, magnitude) = reach(network, node)?;
            let sum = largest_sum(linear);
            let has = sum.saturating_mul(magnitude);
            if has > EXACT {
                return Err(NnError::TooWide {
                    layer: node.name.clone(),
                    has,
                    limit: EXACT,
                });
            }
            found.push(Accumulator {
                layer: node.name.clone(),
                values: 1 + sum * span,
                lookup: is_looked_up(network, i),
            });
        }
    }
    Ok(found)
}

/// Span and largest magnitude, zero point taken off, of the codes that a dense layer reads.
fn reach(network: &Network, node: &LayerNode) -> Result<(u64, u64), NnError> {
    let read = node.operands.first().map(|&o| network.layer(o));
    let Some((quantize, Layer::Quantize(q))) = read.map(|r| (r, &r.layer)) else {
        return Err(NnError::Quant(QuantError::NotQuantized {
            layer: node.name.clone(),
            from: read.map_or_else(|| "nothing".to_owned(), |r| r.name.clone()),
        }));
    };
    let before = quantize.operands.first().map(|&o| &network.layer(o).layer);
    let codes = q.codes();
    let lo = match before {
        Some(Layer::Function(Univariate::Relu)) => codes.lo.max(q.zero_point),
        _ => codes.lo,
    };
    let magnitude = (codes.hi - q.zero_point).max(q.zero_point - lo);
    Ok(((codes.hi - lo).unsigned_abs(), magnitude.unsigned_abs()))
}

/// Largest sum of the magnitudes of a row's integer weights.
fn largest_sum(linear: &Linear) -> u64 {
    let codes = linear.codes();
    let sums = codes
        .rows()
        .into_iter()
        .map(|r| r.iter().map(|c| c.unsigned_abs()).sum());
    sums.max().unwrap_or(0)
}

/// Whether a quantizer reads layer `i`, through functions or not.
fn is_looked_up(network: &Network, i: usize) -> bool {
    network
        .layers()
        .iter()
        .enumerate()
        .skip(i + 1)
        .any(|(reader, node)| {
            node.operands.iter().any(|o| o.index() == i)
                && match node.layer {
                    Layer::Quantize(_) => true,
                    Layer::Function(_) | Layer::Reshape { .. } => is_looked_up(network, reader),
                    Layer::Input
                    | Layer::Linear(_)
                    | Layer::Conv2d(_)
                    | Layer::Pool(_)
                    | Layer::Add
                    | Layer::Concat => false,
                }
        })
}
