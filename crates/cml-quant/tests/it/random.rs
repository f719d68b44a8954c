//! Random networks, as recipes that shrink.

use cml_ir::InputStep;
use cml_quant::{ActQuantizer, LayerId, Linear, Network, Univariate, WeightQuantizer};
use ndarray::{Array, RemoveAxis, ShapeBuilder};
use proptest::prelude::*;
use std::ops::RangeInclusive;

/// An activation quantizer; the zero point is a place among its codes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act {
    bits: u32,
    signed: bool,
    narrow: bool,
    scale: f32,
    zero: Option<u16>,
}

impl Act {
    pub(crate) fn build(self) -> ActQuantizer {
        let at = |zero| ActQuantizer::new(self.bits, self.signed, self.narrow, self.scale, zero);
        let codes = at(0).unwrap().codes();
        let place = |z: u16| codes.lo + i64::from(z) * (codes.hi - codes.lo) / i64::from(u16::MAX);
        at(self.zero.map_or(0, place)).unwrap()
    }

    /// The same scale and codes with another zero point.
    pub(crate) fn with_zero(self, zero: Option<u16>) -> Self {
        Self { zero, ..self }
    }
}

pub(crate) fn act(bits: RangeInclusive<u32>) -> impl Strategy<Value = Act> {
    (
        bits,
        any::<bool>(),
        any::<bool>(),
        0.003f32..0.8,
        prop::option::of(any::<u16>()),
    )
        .prop_map(|(bits, signed, narrow, scale, zero)| Act {
            bits,
            signed,
            narrow,
            scale,
            zero,
        })
}

#[derive(Clone, Copy, Debug)]
enum WeightKind {
    Constant,
    PerTensor,
    PerChannel,
    PowerOfTwo,
    FullRange,
    Binary,
}

/// Weights, bias and quantizer for any shape.
#[derive(Clone, Debug)]
pub(crate) struct Weighing {
    kind: WeightKind,
    bits: u32,
    /// Weights are taken from these, again and again.
    numbers: Vec<f32>,
    bias: bool,
}

pub(crate) fn weighing(bits: RangeInclusive<u32>) -> impl Strategy<Value = Weighing> {
    use WeightKind::*;
    let kind = prop_oneof![
        Just(Constant),
        Just(PerTensor),
        Just(PerChannel),
        Just(PowerOfTwo),
        Just(FullRange),
        Just(Binary)
    ];
    // Exact zeros are pruned weights. A prime length, so that rows differ.
    let number = prop_oneof![1 => Just(0.0f32), 4 => -1.5f32..1.5];
    let numbers = prop::collection::vec(number, 13);
    (kind, bits, numbers, any::<bool>()).prop_map(|(kind, bits, numbers, bias)| Weighing {
        kind,
        bits,
        numbers,
        bias,
    })
}

impl Weighing {
    pub(crate) fn build<S, D>(&self, shape: S) -> (Array<f32, D>, Option<Vec<f32>>, WeightQuantizer)
    where
        D: RemoveAxis,
        S: ShapeBuilder<Dim = D>,
    {
        let mut numbers = self.numbers.iter().copied().cycle();
        let weights = Array::from_shape_simple_fn(shape, || numbers.next().unwrap());
        let out = weights.shape()[0];
        let per_channel: Vec<f32> = (0..out).map(|c| 0.05 + 0.1 * c as f32).collect();
        let quantizer = match self.kind {
            WeightKind::Constant => WeightQuantizer::constant(self.bits),
            WeightKind::PerTensor => WeightQuantizer::per_tensor(self.bits, weights.view()),
            WeightKind::PerChannel => WeightQuantizer::per_channel(self.bits, weights.view()),
            WeightKind::PowerOfTwo => WeightQuantizer::power_of_two(self.bits, weights.view()),
            WeightKind::FullRange => WeightQuantizer::new(self.bits, false, per_channel),
            WeightKind::Binary => WeightQuantizer::new(1, true, vec![0.7]),
        };
        let bias = self.bias.then(|| numbers.take(out).collect());
        (weights, bias, quantizer.unwrap())
    }
}

