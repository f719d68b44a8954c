//! The data sets every build carries.

use crate::error::shorten;
use crate::{CheckerboardConfig, CsvOptions, Error, Format, Split, Table, checkerboard, read_table};

/// The names [`named`] knows.
pub const NAMES: [&str; 4] = ["checkerboard", "checkerboard.csv", "iris", "digits"];

/// A data set by name; the files are part of the program.
///
/// | name | rows (train + test) | columns | classes | |
/// |---|---|---|---|---|
/// | `checkerboard` | 9,500 + 500 | 2 | 2 | [`checkerboard()`] under `seed` |
/// | `checkerboard.csv` | 9,500 + 500 | 2 | 2 | one such board, fixed: that of the peers' figures |
/// | `iris` | 112 + 38 | 4 | 3 | lengths in cm (Fisher, 1936) |
/// | `digits` | 1,347 + 450 | 64 | 10 | 8 x 8 grey values 0 to 16, row by row (UCI, CC BY 4.0) |
///
/// Only `checkerboard` looks at the seed. The rows of the others are in the
/// files' order, Iris and the board sorted; the values are not scaled.
///
/// # Errors
///
/// [`Error::UnknownName`] lists the names.
pub fn named(name: &str, seed: u64) -> Result<Split, Error> {
    builtin(name, seed)?.split(seed)
}

/// As [`named`], as one table.
pub(crate) fn builtin(name: &str, seed: u64) -> Result<Table, Error> {
    let embedded =
        |text: &'static str| read_table(Format::Csv, text.as_bytes(), name, &CsvOptions::default());
    match name {
        "checkerboard" => {
            let split = checkerboard(seed, &CheckerboardConfig::default())?;
            Ok(Table::of_split(name, &split))
        }
        "checkerboard.csv" => embedded(include_str!("../data/checkerboard.csv")),
        "iris" => embedded(include_str!("../data/iris.csv")),
        "digits" => embedded(include_str!("../data/digits.csv")),
        _ => Err(Error::UnknownName {
            name: shorten(name),
            known: NAMES.join(", "),
        }),
    }
}
