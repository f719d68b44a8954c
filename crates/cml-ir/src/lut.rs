//! Lookup tables as piecewise-constant integer functions.

use crate::{Interval, IrError};
use cml_file::short_hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A piecewise-constant function on all integers: `first` below the first
/// break, then, from each break's position on, that break's value.
///
/// Canonical: positions ascend and neighbouring plateaus differ, so equal
/// functions are equal values. Small even for a 20-bit domain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Steps {
    first: i64,
    breaks: Vec<(i64, i64)>,
}

impl Steps {
    /// A step function from its first value and its breaks `(position, value)`.
    ///
    /// # Errors
    /// If the positions do not strictly ascend. Breaks that change nothing
    /// are dropped.
    pub fn new(first: i64, breaks: Vec<(i64, i64)>) -> Result<Self, IrError> {
        if breaks.windows(2).any(|w| w[0].0 >= w[1].0) {
            return Err(IrError::Table("break positions must ascend"));
        }
        let mut last = first;
        let breaks = breaks
            .into_iter()
            .filter(|&(_, v)| std::mem::replace(&mut last, v) != v)
            .collect();
        Ok(Self { first, breaks })
    }

    /// The same value everywhere.
    pub fn constant(value: i64) -> Self {
        Self {
            first: value,
            breaks: Vec::new(),
        }
    }

    /// Samples `f` on each integer of the domain; beyond the domain the first
    /// and the last value go on.
    pub fn from_fn(domain: Interval, mut f: impl FnMut(i64) -> i64) -> Self {
        let first = f(domain.lo);
        let mut last = first;
        let mut breaks = Vec::new();
        for x in domain.lo + 1..=domain.hi {
            let v = f(x);
            if v != last {
                breaks.push((x, v));
                last = v;
            }
        }
        Self { first, breaks }
    }

    /// Value at `x`.
    pub fn eval(&self, x: i64) -> i64 {
        match self.breaks.partition_point(|&(at, _)| at <= x) {
            0 => self.first,
            i => self.breaks[i - 1].1,
        }
    }

    /// The breaks `(position, value from there on)`.
    pub fn breaks(&self) -> &[(i64, i64)] {
        &self.breaks
    }

    /// Values taken on an interval, in order, with repetitions of
    /// non-neighbouring plateaus.
    pub fn plateaus(&self, on: Interval) -> impl Iterator<Item = i64> + '_ {
        let inside = self
            .breaks
            .iter()
            .filter(move |&&(at, _)| at > on.lo && at <= on.hi);
        std::iter::once(self.eval(on.lo)).chain(inside.map(|&(_, v)| v))
    }

    /// Smallest interval that holds every value taken on `on`.
    pub fn image(&self, on: Interval) -> Interval {
        self.plateaus(on)
            .map(Interval::point)
            .reduce(Interval::hull)
            .unwrap_or(Interval::point(self.first))
    }

    /// The value, if there is only one on the interval.
    pub fn constant_on(&self, on: Interval) -> Option<i64> {
        let mut plateaus = self.plateaus(on);
        let first = plateaus.next()?;
        plateaus.next().is_none().then_some(first)
    }

    /// `x -> outer(self(x))`.
    pub fn then(&self, outer: &Self) -> Self {
        let mut last = outer.eval(self.first);
        let first = last;
        let mapped = self.breaks.iter().map(|&(at, v)| (at, outer.eval(v)));
        let breaks = mapped
            .filter(|&(_, v)| std::mem::replace(&mut last, v) != v)
            .collect();
        Self { first, breaks }
    }

    fn check(&self) -> Result<(), IrError> {
        let mut last = self.first;
        if self
            .breaks
            .iter()
            .any(|&(_, v)| std::mem::replace(&mut last, v) == v)
        {
            return Err(IrError::Table("neighbouring plateaus must differ"));
        }
        if self.breaks.windows(2).any(|w| w[0].0 >= w[1].0) {
            return Err(IrError::Table("break positions must ascend"));
        }
        Ok(())
    }
}

/// A table for a tensor: one step function for all, or one for each channel
/// (axis 0).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lut {
    channels: Vec<Steps>,
}

impl Lut {
    /// The same function for every element.
    pub fn per_tensor(steps: Steps) -> Self {
        Self {
            channels: vec![steps],
        }
    }

    /// One function for each channel; a single one serves every channel.
    ///
    /// # Errors
    /// If there is none.
    pub fn per_channel(channels: Vec<Steps>) -> Result<Self, IrError> {
        if channels.is_empty() {
            return Err(IrError::Table("needs at least one channel"));
        }
        Ok(Self { channels })
    }

    /// The same sampled function for every element; see [`Steps::from_fn`].
    pub fn from_fn(domain: Interval, f: impl FnMut(i64) -> i64) -> Self {
        Self::per_tensor(Steps::from_fn(domain, f))
    }

    /// Step functions: one, or one for each channel.
    pub fn channels(&self) -> &[Steps] {
        &self.channels
    }

    /// The function of a channel.
    pub fn channel(&self, c: usize) -> &Steps {
        if self.channels.len() == 1 {
            &self.channels[0]
        } else {
            &self.channels[c]
        }
    }

    /// Whether every channel has the same function.
    pub fn is_per_tensor(&self) -> bool {
        self.channels.len() == 1
    }

    /// `x -> outer(self(x))`, channel by channel.
    pub fn then(&self, outer: &Self) -> Self {
        let n = self.channels.len().max(outer.channels.len());
        Self {
            channels: (0..n).map(|c| self.channel(c).then(outer.channel(c))).collect(),
        }
    }

    /// Largest number of steps in a channel.
    pub fn max_steps(&self) -> usize {
        self.channels.iter().map(|s| s.breaks.len()).max().unwrap_or(0)
    }

    pub(crate) fn check(&self) -> Result<(), IrError> {
        if self.channels.is_empty() {
            return Err(IrError::Table("needs at least one channel"));
        }
        self.channels.iter().try_for_each(Steps::check)
    }

    pub(crate) fn short_hash(&self) -> String {
        let mut hash = Sha256::new();
        for s in &self.channels {
            hash.update((s.breaks.len() as u64).to_le_bytes());
            hash.update(s.first.to_le_bytes());
            for &(at, v) in &s.breaks {
                hash.update(at.to_le_bytes());
                hash.update(v.to_le_bytes());
            }
        }
        short_hex(&hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn steps() -> impl Strategy<Value = Steps> {
        (prop::collection::btree_map(-20i64..20, -4i64..4, 0..6), -4i64..4)
            .prop_map(|(breaks, first)| Steps::new(first, breaks.into_iter().collect()).unwrap())
    }

    proptest! {
        #[test]
        fn image_and_composition_agree_with_evaluation(f in steps(), g in steps(), a in -25i64..25, b in -25i64..25) {
            let on = Interval::new(a, b);
            let values: Vec<i64> = (on.lo..=on.hi).map(|x| f.eval(x)).collect();
            let image = f.image(on);
            prop_assert_eq!(image.lo, *values.iter().min().unwrap());
            prop_assert_eq!(image.hi, *values.iter().max().unwrap());
            let constant = values.iter().all(|v| v == &values[0]).then_some(values[0]);
            prop_assert_eq!(f.constant_on(on), constant);
            let composed = f.then(&g);
            composed.check().unwrap();
            f.check().unwrap();
            for x in -25..25 {
                prop_assert_eq!(composed.eval(x), g.eval(f.eval(x)));
            }
            let sampled = Steps::from_fn(Interval::new(-30, 30), |x| f.eval(x));
            prop_assert_eq!(sampled, f);
        }
    }
}
