//! Networks as safetensors files.
//!
//! Tensors `LAYER.weight` (dense `[out, in]`, convolution `[out, in / groups, height, width]`) and
//! `LAYER.bias` `[out]`, `F32`. Of integer weights the tensor holds what the codes stand for, `code * scale`,
//! so that every program that reads safetensors finds the weights themselves; the layer's quantizer gives
//! each its code back. (Files of older programs hold the floats that the codes were rounded from. They are
//! read in the same way.) The metadata entry `cml.network` is 64 hex digits, a blank, and JSON: format
//! version, layers, quantizers (none in a float network); names of columns and the rows of the training
//! where they are known. The digits are a SHA-256 of the JSON and every tensor, so damage is found. (One entry: the order of several is random.)

use crate::file_training::FileTraining;
use crate::layers::{Conv2dForm, LinearForm, TreesForm};
use crate::tensors::{Tensors, Written};
use crate::{
    ActQuantizer, Concat, Gather, Layer, LayerId, LayerNode, Network, Normalize, Pad, Pool, QuantError,
    Reshape, Slice, Transpose, Univariate,
};
use cml_file::{Access, write_atomic};
use cml_ir::{InputStep, Probabilities};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;

const VERSION: u32 = 4;
/// What newer versions have beyond this one is optional.
const OLDEST_VERSION: u32 = 3;
const MAX_FILE: u64 = 1 << 30;
const STRUCTURE: &str = "cml.network";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileNetwork {
    version: u32,
    name: String,
    input_shape: Vec<usize>,
    layers: Vec<FileLayer>,
    output: usize,
    labels: Vec<String>,
    #[serde(default)]
    probabilities: Probabilities,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    columns: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    input_steps: Vec<InputStep>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    training: Option<FileTraining>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLayer {
    name: String,
    operands: Vec<usize>,
    layer: FileOp,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum FileOp {
    Normalize(Normalize),
    Quantize(ActQuantizer),
    Linear(LinearForm),
    Conv2d(Conv2dForm),
    Pool(Pool),
    Function(Univariate),
    Reshape(Reshape),
    Add,
    Sub,
    Mul,
    Transpose(Transpose),
    Slice(Slice),
    Pad(Pad),
    Concat(Concat),
    Gather(Gather),
    Trees(TreesForm),
}

impl FileOp {
    /// The form of a layer, whose tensors are added to those of the file; the input has none.
    fn of(node: &LayerNode, tensors: &mut Written) -> Option<Self> {
        Some(match &node.layer {
            Layer::Input => return None,
            Layer::Normalize(normalize) => Self::Normalize(normalize.clone()),
            Layer::Quantize(quantizer) => Self::Quantize(*quantizer),
            Layer::Linear(linear) => Self::Linear(LinearForm::of(linear, &node.name, tensors)),
            Layer::Conv2d(conv) => Self::Conv2d(Conv2dForm::of(conv, &node.name, tensors)),
            Layer::Pool(pool) => Self::Pool(*pool),
            Layer::Function(function) => Self::Function(function.clone()),
            Layer::Reshape(reshape) => Self::Reshape(reshape.clone()),
            Layer::Add => Self::Add,
            Layer::Sub => Self::Sub,
            Layer::Mul => Self::Mul,
            Layer::Transpose(transpose) => Self::Transpose(transpose.clone()),
            Layer::Slice(slice) => Self::Slice(slice.clone()),
            Layer::Pad(pad) => Self::Pad(pad.clone()),
            Layer::Concat(concat) => Self::Concat(concat.clone()),
            Layer::Gather(gather) => Self::Gather(gather.clone()),
            Layer::Trees(trees) => Self::Trees(TreesForm::of(trees, &node.name, tensors)),
        })
    }

    /// The layer of this name.
    fn read(self, name: &str, tensors: &Tensors<'_>) -> Result<Layer, QuantError> {
        Ok(match self {
            Self::Normalize(normalize) => Layer::Normalize(normalize),
            Self::Quantize(quantizer) => Layer::Quantize(quantizer),
            Self::Linear(form) => Layer::Linear(form.read(name, tensors)?),
            Self::Conv2d(form) => Layer::Conv2d(form.read(name, tensors)?),
            Self::Pool(pool) => Layer::Pool(pool),
            Self::Function(function) => Layer::Function(function),
            Self::Reshape(reshape) => Layer::Reshape(reshape),
            Self::Add => Layer::Add,
            Self::Sub => Layer::Sub,
            Self::Mul => Layer::Mul,
            Self::Transpose(transpose) => Layer::Transpose(transpose),
            Self::Slice(slice) => Layer::Slice(slice),
            Self::Pad(pad) => Layer::Pad(pad),
            Self::Concat(concat) => Layer::Concat(concat),
            Self::Gather(gather) => Layer::Gather(gather),
            Self::Trees(form) => Layer::Trees(form.read(name, tensors)?),
        })
    }
}

/// A network as the bytes of a `.safetensors` file.
///
/// # Errors
/// If the network has no output, or [`cml_ir::name_fault`] finds the name of a class.
pub fn network_to_bytes(network: &Network) -> Result<Vec<u8>, QuantError> {
    let fail = |why: String| QuantError::File {
        name: network.name().to_owned(),
        why,
    };
    let mut tensors = Written::default();
    let description = describe(network, &mut tensors)?;
    let structure = serde_json::to_string(&description).map_err(|e| fail(e.to_string()))?;
    let views = tensors.views().map_err(|e| fail(e.to_string()))?;
    let sum = checksum(&structure, views.iter().map(|(n, v)| (*n, v.shape(), v.data())));
    let metadata = HashMap::from([(STRUCTURE.to_owned(), format!("{sum} {structure}"))]);
    safetensors::serialize(views, Some(metadata)).map_err(|e| fail(e.to_string()))
}

/// The network in the bytes of a `.safetensors` file; `name` says in errors
/// which.
///
/// # Errors
/// If the file is not safetensors, has no description of a network, is
/// damaged, or describes something invalid.
pub fn network_from_bytes(name: &str, bytes: &[u8]) -> Result<Network, QuantError> {
    let fail = |why: String| QuantError::File {
        name: name.to_owned(),
        why,
    };
    if let Some(tag) = cml_file::tag_of(bytes) {
        return Err(fail(format!("is {}, needs a network", cml_file::describe(tag))));
    }
    let (_, header) =
        SafeTensors::read_metadata(bytes).map_err(|e| fail(format!("not a safetensors file: {e}")))?;
    let file = SafeTensors::deserialize(bytes).map_err(|e| fail(format!("not a safetensors file: {e}")))?;
    let Some(entry) = header.metadata().as_ref().and_then(|m| m.get(STRUCTURE)) else {
        return Err(fail(format!(
            "has no {STRUCTURE} entry: not a network that cml wrote"
        )));
    };
    let (expected, structure) = entry.split_once(' ').unwrap_or(("", entry));
    let tensors = Tensors::of(&file);
    if checksum(structure, tensors.parts()) != expected {
        return Err(fail("checksum mismatch: the file is damaged".to_owned()));
    }
    let parsed: FileNetwork =
        serde_json::from_str(structure).map_err(|e| fail(format!("malformed {STRUCTURE} entry: {e}")))?;
    if !(OLDEST_VERSION..=VERSION).contains(&parsed.version) {
        return Err(fail(format!(
            "network format version {}, this program reads {OLDEST_VERSION} to {VERSION}",
            parsed.version
        )));
    }
    rebuild(parsed, &tensors).map_err(|e| fail(e.to_string()))
}

/// Writes a network, at once.
///
/// # Errors
/// If the network has no output or the file cannot be written.
pub fn write_network(path: &Path, network: &Network) -> Result<(), QuantError> {
    let bytes = network_to_bytes(network)?;
    write_atomic(path, &[&bytes], Access::Shared).map_err(|e| QuantError::Ir(e.into()))
}

/// Reads a network.
///
/// # Errors
/// As [`network_from_bytes`], and if the file cannot be read or is too large.
pub fn read_network(path: &Path) -> Result<Network, QuantError> {
    let io = |source| QuantError::Io {
        path: path.to_owned(),
        source,
    };
    let length = std::fs::metadata(path).map_err(io)?.len();
    let name = path.display().to_string();
    if length > MAX_FILE {
        return Err(QuantError::File {
            name,
            why: format!("network of {length} bytes, limit {MAX_FILE}"),
        });
    }
    network_from_bytes(&name, &std::fs::read(path).map_err(io)?)
}

fn checksum<'a>(structure: &str, tensors: impl Iterator<Item = (&'a str, &'a [usize], &'a [u8])>) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(structure.as_bytes());
    for (name, shape, data) in tensors {
        part(name.as_bytes());
        part(format!("{shape:?}").as_bytes());
        part(data);
    }
    cml_file::to_hex(&hash.finalize())
}

