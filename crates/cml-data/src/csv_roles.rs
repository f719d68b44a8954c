//! Which column of a CSV file is what: inputs, the label, the split.

use crate::CsvOptions;
use crate::Error;
use crate::csv_records::Records;
use crate::error::{list, shorten};

/// Names of the label column, in any case. The first is the one that messages ask for.
const LABELS: [&str; 6] = ["label", "labels", "class", "classes", "target", "targets"];
/// A name that is often the label's, but also that of a coordinate.
const UNCERTAIN: &str = "y";
/// The column that makes a coordinate of [`UNCERTAIN`].
const COORDINATE: &str = "x";
/// Name of the column that says which part a row belongs to, in any case.
pub(crate) const SPLIT: &str = "split";
/// What messages call the label column.
pub(crate) const LABEL: &str = LABELS[0];

/// Positions of the label and the split among the columns of a header, if there are any.
///
/// Columns that the caller names as inputs are inputs. Of the others, the label is the one that the
/// caller names, or the only one with a usual name.
///
/// # Errors
///
/// [`Error::AmbiguousLabel`] if it cannot be told, [`Error::MissingColumn`] without the column that the
/// caller names.
pub(crate) fn roles(
    records: &Records<'_>,
    names: &[String],
    options: &CsvOptions,
) -> Result<(Option<usize>, Option<usize>), Error> {
    let (file, line) = records.place();
    let is_input = |column: usize| {
        let inputs = options.inputs.as_ref();
        inputs.is_some_and(|inputs| inputs.contains(&names[column]))
    };
    let named = |wanted: &str| -> Vec<usize> {
        let is = |&column: &usize| names[column].eq_ignore_ascii_case(wanted) && !is_input(column);
        (0..names.len()).filter(is).collect()
    };
    let split = named(SPLIT);
    if let &[first, second, ..] = &split[..] {
        return Err(Error::AmbiguousSplit {
            file,
            line,
            found: list(&[names[first].clone(), names[second].clone()]),
        });
    }
    let split = split.first().copied();
    if let Some(wanted) = &options.label {
        let Some(label) = names.iter().position(|name| name == wanted) else {
            return Err(Error::MissingColumn {
                file,
                line,
                column: shorten(wanted),
                found: list(names),
            });
        };
        return Ok((Some(label), split.filter(|&split| split != label)));
    }
    let mut labels: Vec<usize> = LABELS.iter().flat_map(|&name| named(name)).collect();
    let uncertain = named(UNCERTAIN).first().copied();
    if let (true, Some(column)) = (labels.is_empty(), uncertain) {
        if options.inputs.is_some() {
            labels.push(column);
        } else if named(COORDINATE).is_empty() {
            return Err(Error::AmbiguousLabel {
                file,
                line,
                found: list(&names[column..=column]),
            });
        }
    }
    labels.sort_unstable();
    match labels[..] {
        [] => Ok((None, split)),
        [label] => Ok((Some(label), split)),
        _ => {
            let found: Vec<String> = labels.iter().map(|&column| names[column].clone()).collect();
            Err(Error::AmbiguousLabel {
                file,
                line,
                found: list(&found),
            })
        }
    }
}
