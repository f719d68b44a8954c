//! The keys of all parameter sets of a circuit.

use super::{KeyError, ServerKey, bytes};
use crate::params::ParameterSets;

#[cfg(feature = "client")]
use super::{ClientKey, Progress};
#[cfg(feature = "client")]
use zeroize::Zeroizing;

/// The client's secrets: one big key, and the small key of each parameter set.
#[cfg(feature = "client")]
#[derive(Debug)]
pub struct ClientKeys {
    parameters: ParameterSets,
    /// At least one; all hold the same big key.
    sets: Vec<ClientKey>,
}

#[cfg(feature = "client")]
impl ClientKeys {
    /// Draws keys from the randomness of the hardware or the operating system.
    ///
    /// # Errors
    ///
    /// [`KeyError::Parameters`] for parameters that [`ParameterSets::validate`] refuses.
    ///
    /// # Panics
    ///
    /// On a machine that offers no source of randomness.
    pub fn generate(parameters: &ParameterSets) -> Result<Self, KeyError> {
        parameters.validate()?;
        let mut sets: Vec<ClientKey> = Vec::with_capacity(parameters.count());
        for parameters in parameters.iter() {
            sets.push(match sets.first() {
                None => ClientKey::generate(parameters)?,
                Some(first) => first.beside(parameters)?,
            });
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

    /// The first set's key: it encrypts inputs and decrypts results.
    pub fn first(&self) -> &ClientKey {
        &self.sets[0]
    }

    /// Writes the big key and all small ones, one bit for each key bit. The bytes are as secret as the keys.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(self.parameters.client_key_bytes() as usize));
        self.first().put_big(&mut out);
        self.sets.iter().for_each(|key| key.put_small(&mut out));
        out
    }

    /// Reads keys of exactly these parameters.
    ///
    /// # Errors
    ///
    /// [`KeyError::Parameters`] for parameters that are refused, [`KeyError::Length`]
    /// for bytes of another length, [`KeyError::Padding`] for set padding bits.
    pub fn from_bytes(bytes: &[u8], parameters: &ParameterSets) -> Result<Self, KeyError> {
        parameters.validate()?;
        bytes::check_length("client key", bytes, parameters.client_key_bytes())?;
        let (big, mut rest) = bytes.split_at(parameters.first().big_key_bytes() as usize);
        let mut sets = Vec::with_capacity(parameters.count());
        for set in parameters.iter() {
            let (small, after) = rest.split_at(set.small_key_bytes() as usize);
            sets.push(ClientKey::from_parts(big, small, set)?);
            rest = after;
        }
        Ok(Self {
            parameters: parameters.clone(),
            sets,
        })
    }
}

/// Everything a server needs to compute on ciphertexts: a server key for each parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerKeys {
    parameters: ParameterSets,
    sets: Vec<ServerKey>,
}

impl ServerKeys {
    /// Encrypts the client's keys, on all threads; calls `report` as it goes, set by set.
    ///
    /// # Panics
    ///
    /// On a machine that offers no source of randomness.
    #[cfg(feature = "client")]
    pub fn generate(client: &ClientKeys, report: &mut dyn FnMut(Progress)) -> Self {
        let sets = client.sets.iter();
        Self {
            parameters: client.parameters.clone(),
            sets: sets.map(|key| ServerKey::generate(key, report)).collect(),
        }
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
        bytes::check_length("server key", bytes, parameters.server_key_bytes())?;
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
