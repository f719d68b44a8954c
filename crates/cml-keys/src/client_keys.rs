//! The secret keys of all parameter sets of a circuit.

use cml_scheme::{Binding, KeyError, ParameterSets, Progress, ServerKey, ServerKeys, raw};
use zeroize::Zeroizing;

use crate::client_key::ClientKey;
use crate::random::Randomness;
use crate::sparse_key::SparseKey;

/// A client's secrets with the circuit and the key pair that they belong to.
#[derive(Debug)]
pub struct BoundClientKeys {
    /// What they belong to.
    pub binding: Binding,
    /// The secrets.
    pub value: ClientKeys,
}

/// The client's secrets: one big key, the small key of each parameter set, and the sparse key of amortized rotations.
#[derive(Debug)]
pub struct ClientKeys {
    parameters: ParameterSets,
    /// The big key, with the small key of the first set if there is one.
    first: ClientKey,
    /// The big key with the small key of each other set.
    more: Vec<ClientKey>,
    sparse: Option<SparseKey>,
}

impl ClientKeys {
    /// Draws keys.
    ///
    /// # Errors
    ///
    /// [`KeyError::Parameters`] for parameters that [`ParameterSets::validate`] refuses, [`KeyError::Randomness`]
    /// if there is none.
    pub fn generate(parameters: &ParameterSets, random: &mut dyn Randomness) -> Result<Self, KeyError> {
        parameters.validate()?;
        let first = match parameters.single().first() {
            Some(set) => ClientKey::generate(set, random)?,
            None => ClientKey::of_ring(&parameters.ring(), random)?,
        };
        let more = parameters.single().iter().skip(1);
        let more = more
            .map(|set| first.beside(set, random))
            .collect::<Result<_, _>>()?;
        let sparse = parameters.amortized();
        let sparse = sparse.map(|set| SparseKey::generate(set, random)).transpose()?;
        Ok(Self {
            parameters: parameters.clone(),
            first,
            more,
            sparse,
        })
    }

    /// Parameters of the keys.
    pub fn parameters(&self) -> &ParameterSets {
        &self.parameters
    }

    /// The big key and the first set's small key: it encrypts inputs and decrypts results.
    pub fn first(&self) -> &ClientKey {
        &self.first
    }

    /// The keys of the sets for single rotations.
    fn single(&self) -> impl Iterator<Item = &ClientKey> {
        let all = std::iter::once(&self.first).chain(&self.more);
        all.take(self.parameters.single().len())
    }

    /// Encrypts the keys for a server, on all threads; calls `report` as it goes, set by set.
    ///
    /// # Errors
    ///
    /// [`KeyError::Randomness`] if there is none.
    pub fn server_keys(
        &self,
        random: &mut dyn Randomness,
        report: &mut dyn FnMut(Progress),
    ) -> Result<ServerKeys, KeyError> {
        let single = self.single().map(|key| key.server_key(random, report));
        let single = single.collect::<Result<Vec<ServerKey>, KeyError>>()?;
        let sparse = self.sparse.as_ref();
        let amortized = sparse.map(|sparse| self.first.amortized_key(sparse, random, report));
        ServerKeys::from_sets(&self.parameters, single, amortized.transpose()?)
    }

    /// Writes the big key and all small ones, one bit for each key bit, and the exponents of the sparse key. The bytes
    /// are as secret as the keys.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(self.parameters.client_key_bytes() as usize));
        self.first.put_big(&mut out);
        self.single().for_each(|key| key.put_small(&mut out));
        self.sparse.iter().for_each(|key| key.put(&mut out));
        out
    }

    /// Reads keys of exactly these parameters.
    ///
    /// # Errors
    ///
    /// [`KeyError::Parameters`] for parameters that are refused, [`KeyError::Length`]
    /// for bytes of another length, [`KeyError::Padding`] for set padding bits, [`KeyError::Sparse`] for a sparse key that is
    /// none of the parameters.
    pub fn from_bytes(bytes: &[u8], parameters: &ParameterSets) -> Result<Self, KeyError> {
        parameters.validate()?;
        raw::check_length("client key", bytes, parameters.client_key_bytes())?;
        let ring = parameters.ring();
        let (big, mut rest) = bytes.split_at(ring.big_key_bytes() as usize);
        let big = ClientKey::from_big(big, &ring)?;
        let mut single = Vec::with_capacity(parameters.single().len());
        for set in parameters.single() {
            let (small, after) = rest.split_at(set.small_key_bytes() as usize);
            single.push(big.with_small(small, set)?);
            rest = after;
        }
        let sparse = parameters.amortized();
        let sparse = sparse.map(|set| SparseKey::from_bytes(rest, set)).transpose()?;
        let mut single = single.into_iter();
        Ok(Self {
            parameters: parameters.clone(),
            first: single.next().unwrap_or(big),
            more: single.collect(),
            sparse,
        })
    }
}
