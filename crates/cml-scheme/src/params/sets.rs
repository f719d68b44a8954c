//! The parameters of a circuit: one set, or several of one ring.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{MAX_EVALUATION_KEY_BYTES, ParameterError, Parameters};

/// Most sets of a circuit.
pub const MOST_SETS: usize = 4;

/// Parameter sets of one ring, and so of one big key: each has a small key, a keyswitching and a bootstrapping key
/// of its own.
///
/// Ciphertexts between lookups are all under the big key, so each level of a circuit may be looked up with the set that
/// suits it. Inputs under the small key are under that of the first set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterSets {
    first: Parameters,
    more: Vec<Parameters>,
}

impl From<Parameters> for ParameterSets {
    fn from(first: Parameters) -> Self {
        let more = Vec::new();
        Self { first, more }
    }
}

impl ParameterSets {
    /// Sets in this order; nobody has checked that they go together: see [`ParameterSets::validate`].
    pub fn new(first: Parameters, more: Vec<Parameters>) -> Self {
        Self { first, more }
    }

    /// The first set. All have its ring.
    pub fn first(&self) -> &Parameters {
        &self.first
    }

    /// A set, by its number from 0.
    pub fn get(&self, number: u32) -> Option<&Parameters> {
        self.iter().nth(number as usize)
    }

    /// A set; of a number that no set has, which a validated circuit does not name, the first.
    pub fn get_or_first(&self, number: u32) -> &Parameters {
        self.get(number).unwrap_or(&self.first)
    }

    /// All sets, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Parameters> {
        std::iter::once(&self.first).chain(&self.more)
    }

    /// Number of sets.
    pub fn count(&self) -> usize {
        1 + self.more.len()
    }

    /// Checks each set, and that they go together.
    ///
    /// # Errors
    ///
    /// As [`Parameters::validate`]; [`ParameterError::TooManySets`], [`ParameterError::OtherRing`], or
    /// [`ParameterError::KeyTooLarge`] for all keys together.
    pub fn validate(&self) -> Result<(), ParameterError> {
        if self.count() > MOST_SETS {
            return Err(ParameterError::TooManySets {
                has: self.count(),
                limit: MOST_SETS,
            });
        }
        self.iter().try_for_each(Parameters::validate)?;
        let ring = |p: &Parameters| (p.glwe_dimension, p.polynomial_size);
        if let Some(set) = self.more.iter().position(|p| ring(p) != ring(&self.first)) {
            return Err(ParameterError::OtherRing { set: set + 1 });
        }
        let (bytes, limit) = (self.evaluation_key_bytes(), MAX_EVALUATION_KEY_BYTES);
        if bytes > limit {
            return Err(ParameterError::KeyTooLarge { bytes, limit });
        }
        Ok(())
    }

    /// Bytes of the secret keys as stored: the big key once, and the small key of each set.
    pub fn client_key_bytes(&self) -> u64 {
        let small = self.iter().map(Parameters::small_key_bytes).sum::<u64>();
        self.first.big_key_bytes() + small
    }

    /// Bytes of the seeded server keys as shipped.
    pub fn server_key_bytes(&self) -> u64 {
        self.iter().map(Parameters::server_key_bytes).sum()
    }

    /// Bytes of the expanded evaluation keys in the server's memory.
    pub fn evaluation_key_bytes(&self) -> u64 {
        self.iter().map(Parameters::evaluation_key_bytes).sum()
    }

    /// As [`Parameters::ciphertext_bytes`].
    pub fn ciphertext_bytes(&self) -> u64 {
        self.first.ciphertext_bytes()
    }

    /// As [`Parameters::rounded_ciphertext_bytes`].
    pub fn rounded_ciphertext_bytes(&self, word_bytes: u32) -> u64 {
        self.first.rounded_ciphertext_bytes(word_bytes)
    }
}

/// The sets, separated by `; `.
impl fmt::Display for ParameterSets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        self.more.iter().try_for_each(|set| write!(f, "; {set}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_have_one_ring() {
        let set = |n, ring| Parameters::new(n, ring, (15, 2), (4, 4)).expect("valid set");
        let first = set(900, (1, 2048));
        let two = |more| ParameterSets::new(first, more);
        let sets = two(vec![set(800, (1, 2048))]);
        assert_eq!(sets.validate(), Ok(()));
        assert_eq!(sets.get(1), Some(&set(800, (1, 2048))));
        assert_eq!(sets.get(2), None);
        assert_eq!(sets.client_key_bytes(), 256 + 113 + 100);
        assert_eq!(sets.to_string().matches("N=2048").count(), 2);
        let error = |sets: ParameterSets| sets.validate().expect_err("refused").to_string();
        assert_eq!(
            error(two(vec![set(800, (2, 1024))])),
            "parameter set 1 has another ring than the first"
        );
        assert_eq!(error(two(vec![first; 4])), "5 parameter sets, the most are 4");
        let broken = Parameters {
            lwe_dimension: 3,
            ..first
        };
        assert!(error(two(vec![broken])).starts_with("parameter lwe_dimension is 3"));
    }
}
