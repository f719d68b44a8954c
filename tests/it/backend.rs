//! The seam of executors: another backend runs the same circuits with the same results.

use crate::networks::{conv_residual, lowered, sample};
use cml_exec::{Backend, ExecError, LevelWork, Processor, ServedCircuit, Server, ServerError, Task};
use cml_ir::{Tensor, interpret};
use cml_keys::Client;
use cml_scheme::{Ciphertext, ParameterSets, Progress, ServerKeys};
use cml_tfhe::client_spec;
use cml_tfhe::optimizer::Capabilities;
use cml_tfhe::timing::Timing;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Cuts each level into parts, hands them to the processor last part first, and puts the results together again.
struct Parts {
    tasks: usize,
    handed_out: Arc<AtomicUsize>,
    can_run: Capabilities,
}

impl Backend for Parts {
    type Keys = <Processor as Backend>::Keys;

    fn capabilities(&self) -> Capabilities {
        self.can_run
    }

    fn expand(&self, keys: &ServerKeys, report: &mut dyn FnMut(Progress)) -> Result<Self::Keys, ExecError> {
        Processor.expand(keys, report)
    }

    fn run_level(
        &self,
        keys: &Self::Keys,
        work: &LevelWork<'_>,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Ciphertext>>, ExecError> {
        let parts: Vec<&[Task<'_>]> = work.tasks.chunks(self.tasks).collect();
        let mut results = Vec::new();
        for tasks in parts.into_iter().rev() {
            self.handed_out.fetch_add(1, Ordering::Relaxed);
            let part = LevelWork { tasks, ..*work };
            results.push(Processor.run_level(keys, &part, done)?);
        }
        Ok(results.into_iter().rev().flatten().collect())
    }

    fn timing(&self, parameters: &ParameterSets) -> Box<dyn Timing> {
        Processor.timing(parameters)
    }
}

#[test]
fn a_backend_of_another_kind_gives_the_same_ciphertexts() {
    let graph = conv_residual();
    let circuit = Arc::new(lowered(&graph));
    let (client, key) = Client::generate(client_spec(&circuit).unwrap(), &mut |_| {}).unwrap();
    let samples: Vec<Vec<Tensor>> = (0..3).map(|at| sample(&graph, at)).collect();
    let inputs = client.encrypt(&samples).unwrap();
    let handed_out = Arc::new(AtomicUsize::new(0));
    let parts = Parts {
        tasks: 5,
        handed_out: Arc::clone(&handed_out),
        can_run: Capabilities::default(),
    };
    let served = ServedCircuit::on(parts, Arc::clone(&circuit)).unwrap();
    let server = served.server(&key, &mut |_| {}).unwrap();
    let mut done = 0;
    let results = server.run(&inputs, &mut |rotations| done += rotations).unwrap();
    assert_eq!(done, samples.len() * circuit.rotation_count());
    assert!(handed_out.load(Ordering::Relaxed) > circuit.levels().len());

    let own = Server::new(&circuit, &key, &mut |_| {}).unwrap();
    assert_eq!(results.value, own.run(&inputs, &mut |_| {}).unwrap().value);
    let expected: Vec<Vec<Tensor>> = samples.iter().map(|s| interpret(&graph, s).unwrap()).collect();
    assert_eq!(client.decrypt(&results).unwrap(), expected);
}

#[test]
fn a_circuit_that_a_backend_cannot_run_is_refused() {
    let circuit = Arc::new(lowered(&conv_residual()));
    let parts = Parts {
        tasks: 1,
        handed_out: Arc::default(),
        can_run: Capabilities {
            table: 64,
            ..Capabilities::default()
        },
    };
    let Err(ServerError::Unsupported(why)) = ServedCircuit::on(parts, circuit).map(|_| ()) else {
        panic!("served");
    };
    let why = why.to_string();
    assert!(why.contains("coefficients of a table, limit 64"), "{why}");
}
