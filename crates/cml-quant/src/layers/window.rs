//! Windows that slide over a plane, with padding round it.

use crate::QuantError;
use crate::error::misfit;

/// Size, step and padding of a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Height and width.
    pub(crate) kernel: [usize; 2],
    /// Vertical and horizontal step.
    pub(crate) stride: [usize; 2],
    /// Rows and columns added: top, left, bottom, right.
    pub(crate) padding: [usize; 4],
}

impl Window {
    /// Rows and columns of positions on a plane of `size` (height, width) in
    /// layer `name`.
    pub(crate) fn positions(&self, name: &str, size: [usize; 2]) -> Result<[usize; 2], QuantError> {
        if self.stride.contains(&0) {
            return Err(misfit(name, "stride", "at least 1", format!("{:?}", self.stride)));
        }
        let along = |axis: usize| {
            let padded = size[axis]
                .checked_add(self.padding[axis])?
                .checked_add(self.padding[axis + 2])?;
            let kernel = self.kernel[axis];
            (kernel >= 1 && kernel <= padded).then(|| (padded - kernel) / self.stride[axis] + 1)
        };
        match (along(0), along(1)) {
            (Some(rows), Some(columns)) => Ok([rows, columns]),
            _ => Err(misfit(
                name,
                "window",
                format!("within {} by {}, padded by {:?}", size[0], size[1], self.padding),
                format!("{} by {}", self.kernel[0], self.kernel[1]),
            )),
        }
    }

    /// Element of the plane under `at` (row, column) of the window at
    /// `position`; `None` if that is padding.
    pub(crate) fn under(&self, size: [usize; 2], position: [usize; 2], at: [usize; 2]) -> Option<usize> {
        let along = |axis: usize| {
            (position[axis] * self.stride[axis] + at[axis])
                .checked_sub(self.padding[axis])
                .filter(|&i| i < size[axis])
        };
        Some(along(0)? * size[1] + along(1)?)
    }
}

/// Rows and columns of a result `[channels, height, width]`.
pub(crate) fn positions(shape: &[usize]) -> impl Iterator<Item = [usize; 2]> {
    let (rows, columns) = (shape[1], shape[2]);
    (0..rows).flat_map(move |row| (0..columns).map(move |column| [row, column]))
}
