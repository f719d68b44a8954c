//! Random graphs, as recipes that shrink: dense, convolution, pool, residual
//! sum or difference, concatenation, lookups that read one accumulator, moved
//! elements; one or two inputs and outputs.

use crate::networks::scatter;
use cml_ir::{
    Conv2d, Graph, GraphBuilder, InputSpec, Interval, Lut, NodeId, Op, OutputSpec, Pad, Steps, SumPool,
    Tensor,
};
use proptest::prelude::*;

/// A lookup follows wherever an element can take more values than this.
const WIDE: u64 = 24;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Dense {
        out: usize,
    },
    Conv {
        out: usize,
        stride: usize,
        pad_value: i64,
    },
    Pool {
        stride: usize,
    },
    Residual {
        minus: bool,
    },
    Concat,
    Reused,
    Moved,
}

#[derive(Clone, Debug)]
struct Layer {
    kind: Kind,
    /// Weights and tables are taken from these, again and again.
    numbers: Vec<i64>,
    /// Whether a lookup follows in any case.
    clip: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    image: bool,
    channels: usize,
    range: (i64, i64),
    layers: Vec<Layer>,
    second_input: bool,
    second_output: bool,
    /// Whether the passes run before the lowering.
    pub(crate) optimize: bool,
}

fn layer() -> impl Strategy<Value = Layer> {
    let kind = prop_oneof![
        2 => (1usize..5).prop_map(|out| Kind::Dense { out }),
        2 => (1usize..3, 1usize..3, -1i64..2)
            .prop_map(|(out, stride, pad_value)| Kind::Conv { out, stride, pad_value }),
        1 => (1usize..3).prop_map(|stride| Kind::Pool { stride }),
        2 => any::<bool>().prop_map(|minus| Kind::Residual { minus }),
        1 => Just(Kind::Concat),
        1 => Just(Kind::Reused),
        1 => Just(Kind::Moved),
    ];
    // A prime length, so that rows of weights differ.
    (kind, prop::collection::vec(-3i64..4, 13), any::<bool>()).prop_map(|(kind, numbers, clip)| Layer {
        kind,
        numbers,
        clip,
    })
}

pub(crate) fn recipes() -> impl Strategy<Value = Recipe> {
    (
        any::<bool>(),
        1usize..4,
        (-3i64..1, 1i64..4),
        prop::collection::vec(layer(), 0..5),
        any::<[bool; 3]>(),
    )
        .prop_map(
            |(image, channels, range, layers, [second_input, second_output, optimize])| Recipe {
                image,
                channels: if image { channels.min(2) } else { channels },
                range,
                layers,
                second_input,
                second_output,
                optimize,
            },
        )
}

impl Layer {
    fn weights(&self, shape: Vec<usize>) -> Tensor {
        let n = shape.iter().product();
        Tensor::new(shape, self.numbers.iter().copied().cycle().take(n).collect()).unwrap()
    }

    fn bias(&self, n: usize) -> Vec<i64> {
        self.numbers.iter().rev().copied().cycle().take(n).collect()
    }
}

/// A lookup with five plateaus of any order on the range of `x`: one table
/// for each channel, or one for all.
fn table(b: &mut GraphBuilder, name: &str, x: NodeId, layer: &Layer, salt: usize) -> NodeId {
    let (range, channels) = (b.ty(x).range, b.ty(x).shape[0]);
    let width = (range.hi - range.lo + 1).max(5) / 5;
    let steps = |c: usize| {
        let value = |i: usize| layer.numbers[(salt + 3 * c + i) % layer.numbers.len()];
        let place = |i: usize| range.lo + i as i64 * width + scatter(c + salt, 0, width - 1);
        Steps::new(value(0), (1..5).map(|i| (place(i), value(i))).collect()).unwrap()
    };
    let tables = if layer.numbers[0] > 0 { channels } else { 1 };
    b.lut(
        name,
        x,
        Lut::per_channel((0..tables).map(steps).collect()).unwrap(),
    )
    .unwrap()
}

fn square(b: &mut GraphBuilder, name: &str, x: NodeId, layer: &Layer) -> NodeId {
    let shape = b.ty(x).shape.clone();
    let n = shape[0];
    if shape.len() == 1 {
        return b.dot(name, x, layer.weights(vec![n, n]), layer.bias(n)).unwrap();
    }
    let conv = Conv2d {
        weights: layer.weights(vec![n, n, 1, 1]),
        bias: layer.bias(n),
        stride: [1, 1],
        padding: [0; 4],
        pad_value: 0,
        groups: 1,
    };
    b.conv2d(name, x, conv).unwrap()
}

