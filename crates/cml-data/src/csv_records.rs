//! The rows of a CSV file, each with its line, and their cells, checked.

use csv::{ByteRecord, ReaderBuilder};

use crate::Error;
use crate::error::shorten;

/// The rows of a file one after the other, each with its true line number.
pub(crate) struct Records<'a> {
    reader: csv::Reader<&'a [u8]>,
    record: ByteRecord,
    bytes: &'a [u8],
    file: &'a str,
    /// Where `line` was counted up to.
    counted: usize,
    line: u64,
}

impl<'a> Records<'a> {
    /// The rows of `bytes`, before the first.
    pub(crate) fn new(bytes: &'a [u8], file: &'a str) -> Self {
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(bytes);
        Self {
            reader,
            record: ByteRecord::new(),
            bytes,
            file,
            counted: 0,
            line: 1,
        }
    }

    /// Goes to the next row; false at the end.
    pub(crate) fn advance(&mut self) -> Result<bool, Error> {
        let more = self
            .reader
            .read_byte_record(&mut self.record)
            .map_err(|source| Error::Csv {
                file: self.file.to_owned(),
                source,
            })?;
        // The parser's own position is before the blank lines it skips, and
        // between the two bytes of a CRLF: count from the bytes instead.
        let start = self
            .record
            .position()
            .map_or(0, |position| position.byte() as usize);
        let start = start.clamp(self.counted, self.bytes.len());
        let skipped = self.bytes[start..]
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        let until = start + skipped;
        self.line += self.bytes[self.counted..until]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count() as u64;
        self.counted = until;
        Ok(more)
    }

    /// The file and the line of this row.
    pub(crate) fn place(&self) -> (String, u64) {
        (self.file.to_owned(), self.line)
    }

    /// How many cells this row has.
    pub(crate) fn width(&self) -> usize {
        self.record.len()
    }

    /// A cell without the blanks around it; bytes that are not UTF-8 show as
    /// replacement characters, which no number, class or split contains.
    pub(crate) fn text(&self, column: usize) -> String {
        let cell = self.record.get(column).unwrap_or_default();
        String::from_utf8_lossy(cell.trim_ascii()).into_owned()
    }

    /// Refuses a row that is not as wide as the header.
    pub(crate) fn check_width(&self, expected: usize) -> Result<(), Error> {
        if self.record.len() == expected {
            return Ok(());
        }
        let (file, line) = self.place();
        Err(Error::ColumnCount {
            file,
            line,
            expected,
            found: self.record.len(),
        })
    }

    /// A cell of the feature column `name`: a finite `f32`.
    pub(crate) fn number(&self, column: usize, name: &str) -> Result<f32, Error> {
        self.parse(column)
            .filter(|value: &f32| value.is_finite())
            .ok_or_else(|| {
                let (file, line) = self.place();
                Error::BadNumber {
                    file,
                    line,
                    column: shorten(name),
                    text: shorten(&self.text(column)),
                }
            })
    }

    /// A cell of the split column `name`: true for `test`.
    pub(crate) fn is_test(&self, column: usize, name: &str) -> Result<bool, Error> {
        match self.text(column).as_str() {
            "train" => Ok(false),
            "test" => Ok(true),
            text => {
                let (file, line) = self.place();
                Err(Error::BadSplit {
                    file,
                    line,
                    column: shorten(name),
                    text: shorten(text),
                })
            }
        }
    }

    /// A cell as whatever its text says, if it does.
    fn parse<T: std::str::FromStr>(&self, column: usize) -> Option<T> {
        std::str::from_utf8(self.record.get(column)?.trim_ascii())
            .ok()?
            .parse()
            .ok()
    }
}
