//! Which element of an axis each of a resized axis is the nearest to.

use crate::axes;
use crate::model::Node;
use crate::rearrange::MAX_AXIS;
use crate::report::{NodeProblem, Translated};
use crate::tensor::Tensor;
use crate::translation::constant;
use crate::value::Value;

/// For each axis of a full shape the indices of the elements that are taken.
///
/// # Errors
/// If elements are interpolated, or the sizes do not fit.
pub(crate) fn read(
    opset: i64,
    node: &Node,
    operands: &[Option<Value>],
    full: &[usize],
) -> Translated<Vec<Vec<usize>>> {
    let mode = node.text_or("mode", "nearest")?;
    if mode != "nearest" {
        return Err(NodeProblem::new(
            format!("it interpolates ({mode})"),
            "mode nearest, or ConvTranspose as layers of its own",
        ));
    }
    let policy = node.text_or("keep_aspect_ratio_policy", "stretch")?;
    if policy != "stretch" {
        return Err(NodeProblem::new(
            format!("keep_aspect_ratio_policy {policy}"),
            "keep_aspect_ratio_policy stretch, which is the default",
        ));
    }
    let axes = match node.ints("axes")? {
        None => (0..full.len()).collect(),
        Some(axes) => axes
            .iter()
            .map(|&a| axes::axis(a, full.len()))
            .collect::<Translated<Vec<_>>>()?,
    };
    let sampling = Sampling::read(opset, node)?;
    let mut along: Vec<Vec<usize>> = full.iter().map(|&d| (0..d).collect()).collect();
    for (&axis, (count, scale)) in axes.iter().zip(targets(node, operands, &axes, full)?) {
        if !(1..=MAX_AXIS).contains(&count) {
            return Err(NodeProblem::new(
                format!("axis {axis} resized to {count} elements, needs 1 to {MAX_AXIS}"),
                "a smaller result",
            ));
        }
        along[axis] = sampling.indices(full[axis], count, scale)?;
    }
    Ok(along)
}

/// Size and factor of each of the axes that are resized.
fn targets(
    node: &Node,
    operands: &[Option<Value>],
    axes: &[usize],
    full: &[usize],
) -> Translated<Vec<(usize, f32)>> {
    let given = |slot: usize| -> Translated<Option<Tensor>> {
        Ok(constant(operands, slot)?.filter(|tensor| tensor.len() > 0))
    };
    // Operator set 10 and Upsample have no region of interest.
    let slots = if operands.len() <= 2 { (1, 3) } else { (2, 3) };
    let attribute = match node.attributes.get("scales") {
        Some(crate::model::Attribute::Floats(scales)) => Some(scales.clone()),
        _ => None,
    };
    let fail =
        |what: &str, has: usize| NodeProblem::malformed(format!("{has} {what} for {} axes", axes.len()));
    if let Some(sizes) = given(slots.1)? {
        let sizes = sizes.to_ints()?;
        if sizes.len() != axes.len() {
            return Err(fail("sizes", sizes.len()));
        }
        let target = |(&size, &axis): (&i64, &usize)| {
            let count = usize::try_from(size).unwrap_or(0);
            (count, count as f32 / full[axis] as f32)
        };
        return Ok(sizes.iter().zip(axes).map(target).collect());
    }
    let scales = match attribute {
        Some(scales) => scales,
        None => given(slots.0)?
            .map(|t| t.to_floats())
            .ok_or_else(|| NodeProblem::malformed("it has neither scales nor sizes"))?,
    };
    if scales.len() != axes.len() || scales.iter().any(|s| !(s.is_finite() && *s > 0.0)) {
        return Err(fail("scales", scales.len()));
    }
    let target = |(&scale, &axis): (&f32, &usize)| ((full[axis] as f32 * scale).floor() as usize, scale);
    Ok(scales.iter().zip(axes).map(target).collect())
}

/// How a position of the result becomes one of the operand.
struct Sampling {
    coordinates: String,
    rounding: String,
}

impl Sampling {
    fn read(opset: i64, node: &Node) -> Translated<Self> {
        // Until operator set 10 the two were fixed.
        let (coordinates, rounding) = if opset < 11 {
            ("asymmetric".to_owned(), "simple".to_owned())
        } else {
            (
                node.text_or("coordinate_transformation_mode", "half_pixel")?,
                node.text_or("nearest_mode", "round_prefer_floor")?,
            )
        };
        Ok(Self {
            coordinates,
            rounding,
        })
    }

    /// In `f32`, as onnxruntime computes them.
    fn indices(&self, size: usize, count: usize, scale: f32) -> Translated<Vec<usize>> {
        if count == size && scale == 1.0 {
            return Ok((0..size).collect());
        }
        let (from, to) = (size as f32, count as f32);
        let position = |x: f32| {
            Ok(match self.coordinates.as_str() {
                "asymmetric" => x / scale,
                "half_pixel" => (x + 0.5) / scale - 0.5,
                "pytorch_half_pixel" if count == 1 => 0.0,
                "pytorch_half_pixel" => (x + 0.5) / scale - 0.5,
                "tf_half_pixel_for_nn" => (x + 0.5) / scale,
                "align_corners" if count == 1 => 0.0,
                "align_corners" => x * (from - 1.0) / (to - 1.0),
                "half_pixel_symmetric" => {
                    let adjustment = to / (scale * from);
                    from / 2.0 * (1.0 - adjustment) + (x + 0.5) / scale - 0.5
                }
                other => {
                    return Err(NodeProblem::new(
                        format!("coordinate_transformation_mode {other}"),
                        "asymmetric or half_pixel",
                    ));
                }
            })
        };
        let nearest = |x: f32| {
            Ok(match self.rounding.as_str() {
                "round_prefer_floor" if x == x.trunc() + 0.5 => x.floor(),
                "round_prefer_floor" | "round_prefer_ceil" => x.round(),
                "floor" => x.floor(),
                "ceil" => x.ceil(),
                "simple" if scale < 1.0 => x.ceil(),
                "simple" => x.trunc(),
                other => return Err(NodeProblem::malformed(format!("nearest_mode {other:?}"))),
            })
        };
        let last = (size - 1) as f32;
        (0..count)
            .map(|i| Ok(nearest(position(i as f32)?)?.clamp(0.0, last) as usize))
            .collect()
    }
}
