//! The evaluation keys of all parameter sets of a circuit.

use crate::amortized_key::AmortizedKey;
use crate::error::KeyError;
use crate::params::ParameterSets;
use crate::raw;
use crate::server_key::ServerKey;

/// Everything a server needs to compute on ciphertexts: a server key for each parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerKeys {
    parameters: ParameterSets,
    single: Vec<ServerKey>,
    amortized: Option<AmortizedKey>,
}

impl ServerKeys {
    /// The keys of each set, in order.
    ///
    /// # Errors
    ///
    /// [`KeyError::Parameters`] for sets that do not go together, [`KeyError::Sets`] if the keys are of others.
    pub fn from_sets(
        parameters: &ParameterSets,
        single: Vec<ServerKey>,
        amortized: Option<AmortizedKey>,
    ) -> Result<Self, KeyError> {
        parameters.validate()?;
        let own = single.iter().map(ServerKey::parameters);
        let amortized_own = amortized.as_ref().map(AmortizedKey::parameters);
        if !own.eq(parameters.single()) || amortized_own != parameters.amortized() {
            return Err(KeyError::Sets);
        }
        Ok(Self {
            parameters: parameters.clone(),
            single,
            amortized,
        })
    }

    /// Parameters of the keys.
    pub fn parameters(&self) -> &ParameterSets {
        &self.parameters
    }

    /// The key of each set for single rotations, in order.
    pub fn single(&self) -> &[ServerKey] {
        &self.single
    }

    /// The key of amortized rotations.
    pub fn amortized(&self) -> Option<&AmortizedKey> {
        self.amortized.as_ref()
    }

    /// The bytes of each key, in order: see [`ServerKey::to_bytes`] and [`AmortizedKey::to_bytes`].
    pub fn parts(&self) -> impl Iterator<Item = Vec<u8>> {
        let single = self.single.iter().map(ServerKey::to_bytes);
        single.chain(self.amortized.iter().map(AmortizedKey::to_bytes))
    }

    /// Writes the key of each set.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.parameters.server_key_bytes() as usize);
        self.single.iter().for_each(|key| key.put(&mut out));
        out.extend(self.amortized.iter().flat_map(AmortizedKey::to_bytes));
        out
    }

    /// Reads keys of exactly these parameters: see [`ServerKey::from_bytes`].
    ///
    /// # Errors
    ///
    /// [`KeyError::Parameters`] for parameters that are refused,
    /// [`KeyError::Length`] for bytes of another length.
    pub fn from_bytes(bytes: &[u8], parameters: &ParameterSets) -> Result<Self, KeyError> {
        parameters.validate()?;
        raw::check_length("server key", bytes, parameters.server_key_bytes())?;
        let mut rest = bytes;
        let mut single = Vec::with_capacity(parameters.single().len());
        for set in parameters.single() {
            let (key, after) = rest.split_at(set.server_key_bytes() as usize);
            single.push(ServerKey::from_bytes(key, set)?);
            rest = after;
        }
        let amortized = parameters.amortized();
        let amortized = amortized
            .map(|set| AmortizedKey::from_bytes(rest, set))
            .transpose()?;
        Ok(Self {
            parameters: parameters.clone(),
            single,
            amortized,
        })
    }
}
