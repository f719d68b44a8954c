//! What can be wrong with a graph, an input or a file.

/// Errors of this crate. Messages name the node, what it has and what it needs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IrError {
    /// A tensor whose data does not fill its shape.
    #[error("tensor of shape {shape:?} needs {needs} values, has {has}")]
    TensorLength {
        /// Declared shape.
        shape: Vec<usize>,
        /// Values that the shape needs.
        needs: usize,
        /// Values given.
        has: usize,
    },
    /// A shape with too many dimensions or elements.
    #[error("shape {shape:?} has more than {limit} elements or more than 6 dimensions")]
    ShapeTooLarge {
        /// Offending shape.
        shape: Vec<usize>,
        /// Largest number of elements.
        limit: usize,
    },
    /// An interval whose ends are the wrong way round.
    #[error("interval {lo}..{hi} is empty")]
    EmptyInterval {
        /// Lower end.
        lo: i64,
        /// Upper end.
        hi: i64,
    },
    /// A step function that is not in canonical form.
    #[error("lookup table: {0}")]
    Table(&'static str),
    /// A node that refers to a node that does not come before it.
    #[error("node {node}: operand %{operand} is not defined before it")]
    Operand {
        /// Node that refers.
        node: String,
        /// Operand's number.
        operand: u32,
    },
    /// A name that is empty, too long, unprintable or taken.
    #[error("node name {name:?} {why}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A shape that an operation cannot take.
    #[error("node {node}: {what}: needs {needs}, has {has}")]
    Shape {
        /// Node.
        node: String,
        /// Which operand or attribute.
        what: &'static str,
        /// What it must be.
        needs: String,
        /// What it is.
        has: String,
    },
    /// Values that may grow past the limit of exact arithmetic.
    #[error("node {node}: values reach a magnitude of {has}, limit {limit}")]
    Range {
        /// Node.
        node: String,
        /// Bound on the magnitude.
        has: i128,
        /// Largest magnitude allowed.
        limit: i64,
    },
    /// A graph with more than analyses can take.
    #[error("node {node}: the graph has {has} {what} up to here, limit {limit}")]
    GraphTooLarge {
        /// Node that exceeds the limit.
        node: String,
        /// `nodes`, `elements` or `terms`.
        what: &'static str,
        /// How many there are, this node's included.
        has: u64,
        /// Largest number allowed.
        limit: u64,
    },
    /// A scale that is not finite or not positive, or an offset not finite.
    #[error("node {node}: {what} is {has}, must be finite{}", if *.what == "scale" { " and positive" } else { "" })]
    Scale {
        /// Node.
        node: String,
        /// `scale` or `offset`.
        what: &'static str,
        /// Value found.
        has: f32,
    },
    /// Names of an input's columns that cannot be kept.
    #[error("node {node}: the names of its columns {why}")]
    Columns {
        /// Input node.
        node: String,
        /// What is wrong with them.
        why: String,
    },
    /// A graph without an input or without an output.
    #[error("graph {graph} has no {what}")]
    Missing {
        /// Graph.
        graph: String,
        /// `input` or `output`.
        what: &'static str,
    },
    /// The wrong number of input tensors.
    #[error("graph {graph} takes {needs} inputs, got {has}")]
    InputCount {
        /// Graph.
        graph: String,
        /// Inputs it takes.
        needs: usize,
        /// Tensors given.
        has: usize,
    },
    /// An input value outside the declared range.
    #[error("input {node}: element {index} is {has}, outside {range}")]
    InputRange {
        /// Input node.
        node: String,
        /// Flat index.
        index: usize,
        /// Value.
        has: i64,
        /// Declared range.
        range: crate::Interval,
    },
    /// An input that is not a number.
    #[error("input {node}: element {index} is {has}, not a finite number")]
    InputNotFinite {
        /// Input node.
        node: String,
        /// Flat index.
        index: usize,
        /// Value.
        has: f32,
    },
    /// A pass that changed what a graph computes for its users.
    #[error("pass {pass} changed the interface of graph {graph}: {what}")]
    PassBroke {
        /// Pass.
        pass: &'static str,
        /// Graph.
        graph: String,
        /// What differs.
        what: String,
    },
    /// A file, or its frame.
    #[error(transparent)]
    File(#[from] cml_file::FileError),
    /// A file whose frame is good, and whose graph is not.
    #[error("{name}: {source}")]
    Payload {
        /// File or blob.
        name: String,
        /// Cause.
        source: Box<IrError>,
    },
    /// A graph that its file format cannot hold.
    #[error("graph {graph} takes {has} bytes, limit {limit}")]
    FileTooLarge {
        /// Graph.
        graph: String,
        /// Bytes of its content.
        has: usize,
        /// Largest number of bytes of a file's content.
        limit: usize,
    },
    /// A line of text that is not the line of a graph.
    #[error("line {line}: needs {needs}, has {has}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// What must stand there.
        needs: String,
        /// What stands there.
        has: String,
    },
    /// A line of text whose node, or with which the graph, is not valid.
    #[error("line {line}: {source}")]
    Line {
        /// Line, from 1.
        line: usize,
        /// Cause.
        source: Box<IrError>,
    },
    /// A payload that does not decode.
    #[error("malformed {what}: {why}")]
    Decode {
        /// Kind of payload.
        what: &'static str,
        /// Decoder's words.
        why: String,
    },
}
