//! Operations as files hold them: a number for each kind, then its fields.
//!
//! These types mirror the public ones, which have checks to pass: what is decoded here becomes an
//! [`Op`] through them. Borrowed when written, owned when read.

use crate::{Conv2d, Dot, InputSpec, IrError, Lut, Op, OutputSpec, Pad, Steps, SumPool, Tensor};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeTuple, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// The number of each operation in files. A new one takes the next number, wherever it stands in
/// [`Op`]; a number is never given to another.
pub(super) mod number {
    pub(crate) const INPUT: u32 = 0;
    pub(crate) const DOT: u32 = 1;
    pub(crate) const CONV2D: u32 = 2;
    pub(crate) const SUM_POOL: u32 = 3;
    pub(crate) const ADD: u32 = 4;
    pub(crate) const SUB: u32 = 5;
    pub(crate) const LUT: u32 = 6;
    pub(crate) const RESHAPE: u32 = 7;
    pub(crate) const TRANSPOSE: u32 = 8;
    pub(crate) const CONCAT: u32 = 9;
    pub(crate) const SLICE: u32 = 10;
    pub(crate) const PAD: u32 = 11;
    pub(crate) const OUTPUT: u32 = 12;
}

type List<'a, T> = Cow<'a, [T]>;

#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct WireTensor<'a> {
    shape: List<'a, usize>,
    data: List<'a, i64>,
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub(super) struct WireSteps<'a> {
    first: i64,
    breaks: List<'a, (i64, i64)>,
}

#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct WireConv2d<'a> {
    weights: WireTensor<'a>,
    bias: List<'a, i64>,
    stride: [usize; 2],
    padding: [usize; 4],
    pad_value: i64,
    groups: usize,
}

/// An operation; the fields of each stand in the order of the file.
pub(super) enum WireOp<'a> {
    Input(List<'a, usize>, Cow<'a, InputSpec>),
    Dot(WireTensor<'a>, List<'a, i64>),
    Conv2d(WireConv2d<'a>),
    SumPool([usize; 2], [usize; 2]),
    Add,
    Sub,
    Lut(Vec<WireSteps<'a>>),
    Reshape(List<'a, usize>),
    Transpose(List<'a, usize>),
    Concat(usize),
    Slice(usize, usize, usize),
    Pad(List<'a, usize>, List<'a, usize>, i64),
    Output(Cow<'a, OutputSpec>),
}

impl Serialize for WireOp<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn numbered<S: Serializer>(to: S, number: u32, fields: &impl Serialize) -> Result<S::Ok, S::Error> {
            let mut pair = to.serialize_tuple(2)?;
            pair.serialize_element(&number)?;
            pair.serialize_element(fields)?;
            pair.end()
        }
        match self {
            WireOp::Input(shape, spec) => numbered(serializer, number::INPUT, &(shape, spec)),
            WireOp::Dot(weights, bias) => numbered(serializer, number::DOT, &(weights, bias)),
            WireOp::Conv2d(conv) => numbered(serializer, number::CONV2D, conv),
            WireOp::SumPool(kernel, stride) => numbered(serializer, number::SUM_POOL, &(kernel, stride)),
            WireOp::Add => numbered(serializer, number::ADD, &()),
            WireOp::Sub => numbered(serializer, number::SUB, &()),
            WireOp::Lut(channels) => numbered(serializer, number::LUT, channels),
            WireOp::Reshape(shape) => numbered(serializer, number::RESHAPE, shape),
            WireOp::Transpose(perm) => numbered(serializer, number::TRANSPOSE, perm),
            WireOp::Concat(axis) => numbered(serializer, number::CONCAT, axis),
            WireOp::Slice(axis, start, end) => numbered(serializer, number::SLICE, &(axis, start, end)),
            WireOp::Pad(before, after, value) => numbered(serializer, number::PAD, &(before, after, value)),
            WireOp::Output(spec) => numbered(serializer, number::OUTPUT, spec),
        }
    }
}

impl<'de, 'a> Deserialize<'de> for WireOp<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbered<'a>(PhantomData<WireOp<'a>>);

        impl<'de, 'a> Visitor<'de> for Numbered<'a> {
            type Value = WireOp<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the number of an operation and its fields")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Self::Value, A::Error> {
                Ok(match next::<u32, A>(&mut pair)? {
                    number::INPUT => {
                        let (shape, spec) = next(&mut pair)?;
                        WireOp::Input(shape, spec)
                    }
                    number::DOT => {
                        let (weights, bias) = next(&mut pair)?;
                        WireOp::Dot(weights, bias)
                    }
                    number::CONV2D => WireOp::Conv2d(next(&mut pair)?),
                    number::SUM_POOL => {
                        let (kernel, stride) = next(&mut pair)?;
                        WireOp::SumPool(kernel, stride)
                    }
                    number::ADD => WireOp::Add,
                    number::SUB => WireOp::Sub,
                    number::LUT => WireOp::Lut(next(&mut pair)?),
                    number::RESHAPE => WireOp::Reshape(next(&mut pair)?),
                    number::TRANSPOSE => WireOp::Transpose(next(&mut pair)?),
                    number::CONCAT => WireOp::Concat(next(&mut pair)?),
                    number::SLICE => {
                        let (axis, start, end) = next(&mut pair)?;
                        WireOp::Slice(axis, start, end)
                    }
                    number::PAD => {
                        let (before, after, value) = next(&mut pair)?;
                        WireOp::Pad(before, after, value)
                    }
                    number::OUTPUT => WireOp::Output(next(&mut pair)?),
                    unknown => {
                        let known = number::OUTPUT;
                        return Err(A::Error::custom(format!(
                            "operation number {unknown}, this program knows 0 to {known}"
                        )));
                    }
                })
            }
        }

        fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(pair: &mut A) -> Result<T, A::Error> {
            let element = pair.next_element()?;
            element.ok_or_else(|| A::Error::custom("an operation without its fields"))
        }

        deserializer.deserialize_tuple(2, Numbered(PhantomData))
    }
}

