//! The parser behind the CSV readers: bytes to columns, every cell checked.

use std::io::Read;

use ndarray::Array2;

use crate::csv_records::{LABEL, Records, SPLIT};
use crate::error::shorten;
use crate::features::duplicate;
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
}

/// A parsed file.
pub(crate) struct CsvTable {
    /// All columns but label and split.
    pub(crate) features: Features,
    /// One per row, or none if not wanted.
    pub(crate) labels: Vec<usize>,
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
        let mut labels = Vec::new();
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
                labels.push(records.label(column, class_limit)?);
            }
            if let Some(column) = header.split {
                is_test.push(records.is_test(column)?);
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
        Ok(Self {
            features: Features::new(values, names)?,
            labels,
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

        let position = |wanted: &str| names.iter().position(|name| name == wanted);
        let (label, split) = (position(LABEL), position(SPLIT));
        let features: Vec<usize> = (0..columns)
            .filter(|&column| Some(column) != label && Some(column) != split)
            .collect();
        if want != Want::Features && label.is_none() {
            return Err(Error::MissingColumn {
                file,
                line,
                column: LABEL,
                found: list(&names),
            });
        }
        if want == Want::Split && split.is_none() {
            return Err(Error::MissingColumn {
                file,
                line,
                column: SPLIT,
                found: list(&names),
            });
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

/// The first few names, for a message.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("{:?}", shorten(name)))
        .collect();
    if names.len() > SHOWN {
        shown.push(format!("... ({} columns)", names.len()));
    }
    shown.join(", ")
}
