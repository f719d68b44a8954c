//! A data set of any source: what every command starts from.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array2, Axis};
use sha2::{Digest, Sha256};

use crate::csv_table::CsvTable;
use crate::error::list;
use crate::split::random_order;
use crate::{Dataset, Error, Split};

/// Features `[rows, columns]`, and whatever else a source says of them: names of columns, labels, names
/// of classes, which rows are for the test.
///
/// It has at least one row and one column, and every feature is finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    source: String,
    values: Array2<f32>,
    columns: Vec<String>,
    labels: Option<Vec<usize>>,
    classes: Vec<String>,
    held_out: Option<Vec<bool>>,
}

impl Table {
    pub(crate) fn of_csv(source: &str, csv: CsvTable) -> Self {
        let (values, columns) = csv.features.into_parts();
        Self {
            source: source.to_owned(),
            values,
            columns,
            labels: (!csv.labels.is_empty()).then_some(csv.labels),
            classes: csv.classes,
            held_out: (!csv.is_test.is_empty()).then_some(csv.is_test),
        }
    }

    pub(crate) fn of_array(source: &str, values: Array2<f32>) -> Self {
        Self {
            source: source.to_owned(),
            values,
            columns: Vec::new(),
            labels: None,
            classes: Vec::new(),
            held_out: None,
        }
    }

    /// The same with a class for each row, if they are known.
    pub(crate) fn with_labels(self, labels: Option<Vec<usize>>) -> Self {
        Self { labels, ..self }
    }

    /// The rows of both parts, those for the training first.
    pub(crate) fn of_split(source: &str, split: &Split) -> Self {
        let (train, test) = (&split.train, &split.test);
        let mut values = train.features().clone();
        // Parts of a split have the same columns.
        let _ = values.append(Axis(0), test.features().view());
        Self {
            source: source.to_owned(),
            values,
            columns: train.feature_names().to_vec(),
            labels: Some([train.labels(), test.labels()].concat()),
            classes: train.class_names().to_vec(),
            held_out: Some([vec![false; train.len()], vec![true; test.len()]].concat()),
        }
    }

    /// The data set or file that it is of, as it was asked for.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The features `[rows, columns]`, row-major.
    pub fn values(&self) -> &Array2<f32> {
        &self.values
    }

    /// Names of the columns; none if the source has no names.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The class of each row, if the source has labels: numbers from 0, of [`classes`](Self::classes)
    /// where labels are names.
    pub fn labels(&self) -> Option<&[usize]> {
        self.labels.as_deref()
    }

    /// Names of the classes in alphabetical order; none if labels are numbers.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// For each row whether it is for the test, if the source says so.
    pub fn held_out(&self) -> Option<&[bool]> {
        self.held_out.as_deref()
    }

    /// How many rows there are: at least one.
    pub fn len(&self) -> usize {
        self.values.nrows()
    }

    /// Always false: an empty table cannot be built.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The table with the columns of these names, in this order. Without names, in the source or in
    /// `names`, columns keep their places.
    ///
    /// # Errors
    ///
    /// [`Error::Columns`] if one is missing, or one is there that is not among them.
    pub fn with_columns(mut self, names: &[String]) -> Result<Self, Error> {
        if names.is_empty() || self.columns.is_empty() || self.columns == names {
            return Ok(self);
        }
        let at: BTreeMap<&String, usize> = self.columns.iter().zip(0..).collect();
        let missing: Vec<String> = names.iter().filter(|n| !at.contains_key(n)).cloned().collect();
        let needed: BTreeSet<&String> = names.iter().collect();
        let is_unknown = |name: &&String| !needed.contains(name);
        let unknown: Vec<String> = self.columns.iter().filter(is_unknown).cloned().collect();
        if !missing.is_empty() || !unknown.is_empty() {
            return Err(Error::Columns {
                file: self.source,
                missing: list(&missing),
                unknown: list(&unknown),
            });
        }
        let order: Vec<usize> = names.iter().filter_map(|name| at.get(name).copied()).collect();
        self.values = self.values.select(Axis(1), &order);
        // `select` may lay columns out one after the other.
        if !self.values.is_standard_layout() {
            self.values = self.values.as_standard_layout().into_owned();
        }
        self.columns = names.to_vec();
        Ok(self)
    }

    /// How many rows [`split`](Self::split) holds out if the source does not say which: a fifth, and at
    /// least one.
    pub fn fifth(&self) -> usize {
        (self.len() / 5).max(1)
    }

    /// For each row whether it is among `count` rows drawn under `seed`: those that
    /// [`Split::random`] holds out.
    ///
    /// # Errors
    ///
    /// [`Error::TestRows`] unless both parts get at least one row.
    pub fn draw_held_out(&self, count: usize, seed: u64) -> Result<Vec<bool>, Error> {
        let mut held_out = vec![false; self.len()];
        for &row in &random_order(self.len(), count, seed)?[..count] {
            held_out[row] = true;
        }
        Ok(held_out)
    }

    /// The two parts: as the source says, in its order, or else a [`fifth`](Self::fifth) of the rows
    /// held out under `seed`, both parts in random order.
    ///
    /// # Errors
    ///
    /// [`Error::NoLabels`], and [`Error::TestRows`] unless both parts have at least one row.
    pub fn split(&self, seed: u64) -> Result<Split, Error> {
        let data = self.dataset()?;
        let Some(held_out) = &self.held_out else {
            return Split::random(&data, self.fifth(), seed);
        };
        let rows = |wanted: bool| -> Vec<usize> {
            let rows = held_out.iter().enumerate();
            rows.filter(|(_, is)| **is == wanted)
                .map(|(row, _)| row)
                .collect()
        };
        let (train, test) = (rows(false), rows(true));
        if train.is_empty() || test.is_empty() {
            return Err(Error::TestRows {
                test: test.len(),
                rows: self.len(),
            });
        }
        Split::new(data.subset(&train)?, data.subset(&test)?)
    }

    /// All rows with their labels. Columns without names are named from 0.
    ///
    /// # Errors
    ///
    /// [`Error::NoLabels`].
    pub fn dataset(&self) -> Result<Dataset, Error> {
        let Some(labels) = self.labels.clone() else {
            return Err(Error::NoLabels {
                file: self.source.clone(),
            });
        };
        let columns = if self.columns.is_empty() {
            (0..self.values.ncols()).map(|c| c.to_string()).collect()
        } else {
            self.columns.clone()
        };
        let seen = labels.iter().max().map_or(0, |largest| largest + 1);
        Dataset::new(self.values.clone(), labels, columns, seen)?.with_class_names(self.classes.clone())
    }

    /// SHA-256 of all features in order: rows, columns, and the bits of each number, little-endian. Names,
    /// labels and the split are no part of it.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let (rows, columns) = self.values.dim();
        hash.update((rows as u64).to_le_bytes());
        hash.update((columns as u64).to_le_bytes());
        for row in self.values.rows() {
            let bytes: Vec<u8> = row.iter().flat_map(|x| x.to_bits().to_le_bytes()).collect();
            hash.update(&bytes);
        }
        hash.finalize().into()
    }
}

/// SHA-256 of a choice of rows: one byte for each, 1 if it is chosen, else 0.
pub fn rows_digest(chosen: &[bool]) -> [u8; 32] {
    let bytes: Vec<u8> = chosen.iter().map(|&is| u8::from(is)).collect();
    Sha256::digest(&bytes).into()
}
