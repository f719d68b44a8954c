//! What can be wrong with data, always with what was found and what is needed.

use std::io;

use crate::text::columns_text;
pub(crate) use crate::text::{list, shorten};

/// Why a data set could not be read, built or transformed.
///
/// Rows and indices count from 0; lines of files count from 1, the header
/// being line 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened: missing, a directory, not permitted.
    #[error("{file}: cannot open the file")]
    Open {
        /// The path as it was given.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// Reading stopped before the end of the file.
    #[error("{file}: cannot read on")]
    Read {
        /// The file's name.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The CSV parser gave up.
    #[error("{file}: not a CSV file")]
    Csv {
        /// The file's name.
        file: String,
        /// What the parser said.
        source: csv::Error,
    },
    /// The bytes are not those of a NumPy array.
    #[error("{file}: not a NumPy array: {why}")]
    Npy {
        /// The file's name.
        file: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The description of a NumPy array is too long.
    #[error("{file}: the header of the array has {found} bytes, limit {limit}")]
    ArrayHeader {
        /// The file's name.
        file: String,
        /// Its length.
        found: usize,
        /// Most bytes allowed.
        limit: usize,
    },
    /// A NumPy array has fewer or more data than its shape says.
    #[error("{file}: array of shape {shape:?} needs {expected} bytes of data, found {found}")]
    ArrayData {
        /// The file's name.
        file: String,
        /// The array's shape.
        shape: Vec<usize>,
        /// Bytes of that shape.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// A NumPy array of a type that holds no features.
    #[error("{file}: needs an array of f32, f64, u8, i32 or i64, found {found}")]
    ArrayType {
        /// The file's name.
        file: String,
        /// NumPy's name of the type.
        found: String,
    },
    /// A NumPy array without an axis of samples or one of features.
    #[error("{file}: needs an array of 2 or more axes, samples first, found shape {shape:?}")]
    ArrayRank {
        /// The file's name.
        file: String,
        /// The array's shape.
        shape: Vec<usize>,
    },
    /// A NumPy array with too many elements.
    #[error("{file}: array of shape {shape:?}, limit {limit} elements")]
    ArrayCells {
        /// The file's name.
        file: String,
        /// The array's shape.
        shape: Vec<usize>,
        /// Most allowed.
        limit: usize,
    },
    /// Labels that are not a class for each row: the archive with its array, the rows, what is there.
    #[error("{0}: needs classes of {1} rows, whole numbers from 0, found {2}; leave out what is none")]
    ArrayLabels(String, usize, String),
    /// The reader of archives gave up.
    #[error("{file}: not an archive of NumPy arrays that can be read")]
    Npz {
        /// The file's name.
        file: String,
        /// What the reader said.
        source: zip::result::ZipError,
    },
    /// An archive in which the samples cannot be told.
    #[error("{file}: needs a single array, or one named \"x\", found {found}")]
    ArrayChoice {
        /// The archive's name.
        file: String,
        /// The arrays there are, shortened.
        found: String,
    },
    /// The file has more bytes than the reader allows: for CSV
    /// [`CsvOptions::max_bytes`](crate::CsvOptions::max_bytes).
    #[error("{file}: larger than the limit of {limit} bytes")]
    TooManyBytes {
        /// The file's name.
        file: String,
        /// Most bytes allowed.
        limit: u64,
    },
    /// The file has more feature cells than [`CsvOptions::max_cells`](crate::CsvOptions::max_cells).
    #[error("{file}: line {line}: {found} feature cells so far, limit {limit}")]
    TooManyCells {
        /// The file's name.
        file: String,
        /// Where the limit was passed.
        line: u64,
        /// Cells up to and including this line.
        found: usize,
        /// Most cells allowed.
        limit: usize,
    },
    /// The file holds nothing, or nothing but blank lines.
    #[error("{file}: the file is empty, needs a header row")]
    EmptyFile {
        /// The file's name.
        file: String,
    },
    /// The first row holds only numbers, so it is data and not column names.
    #[error("{file}: line {line}: needs a header row with column names, found only numbers ({text:?}, ...)")]
    NoHeader {
        /// The file's name.
        file: String,
        /// Line of the first row.
        line: u64,
        /// Its first cell.
        text: String,
    },
    /// A column of the header has no name.
    #[error("{file}: line {line}: column {position} of {columns} has no name")]
    UnnamedColumn {
        /// The file's name.
        file: String,
        /// Line of the header.
        line: u64,
        /// Which column, from 1.
        position: usize,
        /// How many columns there are.
        columns: usize,
    },
    /// Two columns of the header have the same name.
    #[error("{file}: line {line}: columns {first} and {second} are both named {column:?}")]
    DuplicateColumn {
        /// The file's name.
        file: String,
        /// Line of the header.
        line: u64,
        /// The name.
        column: String,
        /// The earlier column, from 1.
        first: usize,
        /// The later column, from 1.
        second: usize,
    },
    /// The header lacks a column this reader needs.
    #[error("{file}: line {line}: needs a column {column:?}, found {found}")]
    MissingColumn {
        /// The file's name.
        file: String,
        /// Line of the header.
        line: u64,
        /// The column that is missing.
        column: String,
        /// The columns there are.
        found: String,
    },
    /// Every column of the file is a label or a split: there are no features.
    #[error("{file}: line {line}: needs at least one feature column, found {found}")]
    NoFeatureColumns {
        /// The file's name.
        file: String,
        /// Line of the header.
        line: u64,
        /// The columns there are.
        found: String,
    },
    /// The file has another number of features than the caller needs.
    #[error("{file}: line {line}: needs {expected} feature columns, found {found}")]
    FeatureCount {
        /// The file's name.
        file: String,
        /// Line of the header.
        line: u64,
        /// How many the caller needs.
        expected: usize,
        /// How many the header names.
        found: usize,
    },
    /// A row is shorter or longer than the header.
    #[error("{file}: line {line}: needs {expected} columns as in the header, found {found}")]
    ColumnCount {
        /// The file's name.
        file: String,
        /// Line of the row.
        line: u64,
        /// Columns of the header.
        expected: usize,
        /// Columns of the row.
        found: usize,
    },
    /// A feature cell is not a number, or is one that `f32` cannot hold.
    #[error("{file}: line {line}, column {column:?}: needs a finite number, found {text:?}")]
    BadNumber {
        /// The file's name.
        file: String,
        /// Line of the cell.
        line: u64,
        /// Name of its column.
        column: String,
        /// Its text, shortened.
        text: String,
    },
    /// The name of a column is too long, or holds control characters.
    #[error("{file}: line {line}: the name of column {position} {why}")]
    ColumnName {
        /// The file's name.
        file: String,
        /// Line of the header.
        line: u64,
        /// Which column, from 1.
        position: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The column of labels cannot be told from the others.
    #[error("{file}: line {line}: {found} may be the labels or an input: name the column of labels")]
    AmbiguousLabel {
        /// The file's name.
        file: String,
        /// Line of the header.
        line: u64,
        /// The columns in question.
        found: String,
    },
    /// Two columns say which rows are for the test.
    #[error("{file}: line {line}: {found} may both be the split: rename one")]
    AmbiguousSplit {
        /// The file's name.
        file: String,
        /// Line of the header.
        line: u64,
        /// The columns in question.
        found: String,
    },
    /// A table does not have the columns that are needed, by name.
    #[error("{file}: the columns are not those that are needed: {}", columns_text(.missing, .unknown))]
    Columns {
        /// The data set's name.
        file: String,
        /// Columns that are needed and not there, shortened; empty if there are none.
        missing: String,
        /// Columns that are there and not needed, shortened; empty if there are none.
        unknown: String,
    },
    /// A table needs one name for each class, or none.
    #[error("a data set of {classes} classes needs {classes} names of them or none, found {names}")]
    ClassNames {
        /// Classes of the data set.
        classes: usize,
        /// Names given.
        names: usize,
    },
    /// A data set without labels where they are needed.
    #[error("{file}: has no labels")]
    NoLabels {
        /// The data set's name.
        file: String,
    },
    /// A label that is a number or no valid name where those before are names, or one name too many.
    #[error(
        "{file}: line {line}, column {column:?}: needs the name of a class as in the rows before, of at most \
         256 bytes and without control characters, found {text:?}"
    )]
    LabelName {
        /// The file's name.
        file: String,
        /// Line of the cell.
        line: u64,
        /// Name of its column.
        column: String,
        /// Its text, shortened.
        text: String,
    },
    /// A label is not an integer of 0..`class_count`.
    #[error("{file}: line {line}, column {column:?}: needs a class of 0..{class_count}, found {text:?}")]
    BadLabel {
        /// The file's name.
        file: String,
        /// Line of the cell.
        line: u64,
        /// Name of its column.
        column: String,
        /// One more than the largest class allowed.
        class_count: usize,
        /// Its text, shortened.
        text: String,
    },
    /// A cell of the split column is neither `train` nor `test`.
    #[error("{file}: line {line}, column {column:?}: needs \"train\" or \"test\", found {text:?}")]
    BadSplit {
        /// The file's name.
        file: String,
        /// Line of the cell.
        line: u64,
        /// Name of its column.
        column: String,
        /// Its text, shortened.
        text: String,
    },
    /// The file has a header and nothing below it.
    #[error("{file}: needs at least one row below the header, found none")]
    NoRows {
        /// The file's name.
        file: String,
    },
    /// No row of the file is in one of the two parts.
    #[error("{file}: column {column:?}: none of the {rows} rows is {part:?}")]
    EmptyPart {
        /// The file's name.
        file: String,
        /// Name of the split column.
        column: String,
        /// `train` or `test`.
        part: &'static str,
        /// Rows of the file.
        rows: usize,
    },
    /// What is asked for is neither a built-in data set nor a file.
    #[error("no data set named {name:?} and no such file; built in are {known}")]
    UnknownSource {
        /// What was asked for, shortened.
        name: String,
        /// The names there are.
        known: String,
    },
    /// No data set has this name.
    #[error("no data set is named {name:?}, there are: {known}")]
    UnknownName {
        /// The name asked for, shortened.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A table with no rows or no columns.
    #[error("a data set needs at least one row and one column, found {rows} rows and {columns} columns")]
    EmptyTable {
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
    },
    /// There is not one label for each row.
    #[error("a data set of {rows} rows needs {rows} labels, found {labels}")]
    LabelCount {
        /// Rows of features.
        rows: usize,
        /// Labels given.
        labels: usize,
    },
    /// There is not one name for each column.
    #[error("a table of {columns} columns needs {columns} names, found {names}")]
    NameCount {
        /// Columns of features.
        columns: usize,
        /// Names given.
        names: usize,
    },
    /// Two columns of a table have the same name.
    #[error("columns {first} and {second} of the table are both named {column:?}")]
    RepeatedName {
        /// The name.
        column: String,
        /// The earlier column, from 0.
        first: usize,
        /// The later column, from 0.
        second: usize,
    },
    /// A feature is NaN or infinite.
    #[error("row {row}, column {column:?}: needs a finite number, found {value}")]
    NotFinite {
        /// Its row, from 0.
        row: usize,
        /// Name of its column.
        column: String,
        /// Its value.
        value: f32,
    },
    /// A label is not below the class count.
    #[error("row {row}: needs a class of 0..{class_count}, found {label}")]
    LabelRange {
        /// Its row, from 0.
        row: usize,
        /// The label.
        label: usize,
        /// One more than the largest class allowed.
        class_count: usize,
    },
    /// A class count of zero, or one beyond [`MAX_CLASSES`](crate::MAX_CLASSES).
    #[error("needs 1 to {limit} classes, found {class_count}")]
    ClassCount {
        /// The count given.
        class_count: usize,
        /// Most classes allowed.
        limit: usize,
    },
    /// An index names no row.
    #[error("needs a row of 0..{rows}, found {index}")]
    RowRange {
        /// The index.
        index: usize,
        /// Rows there are.
        rows: usize,
    },
    /// A split needs at least one row on either side.
    #[error("a split of {rows} rows needs at least 1 row on either side, found {test} for the test")]
    TestRows {
        /// Test rows asked for.
        test: usize,
        /// Rows there are.
        rows: usize,
    },
    /// The two parts of a split do not describe the same problem.
    #[error(
        "the train part has {train_columns} columns and {train_classes} classes, the test part {test_columns} and {test_classes}"
    )]
    UnlikeParts {
        /// Columns of the train part.
        train_columns: usize,
        /// Classes of the train part.
        train_classes: usize,
        /// Columns of the test part.
        test_columns: usize,
        /// Classes of the test part.
        test_classes: usize,
    },
    /// The checkerboard's side is out of range.
    #[error("checkerboard: needs a side of {min} to {max} points, found {side}")]
    CheckerboardSide {
        /// The side given.
        side: usize,
        /// Least allowed.
        min: usize,
        /// Most allowed.
        max: usize,
    },
    /// The checkerboard's noise is negative or not finite.
    #[error("checkerboard: needs a finite noise of at least 0, found {noise}")]
    CheckerboardNoise {
        /// The standard deviation given.
        noise: f64,
    },
    /// A scaling does not have one offset and one factor per column.
    #[error("scaling: {offsets} offsets and {factors} factors do not fit together")]
    ScalingLength {
        /// Offsets given.
        offsets: usize,
        /// Factors given.
        factors: usize,
    },
    /// A scaling's offset or factor is NaN or infinite.
    #[error("scaling: column {column} needs a finite offset and factor, found {offset} and {factor}")]
    ScalingNotFinite {
        /// Which column, from 0.
        column: usize,
        /// Its offset.
        offset: f32,
        /// Its factor.
        factor: f32,
    },
    /// A scaling meets a table of another width.
    #[error("scaling: fitted for {expected} columns, found {found}")]
    ScalingColumns {
        /// Columns of the scaling.
        expected: usize,
        /// Columns of the table.
        found: usize,
    },
}
