//! Network files: what is written comes back, and nothing else is accepted.

use crate::images::image_networks;
use crate::random::{fixed, networks};
use cml_quant::{
    ActQuantizer, Conv2d, Layer, LayerNode, Linear, Network, Pool, PoolKind, Univariate, WeightQuantizer,
    network_from_bytes, network_to_bytes, read_network, write_network,
};
use ndarray::{Array4, array};
use proptest::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

pub(crate) fn sample() -> Network {
    let mut net = Network::new("sample", vec![2]);
    let x = net
        .quantize("q", net.input(), ActQuantizer::constant(3).unwrap())
        .unwrap();
    let quantizer = WeightQuantizer::constant(3).unwrap();
    let fc = Linear::new(array![[0.5, -0.25]], Some(vec![0.125]), quantizer).unwrap();
    let x = net.linear("fc", x, fc).unwrap();
    let x = net.function("relu", x, Univariate::Relu).unwrap();
    let y = net.quantize("q1", x, ActQuantizer::constant(2).unwrap()).unwrap();
    net.set_output(y, &["yes"]).unwrap();
    net
}

/// Weights with their bits: `PartialEq` takes -0.0 for 0.0.
fn weight_bits(net: &Network) -> Vec<u32> {
    let bits = |weights: &mut dyn Iterator<Item = &f32>| weights.map(|w| w.to_bits()).collect::<Vec<_>>();
    let layer = |node: &LayerNode| match &node.layer {
        Layer::Linear(l) => bits(&mut l.weights().floats().iter().chain(l.bias().into_iter().flatten())),
        Layer::Conv2d(c) => bits(&mut c.weights().floats().iter().chain(c.bias().into_iter().flatten())),
        _ => Vec::new(),
    };
    net.layers().iter().flat_map(layer).collect()
}

fn round_trip(net: &Network) -> Result<(), TestCaseError> {
    let back = network_from_bytes("test", &network_to_bytes(net).unwrap()).unwrap();
    prop_assert_eq!(weight_bits(&back), weight_bits(net));
    prop_assert_eq!(&back, net);
    Ok(())
}

proptest! {
    #![proptest_config(fixed(100, 2))]

    #[test]
    fn networks_round_trip((recipe, _) in networks()) {
        round_trip(&recipe.build())?;
    }

    #[test]
    fn image_networks_round_trip((recipe, _) in image_networks()) {
        round_trip(&recipe.build())?;
    }

    #[test]
    fn random_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(network_from_bytes("noise", &bytes).is_err());
        // A plausible header length leads deeper into the reader.
        let framed = [&(bytes.len() as u64).to_le_bytes()[..], &bytes].concat();
        prop_assert!(network_from_bytes("noise", &framed).is_err());
    }

    #[test]
    fn damaged_descriptions_with_a_valid_checksum_never_panic(
        at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut structure = structure_of(&sample()).into_bytes();
        let at = at.index(structure.len());
        structure[at] = byte;
        if let Ok(structure) = String::from_utf8(structure)
            && let Ok(net) = network_from_bytes("forged", &forge(&structure, &tensors()))
        {
            let _ = cml_quant::to_graph(&net);
            let _ = net.forward(&[0.5, 0.25]);
        }
    }
}

#[test]
fn files_round_trip() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    write_network(&path, &sample()).unwrap();
    assert_eq!(read_network(&path).unwrap(), sample());
    let missing = folder.path().join("none.safetensors");
    let message = read_network(&missing).unwrap_err().to_string();
    assert!(message.contains("none.safetensors"), "{message}");
    std::fs::write(&path, b"something else").unwrap();
    let message = read_network(&path).unwrap_err().to_string();
    assert!(
        message.contains("net.safetensors: not a safetensors file"),
        "{message}"
    );
}

