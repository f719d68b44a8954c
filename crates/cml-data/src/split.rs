//! Rows to learn from, and rows to measure on.

use crate::random::{Purpose, permutation, stream};
use crate::{Dataset, Error};

/// A data set in two parts of the same columns and classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// Rows to learn from (and to fit a [`Scaling`](crate::Scaling) on).
    pub train: Dataset,
    /// Rows held out for measuring.
    pub test: Dataset,
}

impl Split {
    /// Joins two parts.
    ///
    /// # Errors
    ///
    /// [`Error::UnlikeParts`] if they differ in columns or classes.
    pub fn new(train: Dataset, test: Dataset) -> Result<Self, Error> {
        if train.feature_count() != test.feature_count() || train.class_count() != test.class_count() {
            return Err(Error::UnlikeParts {
                train_columns: train.feature_count(),
                train_classes: train.class_count(),
                test_columns: test.feature_count(),
                test_classes: test.class_count(),
            });
        }
        Ok(Self { train, test })
    }

    /// Holds out `test` rows of `data`, drawn uniformly under `seed`. Both
    /// parts come in random order.
    ///
    /// # Errors
    ///
    /// [`Error::TestRows`] unless both parts get at least one row.
    pub fn random(data: &Dataset, test: usize, seed: u64) -> Result<Self, Error> {
        let order = random_order(data.len(), test, seed)?;
        let (test, train) = order.split_at(test);
        Self::new(data.subset(train)?, data.subset(test)?)
    }
}

/// The rows `0..rows` in the random order of which the first `test` are held out.
pub(crate) fn random_order(rows: usize, test: usize, seed: u64) -> Result<Vec<usize>, Error> {
    if test == 0 || test >= rows {
        return Err(Error::TestRows { test, rows });
    }
    Ok(permutation(rows, &mut stream(seed, Purpose::Split, 0)))
}
