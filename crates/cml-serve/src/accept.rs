//! How work is taken, whichever way it comes in: its key is found, it gets a place within the limits, and then it waits.

use crate::caller::Caller;
use crate::queue::Job;
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::spool::Draft;
use crate::ticket::{JobId, Ticket};
use cml_file::{Artifact, to_hex};
use cml_scheme::artifact::EncryptedInputs;
use rand::TryRngCore;
use rand::rngs::OsRng;
use std::sync::Arc;
use std::time::Instant;

/// Encrypted samples.
pub(crate) type Inputs = Arc<EncryptedInputs>;

impl Shared {
    /// Whether a job of the caller could be taken, as it is now: who can be told before need not send its inputs.
    pub(crate) fn has_place(&self, caller: Caller) -> Result<(), Refusal> {
        self.queue.has_room()?;
        self.desk.has_place(caller)
    }

    /// A job with a place within the limits, which does not wait in the queue yet. It gives its place back when it is
    /// dropped.
    pub(crate) fn accept(&self, caller: Caller, model: usize, inputs: Inputs) -> Result<Job, Refusal> {
        self.check_key(model, &inputs)?;
        let served = &self.models[model];
        let bytes = served.model.job_bytes(inputs.value.len() as u64);
        let mut id: JobId = [0; 16];
        OsRng.try_fill_bytes(&mut id).map_err(|_| Refusal::Randomness)?;
        Ok(Job {
            ticket: Arc::new(Ticket::new(id, self.desk.admit(caller, bytes)?)),
            model,
            key: inputs.binding.keys,
            inputs,
            results: Vec::new(),
            since: Instant::now(),
            alone: false,
            tries: 0,
            _open: Arc::clone(&self.open_jobs),
        })
    }

    /// The key has to be there, of this model.
    fn check_key(&self, model: usize, inputs: &EncryptedInputs) -> Result<(), Refusal> {
        let (has, limit) = (inputs.value.len(), self.limits.samples);
        if has > limit as usize {
            return Err(Refusal::Samples { has, limit });
        }
        let id = &inputs.binding.keys;
        match self.store.find(id) {
            None => Err(Refusal::UnknownKey { id: to_hex(id) }),
            Some(entry) if entry.circuit != *self.models[model].model.circuit.hash() => {
                Err(Refusal::ForeignKey)
            }
            Some(_) => Ok(()),
        }
    }

    /// Writes the inputs of a job that the caller will be told to ask for. Not for the threads of connections.
    pub(crate) fn write(&self, ticket: &Ticket, inputs: &EncryptedInputs) -> Result<Draft, Refusal> {
        // The bytes that were received: a file has one form.
        let bytes = inputs.to_bytes().map_err(std::io::Error::other);
        let is_running = ticket.is_running();
        let written = bytes.and_then(|b| self.spool.write(ticket.id, ticket.permit.caller, is_running, &b));
        written.map_err(Refusal::storage("store a job"))
    }
}