#[test]
fn every_truncation_is_refused() {
    let bytes = network_to_bytes(&sample()).unwrap();
    for length in 0..bytes.len() {
        let result = network_from_bytes("cut", &bytes[..length]);
        let message = result
            .map(|_| ())
            .expect_err(&format!("cut to {length}"))
            .to_string();
        assert!(message.starts_with("cut: not a safetensors file"), "{message}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(network_from_bytes("longer", &longer).is_err());
}

#[test]
fn every_flipped_bit_is_refused() {
    let bytes = network_to_bytes(&sample()).unwrap();
    for bit in 0..8 * bytes.len() {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(
            network_from_bytes("flip", &damaged).is_err(),
            "bit {} of byte {} ({:?})",
            bit % 8,
            bit / 8,
            char::from(bytes[bit / 8])
        );
    }
}

type Tensors = BTreeMap<&'static str, (Vec<usize>, Vec<f32>)>;

/// The tensors of [`sample`].
pub(crate) fn tensors() -> Tensors {
    BTreeMap::from([
        ("fc.bias", (vec![1], vec![0.125])),
        ("fc.weight", (vec![1, 2], vec![0.5, -0.25])),
    ])
}

/// The description in the file of a network.
pub(crate) fn structure_of(net: &Network) -> String {
    let bytes = network_to_bytes(net).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    header.metadata().as_ref().unwrap()["cml.network"][65..].to_owned()
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// A file with any description and tensors, and the checksum that fits them.
pub(crate) fn forge(structure: &str, tensors: &Tensors) -> Vec<u8> {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(structure.as_bytes());
    for (name, (shape, data)) in tensors {
        part(name.as_bytes());
        part(format!("{shape:?}").as_bytes());
        part(&little_endian(data));
    }
    let sum: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    container(&[("cml.network", &format!("{sum} {structure}"))], tensors)
}

fn container(metadata: &[(&str, &str)], tensors: &Tensors) -> Vec<u8> {
    let data: Vec<(&str, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(n, (shape, data))| (*n, shape.clone(), little_endian(data)))
        .collect();
    let views = data
        .iter()
        .map(|(n, shape, data)| (*n, TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
    let metadata: HashMap<String, String> = metadata
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    safetensors::serialize(views, Some(metadata)).unwrap()
}

pub(crate) fn refused(bytes: &[u8], expected: &str) {
    let result = network_from_bytes("x.safetensors", bytes);
    let message = result.map(|_| ()).expect_err(expected).to_string();
    assert!(
        message.starts_with("x.safetensors: ") && message.contains(expected),
        "{message:?} does not say {expected:?}"
    );
}

#[test]
fn the_forger_works() {
    let forged = forge(&structure_of(&sample()), &tensors());
    assert_eq!(network_from_bytes("forged", &forged).unwrap(), sample());
}

#[test]
fn foreign_files_are_refused_with_the_reason() {
    refused(b"", "not a safetensors file");
    refused(
        b"\x89CML\r\n\x1a\nGRPH and more than a header of it",
        "is a graph, needs a network",
    );
    refused(
        &container(&[], &tensors()),
        "has no cml.network entry: not a network that cml wrote",
    );
    refused(
        &container(&[("format", "pt")], &tensors()),
        "has no cml.network entry: not a network that cml wrote",
    );
    let structure = structure_of(&sample());
    refused(
        &container(&[("cml.network", &structure)], &tensors()),
        "checksum mismatch: the file is damaged",
    );
    refused(
        &container(&[("cml.network", &format!(" {structure}"))], &tensors()),
        "checksum mismatch: the file is damaged",
    );
}

#[test]
fn hostile_descriptions_with_a_valid_checksum_are_refused() {
    let structure: Value = serde_json::from_str(&structure_of(&sample())).unwrap();
    let check = |pointer: &str, value: Value, expected: &str| {
        let mut changed = structure.clone();
        let place = changed
            .pointer_mut(pointer)
            .unwrap_or_else(|| panic!("no {pointer} in {structure}"));
        *place = value;
        refused(&forge(&changed.to_string(), &tensors()), expected);
    };
    check(
        "/version",
        json!(2),
        "network format version 2, this program reads 3 to 4",
    );
    check("/version", json!("1"), "malformed cml.network entry");
    check("/output", json!(99), "layer output reads layer number 99");
    check("/labels", json!(["a", "b"]), "labels: needs 0 or 1, has 2");
    check(
        "/labels",
        json!(["\u{1b}[2J"]),
        "the names of the classes are not valid: number 0 holds control",
    );
    check("/input_shape", json!([3]), "layer fc: input: needs [2], has [3]");
    check("/input_shape", json!([-1]), "malformed cml.network entry");
    check("/layers/0/operands", json!([7]), "layer q reads layer number 7");
    check("/layers/0/operands", json!([]), "operands");
    check("/layers/1/operands", json!([1, 1]), "operands");
    check("/layers/0/name", json!("fc"), "layer name \"fc\" is taken");
    check("/layers/0/name", json!(""), "layer name \"\" is taken or empty");
    check(
        "/layers/1/name",
        json!("other"),
        "other.weight: tensor is missing",
    );
    check("/layers/0/layer", json!("input"), "malformed cml.network entry");
    check(
        "/layers/2/layer",
        json!({"function": "softmax"}),
        "malformed cml.network entry",
    );
    let act = "/layers/0/layer/quantize";
    check(&format!("{act}/bits"), json!(0), "of 0 bits");
    check(
        &format!("{act}/bits"),
        json!(4_000_000_000u32),
        "of 4000000000 bits",
    );
    check(&format!("{act}/scale"), json!(-0.5), "activation scale is -0.5");
    check(&format!("{act}/scale"), json!(0.0), "activation scale is 0");
    check(&format!("{act}/scale"), json!(1e300), "scale");
    check(
        &format!("{act}/scale"),
        Value::Null,
        "malformed cml.network entry",
    );
    check(&format!("{act}/zero_point"), json!(i64::MIN), "zero point");
    let weights = "/layers/1/layer/linear/weights";
    check(&format!("{weights}/bits"), json!(64), "of 64 bits");
    check(&format!("{weights}/scale"), json!([-1.0]), "weight scale is -1");
    check(&format!("{weights}/scale"), json!([]), "missing weight scale");
    check(
        &format!("{weights}/scale"),
        json!([1.0, 1.0]),
        "weight scales: needs 1 or 1, has 2",
    );
}

/// A convolution with everything, a pool, a reshape, a sum and a concatenation.
fn image_sample() -> Network {
    let mut net = Network::new("image", vec![2, 3, 3]);
    let act = ActQuantizer::constant(3).unwrap();
    let x = net.quantize("q", net.input(), act).unwrap();
    let weights = Array4::from_shape_fn((2, 1, 2, 2), |(o, _, y, x)| 0.25 * (o + y + x) as f32);
    let conv = Conv2d::new(weights, None, WeightQuantizer::constant(3).unwrap()).unwrap();
    let conv = conv.with_stride([1, 2]).with_padding([1, 0, 0, 1]).with_groups(2);
    let x = net.conv2d("conv", x, conv).unwrap();
    let pool = Pool {
        kind: PoolKind::Average,
        kernel: [2, 1],
        stride: [1, 2],
        padding: [0; 4],
    };
    let x = net.pool("pool", x, pool).unwrap();
    let x = net.quantize("q1", x, act).unwrap();
    let x = net.add("add", x, x).unwrap();
    let x = net.concat("cat", &[x, x]).unwrap();
    let y = net.flatten("flat", x).unwrap();
    net.set_output(y, &[]).unwrap();
    net
}

#[test]
fn hostile_image_layers_are_refused() {
    let weights = (0..8)
        .map(|i| 0.25 * (i / 4 + i / 2 % 2 + i % 2) as f32)
        .collect();
    let tensors = BTreeMap::from([("conv.weight", (vec![2, 1, 2, 2], weights))]);
    let text = structure_of(&image_sample());
    let back = network_from_bytes("forged", &forge(&text, &tensors)).unwrap();
    assert_eq!(back, image_sample());
    let structure: Value = serde_json::from_str(&text).unwrap();
    let check = |pointer: &str, value: Value, expected: &str| {
        let mut changed = structure.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        refused(&forge(&changed.to_string(), &tensors), expected);
    };
    let huge = json!([1u64 << 62, 0, 1u64 << 62, 0]);
    let conv = "/layers/1/layer/conv2d";
    check(
        &format!("{conv}/stride"),
        json!([0, 1]),
        "layer conv: stride: needs at least 1",
    );
    check(
        &format!("{conv}/stride"),
        json!([1]),
        "malformed cml.network entry",
    );
    check(
        &format!("{conv}/padding"),
        huge,
        "layer conv: result: needs 1 to 4194304 elements",
    );
    check(
        &format!("{conv}/padding"),
        json!([u64::MAX, 1, 1, 1]),
        "layer conv: window",
    );
    check(
        &format!("{conv}/groups"),
        json!(0),
        "layer conv: groups: needs a divisor of 2, has 0",
    );
    check(
        &format!("{conv}/groups"),
        json!(1),
        "layer conv: input channels: needs 1, has 2",
    );
    check(&format!("{conv}/groups"), json!(u64::MAX), "layer conv: groups");
    check(
        &format!("{conv}/bias"),
        json!(true),
        "conv.bias: tensor is missing",
    );
    let pool = "/layers/2/layer/pool";
    check(&format!("{pool}/kernel"), json!([0, 1]), "layer pool: window");
    check(
        &format!("{pool}/kernel"),
        json!([u64::MAX, u64::MAX]),
        "layer pool: window",
    );
    check(&format!("{pool}/stride"), json!([1, 0]), "layer pool: stride");
    check(
        &format!("{pool}/kind"),
        json!("median"),
        "malformed cml.network entry",
    );
    check(
        "/layers/4/operands",
        json!([4]),
        "layer add: operands: needs 2, has 1",
    );
    check(
        "/layers/5/operands",
        json!([]),
        "layer cat: operands: needs 1 or more, has 0",
    );
    let shape = "/layers/6/layer/reshape/shape";
    check(shape, json!([u64::MAX, 2]), "layer flat: shape: needs 8 elements");
    check(shape, json!([]), "layer flat: shape: needs 8 elements");
}

#[test]
fn unknown_fields_are_refused() {
    let structure: Value = serde_json::from_str(&structure_of(&sample())).unwrap();
    for pointer in [
        "",
        "/layers/0",
        "/layers/0/layer/quantize",
        "/layers/1/layer/linear/weights",
    ] {
        let mut changed = structure.clone();
        let place = changed.pointer_mut(pointer).unwrap();
        place
            .as_object_mut()
            .unwrap()
            .insert("surprise".to_owned(), json!(1));
        refused(
            &forge(&changed.to_string(), &tensors()),
            "unknown field `surprise`",
        );
    }
}

#[test]
fn hostile_tensors_with_a_valid_checksum_are_refused() {
    let structure = structure_of(&sample());
    let check = |name: &'static str, shape: &[usize], data: &[f32], expected: &str| {
        let mut tensors = tensors();
        tensors.insert(name, (shape.to_vec(), data.to_vec()));
        refused(&forge(&structure, &tensors), expected);
    };
    check(
        "fc.weight",
        &[1, 2],
        &[0.5, f32::NAN],
        "weight is NaN, must be finite",
    );
    check(
        "fc.weight",
        &[1, 2],
        &[f32::INFINITY, 0.5],
        "weight is inf, must be finite",
    );
    check(
        "fc.bias",
        &[1],
        &[f32::NEG_INFINITY],
        "bias is -inf, must be finite",
    );
    check("fc.bias", &[2], &[0.0, 0.0], "bias: needs 1, has 2");
    check(
        "fc.weight",
        &[2],
        &[0.5, 0.5],
        "layer fc: weights: needs [out, in], has [2]",
    );
    check(
        "fc.weight",
        &[1, 3],
        &[0.5; 3],
        "layer fc: input: needs [3], has [2]",
    );
    check("fc.weight", &[0, 2], &[], "weights: needs at least one");
    let mut missing = tensors();
    missing.remove("fc.bias");
    refused(&forge(&structure, &missing), "fc.bias: tensor is missing");
}

/// The lengths of tensors and header lie in the JSON header; no checksum of
/// ours is reached.
#[test]
fn hostile_lengths_are_refused_before_memory_is_taken() {
    let header = |shape: &str, end: u64| {
        let json = format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#);
        [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &[0; 8]].concat()
    };
    refused(&header("[2]", 8), "has no cml.network entry");
    refused(&header("[18446744073709551615,2]", 8), "not a safetensors file");
    refused(
        &header("[4611686018427387904]", u64::MAX),
        "not a safetensors file",
    );
    refused(
        &[&u64::MAX.to_le_bytes()[..], b"{}"].concat(),
        "not a safetensors file",
    );
}
