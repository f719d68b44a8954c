//! The whole way from a file to a network.

use crate::model::Model;
use crate::report::{NodeProblem, Origin};
use crate::translate::{Drafted, translate};
use crate::{Note, Obstacle, OnnxError};
use crate::{checks, emit, fold, grid, interface, layout, parse, raw, raw_quantizer};
use cml_quant::{Network, QuantError, to_graph};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// A network, and what was left out of it.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The network.
    pub network: Network,
    /// What is for the client to do, and how it quantizes where the file did not say it.
    pub notes: Vec<Note>,
    /// What the file is.
    pub origin: Origin,
}

/// What is known of the data for an input that has no quantizer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputData {
    /// The least and the greatest value; `None` if the file bounds them.
    pub range: Option<[f32; 2]>,
    /// Bits that the input is quantized to; `None` if it is whole numbers.
    pub bits: Option<u32>,
}

impl InputData {
    /// Bits that hold the values.
    pub(crate) fn width(&self) -> u32 {
        const DEFAULT: u32 = 8;
        self.bits.unwrap_or_else(|| {
            let span = self.range.map(|[lo, hi]| f64::from(hi) - f64::from(lo) + 1.0);
            span.map_or(DEFAULT, |span| span.max(2.0).log2().ceil() as u32)
        })
    }
}

/// How a file is imported.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Name of the network; the file's, without its extension, if it is left out.
    pub name: Option<String>,
    /// What the data are, for an input that has no quantizer.
    pub data: Option<InputData>,
}

/// Imports a file.
///
/// # Errors
/// If the file cannot be read, is no ONNX model or too large, or there are obstacles.
pub fn import(path: &Path, options: &Options) -> Result<Imported, OnnxError> {
    let stem = path.file_stem().map_or("onnx".into(), |s| s.to_string_lossy());
    convert(&read(path)?, path.parent(), &stem, options)
}

/// Imports the bytes of a file that lies in `folder`; without one, the file must hold all its data.
///
/// # Errors
/// As [`import`].
pub fn import_bytes(bytes: &[u8], folder: Option<&Path>, options: &Options) -> Result<Imported, OnnxError> {
    convert(bytes, folder, "onnx", options)
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

fn convert(
    bytes: &[u8],
    folder: Option<&Path>,
    name: &str,
    options: &Options,
) -> Result<Imported, OnnxError> {
    // The parent of a bare file name is the empty path.
    let folder = folder.map(|f| {
        if f.as_os_str().is_empty() {
            Path::new(".")
        } else {
            f
        }
    });
    let name = options.name.as_deref().unwrap_or(name);
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
    layout::sink(&mut draft, &mut output);
    fold::fold(&mut draft, &mut output, &mut report.obstacles);
    let quantized = checks::is_quantized(&draft, output);
    let stated = interface::whole_numbers(&model).map(|range| InputData {
        range: Some(range),
        bits: None,
    });
    let needed = quantized && {
        let data = options.data.or(stated);
        let needed = raw_quantizer::quantize(&mut draft, &mut output, data.as_ref(), &mut report.notes);
        raw::hoist(&mut draft, &mut output, &mut report.obstacles);
        fold::forward(&mut draft);
        let ends = !checks::grows(&draft, output);
        grid::requantize(&mut draft, &mut output, ends);
        report.obstacles.extend(checks::check(&draft, output));
        needed
    };
    if options.data.is_some() && !needed {
        report.obstacles.push(unneeded(&model, quantized));
    }
    if !report.obstacles.is_empty() {
        return Err(OnnxError::Obstacles(report));
    }
    let emitted = emit::emit(&draft, output, name, &end, &mut report.obstacles);
    let checked = emitted.and_then(|network| {
        if quantized && report.obstacles.is_empty() {
            to_graph(&network)?;
        }
        Ok(network)
    });
    let network = match checked {
        Ok(network) if report.obstacles.is_empty() => network,
        Ok(_) => return Err(OnnxError::Obstacles(report)),
        Err(error) => {
            report.obstacles.push(as_obstacle(&error));
            return Err(OnnxError::Obstacles(report));
        }
    };
    Ok(Imported {
        network,
        notes: report.notes,
        origin: report.origin,
    })
}

/// The obstacle of a user who says what the data are where that is known.
fn unneeded(model: &Model, quantized: bool) -> Obstacle {
    let problem = if quantized {
        NodeProblem::new(
            "it has a quantizer of its own, but the command says how to quantize it",
            "the same command without --input-range, --input-bits and --input-integers",
        )
    } else {
        NodeProblem::new(
            "the network is float, but the command says how to quantize its input",
            "an import without these options, then cml quantize --bits BITS --input-bits BITS --calibrate DATA",
        )
    };
    let names: Vec<&str> = model.inputs.iter().map(|i| i.name.as_str()).collect();
    Obstacle::new(&names.join(", "), "input", String::new(), problem)
}

/// What a network of integers refuses, which no check before has found.
fn as_obstacle(error: &QuantError) -> Obstacle {
    let instead = match error {
        QuantError::TooWide { .. } => "fewer inputs of this layer, or narrower weights and activations",
        _ => "sizes and numbers that fit",
    };
    let problem = NodeProblem::new(error.to_string(), instead);
    Obstacle::new("network", "as integers", String::new(), problem)
}
