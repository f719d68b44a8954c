//! Closed integer intervals.

use crate::IrError;
use serde::{Deserialize, Serialize};
use std::fmt;

/// All integers from `lo` to `hi`, both included; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::wire::WireInterval")]
pub struct Interval {
    /// Smallest value.
    pub lo: i64,
    /// Largest value.
    pub hi: i64,
}

impl Interval {
    /// The interval between two ends, given in either order.
    pub fn new(a: i64, b: i64) -> Self {
        Self {
            lo: a.min(b),
            hi: a.max(b),
        }
    }

    /// The interval of a single value.
    pub fn point(v: i64) -> Self {
        Self { lo: v, hi: v }
    }

    /// Refuses an interval that was put together with its ends swapped.
    ///
    /// # Errors
    /// [`IrError::EmptyInterval`].
    pub fn check(self) -> Result<Self, IrError> {
        if self.lo > self.hi {
            return Err(IrError::EmptyInterval {
                lo: self.lo,
                hi: self.hi,
            });
        }
        Ok(self)
    }

    /// Smallest interval that holds both.
    pub fn hull(self, other: Self) -> Self {
        Self {
            lo: self.lo.min(other.lo),
            hi: self.hi.max(other.hi),
        }
    }

    /// Smallest interval that holds all of them; `None` of none.
    pub fn hull_of(intervals: impl IntoIterator<Item = Self>) -> Option<Self> {
        intervals.into_iter().reduce(Self::hull)
    }

    /// Whether the value lies inside.
    pub fn contains(self, v: i64) -> bool {
        self.lo <= v && v <= self.hi
    }

    /// Whether the other interval lies inside.
    pub fn encloses(self, other: Self) -> bool {
        self.lo <= other.lo && other.hi <= self.hi
    }

    /// Number of values, `hi - lo + 1`.
    pub fn count(self) -> u64 {
        self.hi.abs_diff(self.lo).saturating_add(1)
    }

    /// Bits of a lookup domain with this many values: `ceil(log2(hi - lo + 1))`.
    /// Sign and offset cost nothing, since a clear shift is free.
    pub fn domain_bits(self) -> u32 {
        64 - (self.count() - 1).leading_zeros()
    }

    /// Bits of the machine integer that holds every value: two's complement if
    /// any value is negative, unsigned otherwise.
    pub fn storage_bits(self) -> u32 {
        let unsigned = |v: i64| 64 - v.max(0).leading_zeros();
        if self.lo >= 0 {
            unsigned(self.hi).max(1)
        } else {
            1 + unsigned(self.hi).max(unsigned(!self.lo))
        }
    }

    /// Largest magnitude of a value inside.
    pub fn magnitude(self) -> u64 {
        self.lo.unsigned_abs().max(self.hi.unsigned_abs())
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.lo, self.hi)
    }
}

#[cfg(test)]
mod tests {
    use super::Interval;

    #[test]
    fn bits_count_values_not_signs() {
        let check = |lo, hi, domain, storage| {
            let i = Interval::new(lo, hi);
            assert_eq!((i.domain_bits(), i.storage_bits()), (domain, storage), "{i}");
        };
        check(0, 0, 0, 1);
        check(5, 5, 0, 3);
        check(-3, 3, 3, 3);
        check(-4, 3, 3, 3);
        check(-4, 4, 4, 4);
        check(0, 255, 8, 8);
        check(-1, 254, 8, 9);
        check(-18, 18, 6, 6);
        check(i64::MIN, i64::MAX, 64, 64);
    }
}
