//! Quantizers of both dialects: what they share.

use crate::draft::{Id, Work};
use crate::model::Node;
use crate::report::{NodeProblem, Translated};
use crate::tensor::Tensor;
use crate::translation::{Translation, constant};
use crate::value::{Coded, Levels, Value, broadcast, broadcasts_to};
use cml_quant::{ActQuantizer, Univariate};

/// Most bits of a quantizer of activations.
pub(crate) const MOST_BITS: u32 = 16;
/// Most bits of a quantized constant: integers that `f64` holds, with room.
pub(crate) const MOST_CONSTANT_BITS: u32 = 32;

/// Refuses scales for blocks of a tensor.
pub(crate) fn whole_axes(node: &Node) -> Translated<()> {
    if node.int_or("block_size", 0)? == 0 {
        return Ok(());
    }
    Err(NodeProblem::new(
        "scales for blocks",
        "one scale, or one for each channel",
    ))
}

/// What a quantizer of a constant (of weights, mostly) reads.
pub(crate) fn constant_operand(operands: &[Option<Value>]) -> Option<Tensor> {
    operands.first()?.as_ref()?.constant()
}

pub(crate) fn required(operands: &[Option<Value>], slot: usize, what: &str) -> Translated<Tensor> {
    constant(operands, slot)?.ok_or_else(|| NodeProblem::malformed(format!("it has no {what}")))
}

/// The one scale of a quantizer of activations.
pub(crate) fn scale_of(tensor: &Tensor) -> Translated<f32> {
    let scale = tensor.scalar().ok_or_else(|| {
        NodeProblem::new(
            format!("activation scales of shape {:?} that differ", tensor.shape),
            "one scale for the whole tensor",
        )
    })?;
    if scale.is_finite() && scale > 0.0 {
        return Ok(scale);
    }
    Err(NodeProblem::malformed(format!("a scale of {scale}")))
}

pub(crate) fn whole(tensor: &Tensor, what: &str) -> Translated<i64> {
    let value = tensor.scalar().filter(|v| v.fract() == 0.0 && v.abs() < 1e9);
    value.map(|v| v as i64).ok_or_else(|| {
        NodeProblem::new(
            format!("a {what} that is not one integer"),
            format!("one {what} for the whole tensor"),
        )
    })
}

pub(crate) fn width(tensor: &Tensor, what: &str, most: u32) -> Translated<u32> {
    let bits = whole(tensor, what)?;
    u32::try_from(bits)
        .ok()
        .filter(|b| (1..=most).contains(b))
        .ok_or_else(|| {
            NodeProblem::new(
                format!("a {what} of {bits} bits, needs 1 to {most}"),
                format!("a {what} of at most {most} bits"),
            )
        })
}

/// Integers of a width: `[lo, hi]`.
pub(crate) fn levels(bits: u32, signed: bool, narrow: bool) -> (i64, i64) {
    match (signed, narrow) {
        (true, _) => (-(1 << (bits - 1)) + i64::from(narrow), (1 << (bits - 1)) - 1),
        (false, _) => (0, (1 << bits) - 1 - i64::from(narrow)),
    }
}

/// Codes of a constant, each `x / scale + zero` given to `round`.
pub(crate) fn codes(
    x: &Tensor,
    scale: &Tensor,
    zero: &Tensor,
    round: impl Fn(f32) -> i64,
) -> Translated<Tensor> {
    for (what, tensor) in [("scale", scale), ("zero point", zero)] {
        if !broadcasts_to(&tensor.shape, &x.shape) && tensor.len() != 1 {
            let why = format!(
                "a {what} of shape {:?} with a constant of {:?}",
                tensor.shape, x.shape
            );
            return Err(NodeProblem::malformed(why));
        }
    }
    let at = |tensor: &Tensor| {
        if tensor.len() == 1 {
            vec![0; x.len()]
        } else {
            broadcast(&x.shape, &tensor.shape)
        }
    };
    let (values, scales, zeros) = (x.to_floats(), scale.to_floats(), zero.to_floats());
    let code = |(i, (s, z)): (usize, (usize, usize))| round(values[i] / scales[s] + zeros[z]);
    let all = at(scale)
        .into_iter()
        .zip(at(zero))
        .enumerate()
        .map(code)
        .collect();
    Ok(Tensor::ints(x.shape.clone(), all))
}

/// A quantized constant from its codes, of which the zero point is taken off.
pub(crate) fn coded(codes: Tensor, scale: &Tensor, bits: u32, narrow: bool, zero: i64) -> Translated<Coded> {
    if scale.to_floats().iter().any(|s| !(s.is_finite() && *s > 0.0)) {
        return Err(NodeProblem::malformed("a scale that is not finite and positive"));
    }
    let values = codes
        .to_ints()?
        .into_iter()
        .map(|c| c.saturating_sub(zero))
        .collect();
    let rank = codes.shape.len();
    let shape = if scale.len() == 1 {
        vec![1; rank]
    } else {
        [
            vec![1; rank.saturating_sub(scale.shape.len())],
            scale.shape.clone(),
        ]
        .concat()
    };
    Ok(Coded {
        codes: Tensor::ints(codes.shape, values),
        scale: Tensor {
            shape,
            ..scale.clone()
        },
        bits,
        narrow,
    })
}

/// A quantizer of a value of the sample.
pub(crate) fn activation(t: &mut Translation, node: &Node, x: Id, levels: Levels) -> Translated<Id> {
    let Levels {
        scale,
        zero_point,
        lo,
        hi,
    } = levels;
    let exact = (1..=MOST_BITS).find_map(|bits| {
        let forms = [(false, false), (true, false), (true, true)];
        forms
            .into_iter()
            .find(|&(signed, narrow)| {
                bits + u32::from(!narrow) > 1 && self::levels(bits, signed, narrow) == (lo, hi)
            })
            .map(|(signed, narrow)| (bits, signed, narrow))
    });
    let covering = || {
        (1..=MOST_BITS).find_map(|bits| {
            let (least, most) = self::levels(bits, lo < 0, false);
            (least <= lo && hi <= most).then_some((bits, lo < 0, false))
        })
    };
    let (bits, signed, narrow) = exact.or_else(covering).ok_or_else(|| {
        NodeProblem::new(
            format!("a quantizer with levels {lo} to {hi}"),
            format!("one of at most {MOST_BITS} bits"),
        )
    })?;
    let quantizer = ActQuantizer::new(bits, signed, narrow, scale, zero_point)
        .map_err(|e| NodeProblem::new(e.to_string(), "a zero point among the levels"))?;
    let mut x = x;
    if exact.is_none() {
        let bound = |level: i64| (level - zero_point) as f32 * scale;
        x = t.function(
            node,
            x,
            Univariate::Clip {
                lo: bound(lo),
                hi: bound(hi),
            },
        );
    }
    let shape = t.shape(x).to_vec();
    Ok(t.push(node, Work::Quantize(quantizer), &[x], shape))
}