impl<'a> From<&'a Op> for WireOp<'a> {
    fn from(op: &'a Op) -> Self {
        match op {
            Op::Input { shape, spec } => WireOp::Input(Cow::Borrowed(shape), Cow::Borrowed(spec)),
            Op::Dot(Dot { weights, bias }) => WireOp::Dot(weights.into(), Cow::Borrowed(bias)),
            Op::Conv2d(Conv2d {
                weights,
                bias,
                stride,
                padding,
                pad_value,
                groups,
            }) => WireOp::Conv2d(WireConv2d {
                weights: weights.into(),
                bias: Cow::Borrowed(bias),
                stride: *stride,
                padding: *padding,
                pad_value: *pad_value,
                groups: *groups,
            }),
            Op::SumPool(SumPool { kernel, stride }) => WireOp::SumPool(*kernel, *stride),
            Op::Add => WireOp::Add,
            Op::Sub => WireOp::Sub,
            Op::Lut(lut) => WireOp::Lut(lut.channels().iter().map(WireSteps::from).collect()),
            Op::Reshape { shape } => WireOp::Reshape(Cow::Borrowed(shape)),
            Op::Transpose { perm } => WireOp::Transpose(Cow::Borrowed(perm)),
            Op::Concat { axis } => WireOp::Concat(*axis),
            Op::Slice { axis, start, end } => WireOp::Slice(*axis, *start, *end),
            Op::Pad(Pad { before, after, value }) => {
                WireOp::Pad(Cow::Borrowed(before), Cow::Borrowed(after), *value)
            }
            Op::Output(spec) => WireOp::Output(Cow::Borrowed(spec)),
        }
    }
}

/// Checks tensors and tables; the rest is checked when the operation meets its operands.
impl TryFrom<WireOp<'_>> for Op {
    type Error = IrError;

    fn try_from(wire: WireOp<'_>) -> Result<Self, IrError> {
        Ok(match wire {
            WireOp::Input(shape, spec) => Op::Input {
                shape: shape.into_owned(),
                spec: spec.into_owned(),
            },
            WireOp::Dot(weights, bias) => Op::Dot(Dot {
                weights: weights.try_into()?,
                bias: bias.into_owned(),
            }),
            WireOp::Conv2d(conv) => Op::Conv2d(Conv2d {
                weights: conv.weights.try_into()?,
                bias: conv.bias.into_owned(),
                stride: conv.stride,
                padding: conv.padding,
                pad_value: conv.pad_value,
                groups: conv.groups,
            }),
            WireOp::SumPool(kernel, stride) => Op::SumPool(SumPool { kernel, stride }),
            WireOp::Add => Op::Add,
            WireOp::Sub => Op::Sub,
            WireOp::Lut(channels) => {
                let channels = channels.into_iter().map(Steps::try_from);
                Op::Lut(Lut::per_channel(channels.collect::<Result<_, _>>()?)?)
            }
            WireOp::Reshape(shape) => Op::Reshape {
                shape: shape.into_owned(),
            },
            WireOp::Transpose(perm) => Op::Transpose {
                perm: perm.into_owned(),
            },
            WireOp::Concat(axis) => Op::Concat { axis },
            WireOp::Slice(axis, start, end) => Op::Slice { axis, start, end },
            WireOp::Pad(before, after, value) => Op::Pad(Pad {
                before: before.into_owned(),
                after: after.into_owned(),
                value,
            }),
            WireOp::Output(spec) => Op::Output(spec.into_owned()),
        })
    }
}

impl<'a> From<&'a Tensor> for WireTensor<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        Self {
            shape: Cow::Borrowed(tensor.shape()),
            data: Cow::Borrowed(tensor.data()),
        }
    }
}

