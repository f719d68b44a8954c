//! Every linear operation as sparse sums: the one place that knows which
//! element goes where. Inference, the interpreter, passes and lowering share it.

use crate::tensor::strides;
use crate::{Conv2d, Op};

/// What a term multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An element of an operand, by flat index.
    Element {
        /// Operand slot.
        operand: usize,
        /// Row-major index.
        index: usize,
    },
    /// A clear constant: bias or padding.
    Constant(i64),
}

/// Calls `term(output element, weight, source)` for every non-zero term, so
/// that each output element is the sum of `weight * source`. Shapes are those
/// of the operands and of the result.
///
/// Inputs and lookups are not linear: they have no terms.
pub fn for_each_term(
    op: &Op,
    inputs: &[&[usize]],
    output: &[usize],
    mut term: impl FnMut(usize, i64, Source),
) {
    let count: usize = output.iter().product();
    let out_strides = strides(output);
    let coordinates =
        |i: usize| -> Vec<usize> { out_strides.iter().zip(output).map(|(s, d)| i / s % d).collect() };
    let flat =
        |shape: &[usize], at: &[usize]| -> usize { strides(shape).iter().zip(at).map(|(s, c)| s * c).sum() };
    let element = |operand, index| Source::Element { operand, index };
    match op {
        Op::Input { .. } | Op::Lut(_) => {}
        Op::Dot(d) => {
            for o in 0..count {
                constant(o, d.bias[o], &mut term);
                for (i, &w) in d.weights.row(o).iter().enumerate().filter(|(_, w)| **w != 0) {
                    term(o, w, element(0, i));
                }
            }
        }
        Op::Conv2d(c) => conv_terms(c, inputs[0], output, term),
        Op::SumPool(p) => {
            let (h, w) = (inputs[0][1], inputs[0][2]);
            for i in 0..count {
                let at = coordinates(i);
                for y in 0..p.kernel[0] {
                    for x in 0..p.kernel[1] {
                        let row = at[0] * h + at[1] * p.stride[0] + y;
                        term(i, 1, element(0, row * w + at[2] * p.stride[1] + x));
                    }
                }
            }
        }
        Op::Add | Op::Sub => {
            let sign = if matches!(op, Op::Add) { 1 } else { -1 };
            for i in 0..count {
                term(i, 1, element(0, i));
                term(i, sign, element(1, i));
            }
        }
        Op::Reshape { .. } | Op::Output(_) => (0..count).for_each(|i| term(i, 1, element(0, i))),
        Op::Transpose { perm } => {
            for i in 0..count {
                let mut at = vec![0; perm.len()];
                for (axis, c) in coordinates(i).into_iter().enumerate() {
                    at[perm[axis]] = c;
                }
                term(i, 1, element(0, flat(inputs[0], &at)));
            }
        }
        Op::Concat { axis } => {
            for i in 0..count {
                let mut at = coordinates(i);
                let mut operand = 0;
                while at[*axis] >= inputs[operand][*axis] {
                    at[*axis] -= inputs[operand][*axis];
                    operand += 1;
                }
                term(i, 1, element(operand, flat(inputs[operand], &at)));
            }
        }
        Op::Slice { axis, start, .. } => {
            for i in 0..count {
                let mut at = coordinates(i);
                at[*axis] += start;
                term(i, 1, element(0, flat(inputs[0], &at)));
            }
        }
        Op::Pad(p) => {
            for i in 0..count {
                let inside =
                    |(a, c): (usize, &usize)| c.checked_sub(p.before[a]).filter(|&c| c < inputs[0][a]);
                let at: Option<Vec<usize>> = coordinates(i).iter().enumerate().map(inside).collect();
                match at {
                    Some(at) => term(i, 1, element(0, flat(inputs[0], &at))),
                    None => constant(i, p.value, &mut term),
                }
            }
        }
    }
}

fn constant(out: usize, value: i64, term: &mut impl FnMut(usize, i64, Source)) {
    if value != 0 {
        term(out, 1, Source::Constant(value));
    }
}

fn conv_terms(c: &Conv2d, input: &[usize], output: &[usize], mut term: impl FnMut(usize, i64, Source)) {
    let (shape, plane) = (c.weights.shape(), output[1] * output[2]);
    let (per_group, kh, kw) = (shape[1], shape[2], shape[3]);
    let out_per_group = output[0] / c.groups;
    for o in 0..output[0] {
        (0..plane).for_each(|p| constant(o * plane + p, c.bias[o], &mut term));
        let first = o / out_per_group * per_group;
        for (t, &weight) in c.weights.row(o).iter().enumerate().filter(|(_, w)| **w != 0) {
            let (channel, y, x) = (first + t / (kh * kw), t / kw % kh, t % kw);
            for oy in 0..output[1] {
                for ox in 0..output[2] {
                    let row = (oy * c.stride[0] + y)
                        .checked_sub(c.padding[0])
                        .filter(|&r| r < input[1]);
                    let col = (ox * c.stride[1] + x)
                        .checked_sub(c.padding[1])
                        .filter(|&k| k < input[2]);
                    let out = (o * output[1] + oy) * output[2] + ox;
                    match row.zip(col) {
                        Some((row, col)) => {
                            let index = (channel * input[1] + row) * input[2] + col;
                            term(out, weight, Source::Element { operand: 0, index });
                        }
                        None if c.pad_value != 0 => term(out, weight, Source::Constant(c.pad_value)),
                        None => {}
                    }
                }
            }
        }
    }
}