fn flatten(b: &mut GraphBuilder, name: &str, x: NodeId) -> NodeId {
    let shape = b.ty(x).shape.clone();
    if shape.len() == 1 {
        return x;
    }
    b.reshape(name, x, vec![shape.iter().product()]).unwrap()
}

fn add_layer(b: &mut GraphBuilder, at: usize, x: NodeId, layer: &Layer) -> NodeId {
    let name = |what: &str| format!("{what}{at}");
    let shape = b.ty(x).shape.clone();
    let image = shape.len() == 3;
    match layer.kind {
        Kind::Conv {
            out,
            stride,
            pad_value,
        } if image => {
            let conv = Conv2d {
                weights: layer.weights(vec![out, shape[0], 2, 2]),
                bias: layer.bias(out),
                stride: [stride, 1],
                padding: [1, 0, 0, 1],
                pad_value,
                groups: 1,
            };
            b.conv2d(&name("conv"), x, conv).unwrap()
        }
        Kind::Pool { stride } if image && shape[1] >= 2 => {
            let pool = SumPool {
                kernel: [2, 1],
                stride: [stride, 1],
            };
            b.sum_pool(&name("pool"), x, pool).unwrap()
        }
        Kind::Residual { minus } => {
            let inner = square(b, &name("inner"), x, layer);
            let act = table(b, &name("act"), inner, layer, 0);
            if minus {
                b.sub(&name("diff"), x, act).unwrap()
            } else {
                b.add(&name("sum"), act, x).unwrap()
            }
        }
        Kind::Concat if shape[0] <= 3 => {
            let act = table(b, &name("act"), x, layer, 0);
            b.push(&name("concat"), Op::Concat { axis: 0 }, &[x, act])
                .unwrap()
        }
        Kind::Reused => {
            let inner = square(b, &name("inner"), x, layer);
            let (one, two) = (
                table(b, &name("one"), inner, layer, 0),
                table(b, &name("two"), inner, layer, 7),
            );
            b.sub(&name("apart"), one, two).unwrap()
        }
        Kind::Moved if image => b
            .push(&name("transpose"), Op::Transpose { perm: vec![0, 2, 1] }, &[x])
            .unwrap(),
        Kind::Moved if shape[0] >= 2 => {
            let slice = Op::Slice {
                axis: 0,
                start: 1,
                end: shape[0],
            };
            b.push(&name("slice"), slice, &[x]).unwrap()
        }
        Kind::Moved => {
            let pad = Pad {
                before: vec![1],
                after: vec![0],
                value: layer.numbers[1],
            };
            b.pad(&name("pad"), x, pad).unwrap()
        }
        Kind::Dense { .. } | Kind::Conv { .. } | Kind::Pool { .. } | Kind::Concat => {
            let out = if let Kind::Dense { out } = layer.kind {
                out
            } else {
                2
            };
            let flat = flatten(b, &name("flat"), x);
            let fan_in = b.ty(flat).shape[0];
            b.dot(
                &name("fc"),
                flat,
                layer.weights(vec![out, fan_in]),
                layer.bias(out),
            )
            .unwrap()
        }
    }
}

impl Recipe {
    pub(crate) fn build(&self) -> Graph {
        let mut b = GraphBuilder::new("random");
        let shape = if self.image {
            vec![self.channels, 3, 3]
        } else {
            vec![self.channels]
        };
        let spec = InputSpec::new(0.5, 0, Interval::new(self.range.0, self.range.1));
        let mut x = b.input("x", shape, spec).unwrap();
        for (at, layer) in self.layers.iter().enumerate() {
            x = add_layer(&mut b, at, x, layer);
            if layer.clip || b.ty(x).range.count() > WIDE {
                x = table(&mut b, &format!("clip{at}"), x, layer, 1);
            }
        }
        if self.second_output {
            b.output("tap", x, OutputSpec::identity()).unwrap();
        }
        let mut x = flatten(&mut b, "flat", x);
        if self.second_input {
            let z = b
                .input("z", vec![2], InputSpec::new(1.0, 1, Interval::new(0, 2)))
                .unwrap();
            x = b.push("join", Op::Concat { axis: 0 }, &[x, z]).unwrap();
        }
        let fan_in = b.ty(x).shape[0];
        let weights = (0..2 * fan_in).map(|i| scatter(i, -2, 2)).collect();
        let y = b
            .dot(
                "head",
                x,
                Tensor::new(vec![2, fan_in], weights).unwrap(),
                vec![1, -1],
            )
            .unwrap();
        b.output("y", y, OutputSpec::identity()).unwrap();
        b.finish().unwrap()
    }
}

/// A runner whose cases are the same in every run.
pub(crate) fn fixed(cases: u32, seed: u64) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: proptest::test_runner::RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
