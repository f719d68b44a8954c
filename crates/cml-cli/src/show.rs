//! What a command has to say, for people and for programs.

use serde_json::Value;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Result of a command.
pub(crate) struct Report {
    /// For people; ends without a line break.
    pub(crate) text: String,
    /// For programs: one object.
    pub(crate) json: Value,
    /// Why the exit code is 1 although there is a result.
    pub(crate) failed: Option<String>,
    /// Why the exit code is 2: the result says what is wrong with the input.
    pub(crate) refused: Option<String>,
}

impl Report {
    /// Everything was said before.
    pub(crate) fn nothing() -> Self {
        Self::new("", Value::Null)
    }

    /// A result.
    pub(crate) fn new(text: impl Into<String>, json: Value) -> Self {
        Self {
            text: text.into(),
            json,
            failed: None,
            refused: None,
        }
    }
}

/// Prints a report to standard output. A reader that went away (`| head`) is
/// not an error.
pub(crate) fn print(report: &Report, json: bool) -> io::Result<()> {
    if report.json.is_null() {
        Ok(())
    } else if json {
        print_line(&report.json.to_string())
    } else {
        print_line(report.text.trim_end())
    }
}

/// A note for people, beside the report: one line on standard error.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "note: {text}");
}

/// One line, at once; as [`print()`].
pub(crate) fn print_line(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// A table with aligned columns: the first to the left, the others to the
/// right.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(|&h| h.to_owned()).collect();
    let all = || std::iter::once(&header).chain(rows);
    let width = |c: usize| {
        all()
            .filter_map(|r| r.get(c))
            .map(|s| s.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(c, (text, &w))| {
            if c == 0 {
                format!("{text:<w$}")
            } else {
                format!("{text:>w$}")
            }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(line).collect::<Vec<_>>().join("\n")
}

/// `1.2 MB` and the like, in powers of ten.
pub(crate) fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        1_000_000..10_000_000_000 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.1} GB", n as f64 / 1e9),
    }
}

/// Size of a file that was just written, in bytes.
pub(crate) fn file_size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |m| m.len())
}

/// Share in percent.
pub(crate) fn percent(part: usize, whole: usize) -> String {
    format!("{:.1}%", 100.0 * part as f64 / whole.max(1) as f64)
}

/// Runs something and says how long it took.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align() {
        let rows = vec![
            vec!["fc1".to_owned(), "37".to_owned()],
            vec!["output".to_owned(), "5".to_owned()],
        ];
        assert_eq!(
            table(&["layer", "values"], &rows),
            "layer   values\nfc1         37\noutput       5"
        );
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_234_567), "1.2 MB");
    }
}
