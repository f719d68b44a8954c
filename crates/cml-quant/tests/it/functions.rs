//! Random chains of functions that are finite everywhere.

use cml_quant::{LayerId, Network, Univariate};
use proptest::prelude::*;

/// Functions in turn; lists are taken from as many numbers as there are channels.
#[derive(Clone, Debug)]
pub(crate) enum Chain {
    Of(Vec<Univariate>),
    PRelu(Vec<f32>),
    Affine(Vec<f32>, Vec<f32>),
}

/// None in half of all cases.
pub(crate) fn chain() -> impl Strategy<Value = Chain> {
    use Univariate as U;
    let clip = |lo, hi| U::Clip { lo, hi };
    let chains = vec![
        vec![U::LeakyRelu { alpha: 0.1 }],
        vec![clip(-0.7, 1.3)],
        vec![U::Sigmoid],
        vec![
            U::Neg,
            clip(-80.0, 80.0),
            U::Exp,
            U::Affine {
                scale: vec![1.0],
                offset: vec![1.0],
            },
            U::Reciprocal,
        ],
        vec![U::HardSigmoid {
            alpha: 0.2,
            beta: 0.5,
        }],
        vec![U::HardSwish, U::Tanh],
        vec![U::Gelu { tanh: false }],
        vec![U::Gelu { tanh: true }],
        vec![U::Elu { alpha: 1.0 }],
        vec![U::Selu {
            alpha: 1.67326,
            gamma: 1.0507,
        }],
        vec![U::Softplus],
        vec![U::Erf],
        vec![clip(-3.0, 3.0), U::Exp],
        vec![clip(0.1, 9.0), U::Log],
        vec![U::Abs, U::Sqrt],
        vec![U::Abs, U::Pow { exponent: 0.7 }],
        vec![clip(-3.0, 3.0), U::Pow { exponent: 3.0 }],
        vec![U::Neg, U::Sign],
        vec![U::Round, U::Relu],
        vec![U::Floor],
        vec![U::Ceil, U::Neg],
    ];
    let numbers = || prop::collection::vec(-1.5f32..1.5, 7);
    prop_oneof![
        6 => Just(Chain::Of(Vec::new())),
        2 => Just(Chain::Of(vec![U::Relu])),
        4 => prop::sample::select(chains).prop_map(Chain::Of),
        1 => numbers().prop_map(Chain::PRelu),
        1 => (numbers(), numbers()).prop_map(|(scale, offset)| Chain::Affine(scale, offset)),
    ]
}

impl Chain {
    /// Adds the functions, with names that begin as `name` does.
    pub(crate) fn build(&self, net: &mut Network, name: &str, x: LayerId) -> LayerId {
        let channels = net.layer(x).shape[0];
        let take = |list: &Vec<f32>| list.iter().copied().cycle().take(channels).collect();
        let functions = match self {
            Chain::Of(functions) => functions.clone(),
            Chain::PRelu(slope) => vec![Univariate::PRelu { slope: take(slope) }],
            Chain::Affine(scale, offset) => vec![Univariate::Affine {
                scale: take(scale),
                offset: take(offset),
            }],
        };
        let add = |x, (i, f)| net.function(&format!("{name}.{i}"), x, f).unwrap();
        functions.into_iter().enumerate().fold(x, add)
    }
}
