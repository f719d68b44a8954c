//! What is decoded by itself is checked as what is built.

use crate::files::{forge, refused, structure_of};
use cml_quant::{
    ActQuantizer, Concat, Layer, Network, Normalize, Pad, Slice, Transpose, Univariate, WeightQuantizer,
    network_from_bytes,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::collections::BTreeMap;
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

/// A network without weights: functions and moves.
fn moves() -> Network {
    let mut net = Network::new("moves", vec![2, 3]);
    let codes = ActQuantizer::constant(3).unwrap();
    let x = net.quantize("q", net.input(), codes).unwrap();
    let layers = [
        ("transpose", Layer::Transpose(Transpose { perm: vec![1, 0] })),
        (
            "slice",
            Layer::Slice(Slice {
                starts: vec![0, 0],
                ends: vec![3, 2],
                steps: vec![2, 1],
            }),
        ),
        (
            "pad",
            Layer::Pad(Pad {
                padding: vec![[1, 0], [0, 1]],
            }),
        ),
        ("concat", Layer::Concat(Concat { axis: 1 })),
        ("clip", Layer::Function(Univariate::Clip { lo: -1.0, hi: 1.0 })),
        ("leaky", Layer::Function(Univariate::LeakyRelu { alpha: 0.5 })),
        ("prelu", Layer::Function(Univariate::PRelu { slope: vec![0.5] })),
    ];
    let y = layers
        .into_iter()
        .fold(x, |x, (name, layer)| net.push(name, layer, &[x]).unwrap());
    let y = net.quantize("end", y, codes).unwrap();
    net.set_output(y, &[]).unwrap();
    net
}

#[test]
fn functions_and_moves_are_checked_in_their_network() {
    let text = structure_of(&moves());
    let file = |text: &str| forge(text, &BTreeMap::new());
    assert_eq!(network_from_bytes("moves", &file(&text)).unwrap(), moves());
    let structure: Value = serde_json::from_str(&text).unwrap();
    let check = |layer: usize, kind: &str, value: Value, expected: &str| {
        let mut changed = structure.clone();
        let place = changed.pointer_mut(&format!("/layers/{layer}/layer")).unwrap();
        *place = json!({ kind: value });
        refused(&file(&changed.to_string()), expected);
    };
    check(1, "transpose", json!({"perm": [0, 0]}), "layer transpose: perm");
    check(
        1,
        "transpose",
        json!({"perm": [1, 0], "axes": 1}),
        "unknown field",
    );
    let slice =
        |starts: [usize; 2], steps: [usize; 2]| json!({"starts": starts, "ends": [3, 2], "steps": steps});
    check(
        2,
        "slice",
        slice([3, 0], [1, 1]),
        "layer slice: slice: needs start < end",
    );
    check(2, "slice", slice([0, 0], [0, 1]), "step at least 1");
    check(
        2,
        "slice",
        json!({"starts": [0], "ends": [3, 2], "steps": [1, 1]}),
        "layer slice: starts",
    );
    check(3, "pad", json!({"padding": [[1, 0]]}), "layer pad: padded axes");
    check(
        3,
        "pad",
        json!({"padding": [[u64::MAX, 1], [0, 0]]}),
        "layer pad: result",
    );
    check(
        4,
        "concat",
        json!({"axis": 2}),
        "layer concat: axis: needs below 2, has 2",
    );
    check(
        5,
        "function",
        json!({"clip": {"lo": 1.0, "hi": -1.0}}),
        "layer clip: clip",
    );
    check(5, "function", json!({"clip": {"lo": 1.0}}), "missing field `hi`");
    check(
        6,
        "function",
        json!({"leaky_relu": {"alpha": 1e300}}),
        "layer leaky: alpha",
    );
    check(
        7,
        "function",
        json!({"prelu": {"slope": [0.5, 0.5]}}),
        "layer prelu: slopes: needs 1 or 3, has 2",
    );
    check(7, "function", json!("softmax"), "malformed cml.network entry");
}
