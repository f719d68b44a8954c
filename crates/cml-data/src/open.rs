//! One way to data: by name, by path, or from bytes.

use std::io::{Cursor, Read};
use std::path::Path;

use crate::csv_table::{CsvTable, Want};
use crate::error::shorten;
use crate::named::builtin;
use crate::read_npy::{bounded, labelled_npz_from, open_file};
use crate::{CsvOptions, Error, NAMES, Table, read_npy_from};

/// What bytes hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Rows of text: see [`CsvOptions`].
    Csv,
    /// An array of `numpy.save`.
    Npy,
    /// Arrays of `numpy.savez`: the only one, or that named `x`.
    Npz,
}

impl Format {
    /// The format of a file of this name: NumPy's by its extension, in any case, else CSV.
    pub fn of_path(path: &Path) -> Self {
        let extension = path.extension().map(|e| e.to_ascii_lowercase());
        match extension.as_deref().and_then(|e| e.to_str()) {
            Some("npy") => Self::Npy,
            Some("npz") => Self::Npz,
            _ => Self::Csv,
        }
    }
}

/// Whether [`open`] takes this for a built-in data set rather than the path of a file.
pub fn is_builtin(source: &str) -> bool {
    NAMES.contains(&source)
}

/// The data set `source`: built in, if it has one of [`NAMES`], else the file at that path. `seed` is
/// that of generated sets; `options` are for CSV files. An NPZ file has samples `x`, and classes `y` if they
/// are known.
///
/// ```
/// let iris = cml_data::open("iris", &Default::default(), 0)?;
/// assert_eq!((iris.len(), iris.columns().len()), (150, 4));
/// assert_eq!(iris.held_out().unwrap().iter().filter(|held_out| **held_out).count(), 38);
/// # Ok::<(), cml_data::Error>(())
/// ```
///
/// # Errors
///
/// [`Error`] names the file, the line, the column and what was found there. What has neither an
/// extension nor a file is [`Error::UnknownSource`].
pub fn open(source: &str, options: &CsvOptions, seed: u64) -> Result<Table, Error> {
    if is_builtin(source) {
        return builtin(source, seed);
    }
    let path = Path::new(source);
    if path.extension().is_none() && !path.exists() {
        return Err(Error::UnknownSource {
            name: shorten(source),
            known: NAMES.join(", "),
        });
    }
    read_table(Format::of_path(path), open_file(path)?, source, options)
}

/// As [`open`], from any source of bytes; `name` stands for the file in messages.
///
/// # Errors
///
/// As [`open`].
pub fn read_table(
    format: Format,
    input: impl Read,
    name: &str,
    options: &CsvOptions,
) -> Result<Table, Error> {
    match format {
        Format::Csv => {
            let csv = CsvTable::parse(input, name, options, Want::All)?;
            Ok(Table::of_csv(name, csv))
        }
        Format::Npy => Ok(Table::of_array(name, read_npy_from(input, name)?.into_values())),
        Format::Npz => {
            let bytes = bounded(input, name)?;
            let (features, labels) = labelled_npz_from(Cursor::new(bytes), name)?;
            Ok(Table::of_array(name, features.into_values()).with_labels(labels))
        }
    }
}
