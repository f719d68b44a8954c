//! What the decoder of rten-onnx skips: metadata of nodes, and functions of the file's own.

use crate::OnnxError;
use rten_onnx::onnx::{AttributeProto, NodeProto, StringStringEntryProto};
use rten_onnx::protobuf::{DecodeMessage, Fields, OwnedValues, ProtobufError, ReadValue, ValueReader};

/// Metadata of the nodes of a file, and its functions.
#[derive(Default)]
pub(crate) struct Extras {
    /// Of the nodes of the graph, in their order.
    pub(crate) nodes: Vec<NodeExtras>,
    pub(crate) functions: Vec<FunctionProto>,
}

/// What a node has beside its operands and attributes.
#[derive(Default)]
pub(crate) struct NodeExtras {
    pub(crate) metadata: Vec<StringStringEntryProto>,
    /// Attributes that stand for one of the function's that the node is in.
    pub(crate) references: Vec<Reference>,
}

/// An attribute that takes its value from one of the function around it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) of: String,
}

/// A function: an operator that the file itself defines.
#[derive(Default)]
pub(crate) struct FunctionProto {
    pub(crate) domain: String,
    pub(crate) name: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) nodes: Vec<NodeProto>,
    /// Of the nodes, in their order.
    pub(crate) extras: Vec<NodeExtras>,
    /// Attributes with the values that they have where a call gives none.
    pub(crate) defaults: Vec<AttributeProto>,
}

/// Reads what the bytes of a model have beside its graph.
///
/// # Errors
/// If the bytes are none.
pub(crate) fn read(bytes: &[u8]) -> Result<Extras, OnnxError> {
    let fail = |e: ProtobufError| OnnxError::Format(e.to_string());
    let mut extras = Extras::decode(ValueReader::from_buf(bytes)).map_err(fail)?;
    let functions = Functions::decode(ValueReader::from_buf(bytes)).map_err(fail)?;
    for (function, nodes) in extras.functions.iter_mut().zip(functions.nodes) {
        function.extras = nodes;
    }
    Ok(extras)
}

/// Reads a message field by field: `read` is given each field.
macro_rules! message {
    ($name:ty, $message:ident, $field:ident, { $($number:literal => $read:expr,)* }) => {
        impl DecodeMessage for $name {
            type Types = OwnedValues;

            fn decode_fields<R: ReadValue<Types = Self::Types>>(
                mut fields: Fields<R>,
            ) -> Result<Self, ProtobufError> {
                let mut $message = Self::default();
                while let Some(mut $field) = fields.next()? {
                    match $field.number() {
                        $($number => $read,)*
                        _ => $field.skip()?,
                    }
                }
                Ok($message)
            }
        }
    };
}

message!(Extras, model, field, {
    7 => model.nodes = GraphExtras::decode_field(&mut field)?.nodes,
    25 => model.functions.push(FunctionProto::decode_field(&mut field)?),
});

/// Metadata of the nodes of a graph.
#[derive(Default)]
struct GraphExtras {
    nodes: Vec<NodeExtras>,
}

message!(GraphExtras, graph, field, {
    1 => graph.nodes.push(NodeExtras::decode_field(&mut field)?),
});

message!(NodeExtras, node, field, {
    5 => {
        let reference = Reference::decode_field(&mut field)?;
        if !reference.of.is_empty() {
            node.references.push(reference);
        }
    },
    9 => node.metadata.push(StringStringEntryProto::decode_field(&mut field)?),
});

message!(Reference, attribute, field, {
    1 => attribute.name = field.read_string()?,
    21 => attribute.of = field.read_string()?,
});

message!(FunctionProto, function, field, {
    1 => function.name = field.read_string()?,
    4 => function.inputs.push(field.read_string()?),
    5 => function.outputs.push(field.read_string()?),
    7 => function.nodes.push(NodeProto::decode_field(&mut field)?),
    10 => function.domain = field.read_string()?,
    11 => function.defaults.push(AttributeProto::decode_field(&mut field)?),
});

/// Metadata of the nodes of all functions.
#[derive(Default)]
struct Functions {
    nodes: Vec<Vec<NodeExtras>>,
}

message!(Functions, model, field, {
    25 => model.nodes.push(FunctionExtras::decode_field(&mut field)?.nodes),
});

/// Metadata of the nodes of a function.
#[derive(Default)]
struct FunctionExtras {
    nodes: Vec<NodeExtras>,
}

message!(FunctionExtras, function, field, {
    7 => function.nodes.push(NodeExtras::decode_field(&mut field)?),
});

/// Name of a node by the module that it comes from, and the line of the program that made it, as torch's
/// exporter notes them: `fc1/Gemm` and `net.py:12`.
pub(crate) fn place(metadata: &[StringStringEntryProto], op: &str) -> (Option<String>, Option<String>) {
    let entry = |key: &str| {
        let entry = metadata.iter().find(|e| e.key.as_deref() == Some(key));
        entry.and_then(|e| e.value.as_deref())
    };
    let name = entry("pkg.torch.onnx.name_scopes").and_then(|scopes| {
        // A list as Python prints it; its last entry is the node itself.
        let scopes: Vec<&str> = scopes.trim_matches(['[', ']']).split(", ").collect();
        let modules = scopes.iter().map(|s| s.trim_matches(['\'', '"'])).rev().skip(1);
        let module = modules.into_iter().find(|s| !s.is_empty())?;
        Some(format!("{}/{op}", module.replace('.', "/")))
    });
    let line = entry("pkg.torch.onnx.stack_trace").and_then(|trace| {
        let frames = trace.lines().rev().filter_map(|line| {
            let (path, rest) = line.trim().strip_prefix("File \"")?.split_once("\", line ")?;
            let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let own = !path.contains("site-packages") && !path.contains("dist-packages");
            let file = path.rsplit(['/', '\\']).next()?;
            own.then(|| format!("{file}:{number}"))
        });
        frames.into_iter().next()
    });
    (name, line)
}
