//! How many values the accumulators of a network can take, from its integers alone.

use crate::error::EXACT;
use crate::layers::kind::{IntegerUse, Place, Reaches};
use crate::{Network, QuantError};
use cml_ir::Interval;

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
pub(crate) struct IntegerReach {
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
    let looked_up = looked_up(network);
    let nodes = network.layers().iter().zip(reaches).zip(looked_up);
    let found = nodes.filter_map(|((node, reach), looked_up)| {
        let kind = node.layer.kind();
        Some(Accumulator {
            layer: node.name.clone(),
            values: kind.accumulator(reach?.span)?,
            lookup: looked_up || kind.reading() == IntegerUse::LooksUp,
        })
    });
    Ok(found.collect())
}

/// What the integers of each layer can be; `None` for floats.
pub(crate) fn reaches(network: &Network) -> Result<Vec<Option<IntegerReach>>, QuantError> {
    let meanings = network.meanings()?;
    let count = network.layers().len();
    let mut reaches: Vec<Option<IntegerReach>> = Vec::with_capacity(count);
    let mut non_negative: Vec<bool> = Vec::with_capacity(count);
    for node in network.layers() {
        let kind = node.layer.kind();
        let reach = kind.reach(&Reaches {
            place: Place {
                network,
                node,
                before: &reaches,
            },
            meanings: &meanings,
            non_negative: &non_negative,
        })?;
        reaches.push(reach);
        let read = node.operands.first().is_some_and(|o| non_negative[o.index()]);
        non_negative.push(kind.is_non_negative(read));
    }
    Ok(reaches)
}

/// Whether a quantizer reads each layer, alone or as part of what later layers add up.
fn looked_up(network: &Network) -> Vec<bool> {
    let mut looked_up = vec![false; network.layers().len()];
    for (reader, node) in network.layers().iter().enumerate().rev() {
        let looks_up = match node.layer.kind().reading() {
            IntegerUse::LooksUp => true,
            IntegerUse::PassesOn => looked_up[reader],
            IntegerUse::Multiplies | IntegerUse::Nothing => false,
        };
        for operand in &node.operands {
            looked_up[operand.index()] |= looks_up;
        }
    }
    looked_up
}

impl IntegerReach {
    /// Less the zero point, and with 0 if there is a border.
    pub(crate) fn relative(self, zero: i64, padded: bool) -> Self {
        let (mut lo, mut hi) = (self.hull.lo - zero, self.hull.hi - zero);
        let mut span = self.span;
        if padded && !(lo..=hi).contains(&0) {
            (lo, hi) = (lo.min(0), hi.max(0));
            span = hi.abs_diff(lo);
        }
        Self {
            hull: Interval::new(lo, hi),
            span,
        }
    }
}

/// What `f32` holds exactly.
pub(crate) fn checked(layer: &str, hull: Interval, span: u64) -> Result<IntegerReach, QuantError> {
    let has = hull.magnitude();
    if has > EXACT {
        return Err(QuantError::TooWide {
            layer: layer.to_owned(),
            has,
            limit: EXACT,
        });
    }
    Ok(IntegerReach { hull, span })
}
