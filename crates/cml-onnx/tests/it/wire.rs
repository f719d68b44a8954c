//! ONNX files, written field by field.

/// A model under construction.
#[derive(Clone, Default)]
pub(crate) struct File {
    nodes: Vec<u8>,
    tensors: Vec<u8>,
    interface: Vec<u8>,
    functions: Vec<u8>,
    /// Each node, for functions.
    bodies: Vec<Vec<u8>>,
    pub(crate) opset: u64,
}

/// An attribute's value.
#[derive(Clone, Copy)]
pub(crate) enum Attr<'a> {
    Int(i64),
    Float(f32),
    Ints(&'a [i64]),
    Text(&'a str),
    Floats(&'a [f32]),
    Texts(&'a [&'a str]),
}

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

pub(crate) fn number(field: u64, value: i64) -> Vec<u8> {
    [varint(field << 3), varint(value as u64)].concat()
}

pub(crate) fn block(field: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn text(field: u64, value: &str) -> Vec<u8> {
    block(field, value.as_bytes())
}

/// A tensor of a type with raw data.
pub(crate) fn tensor(name: &str, dims: &[i64], code: i64, raw: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&d| number(1, d)).collect();
    [dims, number(2, code), text(8, name), block(9, raw)].concat()
}

/// A tensor whose data lies elsewhere.
pub(crate) fn external(name: &str, dims: &[i64], entries: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes: Vec<u8> = dims.iter().flat_map(|&d| number(1, d)).collect();
    bytes.extend([number(2, 1), text(8, name)].concat());
    for (key, value) in entries {
        bytes.extend(block(13, &[text(1, key), text(2, value)].concat()));
    }
    bytes.extend(number(14, 1));
    bytes
}

fn value(name: &str, shape: &[i64]) -> Vec<u8> {
    let dim = |&d: &i64| {
        let size = if d < 0 { text(2, "batch") } else { number(1, d) };
        block(1, &size)
    };
    let shape: Vec<u8> = shape.iter().flat_map(dim).collect();
    let tensor = [number(1, 1), block(2, &shape)].concat();
    [text(1, name), block(2, &block(1, &tensor))].concat()
}

impl File {
    /// Input `x` of a shape (-1 is symbolic), output `y`, operator set 17.
    pub(crate) fn new(shape: &[i64]) -> Self {
        let mut file = Self {
            opset: 17,
            ..Self::default()
        };
        file.interface.extend(block(11, &value("x", shape)));
        file.interface.extend(block(12, &text(1, "y")));
        file
    }

    /// A node `inputs -> output` named as its output; operators with a dot are of another domain.
    pub(crate) fn node(
        mut self,
        op: &str,
        inputs: &str,
        output: &str,
        attributes: &[(&str, Attr<'_>)],
    ) -> Self {
        let mut bytes: Vec<u8> = inputs
            .split_whitespace()
            .flat_map(|i| text(1, i.trim_matches('_')))
            .collect();
        let (domain, op) = op.rsplit_once(':').unwrap_or(("", op));
        bytes.extend([text(2, output), text(3, output), text(4, op), text(7, domain)].concat());
        for (name, value) in attributes {
            let value = match value {
                Attr::Int(i) => [number(3, *i), number(20, 2)].concat(),
                Attr::Float(f) => [varint(2 << 3 | 5), f.to_le_bytes().to_vec(), number(20, 1)].concat(),
                Attr::Ints(list) => {
                    let list: Vec<u8> = list.iter().flat_map(|&i| number(8, i)).collect();
                    [list, number(20, 7)].concat()
                }
                Attr::Text(t) => [text(4, t), number(20, 3)].concat(),
                Attr::Floats(list) => {
                    let float = |f: &f32| [varint(7 << 3 | 5), f.to_le_bytes().to_vec()].concat();
                    let list: Vec<u8> = list.iter().flat_map(float).collect();
                    [list, number(20, 6)].concat()
                }
                Attr::Texts(list) => {
                    let list: Vec<u8> = list.iter().flat_map(|t| text(9, t)).collect();
                    [list, number(20, 8)].concat()
                }
            };
            bytes.extend(block(5, &[text(1, name), value].concat()));
        }
        self.bodies.push(bytes.clone());
        self.nodes.extend(block(1, &bytes));
        self
    }

    /// Metadata for the node that was added last.
    pub(crate) fn noted(mut self, entries: &[(&str, &str)]) -> Self {
        let mut last = self.bodies.pop().unwrap();
        self.nodes.truncate(self.nodes.len() - block(1, &last).len());
        for (key, value) in entries {
            last.extend(block(9, &[text(1, key), text(2, value)].concat()));
        }
        self.nodes.extend(block(1, &last));
        self.bodies.push(last);
        self
    }

    /// A function `domain.name` of nodes in which a value `a` becomes `b`.
    pub(crate) fn function(mut self, name: &str, body: &File) -> Self {
        // Nodes of a graph have field 1, those of a function field 7.
        let mut nodes = Vec::new();
        for node in &body.bodies {
            nodes.extend(block(7, node));
        }
        let bytes = [text(1, name), text(4, "a"), text(5, "b"), nodes, text(10, "own")].concat();
        self.functions.extend(block(25, &bytes));
        self
    }

    pub(crate) fn floats(self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.raw(&tensor(name, dims, 1, &raw))
    }

    pub(crate) fn ints(self, name: &str, dims: &[i64], values: &[i64]) -> Self {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.raw(&tensor(name, dims, 7, &raw))
    }

    pub(crate) fn bytes8(self, name: &str, dims: &[i64], signed: bool, values: &[i8]) -> Self {
        let raw: Vec<u8> = values.iter().map(|&v| v as u8).collect();
        self.raw(&tensor(name, dims, if signed { 3 } else { 2 }, &raw))
    }

    /// An initializer as it is.
    pub(crate) fn raw(mut self, tensor: &[u8]) -> Self {
        self.tensors.extend(block(5, tensor));
        self
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let graph = [&self.nodes[..], &self.tensors, &self.interface].concat();
        let opset = [text(1, ""), number(2, self.opset as i64)].concat();
        [
            number(1, 8),
            block(7, &graph),
            self.functions.clone(),
            block(8, &opset),
        ]
        .concat()
    }
}

/// A QONNX quantizer of activations of 4 bits.
pub(crate) fn quant(file: File, x: &str, y: &str, scale: &str) -> File {
    let attributes = [
        ("signed", Attr::Int(1)),
        ("narrow", Attr::Int(0)),
        ("rounding_mode", Attr::Text("ROUND")),
    ];
    file.node(
        "onnx.brevitas:Quant",
        &format!("{x} {scale} zero four"),
        y,
        &attributes,
    )
}

/// A file with the constants of [`quant`]: scales `s` and `t`, weights `w` `[2, 2]`, and their codes `wq`.
pub(crate) fn quantized(shape: &[i64]) -> File {
    let file = File::new(shape)
        .floats("s", &[], &[0.25])
        .floats("t", &[], &[0.5])
        .floats("zero", &[], &[0.0])
        .floats("four", &[], &[4.0])
        .floats("w", &[2, 2], &[0.5, -0.25, 1.0, 0.75]);
    quant(file, "w", "wq", "s")
}
