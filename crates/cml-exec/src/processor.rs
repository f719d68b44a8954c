//! The backend of this machine: all of its threads, and the instructions that it has.

use crate::amortized::AmortizedEvaluator;
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

/// Expanded keys.
pub struct Evaluators {
    single: Vec<Evaluator>,
    amortized: Option<AmortizedEvaluator>,
}

/// Runs jobs of one set.
type Rotate<'a> = dyn FnMut(&[Job<'_>]) -> Result<Vec<Vec<Ciphertext>>, ExecError> + 'a;

/// Runs lookups on the processor, on the threads of rayon's pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct Processor;

impl Backend for Processor {
    /// Those of each parameter set.
    type Keys = Evaluators;

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn expand(&self, keys: &ServerKeys, report: &mut dyn FnMut(Progress)) -> Result<Evaluators, ExecError> {
        let expand = |key| Evaluator::new(EvaluationKey::expand(key, report));
        let single = keys.single().iter().map(expand).collect();
        let amortized = keys
            .amortized()
            .map(|key| AmortizedEvaluator::expand(key, report));
        Ok(Evaluators { single, amortized })
    }

    fn run_level(
        &self,
        keys: &Evaluators,
        work: &LevelWork<'_>,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Ciphertext>>, ExecError> {
        let rotate: &mut Rotate<'_> = match (keys.single.get(work.set), &keys.amortized) {
            (Some(evaluator), _) => &mut |jobs| {
                let results = evaluator.rotate_many(jobs)?;
                done(jobs.len());
                Ok(results)
            },
            (None, Some(evaluator)) if work.set == keys.single.len() => {
                &mut |jobs| evaluator.rotate_many(jobs, done)
            }
            _ => {
                let sets = keys.single.len() + usize::from(keys.amortized.is_some());
                return Err(ExecError::NoSuchSet { set: work.set, sets });
            }
        };
        let together = match keys.single.get(work.set) {
            Some(_) => PER_THREAD * rayon::current_num_threads(),
            // One pack, if all tables have one size.
            None => keys
                .amortized
                .as_ref()
                .map_or(1, |e| e.parameters().slots as usize),
        };
        let mut results = Vec::with_capacity(work.tasks.len());
        for tasks in work.tasks.chunks(together) {
            let rows = tasks.par_iter().map(|task| task.row.add_up(task.wires));
            let rows = rows.collect::<Result<Vec<Ciphertext>, ExecError>>()?;
            let jobs = rows.iter().zip(tasks).map(|(input, task)| Job {
                input,
                polynomial: task.polynomial,
                extension: task.extension as usize,
                readings: task.readings,
            });
            let jobs: Vec<Job<'_>> = jobs.collect();
            results.extend(rotate(&jobs)?);
        }
        Ok(results)
    }

    fn timing(&self, parameters: &ParameterSets) -> Box<dyn Timing> {
        Box::new(Times::of(parameters))
    }
}
