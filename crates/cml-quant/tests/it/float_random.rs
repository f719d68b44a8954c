//! Random float networks, as recipes that shrink.

use crate::functions::{Chain, chain};
use cml_quant::{
    Conv2d, Layer, LayerId, Linear, Network, Normalize, Pad, Pool, PoolKind, Slice, Transpose, Univariate,
};
use ndarray::{Array2, Array4};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// Convolution that keeps the plane, perhaps in groups, perhaps with ReLU.
    Conv { groups: bool, relu: bool },
    /// Sums, averages or maxima over 2 by 1, perhaps with a row more.
    Pool(PoolKind, bool),
    /// `x + conv(x)` or `x - conv(x)`.
    Residual(bool),
    /// `concat(x, conv(x))` along an axis.
    Concat(usize),
    /// Functions of any kind.
    Functions(Chain),
    /// Axes in the order 0 2 1 or 1 2 0.
    Transpose(bool),
    /// All but the first column, every second row.
    Slice,
    /// A row more.
    Pad,
    /// ReLU alone.
    Relu,
    /// Channels and rows change places in name.
    Rows,
}

#[derive(Clone, Debug)]
pub(crate) struct FloatRecipe {
    normalized: bool,
    steps: Vec<Step>,
    /// Sizes of dense layers at the end; none: the result as it is.
    dense: Vec<usize>,
    /// Weights are taken from these, again and again. A prime length, so that rows differ.
    numbers: Vec<f32>,
}

/// Networks on `[2, 4, 2]` with samples.
pub(crate) fn float_networks() -> impl Strategy<Value = (FloatRecipe, Array2<f32>)> {
    let step = prop_oneof![
        3 => (any::<bool>(), any::<bool>()).prop_map(|(groups, relu)| Step::Conv { groups, relu }),
        1 => any::<bool>().prop_map(|padded| Step::Pool(PoolKind::Average, padded)),
        1 => any::<bool>().prop_map(|padded| Step::Pool(PoolKind::Sum, padded)),
        1 => any::<bool>().prop_map(|padded| Step::Pool(PoolKind::Max, padded)),
        2 => any::<bool>().prop_map(Step::Residual),
        1 => (0usize..3).prop_map(Step::Concat),
        2 => chain().prop_map(Step::Functions),
        1 => any::<bool>().prop_map(Step::Transpose),
        1 => Just(Step::Slice),
        1 => Just(Step::Pad),
        1 => Just(Step::Relu),
        1 => Just(Step::Rows),
    ];
    let number = prop_oneof![1 => Just(0.0f32), 5 => -1.0f32..1.0];
    (
        any::<bool>(),
        prop::collection::vec(step, 0..5),
        prop::collection::vec(1usize..6, 0..3),
        prop::collection::vec(number, 31),
        prop::collection::vec(-1.5f32..2.0, 16 * 12),
    )
        .prop_map(|(normalized, steps, dense, numbers, samples)| {
            let recipe = FloatRecipe {
                normalized,
                steps,
                dense,
                numbers,
            };
            (recipe, Array2::from_shape_vec((12, 16), samples).unwrap())
        })
}

struct Builder<I> {
    net: Network,
    numbers: I,
    names: usize,
}

impl<I: Iterator<Item = f32>> Builder<I> {
    fn name(&mut self, kind: &str) -> String {
        self.names += 1;
        format!("{kind}{}", self.names)
    }

    fn shape(&self, x: LayerId) -> [usize; 3] {
        self.net.layer(x).shape.clone().try_into().unwrap()
    }

    fn conv(&mut self, x: LayerId, groups: bool) -> LayerId {
        let [channels, ..] = self.shape(x);
        let groups = if groups { channels } else { 1 };
        let shape = (channels, channels / groups, 2, 1);
        let weights = Array4::from_shape_simple_fn(shape, || self.numbers.next().unwrap());
        let bias = (0..channels).map(|_| self.numbers.next().unwrap()).collect();
        let conv = Conv2d::new(weights, Some(bias), None).unwrap();
        let name = self.name("conv");
        let conv = conv.with_padding([1, 0, 0, 0]).with_groups(groups);
        self.net.conv2d(&name, x, conv).unwrap()
    }

    fn relu(&mut self, x: LayerId) -> LayerId {
        let name = self.name("relu");
        self.net.function(&name, x, Univariate::Relu).unwrap()
    }

    fn step(&mut self, x: LayerId, step: &Step) -> LayerId {
        let [channels, height, width] = self.shape(x);
        let name = self.name("step");
        match step {
            Step::Conv { groups, relu } => {
                let y = self.conv(x, *groups);
                if *relu { self.relu(y) } else { y }
            }
            Step::Pool(..) if height < 2 => x,
            Step::Pool(kind, padded) => {
                let pool = Pool {
                    kind: *kind,
                    kernel: [2, 1],
                    stride: [1, 1],
                    padding: [usize::from(*padded), 0, 0, 0],
                };
                self.net.pool(&name, x, pool).unwrap()
            }
            Step::Residual(difference) => {
                let y = self.conv(x, false);
                let layer = if *difference { Layer::Sub } else { Layer::Add };
                self.net.push(&name, layer, &[x, y]).unwrap()
            }
            Step::Concat(axis) => {
                let y = self.conv(x, false);
                self.net.concat_along(&name, &[x, y], *axis).unwrap()
            }
            Step::Functions(chain) => chain.build(&mut self.net, &name, x),
            Step::Transpose(channels) => {
                let perm = if *channels { vec![1, 2, 0] } else { vec![0, 2, 1] };
                self.net
                    .push(&name, Layer::Transpose(Transpose { perm }), &[x])
                    .unwrap()
            }
            Step::Slice => {
                let slice = Layer::Slice(Slice {
                    starts: vec![0, 0, usize::from(width > 1)],
                    ends: vec![channels, height, width],
                    steps: vec![1, 2, 1],
                });
                self.net.push(&name, slice, &[x]).unwrap()
            }
            Step::Pad => {
                let padding = vec![[0, 0], [0, 1], [0, 0]];
                self.net.push(&name, Layer::Pad(Pad { padding }), &[x]).unwrap()
            }
            Step::Relu => self.relu(x),
            Step::Rows => {
                let name = self.name("rows");
                self.net.reshape(&name, x, vec![height, channels, width]).unwrap()
            }
        }
    }
}

impl FloatRecipe {
    pub(crate) fn build(&self) -> Network {
        let mut b = Builder {
            net: Network::new("float", vec![2, 4, 2]),
            numbers: self.numbers.iter().copied().cycle(),
            names: 0,
        };
        let mut x = b.net.input();
        if self.normalized {
            let normalize = Normalize {
                offset: vec![0.25, -0.3],
                factor: vec![1.7, 0.9],
            };
            x = b.net.normalize("x/norm", normalize).unwrap();
        }
        for step in &self.steps {
            x = b.step(x, step);
        }
        if !self.dense.is_empty() {
            x = b.net.flatten("flat", x).unwrap();
        }
        for (i, &out) in self.dense.iter().enumerate() {
            let fan_in = b.net.layer(x).shape[0];
            let weights = Array2::from_shape_simple_fn((out, fan_in), || b.numbers.next().unwrap());
            let name = b.name("fc");
            x = b
                .net
                .linear(&name, x, Linear::new(weights, None, None).unwrap())
                .unwrap();
            if i + 1 < self.dense.len() {
                x = b.relu(x);
            }
        }
        b.net.set_output(x, &[]).unwrap();
        b.net
    }
}
