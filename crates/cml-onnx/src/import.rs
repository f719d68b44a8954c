//! The whole way from a file to a network.

use crate::translate::{Drafted, translate};
use crate::{ImportReport, Note, OnnxError, checks, emit, fold, hoist, parse};
use cml_quant::{Network, to_graph};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// A network, and what was left out of it.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The network.
    pub network: Network,
    /// What is for the client to do.
    pub notes: Vec<Note>,
}

/// Imports a file. The network has the file's name, without its extension.
///
/// # Errors
/// If the file cannot be read, is no ONNX model or too large, or there are obstacles.
pub fn import(path: &Path) -> Result<Imported, OnnxError> {
    let name = path.file_stem().map_or("onnx".into(), |s| s.to_string_lossy());
    import_named(path, &name)
}

/// Imports a file; the network has the given name.
///
/// # Errors
/// As [`import`].
pub fn import_named(path: &Path, name: &str) -> Result<Imported, OnnxError> {
    convert(&read(path)?, path.parent(), name)
}

/// Imports the bytes of a file that lies in `folder`; without one, the file must hold all its data.
///
/// # Errors
/// As [`import`].
pub fn import_bytes(bytes: &[u8], folder: Option<&Path>) -> Result<Imported, OnnxError> {
    convert(bytes, folder, "onnx")
}

/// What stands in the way of importing a file; nothing if it can be imported.
///
/// # Errors
/// If the file cannot be read, is no ONNX model or too large.
pub fn check(path: &Path) -> Result<ImportReport, OnnxError> {
    match import(path) {
        Ok(imported) => Ok(ImportReport {
            obstacles: Vec::new(),
            notes: imported.notes,
        }),
        Err(OnnxError::Obstacles(report)) => Ok(report),
        Err(error) => Err(error),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, OnnxError> {
    let io = |source| OnnxError::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(io)?;
    let has = file.metadata().map_err(io)?.len();
    let too_large = |has| OnnxError::TooLarge {
        what: path.display().to_string(),
        has,
        limit: parse::MAX_BYTES,
    };
    if has > parse::MAX_BYTES {
        return Err(too_large(has));
    }
    let mut bytes = Vec::new();
    // A pipe has no length.
    file.take(parse::MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    Ok(bytes)
}

fn convert(bytes: &[u8], folder: Option<&Path>, name: &str) -> Result<Imported, OnnxError> {
    // The parent of a bare file name is the empty path.
    let folder = folder.map(|f| {
        if f.as_os_str().is_empty() {
            Path::new(".")
        } else {
            f
        }
    });
    let model = parse::parse(bytes, folder)?;
    let Drafted {
        mut draft,
        output,
        mut report,
        end,
    } = translate(&model);
    let Some(mut output) = output else {
        return Err(OnnxError::Obstacles(report));
    };
    fold::fold(&mut draft, &mut output, &mut report.obstacles);
    let quantized = checks::is_quantized(&draft, output);
    if quantized {
        hoist::hoist(&mut draft, &mut output);
        report.obstacles.extend(checks::check(&draft, output));
    }
    if !report.obstacles.is_empty() {
        return Err(OnnxError::Obstacles(report));
    }
    let network = emit::emit(&draft, output, name, &end, &mut report.obstacles)?;
    if !report.obstacles.is_empty() {
        return Err(OnnxError::Obstacles(report));
    }
    if quantized {
        to_graph(&network)?;
    }
    Ok(Imported {
        network,
        notes: report.notes,
    })
}
