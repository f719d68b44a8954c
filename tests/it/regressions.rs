//! Circuits that were once accepted and must not be.

use crate::forge::OpenCircuit;
use crate::keys::tiny;
use crate::networks::{conv_residual, lowered, mlp};
use cml_file::Artifact;
use cml_keys::{BoundClientKeys, Client};
use cml_tfhe::{Circuit, client_spec};

fn refused(change: impl FnOnce(&mut OpenCircuit)) {
    let mut open = OpenCircuit::of(&lowered(&conv_residual()));
    change(&mut open);
    let message = Circuit::from_bytes("lie", &open.file(), ())
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(message.starts_with("lie: "), "{message}");
}

#[test]
fn a_wire_read_twice_would_understate_the_noise() {
    refused(|c| {
        for rotation in c.levels.iter_mut().flat_map(|l| &mut l.rotations) {
            let split = |&(w, v): &(u32, i64)| {
                if v.abs() == 2 {
                    vec![(w, v / 2); 2]
                } else {
                    vec![(w, v)]
                }
            };
            rotation.row.terms = rotation.row.terms.iter().flat_map(split).collect();
        }
    });
    refused(|c| c.outputs[0].rows[0].terms[0].1 = 0);
}

#[test]
fn numbers_that_overflow_or_are_none() {
    refused(|c| c.outputs[0].shifts[0] = i64::MAX);
    refused(|c| c.inputs[0].spec.scale = vec![f32::INFINITY]);
    refused(|c| c.inputs[0].spec.zero_point = i64::MIN);
    refused(|c| c.outputs[0].spec.scale = vec![f32::NAN]);
    refused(|c| c.outputs[0].spec.labels = vec!["a".into(); 7]);
}

#[test]
fn a_client_with_the_key_of_another_circuit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.key");
    std::fs::write(&path, &tiny().clients[0].client_key).unwrap();
    let key = BoundClientKeys::read(&path, &tiny().circuit).unwrap();
    let other = lowered(&cml_quant::to_graph(&mlp()).unwrap());
    let message = Client::new(client_spec(&other).unwrap(), key)
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(message.contains("client key belongs to"), "{message}");
}
