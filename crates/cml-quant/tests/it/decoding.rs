//! What is decoded by itself is checked as what is built.

use cml_quant::{ActQuantizer, Normalize, WeightQuantizer};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::fmt::Debug;

/// The value comes back, and each change of a field is refused with its reason.
fn check<T: Serialize + DeserializeOwned + Debug + PartialEq>(valid: &T, changes: &[(&str, Value, &str)]) {
    let json = serde_json::to_value(valid).unwrap();
    assert_eq!(&serde_json::from_value::<T>(json.clone()).unwrap(), valid);
    for (field, value, expected) in changes {
        let mut changed = json.clone();
        changed[*field] = value.clone();
        let result = serde_json::from_value::<T>(changed);
        let message = result
            .map(|_| ())
            .expect_err(&format!("{field} {value}"))
            .to_string();
        assert!(
            message.contains(expected),
            "{message:?} does not say {expected:?}"
        );
    }
}

#[test]
fn quantizers_of_activations() {
    check(
        &ActQuantizer::new(3, true, false, 0.5, -1).unwrap(),
        &[
            ("bits", json!(0), "activation quantizer of 0 bits, needs 1 to 16"),
            ("bits", json!(17), "of 17 bits"),
            ("scale", json!(0.0), "activation scale is 0"),
            ("scale", json!(-1.0), "activation scale is -1"),
            ("scale", json!(1e300), "activation scale is inf"),
            ("zero_point", json!(4), "zero point: needs -4..3, has 4"),
            ("unheard", json!(1), "unknown field"),
        ],
    );
}

#[test]
fn quantizers_of_weights() {
    check(
        &WeightQuantizer::new(3, true, vec![0.5, 0.25]).unwrap(),
        &[
            ("bits", json!(0), "weight quantizer of 0 bits"),
            ("bits", json!(64), "of 64 bits"),
            ("scale", json!([]), "missing weight scale"),
            ("scale", json!([0.5, 0.0]), "weight scale is 0"),
            ("scale", json!([1e300]), "weight scale is inf"),
            ("unheard", json!(1), "unknown field"),
        ],
    );
}

#[test]
fn normalizations() {
    let valid = Normalize {
        offset: vec![0.5],
        factor: vec![2.0, 3.0],
    };
    check(
        &valid,
        &[
            ("offset", json!([1e300]), "input offset is inf"),
            (
                "factor",
                json!([1.0, 0.0]),
                "needs a finite and positive number, has 0",
            ),
            ("factor", json!([-1.0]), "has -1"),
            ("factor", json!([1e300]), "has inf"),
            ("unheard", json!(1), "unknown field"),
        ],
    );
}
