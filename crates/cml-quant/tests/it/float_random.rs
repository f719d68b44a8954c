//! Random float networks, as recipes that shrink.

use cml_quant::{Conv2d, LayerId, Linear, Network, Normalize, Pool, PoolKind, Univariate};
use ndarray::{Array2, Array4};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Convolution that keeps the plane, perhaps in groups, perhaps with ReLU.
    Conv { groups: bool, relu: bool },
    /// Sums or averages over 2 by 1.
    Pool(PoolKind),
    /// `x + conv(x)`.
    Residual,
    /// `concat(x, conv(x))`.
    Concat,
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
        1 => Just(Step::Pool(PoolKind::Average)),
        1 => Just(Step::Pool(PoolKind::Sum)),
        2 => Just(Step::Residual),
        1 => Just(Step::Concat),
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

    fn step(&mut self, x: LayerId, step: Step) -> LayerId {
        let [channels, height, width] = self.shape(x);
        match step {
            Step::Conv { groups, relu } => {
                let y = self.conv(x, groups);
                if relu { self.relu(y) } else { y }
            }
            Step::Pool(_) if height < 2 => x,
            Step::Pool(kind) => {
                let name = self.name("pool");
                let pool = Pool {
                    kind,
                    kernel: [2, 1],
                    stride: [1, 1],
                };
                self.net.pool(&name, x, pool).unwrap()
            }
            Step::Residual => {
                let y = self.conv(x, false);
                let name = self.name("add");
                self.net.add(&name, x, y).unwrap()
            }
            Step::Concat => {
                let y = self.conv(x, false);
                let name = self.name("concat");
                self.net.concat(&name, &[x, y]).unwrap()
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
        for &step in &self.steps {
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
