//! From text to a graph.

use super::tokens::{Token, Tokens, unquote};
use crate::graph::NodeId;
use crate::tensor::channels;
use crate::{
    Conv2d, Dot, Graph, GraphBuilder, Interval, IrError, Lut, Op, Pad, Steps, SumPool, Tensor, Type,
};
use std::str::FromStr;

/// The graph that a text describes; [`graph_to_text`](crate::graph_to_text) writes such texts.
///
/// One node a line, every operand before who reads it:
///
/// ```
/// # use cml_ir::{Tensor, graph_from_text, interpret};
/// let text = r#"
/// graph "tiny"                                  ; a comment goes on to the end of its line
/// %0 "x": i3[2] -3..3 = input [2] scale 1.0 range -3..3
/// %1 "fc": i5[1] -9..9 = dot %0 weights [1,2] [2,-1] bias [0]
/// %2 "relu" = lut %1 {0, 1:1, 2:2, 5:9}
/// %3 "y" = output %2 scale 0.5 labels ["yes"]
/// "#;
/// let graph = graph_from_text(text)?;
/// let y = interpret(&graph, &[Tensor::new(vec![2], vec![3, 1])?])?;
/// assert_eq!(y[0].data(), &[9]);
/// # Ok::<(), cml_ir::IrError>(())
/// ```
///
/// A line is the node's number, its name, its type, the operation, the operands and the fields of
/// the operation, in the order of the table. Numbers count from `%0`. The type may be left out,
/// colon and all; where it stands, it must be the one that is inferred. Fields in parentheses may
/// be left out, and then have the value that the table gives.
///
/// | operation | operands | fields |
/// |---|---|---|
/// | `input` | none | shape, `scale`, (`offset 0.0`), (`zero 0`), `range`, (`columns []`) |
/// | `dot` | 1 | `weights` shape and elements, (`bias` all 0) |
/// | `conv2d` | 1 | `weights` shape and elements, (`bias` all 0), (`stride [1,1]`), (`pad [0,0,0,0]`: top, left, bottom, right), (`with 0`), (`groups 1`) |
/// | `sumpool` | 1 | `kernel`, `stride` |
/// | `add`, `sub` | 2 | |
/// | `lut` | 1 | a table for all channels, or one for each |
/// | `reshape` | 1 | shape |
/// | `transpose` | 1 | axes |
/// | `concat` | 1 or more | `axis` |
/// | `slice` | 1 | `axis`, `first..end` |
/// | `pad` | 1 | `before`, `after`, `with` |
/// | `output` | 1 | `scale`, (`offset 0.0`), (`zero 0`), (`labels []`) |
///
/// A list is `[1,2,3]`; scales and offsets that are one number may do without the brackets. A
/// table `{first, position:value, ..}` has the value `first` below the first position, and each
/// value from its position on. Names, labels and columns are in quotes, with the escapes of Rust. White
/// space between words means nothing, but a node takes one line.
///
/// # Errors
/// The first line that is not such a line, or whose node [`GraphBuilder::push`] refuses, with its
/// number; or what [`GraphBuilder::finish`] refuses. Memory is bounded by the length of the text
/// and the limits of the builder.
pub fn graph_from_text(text: &str) -> Result<Graph, IrError> {
    let mut last = 1;
    let lines = (1..).zip(text.lines()).map(|(number, line)| Line {
        number,
        tokens: Tokens::new(line),
    });
    let mut lines = lines
        .filter(|line| line.tokens.peek() != Token::End)
        .inspect(|line| last = line.number);
    let mut header = lines.next().ok_or_else(|| IrError::Syntax {
        line: 1,
        needs: "`graph` and its name".to_owned(),
        has: "the end of the text".to_owned(),
    })?;
    header.word("graph")?;
    let mut builder = GraphBuilder::new(header.quoted("the graph's name in quotes")?);
    header.end()?;
    for (number, mut line) in lines.enumerate() {
        line.define(number, &mut builder)?;
    }
    builder.finish().map_err(|e| at(last, e))
}

fn at(line: usize, source: IrError) -> IrError {
    let source = Box::new(source);
    IrError::Line { line, source }
}

pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: usize,
    pub(super) tokens: Tokens<'a>,
}

