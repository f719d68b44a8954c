//! Exit codes: whose fault it was.

use crate::kinds;
use cml_file::{FileError, FrameError};
use cml_ir::{GRAPH, IrError};
use cml_quant::QuantError;
use cml_scheme::ArtifactError;
use cml_tfhe::artifact::CIRCUIT;
use std::fmt;
use std::path::Path;

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
    let (mut text, mut last) = (String::new(), String::new());
    for cause in error.chain() {
        let words = cause.to_string().replace('\n', " ");
        if text.is_empty() {
            text = words.clone();
        } else if words.starts_with(&format!("{last}: "))
            && let Some(before) = text.strip_suffix(&last)
        {
            text = format!("{before}{words}");
        } else if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        last = words;
    }
    let advice = error.chain().find_map(advice);
    let advice = advice.map_or_else(String::new, |advice| format!("; {advice}"));
    format!("{text}{advice}")
}

/// The command that makes what is needed of what was given.
fn advice(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(FileError::Frame { name, source }) = file_error(cause)
        && matches!(source, FrameError::Magic)
        && name.ends_with(".safetensors")
    {
        return Some("`cml quantize` makes a graph of a network".to_owned());
    }
    if let Some(name) = foreign(cause)
        && let Some(found) = kinds::recognize(Path::new(name))
    {
        return Some(format!("it is {}: {}", found.what, found.advice));
    }
    let FrameError::Kind { found, expected } = cause.downcast_ref()? else {
        return None;
    };
    let compile = (*found, *expected) == (GRAPH.tag, CIRCUIT.tag);
    compile.then(|| "`cml compile` makes a circuit of a graph".to_owned())
}

/// The file that an error says is none of cml's.
fn foreign<'e>(cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e str> {
    if let Some(FileError::Frame {
        name,
        source: FrameError::Magic,
    }) = file_error(cause)
    {
        return Some(name);
    }
    match cause.downcast_ref() {
        Some(QuantError::File { name, why }) if why.starts_with("not a safetensors file") => Some(name),
        _ => None,
    }
}

/// The error of a file that a crate passes on as its own.
fn file_error<'e>(cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e FileError> {
    let of_graph = || match cause.downcast_ref() {
        Some(IrError::File(error)) => Some(error),
        _ => None,
    };
    let of_artifact = || match cause.downcast_ref() {
        Some(ArtifactError::File(error)) => Some(error),
        _ => None,
    };
    cause.downcast_ref().or_else(of_graph).or_else(of_artifact)
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
    use cml_file::Artifact;
    use cml_ir::Graph;
    use cml_tfhe::Circuit;

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
        let named = anyhow::anyhow!("x: disk full").context("x").context("writing");
        assert_eq!(message(&named), "writing: x: disk full");
        let within = anyhow::anyhow!("x: disk full").context("x").context("x and y");
        assert_eq!(message(&within), "x and y: x: disk full");
    }

    #[test]
    fn a_file_of_another_stage_names_the_command_between() {
        let folder = tempfile::tempdir().unwrap();
        let graph = cml_file::encode(GRAPH, &[0; 8]);
        let (net, cmlg) = (
            folder.path().join("net.safetensors"),
            folder.path().join("net.cmlg"),
        );
        std::fs::write(&net, [0; 64]).unwrap();
        std::fs::write(&cmlg, graph).unwrap();
        let error = Graph::read(&net, ()).map(|_| ()).unwrap_err().into();
        let text = message(&error);
        assert!(
            text.ends_with("not a cml file; `cml quantize` makes a graph of a network"),
            "{text}"
        );
        let error = Circuit::read(&cmlg, ()).map(|_| ()).unwrap_err();
        let text = message(&error.into());
        assert!(
            text.ends_with("is a graph, needs a circuit; `cml compile` makes a circuit of a graph"),
            "{text}"
        );
        let error = cml_quant::read_network(&cmlg).map(|_| ()).unwrap_err();
        assert!(message(&error.into()).ends_with("is a graph, needs a network"));
    }
}
