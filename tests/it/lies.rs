//! Circuit files with a valid checksum and invalid content.

use crate::forge::OpenCircuit;
use crate::networks::{conv_residual, lowered};
use crate::random::fixed;
use cml_file::Artifact;
use cml_ir::{Interval, Tensor};
use cml_scheme::{Amortized, Encoding, Parameters, Ring, security};
use cml_tfhe::artifact::CIRCUIT;
use cml_tfhe::circuit::{Level, Rotation};
use cml_tfhe::{Circuit, Noise, Simulator};
use proptest::prelude::*;
use std::sync::OnceLock;

fn honest() -> &'static Circuit {
    static HONEST: OnceLock<Circuit> = OnceLock::new();
    HONEST.get_or_init(|| lowered(&conv_residual()))
}

/// The reason for which a changed circuit is refused.
fn reason(change: impl FnOnce(&mut OpenCircuit)) -> Result<(), String> {
    let mut open = OpenCircuit::of(honest());
    change(&mut open);
    match Circuit::from_bytes("lie.cmlc", &open.file(), ()) {
        Ok(_) => Ok(()),
        Err(e) => Err(e.to_string()),
    }
}

fn refused(expected: &str, change: impl FnOnce(&mut OpenCircuit)) {
    let message = reason(change).expect_err(&format!("accepted, should say {expected:?}"));
    assert!(
        message.starts_with("lie.cmlc: ") && message.contains(expected),
        "{message:?} does not say {expected:?}"
    );
}

#[test]
fn the_truth_is_accepted() {
    reason(|_| {}).unwrap();
}

#[test]
fn domains_that_are_too_small_are_refused() {
    // A row that its own table does not hold.
    refused("row reaches 0..", |c| {
        let table = c.levels[0].rotations[0].lookups[0].table as usize;
        c.tables[table].pop();
    });
    refused("row reaches", |c| c.levels[0].rotations[0].row.constant -= 1);
    refused("row reaches", |c| c.levels[0].rotations[0].row.terms[0].1 *= 2);
    refused("row reaches", |c| c.inputs[0].spec.range.hi += 1);
    refused("row reaches", |c| c.outputs[0].rows[0].constant -= 1);
    // A table that puts out more than the next row takes.
    refused("row reaches", |c| {
        let table = c.levels[0].rotations[0].lookups[0].table as usize;
        let last = *c.tables[table].last().unwrap();
        let plateau = c.tables[table].iter_mut().filter(|v| **v == last);
        plateau.for_each(|v| *v += 1);
    });
    refused("encoding 0: number of values out of range", |c| {
        c.encodings[0].half_period = 0
    });
    refused("number of values out of range", |c| {
        c.encodings[0].half_period = u64::MAX
    });
}

#[test]
fn references_that_lead_nowhere_are_refused() {
    refused("reads wire 4000000000", |c| {
        c.levels[0].rotations[0].row.terms[0].0 = 4_000_000_000
    });
    // A lookup of the same level: its result is not there yet.
    refused("reads wire 9, 9 are defined before it", |c| {
        c.levels[0].rotations[1].row.terms[0].0 = 9
    });
    refused("reads wire", |c| {
        let last = c.outputs[0].rows[0].terms.len() - 1;
        c.outputs[0].rows[0].terms[last].0 = 1_000_000;
    });
    refused("names an encoding or a layer that is not there", |c| {
        c.levels[0].rotations[0].lookups[0].encoding = 99
    });
    refused("names an encoding that is not there", |c| {
        c.levels[0].rotations[0].row.encoding = 99
    });
    refused("names an encoding that is not there", |c| {
        c.inputs[0].encodings[0] = 99
    });
    refused("names an encoding or a layer that is not there", |c| {
        c.levels[0].rotations[0].lookups[0].layer = 99
    });
    refused("names a table that is not there", |c| {
        c.levels[0].rotations[0].lookups[0].table = u32::MAX
    });
    refused("is read by no lookup", |c| {
        c.levels[0].rotations[0].lookups.clear()
    });
    refused("of encoding", |c| {
        let values = c.encodings[0];
        c.encodings.push(values);
        c.inputs[0].encodings[0] = c.encodings.len() as u32 - 1;
    });
}

