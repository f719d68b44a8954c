//! Networks as safetensors files.
//!
//! Tensors `LAYER.weight` (dense `[out, in]`, convolution `[out, in / groups,
//! height, width]`) and `LAYER.bias` `[out]`, `F32`. The
//! metadata entry `cml.network` is 64 hex digits, a blank, and JSON: format
//! version, layers, quantizers (none in a float network). The digits are a SHA-256 of the JSON and every
//! tensor, so damage is found. (One entry: the order of several is random.)

use crate::error::misfit;
use crate::{
    ActQuantizer, Conv2d, Layer, LayerId, LayerNode, Linear, Network, Normalize, Pool, QuantError,
    Univariate, WeightQuantizer,
};
use cml_file::{Access, write_atomic};
use ndarray::{Array, Dimension, Ix2, Ix4};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

const VERSION: u32 = 3;
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
    Linear {
        weights: Option<WeightQuantizer>,
        bias: bool,
    },
    Conv2d {
        weights: Option<WeightQuantizer>,
        bias: bool,
        stride: [usize; 2],
        padding: [usize; 4],
        groups: usize,
    },
    Pool(Pool),
    Function(Univariate),
    Reshape {
        shape: Vec<usize>,
    },
    Add,
    Sub,
    Transpose {
        perm: Vec<usize>,
    },
    Slice {
        starts: Vec<usize>,
        ends: Vec<usize>,
        steps: Vec<usize>,
    },
    Pad {
        padding: Vec<[usize; 2]>,
    },
    Concat {
        axis: usize,
    },
}

/// Shapes and little-endian numbers to write.
type Bytes = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

/// What was read.
type Tensors<'a> = BTreeMap<String, TensorView<'a>>;

/// Weights and bias.
type Parameters<D> = (Array<f32, D>, Option<Vec<f32>>);

