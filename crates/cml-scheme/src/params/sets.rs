//! The parameters of a circuit: sets of one ring.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ciphertext::LweKey;

use super::{Amortized, MAX_EVALUATION_KEY_BYTES, ParameterError, Parameters, Ring};

/// Most sets of a circuit, the amortized one apart.
pub const MOST_SETS: usize = 4;

/// Parameter sets of one ring, and so of one big key.
///
/// Ciphertexts between lookups are all under the big key, so each level of a circuit may be looked up with the set that
/// suits it. A set for single rotations has a small key, a keyswitching and a bootstrapping key of its own. Inputs under the
/// small key are under that of the first of them. One set may be for amortized rotations; it comes last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterSets {
    single: Vec<Parameters>,
    amortized: Option<Amortized>,
}

/// One of several sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Set<'a> {
    /// For single rotations.
    Single(&'a Parameters),
    /// For amortized rotations.
    Amortized(&'a Amortized),
}

impl Set<'_> {
    /// Its ring.
    pub fn ring(&self) -> Ring {
        match self {
            Self::Single(set) => set.ring(),
            Self::Amortized(set) => set.ring,
        }
    }
}

impl<'a> From<&'a Parameters> for Set<'a> {
    fn from(set: &'a Parameters) -> Self {
        Self::Single(set)
    }
}

impl<'a> From<&'a Amortized> for Set<'a> {
    fn from(set: &'a Amortized) -> Self {
        Self::Amortized(set)
    }
}

impl fmt::Display for Set<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(set) => set.fmt(f),
            Self::Amortized(set) => set.fmt(f),
        }
    }
}

impl From<Parameters> for ParameterSets {
    fn from(first: Parameters) -> Self {
        Self::new(vec![first], None)
    }
}

impl ParameterSets {
    /// Sets in this order; nobody has checked that there are any, and that they go together: see
    /// [`ParameterSets::validate`].
    pub fn new(single: Vec<Parameters>, amortized: Option<Amortized>) -> Self {
        Self { single, amortized }
    }

    /// The ring of all sets; of none, which validation refuses, one without coefficients.
    pub fn ring(&self) -> Ring {
        self.iter().next().map_or(
            Ring {
                glwe_dimension: 0,
                polynomial_size: 0,
                noise_bound: 0,
            },
            |set| set.ring(),
        )
    }

