//! Random changes of training rows.

use ndarray::{Array2, ArrayViewMut1};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::Augment;

/// Source of the random numbers of one training.
pub(crate) struct Augmenter {
    rng: ChaCha8Rng,
    augment: Augment,
    /// `[channels, height, width]`; other shapes are not moved.
    shape: Vec<usize>,
}

impl Augmenter {
    pub(crate) fn new(augment: Augment, shape: &[usize], seed: u64) -> Self {
        let mut key = *b"........cml-nn: augmentation....";
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Self {
            rng: ChaCha8Rng::from_seed(key),
            augment,
            shape: shape.to_vec(),
        }
    }

    /// Changes rows `[rows, columns]`.
    pub(crate) fn apply(&mut self, rows: &mut Array2<f32>) {
        for row in rows.rows_mut() {
            self.row(row);
        }
    }

    fn row(&mut self, mut row: ArrayViewMut1<'_, f32>) {
        if let (&[channels, height, width], true) = (self.shape.as_slice(), self.augment.shift > 0) {
            let (down, right) = (self.offset(), self.offset());
            let before = row.to_vec();
            for c in 0..channels {
                for y in 0..height {
                    for x in 0..width {
                        let from = [y as i64 - down, x as i64 - right];
                        let inside =
                            (0..height as i64).contains(&from[0]) && (0..width as i64).contains(&from[1]);
                        row[(c * height + y) * width + x] = if inside {
                            before[(c * height + from[0] as usize) * width + from[1] as usize]
                        } else {
                            0.0
                        };
                    }
                }
            }
        }
        if self.augment.noise > 0.0 {
            let (noise, rng) = (self.augment.noise, &mut self.rng);
            row.mapv_inplace(|x| x + (noise * rng.sample::<f64, _>(StandardNormal)) as f32);
        }
    }

    /// Uniform in `-shift ..= shift`.
    fn offset(&mut self) -> i64 {
        let shift = self.augment.shift as i64;
        self.rng.random_range(-shift..=shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_move_as_a_whole() {
        let augment = Augment { noise: 0.0, shift: 1 };
        let mut augmenter = Augmenter::new(augment, &[1, 3, 3], 7);
        for _ in 0..50 {
            let mut image = Array2::zeros((1, 9));
            image[[0, 4]] = 1.0;
            augmenter.apply(&mut image);
            assert_eq!(image.sum(), 1.0);
        }
    }

    #[test]
    fn noise_has_the_given_size() {
        let augment = Augment { noise: 0.5, shift: 0 };
        let mut rows = Array2::zeros((100, 100));
        Augmenter::new(augment, &[100], 1).apply(&mut rows);
        let variance = rows.iter().map(|x: &f32| x * x).sum::<f32>() / rows.len() as f32;
        assert!((variance - 0.25).abs() < 0.02, "{variance}");
        assert!(rows.mean().unwrap_or(1.0).abs() < 0.02);
    }
}
