//! Which weights stay: the largest by magnitude.

use ndarray::{Array2, ArrayView2};

use crate::Pruning;

/// The weights that stay, of `[out, in]`. `slack` is the share of those to be pruned that may stay for
/// now: pruning little by little costs less accuracy (Zhu and Gupta, arXiv 1710.01878, section 3).
pub(crate) fn kept(pruning: Pruning, weights: ArrayView2<'_, f32>, slack: f64) -> Array2<bool> {
    let (rows, fan_in) = weights.dim();
    let all = Array2::from_elem((rows, fan_in), true);
    let now = |n: usize, of: usize| n + (of.saturating_sub(n) as f64 * slack) as usize;
    let pruning = match pruning {
        Pruning::None => Pruning::None,
        Pruning::PerNeuron(n) => Pruning::PerNeuron(now(n, fan_in)),
        Pruning::WholeMatrix(n) => Pruning::WholeMatrix(now(n, fan_in)),
        Pruning::Neurons(n) => Pruning::Neurons(now(n, rows)),
    };
    match pruning {
        Pruning::PerNeuron(n) if n < fan_in => {
            let mut kept = all;
            for (row, mut kept) in weights.rows().into_iter().zip(kept.rows_mut()) {
                for i in smallest(row.iter().copied(), fan_in - n) {
                    kept[i] = false;
                }
            }
            kept
        }
        Pruning::WholeMatrix(n) if n < fan_in => {
            let mut kept = all;
            for i in smallest(weights.iter().copied(), (fan_in - n) * rows) {
                kept[[i / fan_in, i % fan_in]] = false;
            }
            kept
        }
        Pruning::Neurons(n) if n < rows => {
            let mut kept = all;
            let sums = weights
                .rows()
                .into_iter()
                .map(|row| row.iter().map(|w| w.abs()).sum());
            for row in smallest(sums, rows - n) {
                kept.row_mut(row).fill(false);
            }
            kept
        }
        Pruning::None | Pruning::PerNeuron(_) | Pruning::WholeMatrix(_) | Pruning::Neurons(_) => all,
    }
}

/// Positions of the `count` values of smallest magnitude; of equal ones the last.
fn smallest(values: impl Iterator<Item = f32>, count: usize) -> Vec<usize> {
    let magnitudes: Vec<f32> = values.map(f32::abs).collect();
    let mut order: Vec<usize> = (0..magnitudes.len()).collect();
    let by_magnitude = |a: &usize, b: &usize| magnitudes[*a].total_cmp(&magnitudes[*b]).then(b.cmp(a));
    if count > 0 && count < order.len() {
        order.select_nth_unstable_by(count - 1, by_magnitude);
    }
    order.truncate(count);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn each_neuron_keeps_its_largest() {
        let w = array![[0.1, -0.9, 0.5], [0.01, 0.02, -0.03]];
        let k = kept(Pruning::PerNeuron(2), w.view(), 0.0);
        assert_eq!(k, array![[false, true, true], [false, true, true]]);
    }

    #[test]
    fn the_matrix_keeps_its_largest() {
        let w = array![[0.1, -0.9, 0.5], [0.01, 0.02, -0.03]];
        let k = kept(Pruning::WholeMatrix(1), w.view(), 0.0);
        assert_eq!(k, array![[false, true, true], [false, false, false]]);
    }

    #[test]
    fn whole_neurons_go() {
        let w = array![[0.1, -0.9], [0.5, 0.6], [0.0, 0.2]];
        let k = kept(Pruning::Neurons(2), w.view(), 0.0);
        assert_eq!(k, array![[true, true], [true, true], [false, false]]);
    }

    #[test]
    fn equal_weights_are_counted_too() {
        let w = Array2::from_elem((3, 8), 0.5);
        let k = kept(Pruning::PerNeuron(5), w.view(), 0.0);
        assert!(
            k.rows()
                .into_iter()
                .all(|r| r.iter().filter(|k| **k).count() == 5)
        );
    }

    #[test]
    fn with_slack_more_stay() {
        let w = array![[0.1, -0.9, 0.5, 0.2]];
        let count = |slack| {
            let kept = kept(Pruning::PerNeuron(2), w.view(), slack);
            kept.iter().filter(|k| **k).count()
        };
        assert_eq!((count(1.0), count(0.5), count(0.0)), (4, 3, 2));
    }

    #[test]
    fn a_small_fan_in_is_left_alone() {
        let w = array![[0.0, 0.1]];
        for pruning in [Pruning::None, Pruning::PerNeuron(2), Pruning::WholeMatrix(30)] {
            assert!(kept(pruning, w.view(), 0.0).iter().all(|&k| k));
        }
    }
}
