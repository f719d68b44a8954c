//! Shapes and intervals of every operation's result.

use crate::linear::{Source, for_each_term};
use crate::tensor::{channel_len, channels, element_count};
use crate::{Conv2d, Graph, Interval, IrError, Op, OpKind, Type};

/// Bound on the magnitude of any value or partial sum, 2^40: far above what
/// encryption can carry, far below what `i64` can.
pub const LIMIT: i64 = 1 << 40;

/// Interval of each element, row major.
pub(crate) type Elements = Vec<Interval>;

/// Interval of each element of each node, by node index: exact interval
/// arithmetic, one element at a time (no relation between elements is kept).
pub fn intervals(graph: &Graph) -> Vec<Vec<Interval>> {
    let mut all: Vec<Elements> = Vec::with_capacity(graph.len());
    for (id, node) in graph.nodes() {
        let inputs: Vec<(&[usize], &Elements)> = graph
            .operands(id)
            .map(|o| (graph.node(o).ty.shape.as_slice(), &all[o.index()]))
            .collect();
        let elements = elements(&node.name, &node.op, &inputs, &node.ty.shape);
        // The builder has run the same computation on the same node.
        all.push(elements.unwrap_or_else(|_| vec![node.ty.range; node.ty.shape.iter().product()]));
    }
    all
}

pub(crate) fn shape(node: &str, op: &Op, operands: &[&Type]) -> Result<Vec<usize>, IrError> {
    let fail = |what, needs: String, has: String| {
        Err(IrError::Shape {
            node: node.to_owned(),
            what,
            needs,
            has,
        })
    };
    match op {
        Op::Input { shape, spec } => {
            element_count(shape)?;
            spec.check(node, shape)?;
            spec.check_columns(node, shape)?;
            Ok(shape.clone())
        }
        Op::Dot(d) => {
            let ([out, fan_in], [features]) = (d.weights.shape(), operands[0].shape.as_slice()) else {
                return fail(
                    "dot",
                    "weights [out, in] and input [in]".into(),
                    format!("{:?} and {:?}", d.weights.shape(), operands[0].shape),
                );
            };
            if fan_in != features {
                return fail("dot input", format!("[{fan_in}]"), format!("[{features}]"));
            }
            if d.bias.len() != *out {
                return fail("dot bias", format!("[{out}]"), format!("[{}]", d.bias.len()));
            }
            Ok(vec![*out])
        }
        Op::Conv2d(c) => conv_shape(node, c, &operands[0].shape),
        Op::SumPool(p) => {
            let [c, h, w] = operands[0].shape[..] else {
                return fail(
                    "sumpool input",
                    "[channels, height, width]".into(),
                    format!("{:?}", operands[0].shape),
                );
            };
            let fits =
                |size: usize, k: usize, s: usize| (k >= 1 && s >= 1 && k <= size).then(|| (size - k) / s + 1);
            match (
                fits(h, p.kernel[0], p.stride[0]),
                fits(w, p.kernel[1], p.stride[1]),
            ) {
                (Some(oh), Some(ow)) => Ok(vec![c, oh, ow]),
                _ => fail(
                    "sumpool window",
                    format!("1..={h} by 1..={w}, stride at least 1"),
                    format!("{:?}, stride {:?}", p.kernel, p.stride),
                ),
            }
        }
        Op::Add | Op::Sub => {
            if operands[0].shape != operands[1].shape {
                return fail(
                    "second operand",
                    format!("{:?}", operands[0].shape),
                    format!("{:?}", operands[1].shape),
                );
            }
            Ok(operands[0].shape.clone())
        }
        Op::Lut(l) => {
            let shape = &operands[0].shape;
            let channels = channels(shape);
            if !l.is_per_tensor() && l.channels().len() != channels {
                return fail(
                    "lut channels",
                    format!("1 or {channels}"),
                    l.channels().len().to_string(),
                );
            }
            Ok(shape.clone())
        }
        Op::Reshape { shape } => {
            let has = element_count(&operands[0].shape)?;
            if element_count(shape)? != has {
                return fail(
                    "reshape",
                    format!("a shape of {has} elements"),
                    format!("{shape:?}"),
                );
            }
            Ok(shape.clone())
        }
        Op::Transpose { perm } => {
            let rank = operands[0].shape.len();
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            if sorted != (0..rank).collect::<Vec<_>>() {
                return fail(
                    "transpose",
                    format!("a permutation of {rank} axes"),
                    format!("{perm:?}"),
                );
            }
            Ok(perm.iter().map(|&a| operands[0].shape[a]).collect())
        }
        Op::Concat { axis } => concat_shape(node, *axis, operands),
        Op::Slice { axis, start, end } => {
            let mut shape = operands[0].shape.clone();
            match shape.get_mut(*axis) {
                Some(size) if start < end && *end <= *size => *size = end - start,
                _ => {
                    return fail(
                        "slice",
                        format!("start < end within {shape:?}"),
                        format!("{start}..{end} on axis {axis}"),
                    );
                }
            }
            Ok(shape)
        }
        Op::Pad(p) => {
            let shape = &operands[0].shape;
            if p.before.len() != shape.len() || p.after.len() != shape.len() {
                return fail(
                    "pad",
                    format!("{} axes", shape.len()),
                    format!("{} and {}", p.before.len(), p.after.len()),
                );
            }
            let sizes = shape.iter().zip(&p.before).zip(&p.after);
            let padded: Option<Vec<usize>> = sizes
                .map(|((s, b), a)| s.checked_add(*b)?.checked_add(*a))
                .collect();
            padded.map_or_else(
                || fail("pad", "sizes within memory".into(), "overflow".into()),
                Ok,
            )
        }
        Op::Output(spec) => {
            spec.check(node, &operands[0].shape)?;
            Ok(operands[0].shape.clone())
        }
    }
}

