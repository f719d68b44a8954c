//! A server: its models, and where to send what.

use crate::error::RemoteError;
use crate::http::{Answer, Http, Request, plain};
use crate::options::Options;
use crate::requirements::Requirements;
use crate::session::Session;
use crate::store::KeyStore;
use cml_file::{Artifact, HEADER, from_hex, short_hex, to_hex};
use cml_scheme::artifact::SPEC;
use cml_scheme::{ClientSpec, Progress};
use serde::Deserialize;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longest list of models, in bytes.
const LIST_BYTES: u64 = 1 << 20;
/// Longest answer that holds no file, in bytes.
const NOTE_BYTES: u64 = 64 << 10;
/// First wait for a job; the next ones are longer.
const FIRST_POLL: Duration = Duration::from_millis(50);
/// Longest wait between two questions for a job.
const LAST_POLL: Duration = Duration::from_secs(2);

/// A model that a server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelEntry {
    /// SHA-256 of its circuit.
    pub circuit: [u8; 32],
    /// What the server calls it.
    pub name: String,
    /// Most samples that it takes at once, if it says so.
    pub max_samples: Option<u64>,
}

/// A server that runs circuits.
#[derive(Debug)]
pub struct Service {
    http: Http,
    timeout: Duration,
    max_key_bytes: u64,
    requirements: Requirements,
    models: Vec<ModelEntry>,
}

#[derive(Deserialize)]
struct ModelList {
    models: Vec<ListedModel>,
}

#[derive(Deserialize)]
struct ListedModel {
    hash: String,
    name: String,
    max_samples: Option<u64>,
}

#[derive(Deserialize)]
struct JobNote {
    job: String,
}

impl Service {
    /// Asks a server for its models. `url` is `http://` or `https://`, a host, perhaps a port
    /// and a path.
    ///
    /// # Errors
    /// If the server cannot be reached, refuses, or does not answer with a list of models.
    pub fn connect(url: &str, options: Options) -> Result<Self, RemoteError> {
        let http = Http::new(url, &options)?;
        let answer = http.ask(Request::Get, "/v1/models", LIST_BYTES)?.ok()?;
        let list: ModelList = match serde_json::from_slice(&answer.body) {
            Ok(list) => list,
            Err(why) => return Err(answer.nonsense(format!("is no list of models: {why}"))),
        };
        let mut models = Vec::with_capacity(list.models.len());
        for model in list.models {
            let Some(circuit) = from_hex(&model.hash.to_ascii_lowercase()) else {
                let why = format!("names a model {:?}, which is no SHA-256", plain(&model.hash));
                return Err(answer.nonsense(why));
            };
            models.push(ModelEntry {
                circuit,
                name: plain(&model.name),
                max_samples: model.max_samples,
            });
        }
        Ok(Self {
            http,
            timeout: options.timeout,
            max_key_bytes: options.max_key_bytes,
            requirements: options.requirements,
            models,
        })
    }

    /// Address of the server.
    pub fn url(&self) -> &str {
        self.http.base()
    }

    /// Models of the server, as it lists them.
    pub fn models(&self) -> &[ModelEntry] {
        &self.models
    }

    /// The model of a hash, of the start of one, or of a name; without any the only one.
    ///
    /// # Errors
    /// If there is none, or more than one.
    pub fn model(&self, wanted: Option<&str>) -> Result<&ModelEntry, RemoteError> {
        let is_wanted = |m: &&ModelEntry| match wanted {
            // Who names a circuit means no name that looks like its hash.
            Some(wanted) if wanted.len() == 64 && wanted.bytes().all(|b| b.is_ascii_hexdigit()) => {
                is_start_of(wanted, &m.circuit)
            }
            Some(wanted) => m.name == wanted || is_start_of(wanted, &m.circuit),
            None => true,
        };
        let mut found = self.models.iter().filter(is_wanted);
        match (found.next(), found.next()) {
            (Some(model), None) => Ok(model),
            (first, _) => {
                let asked = match (wanted, first) {
                    (Some(wanted), Some(_)) => format!("{wanted:?} names more than one model"),
                    (Some(wanted), None) => format!("no model {wanted:?}"),
                    (None, _) => "a model must be named if there is not exactly one".to_owned(),
                };
                let each = |m: &ModelEntry| format!("{} {}", short_hex(&m.circuit), m.name);
                let has: Vec<String> = self.models.iter().map(each).collect();
                let has = if has.is_empty() {
                    "none".to_owned()
                } else {
                    has.join(", ")
                };
                Err(RemoteError::Model { asked, has })
            }
        }
    }

    /// What a client needs of a circuit, validated, and of no other circuit.
    ///
    /// # Errors
    /// If the server refuses or sends something else.
    pub fn spec(&self, circuit: &[u8; 32]) -> Result<ClientSpec, RemoteError> {
        let path = format!("/v1/models/{}", to_hex(circuit));
        let limit = SPEC.max_payload + HEADER as u64;
        let answer = self.http.insist(Request::Get, &path, limit)?.ok()?;
        let spec = match ClientSpec::from_bytes("the server's client spec", &answer.body, ()) {
            Ok(spec) => spec,
            Err(source) => return Err(RemoteError::content(answer.request, source)),
        };
        if spec.circuit() != circuit {
            let why = format!("is of circuit {}", short_hex(spec.circuit()));
            return Err(answer.nonsense(why));
        }
        Ok(spec)
    }