    /// A set, by its number from 0.
    pub fn get(&self, number: u32) -> Option<Set<'_>> {
        self.iter().nth(number as usize)
    }

    /// All sets, in order.
    pub fn iter(&self) -> impl Iterator<Item = Set<'_>> {
        let amortized = self.amortized.iter().map(Set::Amortized);
        self.single.iter().map(Set::Single).chain(amortized)
    }

    /// The sets for single rotations.
    pub fn single(&self) -> &[Parameters] {
        &self.single
    }

    /// The set for amortized rotations.
    pub fn amortized(&self) -> Option<&Amortized> {
        self.amortized.as_ref()
    }

    /// Number of sets.
    pub fn count(&self) -> usize {
        self.single.len() + usize::from(self.amortized.is_some())
    }

    /// Checks each set, and that they go together.
    ///
    /// # Errors
    ///
    /// As [`Parameters::validate`] and [`Amortized::validate`]; [`ParameterError::NoSet`],
    /// [`ParameterError::TooManySets`], [`ParameterError::OtherRing`], or [`ParameterError::KeyTooLarge`] for all keys
    /// together.
    pub fn validate(&self) -> Result<(), ParameterError> {
        if self.count() == 0 {
            return Err(ParameterError::NoSet);
        }
        if self.single.len() > MOST_SETS {
            return Err(ParameterError::TooManySets {
                has: self.single.len(),
                limit: MOST_SETS,
            });
        }
        self.single.iter().try_for_each(Parameters::validate)?;
        self.amortized.iter().try_for_each(Amortized::validate)?;
        let ring = self.ring();
        if let Some(set) = self.iter().position(|set| set.ring() != ring) {
            return Err(ParameterError::OtherRing { set });
        }
        let (bytes, limit) = (self.evaluation_key_bytes(), MAX_EVALUATION_KEY_BYTES);
        if bytes > limit {
            return Err(ParameterError::KeyTooLarge { bytes, limit });
        }
        Ok(())
    }

    /// Mask elements of a ciphertext under a key; under the small key that inputs may be under, 0 if there is none.
    pub fn dimension(&self, key: LweKey) -> usize {
        let dimension = match key {
            LweKey::Big => self.ring().big_dimension(),
            LweKey::Small => self.single.first().map_or(0, |set| set.lwe_dimension),
        };
        dimension as usize
    }

    /// Bytes of the secret keys as stored: the big key once, the small key of each set, and the sparse key.
    pub fn client_key_bytes(&self) -> u64 {
        let small = self.single.iter().map(Parameters::small_key_bytes).sum::<u64>();
        let sparse = self.amortized.as_ref().map_or(0, Amortized::sparse_key_bytes);
        self.ring().big_key_bytes() + small + sparse
    }

    /// Bytes of the seeded server keys as shipped.
    pub fn server_key_bytes(&self) -> u64 {
        let single = self.single.iter().map(Parameters::server_key_bytes).sum::<u64>();
        single + self.amortized.as_ref().map_or(0, Amortized::server_key_bytes)
    }

    /// Bytes of the seeded server keys in memory: their bodies in whole words.
    pub fn server_key_words_bytes(&self) -> u64 {
        let single = self.single.iter().map(Parameters::server_key_words_bytes);
        let amortized = self
            .amortized
            .as_ref()
            .map_or(0, Amortized::server_key_words_bytes);
        single.sum::<u64>() + amortized
    }

    /// Bytes of the expanded evaluation keys in the server's memory.
    pub fn evaluation_key_bytes(&self) -> u64 {
        let single = self.single.iter().map(Parameters::evaluation_key_bytes);
        single.sum::<u64>() + self.amortized.as_ref().map_or(0, Amortized::evaluation_key_bytes)
    }

    /// As [`Ring::ciphertext_bytes`].
    pub fn ciphertext_bytes(&self) -> u64 {
        self.ring().ciphertext_bytes()
    }

    /// As [`Ring::rounded_ciphertext_bytes`].
    pub fn rounded_ciphertext_bytes(&self, word_bytes: u32) -> u64 {
        self.ring().rounded_ciphertext_bytes(word_bytes)
    }
}

/// The sets, separated by `; `.
impl fmt::Display for ParameterSets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, set) in self.iter().enumerate() {
            f.write_str(if number == 0 { "" } else { "; " })?;
            write!(f, "{set}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_have_one_ring() {
        let set = |n, ring| Parameters::new(n, ring, (15, 2), (4, 4)).expect("valid set");
        let first = set(900, (1, 2048));
        let two = |more: Vec<Parameters>| ParameterSets::new([vec![first], more].concat(), None);
        let sets = two(vec![set(800, (1, 2048))]);
        assert_eq!(sets.validate(), Ok(()));
        assert_eq!(sets.get(1), Some(Set::Single(&set(800, (1, 2048)))));
        assert_eq!(sets.get(2), None);
        assert_eq!(sets.client_key_bytes(), 256 + 113 + 100);
        assert_eq!(sets.to_string().matches("N=2048").count(), 2);
        let error = |sets: ParameterSets| sets.validate().expect_err("refused").to_string();
        assert_eq!(
            error(two(vec![set(800, (2, 1024))])),
            "parameter set 1 has another ring"
        );
        assert_eq!(error(two(vec![first; 4])), "5 parameter sets, the most are 4");
        let broken = Parameters {
            lwe_dimension: 3,
            ..first
        };
        assert!(error(two(vec![broken])).starts_with("parameter lwe_dimension is 3"));
        assert_eq!(
            error(ParameterSets::new(Vec::new(), None)),
            "there is no parameter set"
        );
    }
}
