//! Every linear operation as sparse sums: the one place that knows which
//! element goes where. Inference, the interpreter, passes and lowering share it.

use crate::tensor::{MAX_RANK, strides};
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

/// Coordinates of an element; zero beyond the rank.
type At = [usize; MAX_RANK];

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
    let coordinates = |i: usize| -> At {
        let mut at = At::default();
        for (c, (s, d)) in at.iter_mut().zip(out_strides.iter().zip(output)) {
            *c = i / s % d;
        }
        at
    };
    let in_strides: Vec<Vec<usize>> = inputs.iter().map(|shape| strides(shape)).collect();
    let flat = |operand: usize, at: &At| -> usize {
        let sizes = in_strides[operand].iter().zip(at);
        sizes.map(|(s, c)| s * c).sum()
    };
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
        Op::Add => {
            for i in 0..count {
                term(i, 1, element(0, i));
                term(i, 1, element(1, i));
            }
        }
        Op::Sub => {
            for i in 0..count {
                term(i, 1, element(0, i));
                term(i, -1, element(1, i));
            }
        }
        Op::Reshape { .. } | Op::Output(_) => (0..count).for_each(|i| term(i, 1, element(0, i))),
        Op::Transpose { perm } => {
            for i in 0..count {
                let mut at = At::default();
                for (axis, c) in perm.iter().zip(coordinates(i)) {
                    at[*axis] = c;
                }
                term(i, 1, element(0, flat(0, &at)));
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
                term(i, 1, element(operand, flat(operand, &at)));
            }
        }
        Op::Slice { axis, start, .. } => {
            for i in 0..count {
                let mut at = coordinates(i);
                at[*axis] += start;
                term(i, 1, element(0, flat(0, &at)));
            }
        }
        Op::Pad(p) => {
            for i in 0..count {
                let mut at = coordinates(i);
                let sizes = p.before.iter().zip(inputs[0]);
                let inside = at.iter_mut().zip(sizes).all(|(c, (before, size))| {
                    *c = c.wrapping_sub(*before);
                    *c < *size
                });
                if inside {
                    term(i, 1, element(0, flat(0, &at)));
                } else {
                    constant(i, p.value, &mut term);
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

/// An upper bound on the terms of an operation, or of steps of its tables: what analysing it costs.
pub(crate) fn work(op: &Op, inputs: &[&[usize]], output: &[usize]) -> u64 {
    let product = |of: &[usize]| of.iter().fold(1u64, |n, &d| n.saturating_mul(d as u64));
    let count = product(output);
    let per_element = match op {
        Op::Dot(d) => d.weights.shape()[1] as u64 + 1,
        Op::Conv2d(c) => product(&c.weights.shape()[1..]).saturating_add(1),
        Op::SumPool(p) => product(&p.kernel),
        Op::Lut(l) => l.max_steps() as u64 + 1,
        // Concatenation looks for the operand of each element.
        Op::Add | Op::Sub | Op::Concat { .. } => inputs.len() as u64,
        Op::Input { .. }
        | Op::Reshape { .. }
        | Op::Transpose { .. }
        | Op::Slice { .. }
        | Op::Pad(_)
        | Op::Output(_) => 1,
    };
    count.saturating_mul(per_element)
}
