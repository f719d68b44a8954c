//! The noisy checkerboard: two coordinates, two classes, a seed.

use ndarray::Array2;
use rand_distr::{Distribution, StandardNormal};

use crate::random::{Purpose, stream};
use crate::{Dataset, Error, Split};

/// Fewest and most points along a side; the most keeps a board in 128 MiB.
const SIDES: (usize, usize) = (2, 4_096);

/// How to draw a checkerboard.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckerboardConfig {
    /// Grid points along each axis of the unit square, both ends included: 2
    /// to 4,096.
    pub side: usize,
    /// Standard deviation of the Gaussian noise on each coordinate.
    pub noise: f64,
    /// Points held out for the test.
    pub test: usize,
}

impl Default for CheckerboardConfig {
    /// 100 x 100 points with noise 0.01, 500 of them for the test.
    fn default() -> Self {
        Self {
            side: 100,
            noise: 0.01,
            test: 500,
        }
    }
}

/// Draws a checkerboard: the points of a grid on the unit square, labelled by
/// [`checkerboard_label`], then moved by Gaussian noise and split at random.
///
/// The label is that of the noise-free point. Points near a border may cross
/// it, so no classifier is perfect: with the default configuration the rule
/// itself, applied to the noisy points, is right on about 95.6% of them.
///
/// The result depends on the arguments alone; the noise of a point does not
/// depend on `config.test`.
///
/// # Errors
///
/// [`Error::CheckerboardSide`], [`Error::CheckerboardNoise`],
/// [`Error::TestRows`] for a configuration out of range.
pub fn checkerboard(seed: u64, config: &CheckerboardConfig) -> Result<Split, Error> {
    let &CheckerboardConfig { side, noise, test } = config;
    let (min, max) = SIDES;
    if !(min..=max).contains(&side) {
        return Err(Error::CheckerboardSide { side, min, max });
    }
    if !noise.is_finite() || noise < 0.0 {
        return Err(Error::CheckerboardNoise { noise });
    }

    let mut rng = stream(seed, Purpose::Noise, 0);
    let mut shift = || noise * Distribution::<f64>::sample(&StandardNormal, &mut rng);
    let on_grid = |index: usize| index as f64 / (side - 1) as f64;
    let mut features = Array2::zeros((side * side, 2));
    let mut labels = Vec::with_capacity(side * side);
    for (index, mut point) in features.outer_iter_mut().enumerate() {
        let (x, y) = (on_grid(index % side), on_grid(index / side));
        labels.push(checkerboard_label(x, y));
        point[0] = (x + shift()) as f32;
        point[1] = (y + shift()) as f32;
    }
    let data = Dataset::new(features, labels, vec!["x".into(), "y".into()], 2)?;
    Split::random(&data, test, seed)
}

/// The class of a point: `rint(3x) mod 2 xor rint(3y) mod 2`, halves rounded
/// to even. On the unit square that is a 4 x 4 board whose outer fields are
/// half as wide as the inner ones (borders at 1/6, 1/2 and 5/6).
pub fn checkerboard_label(x: f64, y: f64) -> usize {
    let odd = |v: f64| (3.0 * v).round_ties_even().rem_euclid(2.0) == 1.0;
    usize::from(odd(x) != odd(y))
}
