//! Least squares of one layer, reduced to its inputs' covariances.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

/// Centred second moments of the inputs of a layer (or of one group of a convolution).
pub(super) struct Gram {
    /// `[inputs, inputs]`, with a small ridge.
    pub(super) moments: Array2<f64>,
    /// Added to the diagonal: pulls weights that the samples leave open to their float values.
    pub(super) ridge: f64,
    means: Array1<f64>,
    centred: Array2<f64>,
}

impl Gram {
    /// Moments of inputs `[samples, inputs]`.
    pub(super) fn of(x: ArrayView2<'_, f64>) -> Self {
        let (rows, inputs) = x.dim();
        let count = rows.max(1) as f64;
        let means = Array1::from_shape_fn(inputs, |i| x.column(i).sum() / count);
        let mut centred = x.to_owned();
        for mut row in centred.rows_mut() {
            row.zip_mut_with(&means, |x, m| *x -= m);
        }
        let mut moments = Array2::zeros((inputs, inputs));
        for row in centred.rows() {
            for (i, &x) in row.iter().enumerate() {
                if x != 0.0 {
                    let mut target = moments.row_mut(i);
                    target.zip_mut_with(&row, |m, &other| *m += x * other);
                }
            }
        }
        moments /= count;
        let trace: f64 = moments.diag().sum();
        let ridge = (1e-4 * trace / inputs.max(1) as f64).max(1e-12);
        moments.diag_mut().mapv_inplace(|m| m + ridge);
        Self {
            moments,
            ridge,
            means,
            centred,
        }
    }

    /// Covariances of the inputs with a target `[samples]`, its mean and its variance.
    pub(super) fn target(&self, y: ArrayView1<'_, f64>) -> (Vec<f64>, f64, f64) {
        let count = y.len().max(1) as f64;
        let mean = y.sum() / count;
        let mut moments = Array1::<f64>::zeros(self.means.len());
        for (row, &y) in self.centred.rows().into_iter().zip(y) {
            moments.zip_mut_with(&row, |m, &x| *m += x * (y - mean));
        }
        moments /= count;
        let variance = y.iter().map(|y| (y - mean) * (y - mean)).sum::<f64>() / count;
        (moments.to_vec(), mean, variance)
    }

    /// Mean of the sum of products with some weights.
    pub(super) fn mean_of(&self, codes: &[i64]) -> f64 {
        self.means.iter().zip(codes).map(|(m, &c)| m * c as f64).sum()
    }
}
