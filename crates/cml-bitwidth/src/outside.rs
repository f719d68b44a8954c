//! Values that leave an observed range.

use crate::observe::for_each_sample;
use crate::{Basis, BitwidthError, LayerWidth, Observed};
use cml_ir::{Graph, Interval, Tensor};
use serde::Serialize;
use std::fmt;

/// How often fresh samples leave the ranges observed on others. A circuit
/// sized by those ranges would be silently wrong there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outside {
    /// Samples on which the ranges rest.
    pub observed_on: u64,
    /// Samples checked against them.
    pub samples: u64,
    /// Samples with at least one value outside.
    pub samples_outside: u64,
    /// Values checked: elements that a lookup or an output reads.
    pub values: u64,
    /// Values outside their channel's observed range.
    pub values_outside: u64,
    /// Layers with values outside, in graph order.
    pub layers: Vec<LayerOutside>,
}

/// Values of one layer outside its observed ranges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerOutside {
    /// Layer name.
    pub layer: String,
    /// Values outside their channel's observed range.
    pub outside: u64,
    /// Hull of the channels' observed ranges.
    pub observed: Interval,
    /// Hull of the values outside.
    pub seen: Interval,
}

impl Observed {
    /// Counts the values of other samples that leave their channel's observed
    /// range, over every node that a lookup or an output reads.
    ///
    /// # Errors
    /// If the graph is another one, or it does not take a sample. No sample at
    /// all is no error: nothing is outside then.
    pub fn outside<S: AsRef<[Tensor]>>(
        &self,
        graph: &Graph,
        samples: impl IntoIterator<Item = S>,
    ) -> Result<Outside, BitwidthError> {
        self.check(graph)?;
        let rows = self.carried();
        let ranges: Vec<Vec<Interval>> = rows.iter().map(|row| self.channels(row.node)).collect();
        let Leaving {
            samples,
            samples_outside,
            values,
            left,
        } = leaving(graph, rows, &ranges, samples)?;
        let layers: Vec<LayerOutside> = rows
            .iter()
            .zip(left)
            .filter_map(|(row, (outside, seen))| {
                Some(LayerOutside {
                    layer: row.layer.clone(),
                    outside,
                    observed: row.range,
                    seen: seen?,
                })
            })
            .collect();
        Ok(Outside {
            observed_on: self.samples(),
            samples,
            samples_outside,
            values,
            values_outside: layers.iter().map(|l| l.outside).sum(),
            layers,
        })
    }
}

/// What leaves ranges, by row.
pub(crate) struct Leaving {
    pub(crate) samples: u64,
    pub(crate) samples_outside: u64,
    pub(crate) values: u64,
    /// For each row: how many values, and their hull.
    pub(crate) left: Vec<(u64, Option<Interval>)>,
}

/// Counts the values of `rows` that leave `ranges`, one for each channel of each row.
pub(crate) fn leaving<S: AsRef<[Tensor]>>(
    graph: &Graph,
    rows: &[LayerWidth],
    ranges: &[Vec<Interval>],
    samples: impl IntoIterator<Item = S>,
) -> Result<Leaving, BitwidthError> {
    let mut left: Vec<(u64, Option<Interval>)> = vec![(0, None); rows.len()];
    let (mut values, mut samples_outside) = (0, 0);
    let samples = for_each_sample(graph, samples, |all| {
        let mut leaves = false;
        for ((row, ranges), (count, seen)) in rows.iter().zip(ranges).zip(&mut left) {
            let data = all.get(row.node).data();
            values += data.len() as u64;
            let width = data.len() / ranges.len();
            let leaving = data
                .iter()
                .enumerate()
                .filter(|&(i, &v)| !ranges[i / width].contains(v));
            for (_, &v) in leaving {
                let point = Interval::point(v);
                *seen = Some(seen.map_or(point, |s| s.hull(point)));
                *count += 1;
                leaves = true;
            }
        }
        samples_outside += u64::from(leaves);
    })?;
    Ok(Leaving {
        samples,
        samples_outside,
        values,
        left,
    })
}

impl Outside {
    /// Refuses observed ranges that the samples leave.
    ///
    /// # Errors
    /// [`BitwidthError::Left`], with the layer most often left.
    pub fn require_none(&self) -> Result<(), BitwidthError> {
        match self.layers.iter().rev().max_by_key(|l| l.outside) {
            None => Ok(()),
            Some(worst) => Err(BitwidthError::Left {
                layer: worst.layer.clone(),
                outside: worst.outside,
                total: self.values_outside,
                basis: Basis::Observed {
                    samples: self.observed_on,
                },
            }),
        }
    }
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let basis = Basis::Observed {
            samples: self.observed_on,
        };
        writeln!(
            f,
            "outside the ranges {basis}: {} of {} values, in {} of {} samples",
            self.values_outside, self.values, self.samples_outside, self.samples
        )?;
        for l in &self.layers {
            let (layer, n, observed, seen) = (&l.layer, l.outside, l.observed, l.seen);
            writeln!(
                f,
                "  {layer}: {n} outside their channel's range, at {seen}; layer observed {observed}"
            )?;
        }
        Ok(())
    }
}
