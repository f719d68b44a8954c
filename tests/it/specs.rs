//! Client specs: enough for a client, nothing of the program, no lies.

use crate::forge::OpenSpec;
use crate::networks::{conv_residual, lowered, mlp};
use crate::random::fixed;
use cml_file::Artifact;
use cml_quant::to_graph;
use cml_scheme::artifact::SPEC;
use cml_scheme::{ClientSpec, Interface};
use cml_tfhe::{Circuit, client_spec};

use proptest::prelude::*;
use std::sync::OnceLock;

fn circuit() -> &'static Circuit {
    static CIRCUIT: OnceLock<Circuit> = OnceLock::new();
    CIRCUIT.get_or_init(|| lowered(&to_graph(&mlp()).unwrap()))
}

fn honest() -> ClientSpec {
    client_spec(circuit()).unwrap()
}

fn reason(change: impl FnOnce(&mut OpenSpec)) -> Option<String> {
    let mut open = OpenSpec::of(&honest());
    change(&mut open);
    let read = ClientSpec::from_bytes("lie.cmls", &open.file(), ());
    read.err().map(|e| e.to_string())
}

fn refused(expected: &str, change: impl FnOnce(&mut OpenSpec)) {
    let message = reason(change).unwrap_or_else(|| panic!("accepted, should say {expected:?}"));
    assert!(
        message.starts_with("lie.cmls: ") && message.contains(expected),
        "{message:?} does not say {expected:?}"
    );
}

#[test]
fn a_spec_has_the_interface_of_its_circuit() {
    for circuit in [circuit(), &lowered(&conv_residual())] {
        let spec = client_spec(circuit).unwrap();
        assert_eq!(spec.circuit(), circuit.hash());
        assert_eq!(spec.circuit_hash(), circuit.circuit_hash());
        assert_eq!(spec.input_count(), circuit.input_count());
        assert_eq!(spec.output_count(), circuit.output_count());
        assert_eq!(spec.parameters(), circuit.parameters());
        assert_eq!(spec.is_exact(), circuit.is_exact());
        for (of_spec, of_circuit) in spec.inputs().iter().zip(circuit.inputs()) {
            assert_eq!(
                (&of_spec.shape, &of_spec.spec),
                (&of_circuit.shape, &of_circuit.spec)
            );
        }
        let bytes = spec.to_bytes().unwrap();
        assert_eq!(ClientSpec::from_bytes("own", &bytes, ()).unwrap(), spec);
    }
    assert_eq!(honest().outputs()[0].spec.labels, ["white", "black"]);
    let text = honest().to_string();
    assert!(
        text.starts_with("client spec mlp  of circuit #") && text.contains("white, black"),
        "{text}"
    );
}

#[test]
fn names_that_a_terminal_would_obey_are_made_plain() {
    let mut net = mlp();
    let output = net.output().unwrap();
    net.set_output(output, &["\u{1b}[2J", "black"]).unwrap();
    let spec = client_spec(&lowered(&to_graph(&net).unwrap())).unwrap();
    assert_eq!(spec.outputs()[0].spec.labels, ["\u{fffd}[2J", "black"]);
}

#[test]
fn lies_are_refused() {
    assert_eq!(reason(|_| {}), None);
    refused("control character", |s| s.name.push('\u{7}'));
    refused("text of 1025 bytes", |s| s.name = "x".repeat(1025));
    refused("control character", |s| s.outputs[0].spec.labels[0].push('\n'));
    refused("not a failure probability", |s| s.budget_log2 = f64::NAN);
    refused("not a failure probability", |s| {
        s.inference_log2 = f64::NEG_INFINITY
    });
    refused("needs an input and an output", |s| s.outputs.clear());
    for period in [0, u64::MAX] {
        refused("number of values out of range", |s| {
            s.encodings[0].half_period = period
        });
    }
    refused("names an encoding", |s| s.inputs[0].encodings[0] = 9);
    refused("names an encoding", |s| s.outputs[0].encodings[0] = u32::MAX);
    refused("encodings do not fill its shape", |s| {
        s.inputs[0].shape = vec![usize::MAX, 2]
    });
    refused("do not fill its shape", |s| s.outputs[0].shape.push(3));
    refused("do not fill its shape", |s| s.outputs[0].shifts.truncate(1));
    refused("slack leaves no room", |s| s.outputs[0].slack = u64::MAX);
    refused("shift beyond", |s| s.outputs[0].shifts[0] = i64::MIN);
    refused("must be finite", |s| s.inputs[0].spec.scale = vec![f32::NAN]);
    refused("must be finite", |s| s.outputs[0].spec.offset[0] = f32::INFINITY);
    refused("noise bound", |s| s.single[0].glwe_noise_bound -= 1);
    refused("parameter lwe_dimension", |s| s.single[0].lwe_dimension = 3);
}

proptest! {
    #![proptest_config(fixed(500, 23))]

    #[test]
    fn altered_payloads_never_panic(at in any::<prop::sample::Index>(), mask in 1..=255u8, cut in any::<bool>()) {
        let file = honest().to_bytes().unwrap();
        let mut payload = cml_file::decode(SPEC, "own", &file).unwrap().to_vec();
        let at = at.index(payload.len());
        if cut {
            payload.truncate(at);
        } else {
            payload[at] ^= mask;
        }
        let read = ClientSpec::from_bytes("lie.cmls", &cml_file::encode(SPEC, &payload), ());
        prop_assert!(!cut || read.is_err());
        if let Ok(spec) = read {
            let floats = vec![0.5; spec.input_count()];
            let _ = (spec.quantize(&[&floats]), spec.to_string());
        }
    }
}