impl<'a> Line<'a> {
    /// Reads all of a line, and adds the node `number`.
    fn define(&mut self, number: usize, builder: &mut GraphBuilder) -> Result<(), IrError> {
        let id = self.tokens.next();
        if !matches!(&id, Token::Node(digits) if digits.parse() == Ok(number)) {
            return Err(self.wrong(format!("`%{number}`"), &id));
        }
        let name = self.quoted("the node's name in quotes")?;
        let ty = if self.follows(':') { Some(self.ty()?) } else { None };
        self.sign('=')?;
        let mnemonic = self.tokens.next();
        let operands = self.operands()?;
        let op = self.operation(&mnemonic)?;
        self.end()?;
        let line = self.number;
        let id = builder.push(&name, op, &operands).map_err(|e| at(line, e))?;
        let is = builder.ty(id).to_string();
        match ty {
            Some(ty) if ty != is => {
                let source = IrError::Shape {
                    node: name,
                    what: "type",
                    needs: is,
                    has: ty,
                };
                Err(at(line, source))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A type, as [`Type`]'s `Display` has it.
    fn ty(&mut self) -> Result<String, IrError> {
        let width = match self.tokens.next() {
            Token::Word(width) => width,
            other => return Err(self.wrong("a type", &other)),
        };
        let ty = Type {
            shape: self.list(Self::number)?,
            range: self.interval()?,
        };
        // The shape and range as they are written by us, whatever the spaces.
        let written = ty.to_string();
        let rest = written.find('[').map_or("", |at| &written[at..]);
        Ok(format!("{width}{rest}"))
    }

    fn operands(&mut self) -> Result<Vec<NodeId>, IrError> {
        let mut operands = Vec::new();
        if !matches!(self.tokens.peek(), Token::Node(_)) {
            return Ok(operands);
        }
        loop {
            operands.push(self.operand()?);
            if !self.follows(',') {
                return Ok(operands);
            }
        }
    }

    fn operand(&mut self) -> Result<NodeId, IrError> {
        match self.tokens.next() {
            token @ Token::Node(digits) => {
                let number = digits.parse().map(NodeId);
                number.map_err(|_| self.wrong("the number of a node", &token))
            }
            other => Err(self.wrong("an operand", &other)),
        }
    }

    /// An operation by its name, and its fields.
    fn operation(&mut self, mnemonic: &Token<'a>) -> Result<Op, IrError> {
        let Token::Word(word) = mnemonic else {
            return Err(self.wrong("an operation", mnemonic));
        };
        Ok(match *word {
            "input" => Op::Input {
                shape: self.list(Self::number)?,
                spec: self.input_spec()?,
            },
            "dot" => {
                let (weights, bias) = self.weights()?;
                Op::Dot(Dot { weights, bias })
            }
            "conv2d" => {
                let (weights, bias) = self.weights()?;
                Op::Conv2d(Conv2d {
                    weights,
                    bias,
                    stride: self.field_or("stride", [1; 2], Self::array)?,
                    padding: self.field_or("pad", [0; 4], Self::array)?,
                    pad_value: self.field_or("with", 0, Self::number)?,
                    groups: self.field_or("groups", 1, Self::number)?,
                })
            }
            "sumpool" => Op::SumPool(SumPool {
                kernel: self.field("kernel", Self::array)?,
                stride: self.field("stride", Self::array)?,
            }),
            "add" => Op::Add,
            "sub" => Op::Sub,
            "lut" => Op::Lut(self.tables()?),
            "reshape" => Op::Reshape {
                shape: self.list(Self::number)?,
            },
            "transpose" => Op::Transpose {
                perm: self.list(Self::number)?,
            },
            "concat" => Op::Concat {
                axis: self.field("axis", Self::number)?,
            },
            "slice" => {
                let axis = self.field("axis", Self::number)?;
                let start = self.number()?;
                self.to()?;
                let end = self.number()?;
                Op::Slice { axis, start, end }
            }
            "pad" => Op::Pad(Pad {
                before: self.field("before", |line| line.list(Self::number))?,
                after: self.field("after", |line| line.list(Self::number))?,
                value: self.field("with", Self::number)?,
            }),
            "output" => Op::Output(self.output_spec()?),
            _ => return Err(self.wrong("an operation", mnemonic)),
        })
    }

    /// Weights with their shape, and the bias of each output channel.
    fn weights(&mut self) -> Result<(Tensor, Vec<i64>), IrError> {
        self.word("weights")?;
        let shape = self.list(Self::number)?;
        let data = self.list(Self::number)?;
        let weights = Tensor::new(shape, data).map_err(|e| at(self.number, e))?;
        // A tensor without elements has a shape of any size.
        let rows = if weights.data().is_empty() {
            0
        } else {
            channels(weights.shape())
        };
        let bias = if self.is("bias") {
            self.field("bias", |line| line.list(Self::number))?
        } else {
            vec![0; rows]
        };
        Ok((weights, bias))
    }

    fn tables(&mut self) -> Result<Lut, IrError> {
        let mut channels = Vec::new();
        loop {
            self.sign('{')?;
            let first = self.number()?;
            let mut breaks = Vec::new();
            while !self.follows('}') {
                self.sign(',')?;
                let at: i64 = self.number()?;
                self.sign(':')?;
                breaks.push((at, self.number()?));
            }
            let steps = Steps::canonical(first, breaks);
            channels.push(steps.map_err(|e| at(self.number, e))?);
            if self.tokens.peek() != Token::Sign('{') {
                return Lut::per_channel(channels).map_err(|e| at(self.number, e));
            }
        }
    }

    /// A field of one float or a list of them.
    pub(super) fn floats(&mut self, name: &str) -> Result<Vec<f32>, IrError> {
        self.field(name, Self::numbers)
    }

    pub(super) fn numbers(&mut self) -> Result<Vec<f32>, IrError> {
        match self.tokens.peek() {
            Token::Number(_) => Ok(vec![self.number()?]),
            _ => self.list(Self::number),
        }
    }

    pub(super) fn field<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Result<T, IrError>,
    ) -> Result<T, IrError> {
        self.word(name)?;
        read(self)
    }

    pub(super) fn field_or<T>(
        &mut self,
        name: &str,
        default: T,
        read: impl FnOnce(&mut Self) -> Result<T, IrError>,
    ) -> Result<T, IrError> {
        if self.is(name) {
            self.field(name, read)
        } else {
            Ok(default)
        }
    }

    pub(super) fn list<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, IrError>,
    ) -> Result<Vec<T>, IrError> {
        self.sign('[')?;
        let mut list = Vec::new();
        if self.follows(']') {
            return Ok(list);
        }
        loop {
            list.push(element(self)?);
            if self.follows(']') {
                return Ok(list);
            }
            self.sign(',')?;
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[usize; N], IrError> {
        let list: Vec<usize> = self.list(Self::number)?;
        let has = list.len();
        list.try_into().map_err(|_| IrError::Syntax {
            line: self.number,
            needs: format!("{N} numbers in the list"),
            has: has.to_string(),
        })
    }

    pub(super) fn interval(&mut self) -> Result<Interval, IrError> {
        let lo = self.number()?;
        self.to()?;
        let hi = self.number()?;
        Interval { lo, hi }.check().map_err(|e| at(self.number, e))
    }

    pub(super) fn number<T: Numeric>(&mut self) -> Result<T, IrError> {
        let token = self.tokens.next();
        let value = match &token {
            Token::Number(text) => text.parse().ok(),
            _ => None,
        };
        value.ok_or_else(|| self.wrong(T::NEEDS, &token))
    }

    pub(super) fn quoted(&mut self, needs: &str) -> Result<String, IrError> {
        match self.tokens.next() {
            token @ Token::Quoted(text) => unquote(text).map_err(|why| self.wrong(why, &token)),
            other => Err(self.wrong(needs, &other)),
        }
    }

    pub(super) fn is(&self, word: &str) -> bool {
        self.tokens.peek() == Token::Word(word)
    }

    /// Whether the sign is next, which is then read.
    fn follows(&mut self, sign: char) -> bool {
        let follows = self.tokens.peek() == Token::Sign(sign);
        if follows {
            self.tokens.next();
        }
        follows
    }

    fn word(&mut self, word: &str) -> Result<(), IrError> {
        self.exactly(&Token::Word(word))
    }

    fn sign(&mut self, sign: char) -> Result<(), IrError> {
        self.exactly(&Token::Sign(sign))
    }

    fn to(&mut self) -> Result<(), IrError> {
        self.exactly(&Token::To)
    }

    fn end(&mut self) -> Result<(), IrError> {
        self.exactly(&Token::End)
    }

    fn exactly(&mut self, needs: &Token<'_>) -> Result<(), IrError> {
        match self.tokens.next() {
            token if token == *needs => Ok(()),
            other => Err(self.wrong(needs.to_string(), &other)),
        }
    }

    pub(super) fn wrong(&self, needs: impl Into<String>, has: &Token<'_>) -> IrError {
        IrError::Syntax {
            line: self.number,
            needs: needs.into(),
            has: has.to_string(),
        }
    }
}

/// A type of numbers, and what a number must be for it.
pub(super) trait Numeric: FromStr {
    const NEEDS: &'static str;
}

impl Numeric for i64 {
    const NEEDS: &'static str = "a whole number of 64 bits";
}

impl Numeric for usize {
    const NEEDS: &'static str = "a whole number from 0";
}

impl Numeric for f32 {
    const NEEDS: &'static str = "a number";
}