#[test]
fn tables_that_cannot_be_read_are_refused() {
    let table = |c: &OpenCircuit| c.levels[0].rotations[0].lookups[0].table as usize;
    let encoding = |c: &OpenCircuit| c.levels[0].rotations[0].row.encoding as usize;
    refused("row reaches", |c| {
        let t = table(c);
        c.tables[t].pop();
    });
    refused("names a table that is not there", |c| {
        let t = table(c);
        c.tables[t].clear();
    });
    refused("table holds values beyond 2^40", |c| {
        let t = table(c);
        c.tables[t][0] = i64::MIN;
    });
    // One value more at the end is one more to tell apart.
    refused("table needs a half period of", |c| {
        let (t, e) = (table(c), encoding(c));
        let needs = cml_tfhe::table::half_period(&c.tables[t]);
        c.encodings[e].half_period = needs - 1;
    });
    refused("does not fit in", |c| {
        let e = encoding(c);
        c.encodings[e].half_period = 1 << 25;
    });
    for extension in [0, 65, u32::MAX] {
        refused("polynomials is not supported", |c| {
            c.levels[0].rotations[0].extension = extension
        });
    }
    refused("the table allows", |c| c.levels[0].rotations[0].slack = 1000);
    for scale in [0, 1 << 50, u64::MAX] {
        refused("does not fit in a half period of", |c| {
            c.levels[0].rotations[0].scale = scale
        });
    }
    // One step more from one value to the next leaves too few of them.
    refused("table needs a half period of", |c| {
        let r = &mut c.levels[0].rotations[0];
        let table = &c.tables[r.lookups[0].table as usize];
        let period = c.encodings[r.row.encoding as usize].half_period;
        r.scale = period / cml_tfhe::table::half_period(table) + 1;
    });
}