    /// A model to make predictions with, see [`Service::model`], under the keys that `store`
    /// has for it, or new ones. `report` is called as drawing keys goes on.
    ///
    /// # Errors
    /// If the model is not there or not what it was when the keys were drawn, promises less than
    /// [`Options::requirements`], or keys are larger than [`Options::max_key_bytes`] or cannot be drawn or kept.
    pub fn session(
        &self,
        model: Option<&str>,
        store: &KeyStore,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Session<'_>, RemoteError> {
        let model = self.model(model)?;
        self.session_of(model, self.spec(&model.circuit)?, store, report)
    }

    /// As [`Service::session`], of a model whose client spec was fetched before.
    ///
    /// # Errors
    /// As [`Service::session`].
    pub fn session_of(
        &self,
        model: &ModelEntry,
        spec: ClientSpec,
        store: &KeyStore,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Session<'_>, RemoteError> {
        self.check(&spec)?;
        let keys = store.keys(spec, report)?;
        // What was promised when the keys were drawn counts too.
        self.requirements.check(keys.client.spec())?;
        Ok(Session::new(self, keys, model.max_samples))
    }

    /// Whether a circuit is one that [`Service::session_of`] draws keys for.
    ///
    /// # Errors
    /// If it promises less than [`Options::requirements`], or its keys are larger than [`Options::max_key_bytes`].
    pub fn check(&self, spec: &ClientSpec) -> Result<(), RemoteError> {
        self.requirements.check(spec)?;
        let (has, limit) = (spec.parameters().server_key_bytes(), self.max_key_bytes);
        if has > limit {
            return Err(RemoteError::KeySize {
                network: spec.name().to_owned(),
                has,
                limit,
            });
        }
        Ok(())
    }

    /// Sends evaluation keys, unless the server has them already.
    pub(crate) fn upload(&self, keys: &[u8; 16], file: &Path) -> Result<(), RemoteError> {
        let path = format!("/v1/keys/{}", to_hex(keys));
        let answer = self.http.insist(Request::PutFile(file), &path, NOTE_BYTES)?;
        match answer.status {
            200 | 201 | 204 => Ok(()),
            _ => Err(answer.refusal()),
        }
    }

    /// Sends encrypted samples and waits for the encrypted results, of at most `limit` bytes.
    pub(crate) fn infer(
        &self,
        circuit: &[u8; 32],
        inputs: &[u8],
        limit: u64,
    ) -> Result<Inference, RemoteError> {
        let path = format!("/v1/models/{}/infer", to_hex(circuit));
        let answer = self
            .http
            .insist(Request::Post(inputs), &path, limit.max(NOTE_BYTES))?;
        match answer.status {
            200 => within(answer, limit),
            202 => self.wait_for(answer, limit),
            404 if answer.error().0 == "unknown_key" => Ok(Inference::UnknownKey),
            _ => Err(answer.refusal()),
        }
    }

    /// Asks for the results of a job until they are there.
    fn wait_for(&self, accepted: Answer, limit: u64) -> Result<Inference, RemoteError> {
        let job = match serde_json::from_slice::<JobNote>(&accepted.body) {
            Ok(JobNote { job }) if is_job(&job) => job,
            _ => return Err(accepted.nonsense("names no job")),
        };
        let path = format!("/v1/jobs/{job}");
        let (start, mut pause) = (Instant::now(), FIRST_POLL);
        loop {
            sleep(pause);
            pause = (pause * 3 / 2).min(LAST_POLL);
            let answer = self.http.insist(Request::Get, &path, limit.max(NOTE_BYTES))?;
            match answer.status {
                200 => return within(answer, limit),
                202 if start.elapsed() < self.timeout => {}
                202 => {
                    let seconds = start.elapsed().as_secs();
                    return Err(RemoteError::Timeout { job, seconds });
                }
                404 if answer.error().0 == "unknown_job" => return Ok(Inference::LostJob),
                _ => return Err(answer.refusal()),
            }
        }
    }
}

/// How a server answers encrypted samples.
pub(crate) enum Inference {
    /// Encrypted results.
    Results(Vec<u8>),
    /// The server does not have the keys.
    UnknownKey,
    /// The server took the work, and does not know of it any more.
    LostJob,
}

/// A body that is no longer than results can be.
fn within(answer: Answer, limit: u64) -> Result<Inference, RemoteError> {
    let has = answer.body.len() as u64;
    if has > limit {
        return Err(answer.nonsense(format!("has {has} bytes, limit {limit}")));
    }
    Ok(Inference::Results(answer.body))
}

/// A job's name becomes part of a path.
fn is_job(job: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=128).contains(&job.len()) && job.chars().all(fits)
}

/// Whether a text of four digits or more starts a hash.
fn is_start_of(text: &str, hash: &[u8; 32]) -> bool {
    text.len() >= 4 && to_hex(hash).starts_with(&text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_and_jobs_are_checked() {
        let hash: [u8; 32] = std::array::from_fn(|i| (i * 37) as u8);
        assert!(is_start_of(&to_hex(&hash)[..8].to_uppercase(), &hash));
        assert!(!is_start_of("", &hash) && !is_start_of("0025", &[0; 32]));
        assert!(is_job("3f-a_9") && !is_job("../keys") && !is_job("") && !is_job(&"a".repeat(129)));
    }
}