fn conv_shape(node: &str, c: &Conv2d, input: &[usize]) -> Result<Vec<usize>, IrError> {
    let fail = |what, needs: String, has: String| {
        Err(IrError::Shape {
            node: node.to_owned(),
            what,
            needs,
            has,
        })
    };
    let (&[out, per_group, kh, kw], &[channels, h, w]) = (c.weights.shape(), input) else {
        return fail(
            "conv2d",
            "weights [out, in/groups, kh, kw] and input [in, h, w]".into(),
            format!("{:?} and {input:?}", c.weights.shape()),
        );
    };
    if c.groups == 0 || channels != per_group.saturating_mul(c.groups) || out % c.groups != 0 {
        return fail(
            "conv2d groups",
            format!("a divisor of {out} with {per_group} channels each"),
            format!("{} over {channels} channels", c.groups),
        );
    }
    if c.bias.len() != out {
        return fail("conv2d bias", format!("[{out}]"), format!("[{}]", c.bias.len()));
    }
    let size = |n: usize, before: usize, after: usize, k: usize, s: usize| {
        let padded = n.checked_add(before)?.checked_add(after)?;
        (k >= 1 && s >= 1 && k <= padded).then(|| (padded - k) / s + 1)
    };
    let [top, left, bottom, right] = c.padding;
    match (
        size(h, top, bottom, kh, c.stride[0]),
        size(w, left, right, kw, c.stride[1]),
    ) {
        (Some(oh), Some(ow)) => Ok(vec![out, oh, ow]),
        _ => fail(
            "conv2d window",
            format!("a kernel within the padded {h} by {w}"),
            format!("{kh} by {kw}, stride {:?}", c.stride),
        ),
    }
}

fn concat_shape(node: &str, axis: usize, operands: &[&Type]) -> Result<Vec<usize>, IrError> {
    let mut shape = operands[0].shape.clone();
    let fail = |has: &[usize]| IrError::Shape {
        node: node.to_owned(),
        what: "concat operand",
        needs: format!("{:?} but for axis {axis}", operands[0].shape),
        has: format!("{has:?}"),
    };
    if axis >= shape.len() {
        return Err(fail(&shape));
    }
    for other in &operands[1..] {
        let same = other.shape.len() == shape.len()
            && other
                .shape
                .iter()
                .zip(&shape)
                .enumerate()
                .all(|(a, (x, y))| a == axis || x == y);
        if !same {
            return Err(fail(&other.shape));
        }
        shape[axis] = shape[axis].saturating_add(other.shape[axis]);
    }
    Ok(shape)
}

/// Sum of `weight * interval`, with the magnitude of all partial sums.
#[derive(Clone, Copy, Default)]
struct Sum {
    lo: i128,
    hi: i128,
    magnitude: i128,
}

impl Sum {
    fn add(&mut self, weight: i64, x: Interval) {
        let (a, b) = (weight as i128 * x.lo as i128, weight as i128 * x.hi as i128);
        self.lo += a.min(b);
        self.hi += a.max(b);
        self.magnitude += a.abs().max(b.abs());
    }

    fn finish(self, node: &str) -> Result<Interval, IrError> {
        if self.magnitude >= LIMIT as i128 {
            return Err(IrError::Range {
                node: node.to_owned(),
                has: self.magnitude,
                limit: LIMIT,
            });
        }
        Ok(Interval {
            lo: self.lo as i64,
            hi: self.hi as i64,
        })
    }
}

pub(crate) fn elements(
    node: &str,
    op: &Op,
    inputs: &[(&[usize], &Elements)],
    shape: &[usize],
) -> Result<Elements, IrError> {
    let count = element_count(shape)?;
    let within = |e: Interval| {
        let mut sum = Sum::default();
        sum.add(1, e);
        sum.finish(node)
    };
    match op.kind() {
        OpKind::Input(spec) => Ok(vec![within(spec.range)?; count]),
        OpKind::Lookup(l) => {
            let width = channel_len(shape);
            inputs[0]
                .1
                .iter()
                .enumerate()
                .map(|(i, &e)| within(l.channel(i / width).image(e)))
                .collect()
        }
        OpKind::Linear | OpKind::Output(_) => {
            let mut sums = vec![Sum::default(); count];
            let shapes: Vec<&[usize]> = inputs.iter().map(|i| i.0).collect();
            for_each_term(op, &shapes, shape, |out, weight, source| {
                sums[out].add(
                    weight,
                    match source {
                        Source::Element { operand, index } => inputs[operand].1[index],
                        Source::Constant(v) => Interval::point(v),
                    },
                );
            });
            sums.into_iter().map(|s| s.finish(node)).collect()
        }
    }
}