/// Small files that would take all memory, or forever.
#[test]
fn more_than_any_circuit_needs_is_refused() {
    refused("encoding 0: number of values out of range", |c| {
        c.encodings[0].half_period = (1 << 26) + 1
    });
    refused("with weight 2199023255552, limit 1099511627776", |c| {
        c.levels[0].rotations[0].row.terms[0].1 = 1 << 41
    });
    // Inputs that are 0 can be read with any weight, and bring their noise.
    refused("noise grows by 2^64 or more", |c| {
        c.inputs[0].spec.range = Interval::point(0);
        c.levels[0].rotations[0].row.terms[0].1 = 1 << 33;
    });
    // Polynomials of one table for each of many spacings.
    refused("limit 2147483648", |c| {
        let mut rotation = c.levels.last().unwrap().rotations[0].clone();
        (rotation.row.terms, rotation.row.constant) = (Vec::new(), 0);
        (rotation.extension, rotation.slack) = (64, 0);
        for half_period in 30_000..30_003 {
            rotation.row.encoding = c.encodings.len() as u32;
            c.encodings.push(Encoding { half_period });
            let spaced = |scale| Rotation {
                scale,
                ..rotation.clone()
            };
            let rotations = (2..1500).map(spaced).collect();
            c.levels.push(Level { set: 0, rotations });
        }
    });
    // A terminal would obey them.
    for text in ["\u{1b}[2J", &"x".repeat(1025)] {
        let says = if text.len() > 9 {
            "limit 1024"
        } else {
            "control character"
        };
        refused(says, |c| c.name = text.to_owned());
        refused(says, |c| c.layers[0] = text.to_owned());
        refused(says, |c| c.inputs[0].name = text.to_owned());
        refused(says, |c| c.outputs[0].name = text.to_owned());
        refused(says, |c| c.outputs[0].spec.labels = vec![text.to_owned(); 2]);
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    refused("needs an input and an output", |c| c.outputs.clear());
    refused("needs an input and an output", |c| c.inputs.clear());
    refused("encodings do not fill its shape", |c| c.inputs[0].shape[0] = 2);
    refused("encodings do not fill its shape", |c| {
        c.inputs[0].shape = vec![usize::MAX, 9]
    });
    refused("encodings do not fill its shape", |c| {
        c.inputs[0].shape = vec![0];
        c.inputs[0].encodings.clear();
    });
    refused("rows do not fill its shape", |c| c.outputs[0].shape = vec![3]);
    refused("rows do not fill its shape", |c| {
        c.outputs[0].shifts.pop();
    });
    // Found by fuzzing: accepted, and then no client could have a spec of it.
    refused("has no elements", |c| {
        c.outputs[0].shape = vec![0];
        c.outputs[0].rows.clear();
        c.outputs[0].shifts.clear();
    });
    refused("needs 1 or 2, has", |c| c.outputs[0].spec.offset.push(0.0));
    refused("needs 1 or 2, has", |c| c.outputs[0].spec.scale.clear());
    for scale in [0.0, -1.0, f32::NAN] {
        refused("must be finite and positive", |c| {
            c.inputs[0].spec.scale = vec![scale]
        });
    }
    refused("interval 1..0 is empty", |c| {
        c.inputs[0].spec.range = Interval { lo: 1, hi: 0 }
    });
}

#[test]
fn weak_parameters_are_refused() {
    refused("132-bit security at this dimension takes", |c| {
        c.single[0].lwe_noise_bound -= 1
    });
    refused("132-bit security at this dimension takes", |c| {
        c.single[0].glwe_noise_bound -= 1
    });
    refused("132-bit security at this dimension takes", |c| {
        c.single[0].lwe_dimension -= 100
    });
    refused("parameter lwe_dimension is 1", |c| c.single[0].lwe_dimension = 1);
    refused("parameter polynomial_size", |c| {
        c.single[0].polynomial_size = 1 << 31
    });
}

#[test]
fn sets_that_do_not_go_together_are_refused() {
    // A second set as good as the first one is none.
    reason(|c| {
        c.single = vec![c.single[0]; 2];
        c.levels[1].set = 1;
    })
    .unwrap();
    refused("names a parameter set that is not there", |c| c.levels[1].set = 1);
    refused("parameter set 1 has another ring", |c| {
        let other = Parameters::new(799, (1, 2048), (22, 1), (4, 4)).unwrap();
        assert_ne!(other.glwe_dimension, c.single[0].glwe_dimension);
        c.single.push(other);
    });
    refused("5 parameter sets, the most are 4", |c| {
        c.single = vec![c.single[0]; 5]
    });
    refused("of the small key of another set", |c| {
        c.single = vec![c.single[0]; 2];
        c.levels[0].set = 1;
    });
    // Too noisy for what reads its results, of either set.
    let noisy = |c: &OpenCircuit| Parameters {
        pbs_base_log: 1,
        pbs_level: 1,
        ..c.single[0]
    };
    refused("fails with probability 2^", |c| {
        c.single = vec![noisy(c), c.single[0]];
        c.levels[1].set = 1;
    });
    refused("fails with probability 2^", |c| {
        c.single = vec![c.single[0], noisy(c)];
        c.levels[1].set = 1;
    });
}

#[test]
fn amortized_rotations_that_cannot_be_are_refused() {
    let amortized = |ring| Amortized {
        ring,
        slots: security::SPARSE_SETS[0].slots,
        weight: security::SPARSE_SETS[0].weight,
        gap_bits: security::SPARSE_SETS[0].gap_bits,
        sparse_noise_bound: security::SPARSE_SETS[0].noise_bound(),
        gap_digits: 3,
        pbs_base_log: 15,
        pbs_level: 2,
        pbs_body_base_log: 20,
        pbs_body_level: 1,
        automorphism_base_log: 12,
        automorphism_level: 3,
        sparse_base_log: 1,
        sparse_level: 14,
    };
    let ring = Ring::new(1, 2048).unwrap();
    // A ring of one polynomial is another one than that of the circuit.
    refused("parameter set 1 has another ring", |c| {
        c.amortized = Some(amortized(ring))
    });
    refused("is none of those known to have 132-bit security", |c| {
        c.amortized = Some(Amortized {
            weight: 30,
            ..amortized(ring)
        });
    });
    refused("parameter gap_digits is 1", |c| {
        c.amortized = Some(Amortized {
            gap_digits: 1,
            ..amortized(ring)
        });
    });
    refused("is under a small key, of which there is none", |c| {
        c.amortized = Some(amortized(ring));
        c.single.clear();
    });
    refused("there is no parameter set", |c| c.single.clear());
    refused("samples 0: at once are none or too many", |c| {
        c.samples_at_once = 0
    });
    refused("samples 0: at once are none or too many", |c| {
        c.samples_at_once = u32::MAX
    });
}

#[test]
fn budgets_that_are_not_met_are_refused() {
    let worst = honest().worst_log2_p_fail();
    refused("fails with probability 2^", |c| c.budget_log2 = worst - 0.001);
    reason(|c| c.budget_log2 = worst + 0.001).unwrap();
    refused("fails with probability 2^", |c| c.budget_log2 = -999.0);
    for budget in [0.0, -0.5, -1001.0, f64::NAN, f64::NEG_INFINITY] {
        refused("is not a failure probability", |c| c.budget_log2 = budget);
    }
    // More noise than the parameters carry: the same range from larger
    // weights on narrower wires.
    refused("fails with probability 2^", |c| {
        c.single[0].pbs_base_log = 1;
        c.single[0].pbs_level = 1;
    });
}

#[test]
fn trailing_bytes_are_refused() {
    let open = OpenCircuit::of(honest()).file();
    let payload = cml_file::decode(CIRCUIT, "open", &open).unwrap();
    let longer = [payload, &[0, 0]].concat();
    let error = Circuit::from_bytes("lie.cmlc", &cml_file::encode(CIRCUIT, &longer), ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "lie.cmlc: malformed circuit: 2 bytes left over: not names of columns"
    );
}

/// Every length field, and every other word, replaced by the largest number.
#[test]
fn huge_numbers_anywhere_never_panic_or_exhaust_memory() {
    let open = OpenCircuit::of(honest()).file();
    let payload = cml_file::decode(CIRCUIT, "open", &open).unwrap();
    let mut refused = 0;
    for at in 0..payload.len() - 8 {
        let mut lie = payload.to_vec();
        lie[at..at + 8].fill(0xff);
        match Circuit::from_bytes("lie.cmlc", &cml_file::encode(CIRCUIT, &lie), ()) {
            Ok(circuit) => circuit.validate().unwrap(),
            Err(_) => refused += 1,
        }
    }
    // What is left is text and hashes, and numbers that may be anything.
    assert!(refused > payload.len() / 2, "{refused} of {}", payload.len());
}

/// What a reader accepts can be simulated.
fn simulate(circuit: &Circuit) {
    let tensor = |input: &cml_scheme::CircuitInput| {
        let count: usize = input.shape.iter().product();
        Tensor::new(input.shape.clone(), vec![input.spec.range.lo; count]).unwrap()
    };
    let inputs: Vec<Tensor> = circuit.inputs().iter().map(tensor).collect();
    Simulator::new(circuit, Noise::Exact).run(&inputs).unwrap();
    let _ = circuit.to_string();
}

proptest! {
    #![proptest_config(fixed(3000, 7))]

    #[test]
    fn random_payloads_with_a_valid_frame_never_panic(payload in prop::collection::vec(any::<u8>(), 0..400)) {
        let file = cml_file::encode(CIRCUIT, &payload);
        prop_assert!(Circuit::from_bytes("noise", &file, ()).is_err());
    }

    #[test]
    fn changed_circuits_are_refused_or_run(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let open = OpenCircuit::of(honest()).file();
        let mut payload = cml_file::decode(CIRCUIT, "open", &open).unwrap().to_vec();
        for (at, byte) in changes {
            let at = at.index(payload.len());
            payload[at] ^= byte;
        }
        if let Ok(circuit) = Circuit::from_bytes("changed", &cml_file::encode(CIRCUIT, &payload), ()) {
            simulate(&circuit);
        }
    }
}
