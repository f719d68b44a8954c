//! What a CSV file must look like, and how large it may be.

/// Expectations and limits of the CSV readers.
///
/// A reader holds the file's bytes and 4 bytes per feature cell, so the limits
/// bound its memory. The defaults fit MNIST as CSV (110 MB, 47 million cells).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvOptions {
    /// How many feature columns there must be, if it is known.
    pub feature_count: Option<usize>,
    /// Name of the label column. Without it, the label is the only column named label, class or target
    /// (in any case, and in the plural), or `y` where that cannot be a coordinate.
    pub label: Option<String>,
    /// Names of the columns that are inputs, if they are known: none of them is taken for the label or
    /// the split.
    pub inputs: Option<Vec<String>>,
    /// How many classes there are; without it, one more than the largest
    /// label. Labels not below it are errors.
    pub class_count: Option<usize>,
    /// Most feature cells (rows times feature columns): 2^26 by default.
    pub max_cells: usize,
    /// Most bytes: 256 MiB by default.
    pub max_bytes: u64,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            feature_count: None,
            label: None,
            inputs: None,
            class_count: None,
            max_cells: 1 << 26,
            max_bytes: 256 << 20,
        }
    }
}
