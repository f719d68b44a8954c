//! A table of features without labels.

use std::collections::BTreeMap;

use ndarray::Array2;

use crate::Error;

/// Finite features `[samples, columns]` with the columns' names: what a
/// prediction starts from.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    values: Array2<f32>,
    names: Vec<String>,
}

impl Features {
    /// A table of at least one row and one column, kept in row-major order.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyTable`], [`Error::NameCount`], [`Error::RepeatedName`],
    /// [`Error::NotFinite`].
    pub fn new(values: Array2<f32>, names: Vec<String>) -> Result<Self, Error> {
        let (rows, columns) = values.dim();
        if rows == 0 || columns == 0 {
            return Err(Error::EmptyTable { rows, columns });
        }
        if names.len() != columns {
            return Err(Error::NameCount {
                columns,
                names: names.len(),
            });
        }
        if let Some((first, second)) = duplicate(&names) {
            let column = names[second].clone();
            return Err(Error::RepeatedName {
                column,
                first,
                second,
            });
        }
        for ((row, column), &value) in values.indexed_iter() {
            if !value.is_finite() {
                return Err(Error::NotFinite {
                    row,
                    column: names[column].clone(),
                    value,
                });
            }
        }
        let values = if values.is_standard_layout() {
            values
        } else {
            values.as_standard_layout().into_owned()
        };
        Ok(Self { values, names })
    }

    /// The features `[samples, columns]`, row-major.
    pub fn values(&self) -> &Array2<f32> {
        &self.values
    }

    /// The columns' names, one for each.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many samples there are: at least one.
    pub fn len(&self) -> usize {
        self.values.nrows()
    }

    /// Always false: an empty table cannot be built.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The array alone.
    pub fn into_values(self) -> Array2<f32> {
        self.values
    }

    /// The array and the columns' names.
    pub(crate) fn into_parts(self) -> (Array2<f32>, Vec<String>) {
        (self.values, self.names)
    }
}

/// The first two positions that hold the same name.
pub(crate) fn duplicate(names: &[String]) -> Option<(usize, usize)> {
    let mut seen = BTreeMap::new();
    names
        .iter()
        .enumerate()
        .find_map(|(second, name)| seen.insert(name, second).map(|first| (first, second)))
}
