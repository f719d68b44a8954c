//! Labelled samples.

use ndarray::{Array2, ArrayView1, Axis};

use crate::random::{Purpose, permutation, stream};
use crate::{Error, Features};

/// Most classes a data set may have. A label is read from a file and sizes
/// what comes after it (one-hot rows, output layers), so it has a bound.
pub const MAX_CLASSES: usize = 65_536;

/// Labelled samples: finite features, and one class for each row.
///
/// Immutable and valid by construction: at least one row and one column, every
/// value finite, every label below the class count.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    features: Array2<f32>,
    labels: Vec<usize>,
    feature_names: Vec<String>,
    class_count: usize,
    class_names: Vec<String>,
}

impl Dataset {
    /// Joins `features` `[samples, columns]`, one label per sample, one name
    /// per column. A class may have no samples.
    ///
    /// # Errors
    ///
    /// As [`Features::new`]; also [`Error::ClassCount`], [`Error::LabelCount`],
    /// [`Error::LabelRange`].
    pub fn new(
        features: Array2<f32>,
        labels: Vec<usize>,
        feature_names: Vec<String>,
        class_count: usize,
    ) -> Result<Self, Error> {
        let (features, feature_names) = Features::new(features, feature_names)?.into_parts();
        if class_count == 0 || class_count > MAX_CLASSES {
            return Err(Error::ClassCount {
                class_count,
                limit: MAX_CLASSES,
            });
        }
        let rows = features.nrows();
        if labels.len() != rows {
            return Err(Error::LabelCount {
                rows,
                labels: labels.len(),
            });
        }
        if let Some(row) = labels.iter().position(|&label| label >= class_count) {
            return Err(Error::LabelRange {
                row,
                label: labels[row],
                class_count,
            });
        }
        Ok(Self {
            features,
            labels,
            feature_names,
            class_count,
            class_names: Vec::new(),
        })
    }

    /// The same samples with a name for each class, or with none.
    ///
    /// # Errors
    ///
    /// [`Error::ClassNames`] for another number of names.
    pub fn with_class_names(self, class_names: Vec<String>) -> Result<Self, Error> {
        if !class_names.is_empty() && class_names.len() != self.class_count {
            return Err(Error::ClassNames {
                classes: self.class_count,
                names: class_names.len(),
            });
        }
        Ok(Self { class_names, ..self })
    }

    /// The features `[samples, columns]`, row-major.
    pub fn features(&self) -> &Array2<f32> {
        &self.features
    }

    /// The class of each sample.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The name of each column.
    pub fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    /// The name of each class; none if classes are known by their numbers only.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// How many classes there are; labels are below it.
    pub fn class_count(&self) -> usize {
        self.class_count
    }

    /// How many columns there are: at least one.
    pub fn feature_count(&self) -> usize {
        self.features.ncols()
    }

    /// How many samples there are: at least one.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Always false: an empty data set cannot be built.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The samples in order, each with its class.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = (ArrayView1<'_, f32>, usize)> {
        self.features.outer_iter().zip(self.labels.iter().copied())
    }

    /// How many samples each class has.
    pub fn class_sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.class_count];
        for &label in &self.labels {
            sizes[label] += 1;
        }
        sizes
    }

    /// The rows at `indices`, in that order; an index may repeat.
    ///
    /// # Errors
    ///
    /// [`Error::RowRange`] for an index beyond the rows, [`Error::EmptyTable`]
    /// for no indices.
    pub fn subset(&self, indices: &[usize]) -> Result<Self, Error> {
        if indices.is_empty() {
            return Err(Error::EmptyTable {
                rows: 0,
                columns: self.feature_count(),
            });
        }
        if let Some(&index) = indices.iter().find(|&&index| index >= self.len()) {
            return Err(Error::RowRange {
                index,
                rows: self.len(),
            });
        }
        Ok(Self {
            features: self.features.select(Axis(0), indices),
            labels: indices.iter().map(|&index| self.labels[index]).collect(),
            feature_names: self.feature_names.clone(),
            class_count: self.class_count,
            class_names: self.class_names.clone(),
        })
    }

    /// The first `n` rows, or all of them when there are fewer.
    ///
    /// Files are often sorted (the first 15 test rows of Iris are one class):
    /// [`sample`](Self::sample) is the fair choice for measuring.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyTable`] for `n` of 0.
    pub fn take(&self, n: usize) -> Result<Self, Error> {
        self.subset(&(0..n.min(self.len())).collect::<Vec<_>>())
    }

    /// `n` different rows in random order, or all of them when there are
    /// fewer. With one seed, a smaller sample is the start of a larger one.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyTable`] for `n` of 0.
    pub fn sample(&self, n: usize, seed: u64) -> Result<Self, Error> {
        let order = permutation(self.len(), &mut stream(seed, Purpose::Sample, 0));
        self.subset(&order[..n.min(order.len())])
    }

    /// The same rows with other feature values, checked again.
    pub(crate) fn with_features(&self, features: Array2<f32>) -> Result<Self, Error> {
        Self::new(
            features,
            self.labels.clone(),
            self.feature_names.clone(),
            self.class_count,
        )?
        .with_class_names(self.class_names.clone())
    }
}
