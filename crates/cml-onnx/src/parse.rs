//! From bytes to a [`Model`].

use crate::extras::{self, FunctionProto, NodeExtras};
use crate::inline::{self, Function, Functions, InnerNode};
use crate::model::{Attribute, Info, Model, Node};
use crate::tensor::{Dtype, Tensor};
use crate::{OnnxError, order, wire};
use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Most bytes of a file.
pub(crate) const MAX_BYTES: u64 = 1 << 28;
/// Most bytes of all constants together.
const MAX_CONSTANTS: usize = 1 << 27;
/// Operator set of a file without operators of ONNX's own.
const UNSTATED_OPSET: i64 = 17;
/// Type of attributes that the decoder has no name for: lists of texts.
const STRINGS: AttributeType = AttributeType(8);

/// Decodes a file; `folder` is where it lies, for data that it keeps in other files.
///
/// # Errors
/// If the bytes are no ONNX model, are too large, or the graph is not one: tensors that do not
/// fit their shapes, values of two sources, cycles.
pub(crate) fn parse(bytes: &[u8], folder: Option<&Path>) -> Result<Model, OnnxError> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(OnnxError::TooLarge {
            what: "bytes of the file".to_owned(),
            has: bytes.len() as u64,
            limit: MAX_BYTES,
        });
    }
    let opset = wire::check(bytes)?;
    let proto = ModelProto::parse_buf(bytes).map_err(|e| OnnxError::Format(e.to_string()))?;
    let graph = proto
        .graph
        .ok_or_else(|| OnnxError::Format("it has no graph".to_owned()))?;
    // What a file says of ONNX's own operators does not matter if it has none.
    let own = |node: &NodeProto| matches!(node.domain.as_deref(), None | Some("" | "ai.onnx"));
    let opset = if graph.node.iter().any(own) {
        opset
    } else {
        Some(UNSTATED_OPSET)
    };
    let opset = opset.ok_or_else(|| OnnxError::Format("it has no operator set".to_owned()))?;
    if graph.node.is_empty() {
        return Err(OnnxError::Format("its graph has no nodes".to_owned()));
    }
    let mut reader = Reader { folder, elements: 0 };
    let mut constants = BTreeMap::new();
    for tensor in &graph.initializer {
        let name = tensor.name.clone().unwrap_or_default();
        if constants.insert(name.clone(), reader.tensor(tensor)?).is_some() {
            return Err(OnnxError::Twice(name));
        }
    }
    let extras = extras::read(bytes)?;
    let mut nodes = Vec::with_capacity(graph.node.len());
    for (node, extras) in graph.node.iter().zip(&extras.nodes) {
        nodes.push(reader.node(node, extras)?);
    }
    let mut functions = Functions::new();
    for function in extras.functions {
        let key = (function.domain.clone(), function.name.clone());
        functions.insert(key, reader.function(function)?);
    }
    let nodes = inline::inline(nodes, &functions)?;
    let inputs: Vec<Info> = graph
        .input
        .iter()
        .map(info)
        .filter(|i| !constants.contains_key(&i.name))
        .collect();
    only_sources(&inputs, &constants, &nodes)?;
    let stated = graph.value_info.iter().chain(&graph.output).map(info);
    let producer = [proto.producer_name, proto.producer_version].map(Option::unwrap_or_default);
    let producer = producer.join(" ").trim().replace(char::is_control, "\u{fffd}");
    Ok(Model {
        opset,
        nodes: order::sort(nodes)?,
        inputs,
        outputs: outputs(&graph),
        constants,
        shapes: stated.filter_map(|i| Some((i.name, i.shape?))).collect(),
        producer: Some(producer).filter(|p| !p.is_empty()),
    })
}

fn outputs(graph: &GraphProto) -> Vec<String> {
    graph
        .output
        .iter()
        .map(|o| o.name.clone().unwrap_or_default())
        .collect()
}

/// Refuses values that two nodes, inputs or constants provide.
fn only_sources(
    inputs: &[Info],
    constants: &BTreeMap<String, Tensor>,
    nodes: &[Node],
) -> Result<(), OnnxError> {
    let mut seen: BTreeSet<&str> = constants.keys().map(String::as_str).collect();
    let results = nodes.iter().flat_map(|n| &n.outputs).filter(|o| !o.is_empty());
    for name in inputs.iter().map(|i| &i.name).chain(results) {
        if !seen.insert(name) {
            return Err(OnnxError::Twice(name.clone()));
        }
    }
    Ok(())
}