/// A network as the bytes of a `.safetensors` file.
///
/// # Errors
/// If the network has no output.
pub fn network_to_bytes(network: &Network) -> Result<Vec<u8>, QuantError> {
    let fail = |why: String| QuantError::File {
        name: network.name().to_owned(),
        why,
    };
    let mut tensors = Bytes::new();
    for node in network.layers() {
        match &node.layer {
            Layer::Linear(l) => store(&mut tensors, &node.name, l.weights(), l.bias()),
            Layer::Conv2d(c) => store(&mut tensors, &node.name, c.weights(), c.bias()),
            Layer::Input
            | Layer::Normalize(_)
            | Layer::Quantize(_)
            | Layer::Pool(_)
            | Layer::Function(_)
            | Layer::Reshape { .. }
            | Layer::Add
            | Layer::Sub
            | Layer::Transpose { .. }
            | Layer::Slice { .. }
            | Layer::Pad { .. }
            | Layer::Concat { .. } => {}
        }
    }
    let structure = serde_json::to_string(&describe(network)?).map_err(|e| fail(e.to_string()))?;
    let views: Result<Vec<(&str, TensorView<'_>)>, _> = tensors
        .iter()
        .map(|(name, (shape, data))| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data)?)))
        .collect();
    let views = views.map_err(|e: safetensors::SafeTensorError| fail(e.to_string()))?;
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
    let tensors: Tensors<'_> = file.tensors().into_iter().collect();
    if checksum(
        structure,
        tensors.iter().map(|(n, v)| (n.as_str(), v.shape(), v.data())),
    ) != expected
    {
        return Err(fail("checksum mismatch: the file is damaged".to_owned()));
    }
    let parsed: FileNetwork =
        serde_json::from_str(structure).map_err(|e| fail(format!("malformed {STRUCTURE} entry: {e}")))?;
    if parsed.version != VERSION {
        return Err(fail(format!(
            "network format version {}, this program reads {VERSION}",
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

fn describe(network: &Network) -> Result<FileNetwork, QuantError> {
    let layer = |node: &LayerNode| {
        let layer = match &node.layer {
            Layer::Input => return None,
            Layer::Normalize(n) => FileOp::Normalize(n.clone()),
            Layer::Quantize(q) => FileOp::Quantize(*q),
            Layer::Linear(l) => FileOp::Linear {
                weights: l.quantizer().cloned(),
                bias: l.bias().is_some(),
            },
            Layer::Conv2d(c) => FileOp::Conv2d {
                weights: c.quantizer().cloned(),
                bias: c.bias().is_some(),
                stride: c.stride(),
                padding: c.padding(),
                groups: c.groups(),
            },
            Layer::Pool(p) => FileOp::Pool(*p),
            Layer::Function(f) => FileOp::Function(f.clone()),
            Layer::Reshape { shape } => FileOp::Reshape { shape: shape.clone() },
            Layer::Add => FileOp::Add,
            Layer::Sub => FileOp::Sub,
            Layer::Transpose { perm } => FileOp::Transpose { perm: perm.clone() },
            Layer::Slice { starts, ends, steps } => FileOp::Slice {
                starts: starts.clone(),
                ends: ends.clone(),
                steps: steps.clone(),
            },
            Layer::Pad { padding } => FileOp::Pad {
                padding: padding.clone(),
            },
            Layer::Concat { axis } => FileOp::Concat { axis: *axis },
        };
        let operands = node.operands.iter().map(|o| o.index()).collect();
        Some(FileLayer {
            name: node.name.clone(),
            operands,
            layer,
        })
    };
    Ok(FileNetwork {
        version: VERSION,
        name: network.name().to_owned(),
        input_shape: network.layers()[0].shape.clone(),
        layers: network.layers().iter().filter_map(layer).collect(),
        output: network.output()?.index(),
        labels: network.labels().to_vec(),
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
        let invalid = |e: QuantError| QuantError::File {
            name: format!("layer {name}"),
            why: e.to_string(),
        };
        let layer = match layer {
            FileOp::Normalize(n) => Layer::Normalize(n),
            FileOp::Quantize(q) => Layer::Quantize(q.checked()?),
            FileOp::Function(f) => Layer::Function(f),
            FileOp::Linear { weights, bias } => {
                let (values, bias) = load::<Ix2>(tensors, &name, "[out, in]", bias)?;
                Layer::Linear(Linear::new(values, bias, weights).map_err(invalid)?)
            }
            FileOp::Conv2d {
                weights,
                bias,
                stride,
                padding,
                groups,
            } => {
                let needs = "[out, in / groups, height, width]";
                let (values, bias) = load::<Ix4>(tensors, &name, needs, bias)?;
                let conv = Conv2d::new(values, bias, weights).map_err(invalid)?;
                Layer::Conv2d(conv.with_stride(stride).with_padding(padding).with_groups(groups))
            }
            FileOp::Pool(p) => Layer::Pool(p),
            FileOp::Reshape { shape } => Layer::Reshape { shape },
            FileOp::Add => Layer::Add,
            FileOp::Sub => Layer::Sub,
            FileOp::Transpose { perm } => Layer::Transpose { perm },
            FileOp::Slice { starts, ends, steps } => Layer::Slice { starts, ends, steps },
            FileOp::Pad { padding } => Layer::Pad { padding },
            FileOp::Concat { axis } => Layer::Concat { axis },
        };
        let operands: Vec<LayerId> = operands.into_iter().map(LayerId).collect();
        network.push(&name, layer, &operands)?;
    }
    let labels: Vec<&str> = parsed.labels.iter().map(String::as_str).collect();
    network.set_output(LayerId(parsed.output), &labels)?;
    Ok(network)
}

fn store<D: Dimension>(tensors: &mut Bytes, layer: &str, weights: &Array<f32, D>, bias: Option<&[f32]>) {
    let bytes = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
    tensors.insert(format!("{layer}.weight"), (weights.shape().to_vec(), bytes));
    if let Some(bias) = bias {
        let bytes = bias.iter().flat_map(|b| b.to_le_bytes()).collect();
        tensors.insert(format!("{layer}.bias"), (vec![bias.len()], bytes));
    }
}

/// Weights, and the bias if the layer has one; `needs` are the axes.
fn load<D: Dimension>(
    tensors: &Tensors<'_>,
    layer: &str,
    needs: &str,
    bias: bool,
) -> Result<Parameters<D>, QuantError> {
    let (shape, weights) = floats(tensors, &format!("{layer}.weight"))?;
    let weights = Array::from_shape_vec(shape.as_slice(), weights)
        .and_then(Array::into_dimensionality)
        .map_err(|_| misfit(layer, "weights", needs, format!("{shape:?}")))?;
    let bias = bias
        .then(|| floats(tensors, &format!("{layer}.bias")))
        .transpose()?;
    Ok((weights, bias.map(|(_, values)| values)))
}

fn floats(tensors: &Tensors<'_>, name: &str) -> Result<(Vec<usize>, Vec<f32>), QuantError> {
    let fail = |why: &str| QuantError::File {
        name: name.to_owned(),
        why: why.to_owned(),
    };
    let view = tensors.get(name).ok_or_else(|| fail("tensor is missing"))?;
    if view.dtype() != Dtype::F32 {
        return Err(fail("tensor must be F32"));
    }
    let data = view
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    Ok((view.shape().to_vec(), data))
}
