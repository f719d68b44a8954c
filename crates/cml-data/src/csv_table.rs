//! The parser behind the CSV readers: bytes to columns, every cell checked.

use std::io::Read;

use ndarray::Array2;

use crate::csv_labels::Labels;
use crate::csv_records::Records;
use crate::csv_roles::{LABEL, SPLIT, roles};
use crate::error::{list, shorten};
use crate::features::duplicate;
use crate::names::fault;
use crate::{CsvOptions, Error, Features, MAX_CLASSES};

/// Which columns a reader wants beside the features. What it does not want is
/// skipped unread.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// Nothing.
    Features,
    /// The label; the split is checked where there is one.
    Labels,
    /// The label and the split.
    Split,
    /// The label and the split, each if it is there.
    All,
}

/// A parsed file.
pub(crate) struct CsvTable {
    /// All columns but label and split.
    pub(crate) features: Features,
    /// One per row, or none if not wanted or not there.
    pub(crate) labels: Vec<usize>,
    /// Names of the classes in alphabetical order, if labels are names.
    pub(crate) classes: Vec<String>,
    /// True for a test row; one per row, or none if not wanted or not there.
    pub(crate) is_test: Vec<bool>,
}

impl CsvTable {
    /// Parses all of `input`, called `file` in messages.
    pub(crate) fn parse(
        input: impl Read,
        file: &str,
        options: &CsvOptions,
        want: Want,
    ) -> Result<Self, Error> {
        let bytes = read_bounded(input, file, options.max_bytes)?;
        let mut records = Records::new(&bytes, file);
        if !records.advance()? {
            return Err(Error::EmptyFile {
                file: file.to_owned(),
            });
        }
        let header = Header::parse(&records, options, want)?;
        let class_limit = options.class_count.unwrap_or(MAX_CLASSES);
        let columns = header.features.len();

        let mut values = Vec::new();
        let mut labels = Labels::new(class_limit);
        let mut is_test = Vec::new();
        while records.advance()? {
            records.check_width(header.names.len())?;
            let found = values.len().saturating_add(columns);
            if found > options.max_cells {
                let (file, line) = records.place();
                return Err(Error::TooManyCells {
                    file,
                    line,
                    found,
                    limit: options.max_cells,
                });
            }
            for &column in &header.features {
                values.push(records.number(column, &header.names[column])?);
            }
            if let Some(column) = header.label {
                labels.push(&records, column, &header.names[column])?;
            }
            if let Some(column) = header.split {
                is_test.push(records.is_test(column, &header.names[column])?);
            }
        }

        if values.is_empty() {
            return Err(Error::NoRows {
                file: file.to_owned(),
            });
        }
        let rows = values.len() / columns;
        // The shape fits by construction; should it ever not, the table is refused as empty.
        let values = Array2::from_shape_vec((rows, columns), values).unwrap_or_default();
        let names = header
            .features
            .iter()
            .map(|&column| header.names[column].clone())
            .collect();
        let (labels, classes) = labels.finish();
        Ok(Self {
            features: Features::new(values, names)?,
            labels,
            classes,
            is_test,
        })
    }
}

/// All of `input`, or an error if it is longer than `limit`.
fn read_bounded(input: impl Read, file: &str, limit: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    input
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| Error::Read {
            file: file.to_owned(),
            source,
        })?;
    if bytes.len() as u64 > limit {
        return Err(Error::TooManyBytes {
            file: file.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

/// The column names, and which column is what.
struct Header {
    names: Vec<String>,
    features: Vec<usize>,
    label: Option<usize>,
    split: Option<usize>,
}

impl Header {
    fn parse(records: &Records<'_>, options: &CsvOptions, want: Want) -> Result<Self, Error> {
        let (file, line) = records.place();
        let columns = records.width();
        let names: Vec<String> = (0..columns).map(|column| records.text(column)).collect();
        if names.iter().all(|name| name.parse::<f64>().is_ok()) {
            let text = names.first().map_or(String::new(), |name| shorten(name));
            return Err(Error::NoHeader { file, line, text });
        }
        if let Some(unnamed) = names.iter().position(String::is_empty) {
            return Err(Error::UnnamedColumn {
                file,
                line,
                position: unnamed + 1,
                columns,
            });
        }
        let faulty = names.iter().enumerate();
        if let Some((position, why)) = faulty.filter_map(|(i, n)| Some((i, fault(n)?))).next() {
            return Err(Error::ColumnName {
                file,
                line,
                position: position + 1,
                why,
            });
        }
        if let Some((first, second)) = duplicate(&names) {
            let column = shorten(&names[first]);
            return Err(Error::DuplicateColumn {
                file,
                line,
                column,
                first: first + 1,
                second: second + 1,
            });
        }

        let (label, split) = roles(records, &names, options)?;
        let features: Vec<usize> = (0..columns)
            .filter(|&column| Some(column) != label && Some(column) != split)
            .collect();
        let missing = |column: &str| Error::MissingColumn {
            file: file.clone(),
            line,
            column: column.to_owned(),
            found: list(&names),
        };
        if matches!(want, Want::Labels | Want::Split) && label.is_none() {
            return Err(missing(LABEL));
        }
        if want == Want::Split && split.is_none() {
            return Err(missing(SPLIT));
        }
        if features.is_empty() {
            return Err(Error::NoFeatureColumns {
                file,
                line,
                found: list(&names),
            });
        }
        if let Some(expected) = options
            .feature_count
            .filter(|&expected| expected != features.len())
        {
            return Err(Error::FeatureCount {
                file,
                line,
                expected,
                found: features.len(),
            });
        }
        let (label, split) = if want == Want::Features {
            (None, None)
        } else {
            (label, split)
        };
        Ok(Self {
            names,
            features,
            label,
            split,
        })
    }
}
