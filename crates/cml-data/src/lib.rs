//! Data sets: a seeded checkerboard, CSV and NumPy files, splits.
//!
//! Everything here is a plain table of finite `f32` features and integer
//! classes. A [`Dataset`] exists only if it is valid: readers and generators
//! all end in its checked constructor. Nothing is scaled behind the caller's
//! back ([`Scaling`] is explicit), and whatever is random is a function of its
//! seed: ChaCha8 streams, with results pinned by tests.
//!
//! ```
//! use cml_data::{CheckerboardConfig, Scaling, checkerboard, named, shuffle_batches};
//!
//! let board = checkerboard(7, &CheckerboardConfig::default())?;
//! assert_eq!((board.train.len(), board.test.len()), (9_500, 500));
//!
//! let iris = named("iris", 7)?;
//! let scaling = Scaling::fit_standard(&iris.train);
//! let train = scaling.apply(&iris.train)?;
//! for batch in shuffle_batches(train.len(), 32, 7, 0) {
//!     let rows = train.subset(&batch)?;
//!     assert_eq!(rows.feature_count(), 4);
//! }
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
