//! One model of a server, with keys for it.

use crate::error::RemoteError;
use crate::prediction::Prediction;
use crate::service::{Inference, Service};
use crate::store::Keys;
use cml_file::Artifact;
use cml_ir::Tensor;
use cml_scheme::ClientSpec;
use cml_scheme::artifact::{EncryptedOutputs, outputs_bytes};

/// Most encrypted results that are asked for at once, in bytes.
const ANSWER_BYTES: u64 = 64 << 20;
/// Longest answer that is read, whatever a spec says of the results' size, in bytes.
const LONGEST_ANSWER: u64 = 1 << 30;
/// Most samples of one request.
const MOST_SAMPLES: u64 = 256;
/// Times that keys or inputs are sent again: a server may drop keys, and lose jobs with its disk.
const TRIES: usize = 3;

/// A client of one model, with its keys.
pub struct Session<'s> {
    service: &'s Service,
    keys: Keys,
    most_samples: u64,
}

impl<'s> Session<'s> {
    pub(crate) fn new(service: &'s Service, keys: Keys, max_samples: Option<u64>) -> Self {
        let most_samples = max_samples.map_or(MOST_SAMPLES, |most| most.clamp(1, MOST_SAMPLES));
        Self {
            service,
            keys,
            most_samples,
        }
    }

    /// What the client knows of the model.
    pub fn spec(&self) -> &ClientSpec {
        self.keys.client.spec()
    }

    /// Keys of this session.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Classes and scores of rows of floats, for a model of one input.
    ///
    /// # Errors
    /// If a row does not fit the model, or as [`Session::run`].
    pub fn predict(&self, rows: &[Vec<f32>]) -> Result<Vec<Prediction>, RemoteError> {
        let spec = self.spec();
        if spec.inputs().len() != 1 {
            return Err(RemoteError::Inputs {
                network: spec.name().to_owned(),
                has: spec.inputs().len(),
            });
        }
        let quantize = |(row, floats): (usize, &Vec<f32>)| {
            let codes = spec.quantize(&[floats]);
            codes.map_err(|source| RemoteError::Row {
                row,
                source: Box::new(source),
            })
        };
        let samples = rows
            .iter()
            .enumerate()
            .map(quantize)
            .collect::<Result<Vec<_>, _>>()?;
        let results = self.run(&samples)?.into_iter();
        let output = &spec.outputs()[0].spec;
        Ok(results.map(|codes| Prediction::of(output, codes)).collect())
    }

    /// Integer results of samples of integer codes: for each sample one tensor for each input,
    /// and one for each output. The keys are sent if the server does not have them.
    ///
    /// # Errors
    /// If a sample does not fit the model, the server refuses, or it sends what are not the
    /// results of these samples' number, circuit and keys.
    pub fn run(&self, samples: &[Vec<Tensor>]) -> Result<Vec<Vec<Tensor>>, RemoteError> {
        let each = outputs_bytes(self.spec(), 1).max(1);
        let together = (ANSWER_BYTES / each).clamp(1, self.most_samples) as usize;
        let mut results = Vec::with_capacity(samples.len());
        for samples in samples.chunks(together) {
            results.extend(self.run_together(samples)?);
        }
        Ok(results)
    }

    fn run_together(&self, samples: &[Vec<Tensor>]) -> Result<Vec<Vec<Tensor>>, RemoteError> {
        let Keys {
            client, server_key, ..
        } = &self.keys;
        let inputs = client.encrypt(samples)?.to_bytes().map_err(RemoteError::from)?;
        let limit = outputs_bytes(self.spec(), samples.len()).min(LONGEST_ANSWER);
        let (mut uploads, mut losses) = (0, 0);
        let why = loop {
            match self.service.infer(self.spec().circuit(), &inputs, limit)? {
                Inference::Results(bytes) => return self.decrypt(&bytes, samples.len()),
                Inference::UnknownKey if uploads < TRIES => {
                    uploads += 1;
                    self.keys.check()?;
                    self.service.upload(&client.key().binding.keys, server_key)?;
                }
                Inference::UnknownKey => {
                    break format!("says that keys are unknown that were sent {TRIES} times");
                }
                // It was started anew, and has lost what it had accepted.
                Inference::LostJob if losses < TRIES => losses += 1,
                Inference::LostJob => break format!("says again that a job is unknown, after {TRIES} times"),
            }
        };
        let request = self.request();
        Err(RemoteError::Answer { request, why })
    }

    /// What is asked, for messages.
    fn request(&self) -> String {
        format!("{}: inference", self.service.url())
    }

    /// Results of so many samples, under the client's own keys.
    fn decrypt(&self, bytes: &[u8], needs: usize) -> Result<Vec<Vec<Tensor>>, RemoteError> {
        let outputs = EncryptedOutputs::from_bytes("the server's results", bytes, self.spec());
        let outputs = outputs.map_err(|source| RemoteError::content(self.request(), source))?;
        let has = outputs.value.len();
        if has != needs {
            let why = format!("holds {has} results, {needs} samples were sent");
            let request = self.request();
            return Err(RemoteError::Answer { request, why });
        }
        let results = self.keys.client.decrypt(&outputs);
        results.map_err(|source| RemoteError::content(self.request(), source))
    }
}
