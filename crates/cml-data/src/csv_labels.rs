//! The label column: numbers of classes, or their names.

use std::collections::BTreeMap;

use crate::Error;
use crate::csv_records::Records;
use crate::dataset::MAX_CLASSES;
use crate::error::shorten;
use crate::names::fault;

/// The labels of a file as they come, one for each row. The first decides whether they are numbers or
/// names; a file that mixes both is refused.
pub(crate) struct Labels {
    /// Number of the class; of a name, its number in order of first occurrence.
    numbers: Vec<usize>,
    /// Names met so far; none if labels are numbers.
    names: BTreeMap<String, usize>,
    /// One more than the largest number allowed.
    class_limit: usize,
}

impl Labels {
    /// None yet.
    pub(crate) fn new(class_limit: usize) -> Self {
        Self {
            numbers: Vec::new(),
            names: BTreeMap::new(),
            class_limit,
        }
    }

    /// Takes the label of a row, in the column of this name.
    pub(crate) fn push(
        &mut self,
        records: &Records<'_>,
        column: usize,
        column_name: &str,
    ) -> Result<(), Error> {
        let text = records.text(column);
        let bad = |names: bool| {
            let (file, line) = records.place();
            let (column, text) = (shorten(column_name), shorten(&text));
            match names {
                true => Error::LabelName {
                    file,
                    line,
                    column,
                    text,
                },
                false => Error::BadLabel {
                    file,
                    line,
                    column,
                    class_count: self.class_limit,
                    text,
                },
            }
        };
        let is_number = text.parse::<f64>().is_ok();
        if is_number || text.is_empty() {
            if !self.names.is_empty() {
                return Err(bad(true));
            }
            let number = integer(&text).filter(|&n| n < self.class_limit);
            self.numbers.push(number.ok_or_else(|| bad(false))?);
            return Ok(());
        }
        if self.names.is_empty() && !self.numbers.is_empty() {
            return Err(bad(false));
        }
        let next = self.names.len();
        let number = match self.names.get(&text) {
            Some(&number) => number,
            None if fault(&text).is_some() || next >= self.class_limit.min(MAX_CLASSES) => {
                return Err(bad(true));
            }
            None => *self.names.entry(text).or_insert(next),
        };
        self.numbers.push(number);
        Ok(())
    }

    /// The number of each row's class, and the names of the classes if labels are names. These are in
    /// alphabetical order, so that they do not depend on the order of the rows.
    pub(crate) fn finish(mut self) -> (Vec<usize>, Vec<String>) {
        let mut rank = vec![0; self.names.len()];
        for (sorted, &met) in self.names.values().enumerate() {
            rank[met] = sorted;
        }
        if !rank.is_empty() {
            for number in &mut self.numbers {
                *number = rank[*number];
            }
        }
        (self.numbers, self.names.into_keys().collect())
    }
}

/// A class as an integer, or as a float that is one: tools that write tables make `1.0` of `1`.
fn integer(text: &str) -> Option<usize> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let number: f64 = text.parse().ok()?;
    (number.fract() == 0.0 && (0.0..MAX_CLASSES as f64).contains(&number)).then_some(number as usize)
}
