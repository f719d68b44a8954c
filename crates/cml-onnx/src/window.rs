//! Kernels, strides and padding of convolutions and pools.

use crate::model::Node;
use crate::report::{NodeProblem, Translated};

/// Largest stride, padding or dilation.
const MOST: i64 = 1 << 20;

/// A window in two dimensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlacedWindow {
    pub(crate) stride: [usize; 2],
    /// Top, left, bottom, right.
    pub(crate) padding: [usize; 4],
    /// Rows and columns of the result.
    pub(crate) positions: [usize; 2],
}

/// Height and width of `[channels, height, width]` or `[channels, width]`.
pub(crate) fn plane(shape: &[usize]) -> [usize; 2] {
    match shape {
        [_, height, width] => [*height, *width],
        [.., width] => [1, *width],
        [] => [1, 1],
    }
}

/// Two numbers, or one in one dimension; 1 if they are left out.
pub(crate) fn pair(node: &Node, name: &str, axes: usize) -> Translated<[usize; 2]> {
    let Some(list) = node.ints(name)?.filter(|l| !l.is_empty()) else {
        return Ok([1, 1]);
    };
    let fail = || NodeProblem::malformed(format!("{name} {list:?} in {axes} dimensions"));
    let number = |v: i64| {
        usize::try_from(v)
            .ok()
            .filter(|_| (1..=MOST).contains(&v))
            .ok_or_else(fail)
    };
    match list[..] {
        [width] if axes == 1 => Ok([1, number(width)?]),
        [height, width] if axes == 2 => Ok([number(height)?, number(width)?]),
        _ => Err(fail()),
    }
}

/// Stride and padding of a kernel on a plane.
///
/// # Errors
/// If they do not fit, or the result depends on `ceil_mode`.
pub(crate) fn read(
    node: &Node,
    kernel: [usize; 2],
    plane: [usize; 2],
    axes: usize,
) -> Translated<PlacedWindow> {
    let stride = pair(node, "strides", axes)?;
    let mut padding = [0; 4];
    let auto = node.text_or("auto_pad", "NOTSET")?;
    let first = 2 - axes;
    match auto.as_str() {
        "NOTSET" | "" => {
            let pads = node
                .ints("pads")?
                .filter(|p| !p.is_empty())
                .unwrap_or_else(|| vec![0; 2 * axes]);
            if pads.len() != 2 * axes || pads.iter().any(|p| !(0..=MOST).contains(p)) {
                return Err(NodeProblem::malformed(format!(
                    "pads {pads:?} in {axes} dimensions"
                )));
            }
            for (axis, &pad) in pads.iter().enumerate() {
                // All starts, then all ends.
                let side = if axis < axes {
                    axis + first
                } else {
                    axis - axes + 2 + first
                };
                padding[side] = pad as usize;
            }
        }
        "VALID" => {}
        "SAME_UPPER" | "SAME_LOWER" => {
            for axis in first..2 {
                let positions = plane[axis].div_ceil(stride[axis]);
                let covered = (positions.saturating_sub(1) * stride[axis]).saturating_add(kernel[axis]);
                let missing = covered.saturating_sub(plane[axis]);
                let (less, more) = (missing / 2, missing - missing / 2);
                (padding[axis], padding[axis + 2]) = if auto == "SAME_UPPER" {
                    (less, more)
                } else {
                    (more, less)
                };
            }
        }
        other => return Err(NodeProblem::malformed(format!("auto_pad {other:?}"))),
    }
    let mut positions = [1, 1];
    for axis in 0..2 {
        let padded = plane[axis] + padding[axis] + padding[axis + 2];
        let Some(room) = padded.checked_sub(kernel[axis]).filter(|_| kernel[axis] >= 1) else {
            return Err(NodeProblem::malformed(format!(
                "a kernel {kernel:?} on {plane:?}, padded by {padding:?}"
            )));
        };
        if room % stride[axis] != 0 && node.int_or("ceil_mode", 0)? != 0 {
            return Err(NodeProblem::new(
                format!("ceil_mode: windows that reach over the edge of {plane:?}"),
                "ceil_mode=False, or padding",
            ));
        }
        positions[axis] = room / stride[axis] + 1;
    }
    Ok(PlacedWindow {
        stride,
        padding,
        positions,
    })
}
