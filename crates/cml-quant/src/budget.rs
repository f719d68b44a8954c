//! Rows whose integer weights have a bounded sum of magnitudes: for training and for post-training
//! quantization.
//!
//! An accumulator `sum w x` with every `x` in an interval of span `s` takes `1 + s * sum |w|` values,
//! so at most `R` values means a budget of `(R - 1) / s` on `sum |w|` (the idea of A2Q, arXiv
//! 2308.13504; a constant offset is free here, so this is A2Q+'s budget without zero-centring).

use ndarray::{ArrayView, ArrayView1, ArrayViewMut1, RemoveAxis};

/// Largest `sum |w|` of a row whose inputs have the given span, if its accumulator may take `values`
/// values.
pub fn l1_budget(values: u64, span: u64) -> u64 {
    values.saturating_sub(1).checked_div(span).unwrap_or(u64::MAX)
}

/// Largest sum of the magnitudes of the integer weights of one output channel (axis 0).
pub fn largest_sum<D: RemoveAxis>(codes: ArrayView<'_, i64, D>) -> u64 {
    let sums = codes
        .outer_iter()
        .map(|row| row.iter().map(|c| c.unsigned_abs()).sum());
    sums.max().unwrap_or(0)
}

/// Moves a row to the nearest point with `sum |w| <= radius` (Euclidean projection onto the L1
/// ball, Duchi et al., 2008).
pub fn project(row: &mut ArrayViewMut1<'_, f32>, radius: f32) {
    let sum: f32 = row.iter().map(|w| w.abs()).sum();
    if sum <= radius {
        return;
    }
    let mut sorted: Vec<f32> = row.iter().map(|w| w.abs()).collect();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let mut sum = 0.0;
    let mut threshold = 0.0;
    for (i, w) in sorted.into_iter().enumerate() {
        sum += w;
        let next = (sum - radius) / (i + 1) as f32;
        if w <= next {
            break;
        }
        threshold = next;
    }
    for w in row {
        *w = w.signum() * (w.abs() - threshold).max(0.0);
    }
}

/// Shrinks integer weights until the sum of their magnitudes keeps to `budget`: in descending order
/// of `weights`' magnitudes each keeps what it has while the budget lasts.
pub fn fit(codes: &mut ArrayViewMut1<'_, i64>, weights: ArrayView1<'_, f32>, budget: u64) {
    if codes.iter().map(|c| c.unsigned_abs()).sum::<u64>() <= budget {
        return;
    }
    let mut order: Vec<usize> = (0..codes.len()).collect();
    order.sort_unstable_by(|&a, &b| weights[b].abs().total_cmp(&weights[a].abs()).then(a.cmp(&b)));
    let mut left = budget;
    for i in order {
        let magnitude = codes[i].unsigned_abs().min(left);
        left -= magnitude;
        codes[i] = codes[i].signum() * magnitude as i64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn projected(row: &[f32], radius: f32) -> Vec<f32> {
        let mut row = row.to_vec();
        project(&mut ArrayViewMut1::from(&mut row[..]), radius);
        row
    }

    fn fitted(codes: [i64; 4], budget: u64) -> [i64; 4] {
        let mut codes = codes;
        let weights = [1.0, -0.6, 0.3, -0.4];
        fit(
            &mut ArrayViewMut1::from(&mut codes[..]),
            ArrayView1::from(&weights[..]),
            budget,
        );
        codes
    }

    #[test]
    fn a_row_inside_the_ball_stays() {
        assert_eq!(projected(&[0.5, -0.25], 0.75), [0.5, -0.25]);
    }

    #[test]
    fn a_row_outside_moves_to_the_surface() {
        assert_eq!(projected(&[1.0, -0.5, 0.125], 1.0), [0.75, -0.25, 0.0]);
        let row: Vec<f32> = (0..100).map(|i| ((i * 37) % 100) as f32 / 50.0 - 1.0).collect();
        let sum: f32 = projected(&row, 5.0).iter().map(|w| w.abs()).sum();
        assert!((sum - 5.0).abs() < 1e-4, "{sum}");
    }

    #[test]
    fn the_smallest_weights_pay() {
        assert_eq!(fitted([3, -2, 1, -1], 7), [3, -2, 1, -1]);
        assert_eq!(fitted([3, -2, 1, -1], 6), [3, -2, 0, -1]);
        assert_eq!(fitted([3, -2, 0, -1], 4), [3, -1, 0, 0]);
        assert_eq!(fitted([3, -2, 1, -1], 2), [2, 0, 0, 0]);
    }
}
