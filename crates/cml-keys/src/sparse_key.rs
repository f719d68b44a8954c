//! The sparse key of amortized rotations.

use std::fmt;

use cml_scheme::{Amortized, KeyError};
use zeroize::Zeroizing;

use crate::random::Randomness;

/// Keys that are drawn before one whose gaps are small enough: a good generator needs a handful.
const MOST_DRAWS: usize = 1 << 10;

/// A polynomial of `M` binary coefficients, `h` of them set, whose gaps are below `2^beta`: see
/// [`Amortized`].
///
/// Zeroed when dropped. Neither printable nor comparable.
pub struct SparseKey {
    parameters: Amortized,
    /// Descending.
    exponents: Zeroizing<Vec<u16>>,
}

impl SparseKey {
    /// Draws a key, uniformly from all whose gaps are small enough.
    ///
    /// # Errors
    ///
    /// [`KeyError::Parameters`] for parameters that [`Amortized::validate`] refuses, [`KeyError::Randomness`] if there is
    /// none.
    pub fn generate(parameters: &Amortized, random: &mut dyn Randomness) -> Result<Self, KeyError> {
        parameters.validate()?;
        let weight = parameters.weight as usize;
        for _ in 0..MOST_DRAWS {
            let mut exponents = Zeroizing::new(Vec::with_capacity(weight));
            let mut bytes = Zeroizing::new(vec![0; 4 * weight]);
            random.fill(&mut bytes)?;
            for pair in bytes.chunks_exact(2) {
                // The number of slots is a power of two.
                let exponent = u16::from_le_bytes([pair[0], pair[1]]) & (parameters.slots - 1) as u16;
                if exponents.len() < weight && !exponents.contains(&exponent) {
                    exponents.push(exponent);
                }
            }
            exponents.sort_unstable_by(|a, b| b.cmp(a));
            let key = Self {
                parameters: *parameters,
                exponents,
            };
            if key.is_valid() {
                return Ok(key);
            }
        }
        let why = format!(
            "{MOST_DRAWS} keys in a row had a gap of 2^{}",
            parameters.gap_bits
        );
        Err(KeyError::Randomness(why))
    }

    /// Parameters of the key.
    pub fn parameters(&self) -> &Amortized {
        &self.parameters
    }

    /// Whether there are as many exponents as there should be, descending, and gaps are small enough.
    fn is_valid(&self) -> bool {
        let limit = 1 << self.parameters.gap_bits;
        self.exponents.len() == self.parameters.weight as usize
            && self
                .exponents
                .first()
                .is_some_and(|&p| u32::from(p) < self.parameters.slots)
            && self.exponents.windows(2).all(|pair| pair[0] > pair[1])
            && self.gaps().iter().all(|&gap| gap < limit)
    }

    /// From the end of the ring to the largest exponent, from each to the next, from the least to 0.
    pub(crate) fn gaps(&self) -> Zeroizing<Vec<u32>> {
        let mut from = self.parameters.slots;
        let mut gaps = Zeroizing::new(Vec::with_capacity(self.exponents.len() + 1));
        for &exponent in self.exponents.iter().chain(&[0]) {
            gaps.push(from - u32::from(exponent));
            from = u32::from(exponent);
        }
        gaps
    }

    /// The selectors, in the order of the server key: for each gap, each digit of it and each value of the digit 1 if
    /// it has the value, else 0.
    pub(crate) fn selectors(&self) -> Zeroizing<Vec<u64>> {
        let mut bits = Zeroizing::new(Vec::with_capacity(self.parameters.selectors() as usize));
        for &gap in self.gaps().iter() {
            for digit in self.parameters.digits() {
                let values = 1 << digit.bits;
                let value = (gap >> digit.shift) % values;
                bits.extend((0..values).map(|other| u64::from(other == value)));
            }
        }
        bits
    }

    /// The coefficients, of 32 bits.
    pub(crate) fn coefficients(&self) -> Zeroizing<Vec<u32>> {
        let mut coefficients = Zeroizing::new(vec![0; self.parameters.slots as usize]);
        self.exponents
            .iter()
            .for_each(|&p| coefficients[usize::from(p)] = 1);
        coefficients
    }

    /// Writes the exponents.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        self.exponents.iter().for_each(|p| out.extend(p.to_le_bytes()));
    }

    /// Reads a key of valid parameters, of bytes of the right length.
    pub(crate) fn from_bytes(bytes: &[u8], parameters: &Amortized) -> Result<Self, KeyError> {
        let mut exponents = Zeroizing::new(Vec::with_capacity(parameters.weight as usize));
        exponents.extend(bytes.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair)));
        let key = Self {
            parameters: *parameters,
            exponents,
        };
        if key.is_valid() {
            Ok(key)
        } else {
            Err(KeyError::Sparse)
        }
    }
}

/// Prints the parameters only.
impl fmt::Debug for SparseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SparseKey")
            .field("parameters", &self.parameters)
            .finish_non_exhaustive()
    }
}
