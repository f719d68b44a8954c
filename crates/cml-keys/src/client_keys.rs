//! The secret keys of all parameter sets of a circuit.

use cml_scheme::{Binding, KeyError, ParameterSets, Progress, ServerKey, ServerKeys, raw};
use zeroize::Zeroizing;

use crate::client_key::ClientKey;
use crate::random::Randomness;

/// A client's secrets with the circuit and the key pair that they belong to.
#[derive(Debug)]
pub struct BoundClientKeys {
    /// What they belong to.
    pub binding: Binding,
    /// The secrets.
    pub value: ClientKeys,
}

/// The client's secrets: one big key, and the small key of each parameter set.
#[derive(Debug)]
pub struct ClientKeys {
    parameters: ParameterSets,
    /// At least one; all hold the same big key.
    sets: Vec<ClientKey>,
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
        let mut sets: Vec<ClientKey> = Vec::with_capacity(parameters.count());
        for parameters in parameters.iter() {
            sets.push(match sets.first() {
                None => ClientKey::generate(parameters, random)?,
                Some(first) => first.beside(parameters, random)?,
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
        let sets = self.sets.iter().map(|key| key.server_key(random, report));
        let sets = sets.collect::<Result<Vec<ServerKey>, KeyError>>()?;
        ServerKeys::from_sets(&self.parameters, sets)
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
        raw::check_length("client key", bytes, parameters.client_key_bytes())?;
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
