//! Exit codes: whose fault it was.

use std::fmt;

/// Done.
pub(crate) const DONE: u8 = 0;
/// The work failed: a full disk, a diverged training, a wrong result.
pub(crate) const FAILED: u8 = 1;
/// Wrong usage or input; also what clap returns.
pub(crate) const USAGE: u8 = 2;

/// Marks an error that is not the input's fault.
#[derive(Debug)]
pub(crate) struct WorkFailed;

impl fmt::Display for WorkFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the work failed")
    }
}

/// Exit code of an error: 2 unless something in its chain is [`WorkFailed`].
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<WorkFailed>().is_some() {
        FAILED
    } else {
        USAGE
    }
}

/// The error with its causes on one line; a cause that its message already
/// holds is not said twice.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let words = cause.to_string().replace('\n', " ");
        if text.is_empty() {
            text = words;
        } else if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
    }
    text
}

/// Marks the errors of steps that only fail when the machine does.
pub(crate) trait OrFailed<T> {
    /// The error becomes one of exit code 1.
    fn or_failed(self) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrFailed<T> for Result<T, E> {
    fn or_failed(self) -> anyhow::Result<T> {
        self.map_err(|e| e.into().context(WorkFailed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_errors_are_failures() {
        let plain = anyhow::Error::from(std::io::Error::other("bad input"));
        assert_eq!(code(&plain), USAGE);
        let marked: Result<(), std::io::Error> = Err(std::io::Error::other("disk full"));
        let error = marked.or_failed().unwrap_err().context("writing x");
        assert_eq!(code(&error), FAILED);
        assert_eq!(message(&error), "writing x: the work failed: disk full");
        let twice = anyhow::anyhow!("disk full").context("x: disk full");
        assert_eq!(message(&twice), "x: disk full");
    }
}
