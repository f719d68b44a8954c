//! The key of amortized rotations as shipped: seeded, in the standard domain.

use crate::error::KeyError;
use crate::params::{Amortized, SEED_BYTES};
use crate::raw;

/// What a server needs for amortized rotations, and nothing to read ciphertexts.
///
/// - Selectors: for each gap of the sparse key, each of its digits and each value of the digit, whether the digit has it. A
///   selector is an element of a bootstrapping key (see [`raw::Dimensions::rows`]), encrypted under the big key.
/// - Keys of automorphisms ([`Amortized::automorphisms`]): for each level, the least significant first, the big key
///   under that automorphism, negated, times `2^64 / B^level`, encrypted under the big key.
/// - The key that switches to the sparse key: for each level, the least significant first, the big key in the ring of
///   the sparse one, negated, times `2^32 / B^level`, encrypted under the sparse key modulo 2^32.
///
/// Each of the three has a seed of its own for its masks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmortizedKey {
    parameters: Amortized,
    selectors: (u128, Vec<u64>),
    automorphisms: (u128, Vec<u64>),
    sparse: (u128, Vec<u32>),
}

impl AmortizedKey {
    /// A key of its parts, each the seed of its masks and its bodies.
    ///
    /// # Errors
    ///
    /// [`KeyError::Parameters`] for parameters that are refused, [`KeyError::Length`] if a part does not have as many
    /// bodies as they ask for.
    pub fn from_parts(
        parameters: &Amortized,
        selectors: (u128, Vec<u64>),
        automorphisms: (u128, Vec<u64>),
        sparse: (u128, Vec<u32>),
    ) -> Result<Self, KeyError> {
        parameters.validate()?;
        let lengths = [
            ("selectors", selectors.1.len(), parameters.selector_bodies()),
            (
                "keys of automorphisms",
                automorphisms.1.len(),
                parameters.automorphism_bodies(),
            ),
            (
                "key to the sparse key",
                sparse.1.len(),
                parameters.sparse_bodies(),
            ),
        ];
        for (what, has, needs) in lengths {
            let has = has as u64;
            if has != needs {
                return Err(KeyError::Length { what, has, needs });
            }
        }
        Ok(Self {
            parameters: *parameters,
            selectors,
            automorphisms,
            sparse,
        })
    }

    /// Parameters of the key.
    pub fn parameters(&self) -> &Amortized {
        &self.parameters
    }

    /// Seed of the masks of the selectors, and their bodies: gap by gap, digit by digit, value by value.
    pub fn selectors(&self) -> (u128, &[u64]) {
        (self.selectors.0, &self.selectors.1)
    }

    /// Seed of the masks of the keys of automorphisms, and their bodies.
    pub fn automorphisms(&self) -> (u128, &[u64]) {
        (self.automorphisms.0, &self.automorphisms.1)
    }

    /// Seed of the masks of the key to the sparse key, and its bodies.
    pub fn sparse(&self) -> (u128, &[u32]) {
        (self.sparse.0, &self.sparse.1)
    }

    /// Writes all parts: seeds and bodies.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.parameters.server_key_bytes() as usize);
        let size = self.parameters.ring.body_bytes() as usize;
        for (seed, bodies) in [&self.selectors, &self.automorphisms] {
            out.extend(seed.to_le_bytes());
            raw::put_high_bytes(&mut out, bodies, size);
        }
        out.extend(self.sparse.0.to_le_bytes());
        raw::put_u32(&mut out, &self.sparse.1);
        out
    }

    /// Reads a key of exactly these parameters. Any bytes of the right length are a key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Parameters`] for parameters that are refused, [`KeyError::Length`] for bytes of another length.
    pub fn from_bytes(bytes: &[u8], parameters: &Amortized) -> Result<Self, KeyError> {
        parameters.validate()?;
        let what = "key of amortized rotations";
        raw::check_length(what, bytes, parameters.server_key_bytes())?;
        let size = parameters.ring.body_bytes();
        let bytes_of = |bodies: u64| (SEED_BYTES + size * bodies) as usize;
        let (selectors, rest) = bytes.split_at(bytes_of(parameters.selector_bodies()));
        let (automorphisms, sparse) = rest.split_at(bytes_of(parameters.automorphism_bodies()));
        let wide = |bytes| -> Result<(u128, Vec<u64>), KeyError> {
            let (seed, bodies) = raw::split_seed(what, bytes)?;
            Ok((seed, raw::get_high_bytes(bodies, size as usize)))
        };
        let (seed, bodies) = raw::split_seed(what, sparse)?;
        Ok(Self {
            parameters: *parameters,
            selectors: wide(selectors)?,
            automorphisms: wide(automorphisms)?,
            sparse: (seed, raw::get_u32(bodies)),
        })
    }
}
