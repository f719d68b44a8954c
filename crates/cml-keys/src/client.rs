//! The client: holds the secret key, encrypts and decrypts.

use crate::client_keys::{BoundClientKeys, ClientKeys};
use crate::random::Randomness;
use cml_ir::{IrError, Tensor};
use cml_scheme::artifact::{EncryptedInputs, EncryptedOutputs};
use cml_scheme::{Binding, Bound, Ciphertext, ClientSpec, Interface, KeyError, Progress, ServerKeys};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Why the client cannot do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Inputs that do not fit the circuit.
    #[error("sample {sample}: {source}")]
    Input {
        /// Number of the sample, from 0.
        sample: usize,
        /// What is wrong with it.
        source: IrError,
    },
    /// Outputs of a shape that no tensor has.
    #[error("sample {sample}: {source}")]
    Output {
        /// Number of the sample, from 0.
        sample: usize,
        /// What is wrong with it.
        source: IrError,
    },
    /// Keys or ciphertexts that do not fit.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A key of another circuit, or results under other keys.
    #[error("{what} belongs to {has}, this client has {needs}")]
    Foreign {
        /// What was given.
        what: &'static str,
        /// Its binding.
        has: String,
        /// Binding of the client.
        needs: String,
    },
    /// Results of another circuit.
    #[error("sample {sample} has {has} encrypted values, the circuit puts out {needs}")]
    Count {
        /// Number of the sample, from 0.
        sample: usize,
        /// Values found.
        has: usize,
        /// Values of the circuit.
        needs: usize,
    },
}

/// A circuit's client: the only one who can encrypt and decrypt. It does not
/// need the circuit.
pub struct Client {
    spec: Arc<ClientSpec>,
    key: BoundClientKeys,
}

impl Client {
    /// Draws a key pair from the randomness of the system: the client, and what it sends to the server. `report`
    /// is called as the work goes on.
    ///
    /// # Errors
    /// If the operating system has no randomness.
    #[cfg(feature = "os")]
    pub fn generate(
        spec: impl Into<Arc<ClientSpec>>,
        report: &mut dyn FnMut(Progress),
    ) -> Result<(Self, Bound<ServerKeys>), ClientError> {
        Self::generate_with(spec, &mut crate::random::System::new(), report)
    }

    /// [`Client::generate`] with a source of randomness.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn generate_with(
        spec: impl Into<Arc<ClientSpec>>,
        random: &mut dyn Randomness,
        report: &mut dyn FnMut(Progress),
    ) -> Result<(Self, Bound<ServerKeys>), ClientError> {
        let spec = spec.into();
        let key = ClientKeys::generate(spec.parameters(), random)?;
        let value = key.server_keys(random, report)?;
        let binding = Binding::of(*spec.circuit(), &value);
        let server = Bound { binding, value };
        let key = BoundClientKeys { binding, value: key };
        Ok((Self { spec, key }, server))
    }

    /// A client from a key that was read from a file.
    ///
    /// # Errors
    /// If the key belongs to another circuit.
    pub fn new(spec: impl Into<Arc<ClientSpec>>, key: BoundClientKeys) -> Result<Self, ClientError> {
        let spec = spec.into();
        let needs = Binding {
            circuit: *spec.circuit(),
            ..key.binding
        };
        if key.binding != needs || key.value.parameters() != spec.parameters() {
            return Err(ClientError::Foreign {
                what: "client key",
                has: key.binding.to_string(),
                needs: needs.to_string(),
            });
        }
        Ok(Self { spec, key })
    }

    /// What the client knows of the circuit.
    pub fn spec(&self) -> &ClientSpec {
        &self.spec
    }

    /// The secret key.
    pub fn key(&self) -> &BoundClientKeys {
        &self.key
    }

    /// Encrypts samples of integer codes, with the randomness of the system: for each, one tensor for each input.
    ///
    /// # Errors
    /// If a sample does not fit the circuit's inputs, or the operating system has no randomness.
    #[cfg(feature = "os")]
    pub fn encrypt(&self, samples: &[Vec<Tensor>]) -> Result<EncryptedInputs, ClientError> {
        self.encrypt_with(samples, &mut crate::random::System::new())
    }

    /// [`Client::encrypt`] with a source of randomness.
    ///
    /// # Errors
    /// If a sample does not fit the circuit's inputs, or there is no randomness.
    pub fn encrypt_with(
        &self,
        samples: &[Vec<Tensor>],
        random: &mut dyn Randomness,
    ) -> Result<EncryptedInputs, ClientError> {
        let (keys, under) = (self.key.value.first(), self.spec.input_key());
        let encrypt = |(sample, inputs): (usize, &Vec<Tensor>)| {
            let codes = self.spec.codes(inputs);
            let codes = Zeroizing::new(codes.map_err(|source| ClientError::Input { sample, source })?);
            Ok(keys.encrypt(under, &codes, random)?)
        };
        let value = samples
            .iter()
            .enumerate()
            .map(encrypt)
            .collect::<Result<_, ClientError>>()?;
        Ok(Bound {
            binding: self.key.binding,
            value,
        })
    }

    /// Decrypts results to integer codes: for each sample, one tensor for each
    /// output.
    ///
    /// # Errors
    /// If the results are of another circuit or under other keys.
    pub fn decrypt(&self, outputs: &EncryptedOutputs) -> Result<Vec<Vec<Tensor>>, ClientError> {
        if outputs.binding != self.key.binding {
            return Err(ClientError::Foreign {
                what: "encrypted output",
                has: outputs.binding.to_string(),
                needs: self.key.binding.to_string(),
            });
        }
        outputs
            .value
            .iter()
            .enumerate()
            .map(|(i, sample)| self.decrypt_sample(i, sample))
            .collect()
    }

    fn decrypt_sample(&self, number: usize, sample: &[Ciphertext]) -> Result<Vec<Tensor>, ClientError> {
        let needs = self.spec.output_count();
        if sample.len() != needs {
            return Err(ClientError::Count {
                sample: number,
                has: sample.len(),
                needs,
            });
        }
        let mut rest = sample.iter();
        let mut tensors = Vec::with_capacity(self.spec.outputs().len());
        for output in self.spec.outputs() {
            let elements = output.encodings.iter().zip(&output.shifts).zip(rest.by_ref());
            let values = elements.map(|((&encoding, shift), ciphertext)| {
                let encoding = self.spec.encoding(encoding);
                let steps = self.key.value.first().decrypt(ciphertext, encoding.step())?;
                Ok(encoding.output_value(steps, output.slack) + shift)
            });
            let data = values.collect::<Result<Vec<i64>, KeyError>>()?;
            let tensor = Tensor::new(output.shape.clone(), data);
            tensors.push(tensor.map_err(|source| ClientError::Output {
                sample: number,
                source,
            })?);
        }
        Ok(tensors)
    }
}
