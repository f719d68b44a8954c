//! Affine scaling, one offset and factor per column.

use ndarray::{Array2, ArrayView1};

use crate::{Dataset, Error};

/// Maps each column by `(value - offset) * factor`.
///
/// Fit it on the train part alone and apply it to both; no reader does so by
/// itself. It is part of the model: whoever predicts needs the same numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaling {
    offset: Vec<f32>,
    factor: Vec<f32>,
}

impl Scaling {
    /// A scaling from its numbers, for instance those stored with a model.
    ///
    /// # Errors
    ///
    /// [`Error::ScalingLength`], [`Error::ScalingNotFinite`].
    pub fn new(offset: Vec<f32>, factor: Vec<f32>) -> Result<Self, Error> {
        if offset.len() != factor.len() {
            return Err(Error::ScalingLength {
                offsets: offset.len(),
                factors: factor.len(),
            });
        }
        for (column, (&offset, &factor)) in offset.iter().zip(&factor).enumerate() {
            if !offset.is_finite() || !factor.is_finite() {
                return Err(Error::ScalingNotFinite {
                    column,
                    offset,
                    factor,
                });
            }
        }
        Ok(Self { offset, factor })
    }

    /// Maps the least value of each column to 0 and the largest to 1. A
    /// constant column becomes 0, with factor 1. Rows not fitted on may leave
    /// the unit interval.
    pub fn fit_min_max(data: &Dataset) -> Self {
        Self::fit(data, |column| {
            let (min, max) = column
                .iter()
                .fold((f32::INFINITY, f32::NEG_INFINITY), |(min, max), &value| {
                    (min.min(value), max.max(value))
                });
            (f64::from(min), f64::from(max) - f64::from(min))
        })
    }

    /// Maps each column to mean 0 and standard deviation 1 (dividing by the
    /// number of rows). A constant column becomes 0, with factor 1.
    pub fn fit_standard(data: &Dataset) -> Self {
        Self::fit(data, |column| {
            let rows = column.len() as f64;
            // About the first value: exact for constant columns, and safe from cancellation.
            let first = column.first().map_or(0.0, |&value| f64::from(value));
            let mean = first + column.iter().map(|&value| f64::from(value) - first).sum::<f64>() / rows;
            let variance = column
                .iter()
                .map(|&value| (f64::from(value) - mean).powi(2))
                .sum::<f64>()
                / rows;
            (mean, variance.sqrt())
        })
    }

    /// Fits each column by its offset and width; a width without a finite
    /// inverse counts as constant.
    fn fit(data: &Dataset, measure: impl Fn(ArrayView1<'_, f32>) -> (f64, f64)) -> Self {
        let (offset, factor) = data
            .features()
            .columns()
            .into_iter()
            .map(|column| {
                let (offset, width) = measure(column);
                let factor = width.recip() as f32;
                (offset as f32, if factor.is_finite() { factor } else { 1.0 })
            })
            .unzip();
        Self { offset, factor }
    }

    /// What is subtracted from each column.
    pub fn offset(&self) -> &[f32] {
        &self.offset
    }

    /// What each column is then multiplied by.
    pub fn factor(&self) -> &[f32] {
        &self.factor
    }

    /// The data set with every column scaled.
    ///
    /// # Errors
    ///
    /// [`Error::ScalingColumns`] for another number of columns,
    /// [`Error::NotFinite`] if a result leaves the range of `f32`.
    pub fn apply(&self, data: &Dataset) -> Result<Dataset, Error> {
        data.with_features(self.apply_values(data.features())?)
    }

    /// As [`apply`](Self::apply), for bare values `[samples, columns]`, which
    /// may leave the range of `f32`. Computed in `f64`, rounded once.
    ///
    /// # Errors
    ///
    /// [`Error::ScalingColumns`] for another number of columns.
    pub fn apply_values(&self, values: &Array2<f32>) -> Result<Array2<f32>, Error> {
        if values.ncols() != self.offset.len() {
            return Err(Error::ScalingColumns {
                expected: self.offset.len(),
                found: values.ncols(),
            });
        }
        let mut scaled = values.clone();
        for ((_, column), value) in scaled.indexed_iter_mut() {
            let centred = f64::from(*value) - f64::from(self.offset[column]);
            *value = (centred * f64::from(self.factor[column])) as f32;
        }
        Ok(scaled)
    }
}