impl TryFrom<WireTensor<'_>> for Tensor {
    type Error = IrError;

    fn try_from(wire: WireTensor<'_>) -> Result<Self, IrError> {
        Tensor::new(wire.shape.into_owned(), wire.data.into_owned())
    }
}

impl<'a> From<&'a Steps> for WireSteps<'a> {
    fn from(steps: &'a Steps) -> Self {
        Self {
            first: steps.first(),
            breaks: Cow::Borrowed(steps.breaks()),
        }
    }
}

impl TryFrom<WireSteps<'_>> for Steps {
    type Error = IrError;

    fn try_from(wire: WireSteps<'_>) -> Result<Self, IrError> {
        Steps::canonical(wire.first, wire.breaks.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Interval;
    use crate::wire::{encode, take};

    /// Every operation, with the number that files have for it.
    fn all() -> Vec<(u32, Op)> {
        let weights = |shape: Vec<usize>| {
            let count = shape.iter().product();
            Tensor::new(shape, vec![1; count]).unwrap()
        };
        let conv = Conv2d {
            weights: weights(vec![1, 1, 1, 1]),
            bias: vec![0],
            stride: [1, 1],
            padding: [0; 4],
            pad_value: 0,
            groups: 1,
        };
        let dot = Dot {
            weights: weights(vec![1, 1]),
            bias: vec![0],
        };
        let pool = SumPool {
            kernel: [1, 1],
            stride: [1, 1],
        };
        let pad = Pad {
            before: vec![0],
            after: vec![1],
            value: 0,
        };
        let spec = InputSpec::new(1.0, 0, Interval::new(0, 1));
        vec![
            (0, Op::Input { shape: vec![1], spec }),
            (1, Op::Dot(dot)),
            (2, Op::Conv2d(conv)),
            (3, Op::SumPool(pool)),
            (4, Op::Add),
            (5, Op::Sub),
            (6, Op::Lut(Lut::per_tensor(Steps::constant(1)))),
            (7, Op::Reshape { shape: vec![1] }),
            (8, Op::Transpose { perm: vec![0] }),
            (9, Op::Concat { axis: 0 }),
            (
                10,
                Op::Slice {
                    axis: 0,
                    start: 0,
                    end: 1,
                },
            ),
            (11, Op::Pad(pad)),
            (12, Op::Output(OutputSpec::identity())),
        ]
    }

    /// A number in this list never changes; a new operation is added at its end.
    #[test]
    fn numbers_are_for_ever() {
        let name = |op: &Op| op.mnemonic();
        let numbers: Vec<(u32, &str)> = all().iter().map(|(number, op)| (*number, name(op))).collect();
        let expected = [
            "input",
            "dot",
            "conv2d",
            "sumpool",
            "add",
            "sub",
            "lut",
            "reshape",
            "transpose",
            "concat",
            "slice",
            "pad",
            "output",
        ];
        assert_eq!(numbers, (0..).zip(expected).collect::<Vec<_>>());
        for (number, op) in all() {
            let bytes = encode(&WireOp::from(&op)).unwrap();
            assert_eq!(bytes[..4], number.to_le_bytes(), "{}", op.mnemonic());
            let wire: WireOp<'_> = take(&mut bytes.as_slice()).unwrap();
            assert_eq!(Op::try_from(wire).unwrap(), op);
        }
    }

    #[test]
    fn unknown_numbers_and_bad_parts_are_refused() {
        let refused = |bytes: &[u8], expected: &str| {
            let wire: Result<WireOp<'_>, _> = take(&mut &*bytes);
            let message = wire.and_then(Op::try_from).unwrap_err().to_string();
            assert!(
                message.contains(expected),
                "{message:?} does not say {expected:?}"
            );
        };
        refused(
            &13u32.to_le_bytes(),
            "operation number 13, this program knows 0 to 12",
        );
        refused(&number::ADD.to_le_bytes()[..3], "malformed graph");
        let words = |number: u32, words: &[u64]| {
            let words = words.iter().flat_map(|w| w.to_le_bytes());
            number.to_le_bytes().into_iter().chain(words).collect::<Vec<u8>>()
        };
        // A shape of 2, two dimensions that overflow, no data.
        refused(&words(number::DOT, &[2, 1 << 40, 1 << 40, 0, 0]), "has more than");
        refused(&words(number::DOT, &[1, 2, 1, 7, 0]), "needs 2 values, has 1");
        refused(&words(number::LUT, &[0]), "needs at least one channel");
        refused(&words(number::LUT, &[1, 5, 1, 3, 5]), "plateaus must differ");
        refused(&words(number::LUT, &[1, 5, 2, 3, 6, 3, 7]), "must ascend");
        refused(&words(number::RESHAPE, &[u64::MAX]), "malformed graph");
    }
}
