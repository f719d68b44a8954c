//! Data sets: built-in ones, CSV files and NumPy arrays, with their labels, names and splits.
//!
//! [`open`] reads a data set by name or path, and [`read_table`] reads one from bytes. Both give a
//! [`Table`]: finite `f32` features, and whatever the source says of labels, of the names of columns
//! and classes, and of which rows are for the test. [`Table::split`] makes the two parts of it that
//! training needs, each a [`Dataset`].
//!
//! Invariants:
//! - A [`Table`] or a [`Dataset`] exists only if it is valid: at least one row and one column, every
//!   value finite, every label below the number of classes. Readers bound how much they take.
//! - No column is taken for an input if it may be the label: [`Error::AmbiguousLabel`].
//! - Nothing is scaled unless the caller asks for it, with a [`Scaling`].
//! - Whatever is random depends on its seed alone. Random numbers come from ChaCha8, and tests pin
//!   the results.
//!
//! ```
//! use cml_data::{CsvOptions, Format, Scaling, open, read_table, shuffle_batches};
//!
//! let iris = open("iris", &CsvOptions::default(), 0)?;
//! assert_eq!(iris.columns()[0], "sepal_length_cm");
//! let split = iris.split(0)?;
//! assert_eq!((split.train.len(), split.test.len()), (112, 38));
//!
//! let train = Scaling::fit_standard(&split.train).apply(&split.train)?;
//! for batch in shuffle_batches(train.len(), 32, 7, 0) {
//!     let rows = train.subset(&batch)?;
//!     assert_eq!(rows.feature_count(), 4);
//! }
//!
//! // Columns are found by name, whatever their order, and labels may be names.
//! let text = "width,height,class\n1,2,pear\n3,4,apple\n";
//! let fruit = read_table(Format::Csv, text.as_bytes(), "fruit.csv", &CsvOptions::default())?;
//! let fruit = fruit.with_columns(&["height".to_owned(), "width".to_owned()])?;
//! assert_eq!(fruit.values().row(0).to_vec(), [2.0, 1.0]);
//! assert_eq!((fruit.labels(), &fruit.classes()[1]), (Some(&[1, 0][..]), &"pear".to_owned()));
//! # Ok::<(), cml_data::Error>(())
//! ```

mod batches;
mod checkerboard;
mod csv_labels;
mod csv_options;
mod csv_records;
mod csv_roles;
mod csv_table;
mod dataset;
mod error;
mod features;
mod named;
mod names;
mod npy_header;
mod open;
mod random;
mod read_csv;
mod read_npy;
mod scaling;
mod split;
mod table;
mod text;

pub use batches::shuffle_batches;
pub use checkerboard::{CheckerboardConfig, checkerboard, checkerboard_label};
pub use csv_options::CsvOptions;
pub use dataset::{Dataset, MAX_CLASSES};
pub use error::Error;
pub use features::Features;
pub use named::{NAMES, named};
pub use open::{Format, is_builtin, open, read_table};
pub use read_csv::{
    read_csv, read_csv_from, read_features, read_features_from, read_split_csv, read_split_csv_from,
};
pub use read_npy::{read_npy, read_npy_from, read_npz};
pub use scaling::Scaling;
pub use split::Split;
pub use table::{Table, rows_digest};