#[derive(Clone, Debug)]
struct Layer {
    out: usize,
    weights: Weighing,
    relu: bool,
    after: Act,
}

fn layer() -> impl Strategy<Value = Layer> {
    (1usize..5, weighing(2..=8), any::<bool>(), act(2..=8)).prop_map(|(out, weights, relu, after)| Layer {
        out,
        weights,
        relu,
        after,
    })
}

impl Layer {
    fn linear(&self, fan_in: usize) -> Linear {
        let (weights, bias, quantizer) = self.weights.build((self.out, fan_in));
        Linear::new(weights, bias, quantizer).unwrap()
    }
}

/// What the network puts out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The last dense layer as it is.
    Linear,
    /// Codes of a quantizer whose zero point is 0.
    Codes,
}

#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    inputs: usize,
    steps: Vec<InputStep>,
    first: Act,
    layers: Vec<Layer>,
    end: End,
}

impl Recipe {
    pub(crate) fn build(&self) -> Network {
        let mut net = Network::new("random", vec![self.inputs]);
        net.set_input_steps(self.steps.clone()).unwrap();
        let mut x = net.quantize("x/quant", net.input(), self.first.build()).unwrap();
        for (i, layer) in self.layers.iter().enumerate() {
            let fan_in = net.layer(x).shape[0];
            x = net.linear(&format!("fc{i}"), x, layer.linear(fan_in)).unwrap();
            if i + 1 < self.layers.len() || self.end == End::Codes {
                x = self.activation(&mut net, i, x, layer);
            }
        }
        net.set_output(x, &[]).unwrap();
        net
    }

    fn activation(&self, net: &mut Network, i: usize, mut x: LayerId, layer: &Layer) -> LayerId {
        if layer.relu {
            x = net.function(&format!("relu{i}"), x, Univariate::Relu).unwrap();
        }
        let last = i + 1 == self.layers.len();
        let zero = layer.after.zero.filter(|_| !last);
        net.quantize(&format!("quant{i}"), x, Act { zero, ..layer.after }.build())
            .unwrap()
    }
}

/// What is done with the input before it is quantized: nothing, as often as not.
fn input_steps() -> impl Strategy<Value = Vec<InputStep>> {
    let number = || (-3.0f32..3.0).prop_map(|c| vec![c]);
    let step = prop_oneof![
        number().prop_map(InputStep::Add),
        number().prop_map(InputStep::Multiply),
        number().prop_map(|c| InputStep::Divide(vec![if c[0] == 0.0 { 1.0 } else { c[0] }])),
        number().prop_map(InputStep::Max),
        number().prop_map(InputStep::Min),
        Just(InputStep::Sign),
        Just(InputStep::Abs),
        Just(InputStep::Floor),
    ];
    prop_oneof![Just(Vec::new()), prop::collection::vec(step, 1..4)]
}

/// One to three dense layers with every kind of quantizer, and samples.
pub(crate) fn networks() -> impl Strategy<Value = (Recipe, Vec<Vec<f32>>)> {
    let end = prop_oneof![3 => Just(End::Linear), 1 => Just(End::Codes)];
    (
        (1usize..5, input_steps()),
        act(2..=8),
        prop::collection::vec(layer(), 1..4),
        end,
        prop::collection::vec(-2.0f32..2.0, 23),
    )
        .prop_map(|((inputs, steps), first, layers, end, numbers)| {
            let mut values = numbers.into_iter().cycle();
            let mut samples: Vec<Vec<f32>> =
                (0..10).map(|_| values.by_ref().take(inputs).collect()).collect();
            samples.extend([f32::MAX, f32::MIN, -0.0, f32::MIN_POSITIVE].map(|x| vec![x; inputs]));
            let recipe = Recipe {
                inputs,
                steps,
                first,
                layers,
                end,
            };
            (recipe, samples)
        })
}

/// Cases that are the same in every run.
pub(crate) fn fixed(cases: u32, seed: u64) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: proptest::test_runner::RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