/// Labels go into files, and from there to terminals.
fn check_labels(labels: &[String]) -> Result<(), QuantError> {
    let fault = |(i, label): (usize, &String)| Some((i, cml_ir::name_fault(label)?));
    match labels.iter().enumerate().find_map(fault) {
        None => Ok(()),
        Some((i, why)) => Err(QuantError::Names {
            what: "classes",
            why: format!("are not valid: number {i} {why}"),
        }),
    }
}

fn describe(network: &Network, tensors: &mut Written) -> Result<FileNetwork, QuantError> {
    check_labels(network.labels())?;
    let layer = |node: &LayerNode| {
        Some(FileLayer {
            name: node.name.clone(),
            operands: node.operands.iter().map(|o| o.index()).collect(),
            layer: FileOp::of(node, tensors)?,
        })
    };
    Ok(FileNetwork {
        version: VERSION,
        name: network.name().to_owned(),
        input_shape: network.layers()[0].shape.clone(),
        layers: network.layers().iter().filter_map(layer).collect(),
        output: network.output()?.index(),
        labels: network.labels().to_vec(),
        probabilities: network.probabilities(),
        columns: network.columns().to_vec(),
        input_steps: network.input_steps().to_vec(),
        training: network.training().map(FileTraining::of),
    })
}

fn rebuild(parsed: FileNetwork, tensors: &Tensors<'_>) -> Result<Network, QuantError> {
    let mut network = Network::new(parsed.name, parsed.input_shape);
    for FileLayer {
        name,
        operands,
        layer,
    } in parsed.layers
    {
        let layer = layer.read(&name, tensors)?;
        let operands: Vec<LayerId> = operands.into_iter().map(LayerId).collect();
        network.push(&name, layer, &operands)?;
    }
    check_labels(&parsed.labels)?;
    let labels: Vec<&str> = parsed.labels.iter().map(String::as_str).collect();
    network.set_output(LayerId(parsed.output), &labels)?;
    network.set_probabilities(parsed.probabilities);
    network.set_columns(parsed.columns)?;
    network.set_input_steps(parsed.input_steps)?;
    network.set_training(parsed.training.map(|t| t.rows()).transpose()?)?;
    Ok(network)
}
