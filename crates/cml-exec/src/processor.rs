//! The backend of this machine: all of its threads, and the instructions that it has.

use crate::backend::{Backend, LevelWork};
use crate::evaluator::{Evaluator, ExecError, Job};
use crate::key::EvaluationKey;
use crate::timing::Times;
use cml_scheme::{Ciphertext, ParameterSets, Progress, ServerKeys};
use cml_tfhe::optimizer::Capabilities;
use cml_tfhe::timing::Timing;
use rayon::prelude::*;

/// Rotations of a thread between two reports: few enough for frequent ones, enough for full batches.
pub(crate) const PER_THREAD: usize = 16;

/// Runs lookups on the processor, on the threads of rayon's pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct Processor;

impl Backend for Processor {
    /// One for each parameter set.
    type Keys = Vec<Evaluator>;

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn expand(
        &self,
        keys: &ServerKeys,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Evaluator>, ExecError> {
        let expand = |key| Evaluator::new(EvaluationKey::expand(key, report));
        Ok(keys.sets().iter().map(expand).collect())
    }

    fn run_level(
        &self,
        keys: &Vec<Evaluator>,
        work: &LevelWork<'_>,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Ciphertext>>, ExecError> {
        let evaluator = keys.get(work.set).ok_or(ExecError::NoSuchSet {
            set: work.set,
            sets: keys.len(),
        })?;
        let mut results = Vec::with_capacity(work.tasks.len());
        for tasks in work.tasks.chunks(PER_THREAD * rayon::current_num_threads()) {
            let rows = tasks.par_iter().map(|task| task.row.add_up(task.wires));
            let rows = rows.collect::<Result<Vec<Ciphertext>, ExecError>>()?;
            let jobs = rows.iter().zip(tasks).map(|(input, task)| Job {
                input,
                polynomial: task.polynomial,
                extension: task.extension as usize,
                readings: task.readings,
            });
            let jobs: Vec<Job<'_>> = jobs.collect();
            results.extend(evaluator.rotate_many(&jobs)?);
            done(tasks.len());
        }
        Ok(results)
    }

    fn timing(&self, parameters: &ParameterSets) -> Box<dyn Timing> {
        Box::new(Times::of(parameters))
    }
}
