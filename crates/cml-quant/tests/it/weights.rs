//! Integer weights are what a layer is given, in memory and in files.

use crate::files::{forge, sample, structure_of, tensors};
use crate::random::fixed;
use cml_quant::{
    Conv2d, Layer, Linear, Network, WeightQuantizer, Weights, network_from_bytes, network_to_bytes,
};
use ndarray::{Array2, Array4, array};
use proptest::prelude::*;

fn dense(codes: Array2<i64>, bits: u32, narrow: bool, scale: Vec<f32>) -> Result<Linear, String> {
    let quantizer = WeightQuantizer { bits, narrow, scale };
    Linear::from_weights(Weights::Codes { codes, quantizer }, None).map_err(|e| e.to_string())
}

#[track_caller]
fn refused(layer: Result<Linear, String>, expected: &str) {
    let message = layer.expect_err(expected);
    assert!(
        message.contains(expected),
        "{message:?} does not say {expected:?}"
    );
}

#[test]
fn codes_stay_what_they_are() {
    let linear = dense(array![[-4, 3], [0, 1]], 3, false, vec![0.5, 0.25]).unwrap();
    assert_eq!(linear.codes(), Some(&array![[-4, 3], [0, 1]]));
    assert_eq!(
        linear.weights().floats().into_owned(),
        array![[-2.0, 1.5], [0.0, 0.25]]
    );
}

#[test]
fn codes_that_the_quantizer_does_not_have_are_refused() {
    refused(
        dense(array![[-4]], 3, true, vec![0.5]),
        "weight codes: needs -3..3, has -4",
    );
    refused(
        dense(array![[2]], 1, false, vec![0.5]),
        "weight codes: needs -1..1, has 2",
    );
    refused(
        dense(array![[1], [1]], 3, true, vec![0.5; 3]),
        "weight scales: needs 1 or 2, has 3",
    );
    refused(dense(array![[1]], 3, true, vec![-0.5]), "weight scale is -0.5");
    refused(dense(array![[1]], 17, true, vec![0.5]), "of 17 bits");
    refused(dense(array![[2]], 3, true, vec![f32::MAX]), "weight is inf");
    refused(dense(Array2::zeros((0, 2)), 3, true, vec![0.5]), "at least one");
}

#[test]
fn weights_of_another_rank_are_refused() {
    let weights = Weights::Float(Array2::<f32>::ones((2, 3)).into_dyn());
    let message = weights.clone().into_dimensionality::<ndarray::Ix4>();
    let message = message.map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("needs 4 axes, has [2, 3]"), "{message}");
    assert!(Linear::from_weights(weights.into_dimensionality().unwrap(), None).is_ok());
}

fn with(layer: Layer, shape: Vec<usize>) -> Network {
    let mut net = Network::new("codes", shape);
    let x = net.input();
    let x = net
        .quantize("q", x, cml_quant::ActQuantizer::constant(3).unwrap())
        .unwrap();
    let y = net.push("layer", layer, &[x]).unwrap();
    net.set_output(y, &[]).unwrap();
    net
}

/// Quantizers of every width, their scales over the whole range of `f32`.
fn quantizers() -> impl Strategy<Value = WeightQuantizer> {
    let scale = (any::<u32>()).prop_map(|bits| f32::from_bits(bits & 0x7fff_ffff));
    let scale = scale.prop_filter("a scale that weights of 16 bits may have", |s| {
        s.is_finite() && *s > 0.0 && s * 32768.0 < f32::MAX
    });
    (1..=16u32, any::<bool>(), prop::collection::vec(scale, 2)).prop_map(|(bits, narrow, scale)| {
        WeightQuantizer {
            bits,
            narrow: narrow || bits == 1,
            scale,
        }
    })
}

proptest! {
    #![proptest_config(fixed(300, 1))]

    #[test]
    fn files_give_every_code_back(quantizer in quantizers(), draws in prop::collection::vec(any::<u32>(), 8)) {
        let range = quantizer.codes();
        let code = |draw: &u32| range.lo + i64::from(*draw) % (range.hi - range.lo + 1);
        let mut codes: Vec<i64> = draws.iter().map(code).collect();
        (codes[0], codes[7]) = (range.lo, range.hi);
        let rows = Array2::from_shape_vec((2, 4), codes.clone()).unwrap();
        let kernels = Array4::from_shape_vec((2, 1, 2, 2), codes).unwrap();
        let linear = Weights::Codes { codes: rows, quantizer: quantizer.clone() };
        let conv = Weights::Codes { codes: kernels, quantizer };
        let layers = [
            (Layer::Linear(Linear::from_weights(linear, None).unwrap()), vec![4]),
            (Layer::Conv2d(Conv2d::from_weights(conv, None).unwrap()), vec![1, 2, 2]),
        ];
        for (layer, shape) in layers {
            let net = with(layer, shape);
            let bytes = network_to_bytes(&net).unwrap();
            let back = network_from_bytes("codes", &bytes).unwrap();
            prop_assert_eq!(&back, &net);
            prop_assert_eq!(network_to_bytes(&back).unwrap(), bytes);
        }
    }
}

/// Older programs wrote the floats that training had, next to the codes.
#[test]
fn floats_beside_the_codes_are_rounded() {
    let mut beside = tensors();
    // The quantizer has scale 1/3.
    beside.insert("fc.weight", (vec![1, 2], vec![0.6, -0.4]));
    let net = network_from_bytes("older", &forge(&structure_of(&sample()), &beside)).unwrap();
    let Layer::Linear(linear) = &net.layers()[2].layer else {
        panic!("not dense")
    };
    assert_eq!(linear.codes(), Some(&array![[2, -1]]));
    assert_eq!(
        linear.weights().floats().into_owned(),
        array![[2.0 / 3.0, -1.0 / 3.0]]
    );
}
