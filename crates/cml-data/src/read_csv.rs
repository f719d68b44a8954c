//! CSV files as data sets.
//!
//! The first row names the columns. `label` (or `class`, or `target`) holds classes: integers from 0, or
//! names. `split` holds the words `train` or `test`; every other column is a feature.
//! Blanks around a cell, blank lines, a byte-order mark and CRLF are fine.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::csv_roles::SPLIT;
use crate::csv_table::{CsvTable, Want};
use crate::read_npy::open_file;
use crate::{CsvOptions, Dataset, Error, Features, Split};

/// Reads the labelled rows of a file, in order. A `split` column is checked
/// and otherwise ignored: see [`read_split_csv`].
///
/// # Errors
///
/// [`Error`] names the file, the line, the column and what was found there.
pub fn read_csv(path: impl AsRef<Path>, options: &CsvOptions) -> Result<Dataset, Error> {
    let (file, name) = open(path.as_ref())?;
    read_csv_from(file, &name, options)
}

/// As [`read_csv`], from any source; `name` stands for the file in messages.
///
/// # Errors
///
/// As [`read_csv`].
pub fn read_csv_from(input: impl Read, name: &str, options: &CsvOptions) -> Result<Dataset, Error> {
    let table = CsvTable::parse(input, name, options, Want::Labels)?;
    labelled(table, options)
}

/// Reads the feature columns of a file. `label` and `split` may be absent, and
/// are not looked at where they are present.
///
/// # Errors
///
/// As [`read_csv`].
pub fn read_features(path: impl AsRef<Path>, options: &CsvOptions) -> Result<Features, Error> {
    let (file, name) = open(path.as_ref())?;
    read_features_from(file, &name, options)
}

/// As [`read_features`], from any source; `name` stands for the file in messages.
///
/// # Errors
///
/// As [`read_csv`].
pub fn read_features_from(input: impl Read, name: &str, options: &CsvOptions) -> Result<Features, Error> {
    Ok(CsvTable::parse(input, name, options, Want::Features)?.features)
}

/// Reads a file with a `split` column as its two parts, each in the file's
/// order, with the class count of the whole.
///
/// # Errors
///
/// As [`read_csv`]; also [`Error::MissingColumn`] without a `split` column and
/// [`Error::EmptyPart`] if one part has no rows.
pub fn read_split_csv(path: impl AsRef<Path>, options: &CsvOptions) -> Result<Split, Error> {
    let (file, name) = open(path.as_ref())?;
    read_split_csv_from(file, &name, options)
}

/// As [`read_split_csv`], from any source; `name` stands for the file in messages.
///
/// # Errors
///
/// As [`read_split_csv`].
pub fn read_split_csv_from(input: impl Read, name: &str, options: &CsvOptions) -> Result<Split, Error> {
    let mut table = CsvTable::parse(input, name, options, Want::Split)?;
    let is_test = std::mem::take(&mut table.is_test);
    let data = labelled(table, options)?;
    let part = |part: &'static str, wanted: bool| {
        let rows: Vec<usize> = (0..data.len())
            .filter(|&row| is_test.get(row) == Some(&wanted))
            .collect();
        if rows.is_empty() {
            return Err(Error::EmptyPart {
                file: name.to_owned(),
                column: SPLIT.to_owned(),
                part,
                rows: data.len(),
            });
        }
        data.subset(&rows)
    };
    Split::new(part("train", false)?, part("test", true)?)
}

fn open(path: &Path) -> Result<(File, String), Error> {
    Ok((open_file(path)?, path.display().to_string()))
}

fn labelled(table: CsvTable, options: &CsvOptions) -> Result<Dataset, Error> {
    let CsvTable {
        features,
        labels,
        classes,
        ..
    } = table;
    let seen = labels.iter().max().map_or(0, |largest| largest + 1);
    let (values, names) = features.into_parts();
    let count = match classes.len() {
        0 => options.class_count.unwrap_or(seen),
        named => named,
    };
    Dataset::new(values, labels, names, count)?.with_class_names(classes)
}
