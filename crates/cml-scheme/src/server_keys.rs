//! The evaluation keys of all parameter sets of a circuit.

use crate::error::KeyError;
use crate::params::ParameterSets;
use crate::raw;
use crate::server_key::ServerKey;

/// Everything a server needs to compute on ciphertexts: a server key for each parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerKeys {
    parameters: ParameterSets,
    sets: Vec<ServerKey>,
}

impl ServerKeys {
    /// The keys of each set, in order.
    ///
    /// # Errors
    ///
    /// [`KeyError::Parameters`] for sets that do not go together, [`KeyError::Sets`] if the keys are of others.
    pub fn from_sets(parameters: &ParameterSets, sets: Vec<ServerKey>) -> Result<Self, KeyError> {
        parameters.validate()?;
        let own = sets.iter().map(ServerKey::parameters);
        if !own.eq(parameters.iter()) {
            return Err(KeyError::Sets);
        }
        Ok(Self {
            parameters: parameters.clone(),
            sets,
        })
    }

    /// Parameters of the keys.
    pub fn parameters(&self) -> &ParameterSets {
        &self.parameters
    }

    /// The key of each set, in order.
    pub fn sets(&self) -> &[ServerKey] {
        &self.sets
    }

    /// Writes the key of each set: see [`ServerKey::to_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.parameters.server_key_bytes() as usize);
        self.sets.iter().for_each(|key| key.put(&mut out));
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
        let mut sets = Vec::with_capacity(parameters.count());
        for set in parameters.iter() {
            let (key, after) = rest.split_at(set.server_key_bytes() as usize);
            sets.push(ServerKey::from_bytes(key, set)?);
            rest = after;
        }
        Ok(Self {
            parameters: parameters.clone(),
            sets,
        })
    }
}
