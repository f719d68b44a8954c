//! Values that a narrower lookup than the proved one could not take.

use crate::outside::{Leaving, leaving};
use crate::{BitwidthError, Widths};
use cml_ir::{Graph, Interval, Tensor};
use serde::Serialize;

/// How often samples would overflow lookups of at most `2^bits` values: what a
/// simulation without a limit counts, and a circuit with one gets wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overflow {
    /// Width of the lookups, in bits.
    pub bits: u32,
    /// Samples run.
    pub samples: u64,
    /// Samples with at least one value that overflows.
    pub samples_overflowing: u64,
    /// Values checked: elements that a lookup or an output reads.
    pub values: u64,
    /// Values that overflow.
    pub overflowing: u64,
    /// The rows of [`Widths::carried`], in their order.
    pub layers: Vec<LayerOverflow>,
}

/// Values of one layer that overflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerOverflow {
    /// Layer name.
    pub layer: String,
    /// Values outside their channel's domain.
    pub overflowing: u64,
}

impl Widths {
    /// Counts the values of samples that lookups (and decryptions) of `bits`
    /// bits could not take.
    ///
    /// Each channel has its own free offset, so its domain is the `2^bits`
    /// values in the middle of its proved interval; of an odd surplus, one
    /// value more is cut above than below. A channel that is proved to fit
    /// never overflows.
    ///
    /// # Errors
    /// If the graph is another one, or it does not take a sample. No sample at
    /// all is no error: nothing overflows then.
    pub fn overflow<S: AsRef<[Tensor]>>(
        &self,
        graph: &Graph,
        samples: impl IntoIterator<Item = S>,
        bits: u32,
    ) -> Result<Overflow, BitwidthError> {
        self.check(graph)?;
        let rows = self.carried();
        let domains = |id| self.channels(id).into_iter().map(|c| middle(c, bits)).collect();
        let domains: Vec<Vec<Interval>> = rows.iter().map(|row| domains(row.node)).collect();
        let Leaving {
            samples,
            samples_outside,
            values,
            left,
        } = leaving(graph, rows, &domains, samples)?;
        let layer = |(row, (overflowing, _)): (&crate::LayerWidth, (u64, _))| LayerOverflow {
            layer: row.layer.clone(),
            overflowing,
        };
        let layers: Vec<LayerOverflow> = rows.iter().zip(left).map(layer).collect();
        Ok(Overflow {
            bits,
            samples,
            samples_overflowing: samples_outside,
            values,
            overflowing: layers.iter().map(|l| l.overflowing).sum(),
            layers,
        })
    }
}

/// The `2^bits` values in the middle of an interval, or all of it if it has no more.
fn middle(of: Interval, bits: u32) -> Interval {
    if of.domain_bits() <= bits {
        return of;
    }
    // Fewer than the interval's values, of which there are at most 2^41.
    let values = 1i64 << bits;
    let lo = of.lo + (of.count() as i64 - values) / 2;
    Interval::new(lo, lo + values - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_lie_in_the_middle() {
        let check = |lo, hi, bits, from, to| {
            let domain = middle(Interval::new(lo, hi), bits);
            assert_eq!((domain.lo, domain.hi), (from, to), "{lo}..{hi} at {bits} bits");
        };
        check(-18, 18, 6, -18, 18);
        check(-18, 18, 5, -16, 15);
        check(0, 9, 3, 1, 8);
        check(100, 110, 0, 105, 105);
        check(-3, 4, 3, -3, 4);
        check(-3, 4, 64, -3, 4);
    }
}