fn info(value: &ValueInfoProto) -> Info {
    let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let size = |d: &rten_onnx::onnx::Dimension| d.dim_value.and_then(|v| usize::try_from(v).ok());
    Info {
        name: value.name.clone().unwrap_or_default(),
        shape: tensor
            .and_then(|t| t.shape.as_ref())
            .map(|s| s.dim.iter().map(size).collect()),
        dtype: tensor
            .and_then(|t| t.elem_type)
            .and_then(|t| Dtype::from_onnx(i64::from(t.0))),
        is_text: tensor.and_then(|t| t.elem_type) == Some(DataType::STRING),
    }
}

struct Reader<'a> {
    folder: Option<&'a Path>,
    elements: usize,
}

impl Reader<'_> {
    fn tensor(&mut self, proto: &TensorProto) -> Result<Tensor, OnnxError> {
        let stated = proto.dims.iter().try_fold(1i64, |n, &d| n.checked_mul(d.max(0)));
        let stated = stated.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        self.elements = self.elements.saturating_add(stated);
        if self.elements > MAX_CONSTANTS {
            return Err(OnnxError::TooLarge {
                what: format!(
                    "elements of constants up to {:?}",
                    proto.name.as_deref().unwrap_or("")
                ),
                has: self.elements as u64,
                limit: MAX_CONSTANTS as u64,
            });
        }
        Tensor::decode(proto, self.folder)
    }

    fn node(&mut self, proto: &NodeProto, extras: &NodeExtras) -> Result<Node, OnnxError> {
        let mut attributes = BTreeMap::new();
        for attribute in &proto.attribute {
            let name = attribute.name.clone().unwrap_or_default();
            attributes.insert(name, self.attribute(attribute)?);
        }
        let own = proto.name.clone().filter(|n| !n.is_empty());
        let result = || proto.output.first().cloned().unwrap_or_default();
        let op = proto.op_type.clone().unwrap_or_default();
        let (module, source) = extras::place(&extras.metadata, &op);
        Ok(Node {
            name: module.or(own).unwrap_or_else(result),
            source,
            op,
            domain: proto.domain.clone().unwrap_or_default(),
            inputs: proto.input.clone(),
            outputs: proto.output.clone(),
            attributes,
        })
    }

    fn function(&mut self, proto: FunctionProto) -> Result<Function, OnnxError> {
        let mut nodes = Vec::with_capacity(proto.nodes.len());
        for (node, extras) in proto.nodes.iter().zip(proto.extras) {
            nodes.push(InnerNode {
                node: self.node(node, &extras)?,
                references: extras.references,
            });
        }
        let mut defaults = BTreeMap::new();
        for attribute in &proto.defaults {
            let name = attribute.name.clone().unwrap_or_default();
            defaults.insert(name, self.attribute(attribute)?);
        }
        Ok(Function {
            inputs: proto.inputs,
            outputs: proto.outputs,
            nodes,
            defaults,
        })
    }

    fn attribute(&mut self, proto: &AttributeProto) -> Result<Attribute, OnnxError> {
        let known = proto.r#type.filter(|t| *t != AttributeType::UNDEFINED);
        Ok(match (known, proto) {
            (Some(AttributeType::FLOAT), a) => Attribute::Float(a.f.unwrap_or_default()),
            (Some(AttributeType::INT), a) => Attribute::Int(a.i.unwrap_or_default()),
            (Some(AttributeType::STRING), a) => Attribute::Text(a.s.clone().unwrap_or_default()),
            (Some(AttributeType::FLOATS), a) => Attribute::Floats(a.floats.clone()),
            (Some(AttributeType::INTS), a) => Attribute::Ints(a.ints.clone()),
            (Some(STRINGS), a) => Attribute::Texts(a.strings.clone()),
            (_, AttributeProto { t: Some(t), .. }) => Attribute::Tensor(self.tensor(t)?),
            (Some(_), _) => Attribute::Other,
            (None, AttributeProto { f: Some(f), .. }) => Attribute::Float(*f),
            (None, AttributeProto { i: Some(i), .. }) => Attribute::Int(*i),
            (None, AttributeProto { s: Some(s), .. }) => Attribute::Text(s.clone()),
            (None, a) if !a.ints.is_empty() => Attribute::Ints(a.ints.clone()),
            (None, a) if !a.floats.is_empty() => Attribute::Floats(a.floats.clone()),
            (None, a) if !a.strings.is_empty() => Attribute::Texts(a.strings.clone()),
            (None, _) => Attribute::Other,
        })
    }
}
