//! A walk over the bytes before they are decoded.
//!
//! The decoder allocates what lengths say, recurses as deep as messages nest, and takes an early
//! end of a message for its end. This walk refuses all three first, without allocating, and reads
//! the versions of operator sets on its way, which the decoder skips.

use crate::OnnxError;

/// Most fields of a file.
const MAX_FIELDS: usize = 1 << 20;
/// Deepest nesting of messages.
const MAX_DEPTH: usize = 32;

/// Kinds of messages, as `onnx.proto` has them.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    SequenceType,
    Shape,
    Leaf,
    Opset,
    Function,
}

/// What the bytes of a field are.
enum Content {
    Message(Message),
    /// Numbers of so many bytes each.
    Fixed(usize),
    Varints,
    Bytes,
}

impl Message {
    fn content(self, field: u64) -> Content {
        use Message as M;
        let message = match (self, field) {
            (M::Model, 7) => M::Graph,
            (M::Model, 8) => M::Opset,
            (M::Model, 25) => M::Function,
            (M::Model, 14) | (M::Tensor, 13) | (M::Shape, 1) => M::Leaf,
            (M::Graph, 1) | (M::Function, 7) => M::Node,
            (M::Graph, 5) => M::Tensor,
            (M::Graph, 11..=13) => M::ValueInfo,
            (M::Node, 5) | (M::Function, 11) => M::Attribute,
            (M::Node, 9) => M::Leaf,
            (M::Attribute, 5) => M::Tensor,
            (M::Attribute, 6) => M::Graph,
            (M::ValueInfo, 2) | (M::SequenceType, 1) => M::Type,
            (M::Type, 1) => M::TensorType,
            (M::Type, 4) => M::SequenceType,
            (M::TensorType, 2) => M::Shape,
            (M::Tensor, 4) => return Content::Fixed(4),
            (M::Tensor, 10) => return Content::Fixed(8),
            (M::Tensor, 5 | 7) => return Content::Varints,
            _ => return Content::Bytes,
        };
        Content::Message(message)
    }
}

/// Version of the default operator set.
///
/// # Errors
/// If the bytes are not one complete message, nest too deep or have too many fields.
pub(crate) fn check(bytes: &[u8]) -> Result<Option<i64>, OnnxError> {
    let mut walk = Walk {
        fields: 0,
        opset: None,
    };
    walk.message(Message::Model, bytes, 0)?;
    Ok(walk.opset)
}

struct Walk {
    fields: usize,
    opset: Option<i64>,
}

impl Walk {
    fn message(&mut self, kind: Message, bytes: &[u8], depth: usize) -> Result<(), OnnxError> {
        if depth > MAX_DEPTH {
            return Err(too_large("nesting of messages", depth, MAX_DEPTH));
        }
        let mut rest = bytes;
        let (mut domain, mut version) = (&[][..], 0);
        while !rest.is_empty() {
            self.fields += 1;
            if self.fields > MAX_FIELDS {
                return Err(too_large("file fields", self.fields, MAX_FIELDS));
            }
            let tag = varint(&mut rest)?;
            let field = tag >> 3;
            match tag & 7 {
                0 => {
                    let value = varint(&mut rest)?;
                    if field == 2 {
                        version = value;
                    }
                }
                1 => drop(take(&mut rest, 8)?),
                5 => drop(take(&mut rest, 4)?),
                2 => {
                    let len = varint(&mut rest)?;
                    let inner = take(&mut rest, len)?;
                    if field == 1 {
                        domain = inner;
                    }
                    self.content(kind.content(field), inner, depth)?;
                }
                wire => return Err(OnnxError::Format(format!("field {field} has wire type {wire}"))),
            }
        }
        if matches!(kind, Message::Opset) && matches!(domain, b"" | b"ai.onnx") {
            self.opset = i64::try_from(version).ok();
        }
        Ok(())
    }

    fn content(&mut self, content: Content, bytes: &[u8], depth: usize) -> Result<(), OnnxError> {
        match content {
            Content::Message(inner) => self.message(inner, bytes, depth + 1),
            Content::Fixed(size) if !bytes.len().is_multiple_of(size) => Err(OnnxError::Format(format!(
                "{} bytes of {size}-byte numbers",
                bytes.len()
            ))),
            Content::Varints => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    varint(&mut rest)?;
                }
                Ok(())
            }
            Content::Fixed(_) | Content::Bytes => Ok(()),
        }
    }
}

fn too_large(what: &str, has: usize, limit: usize) -> OnnxError {
    OnnxError::TooLarge {
        what: what.to_owned(),
        has: has as u64,
        limit: limit as u64,
    }
}

fn take<'a>(rest: &mut &'a [u8], len: u64) -> Result<&'a [u8], OnnxError> {
    let split = usize::try_from(len)
        .ok()
        .and_then(|len| rest.split_at_checked(len));
    let Some((taken, after)) = split else {
        return Err(OnnxError::Format(format!(
            "a field of {len} bytes, {} left",
            rest.len()
        )));
    };
    *rest = after;
    Ok(taken)
}

fn varint(rest: &mut &[u8]) -> Result<u64, OnnxError> {
    let mut value = 0u64;
    for shift in 0..10 {
        let [byte] = *take(rest, 1)? else { break };
        value |= u64::from(byte & 0x7f).checked_shl(7 * shift).unwrap_or(0);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(OnnxError::Format("a number of more than 10 bytes".to_owned()))
}
