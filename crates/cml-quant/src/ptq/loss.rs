//! How far quantized outputs are from float ones.

use ndarray::{ArrayView1, ArrayView2};

/// Weight of the divergence beside the share of other decisions: it decides between quantizers
/// that change the same decisions, and does not punish scores that have become more certain.
const DIVERGENCE: f64 = 0.02;

/// The loss of each row: of classes whether another one is best than in the float network, plus a little
/// of the Kullback-Leibler divergence of their probabilities (softmax of the scores) from the float
/// network's; of other outputs the squared error.
pub(super) fn losses<'a>(
    float: &'a ArrayView2<'_, f64>,
    quantized: &'a ArrayView2<'_, f64>,
    classes: bool,
) -> impl Iterator<Item = f64> {
    let pairs = float.rows().into_iter().zip(quantized.rows());
    pairs.map(move |(y, z): (ArrayView1<'_, f64>, ArrayView1<'_, f64>)| {
        if classes {
            let differs = best(y) != best(z);
            f64::from(u8::from(differs)) + DIVERGENCE * divergence(y, z)
        } else {
            y.iter().zip(z).map(|(y, z)| (y - z) * (y - z)).sum()
        }
    })
}

/// Index of the largest score, the first of several.
fn best(scores: ArrayView1<'_, f64>) -> usize {
    let better = |best: usize, i: usize| if scores[i] > scores[best] { i } else { best };
    (0..scores.len()).fold(0, better)
}

fn divergence(y: ArrayView1<'_, f64>, z: ArrayView1<'_, f64>) -> f64 {
    let log_sum = |v: ArrayView1<'_, f64>| {
        let most = v.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        most + v.iter().map(|x| (x - most).exp()).sum::<f64>().ln()
    };
    let (of_y, of_z) = (log_sum(y), log_sum(z));
    let terms = y.iter().zip(z);
    terms
        .map(|(&y, &z)| (y - of_y).exp() * ((y - of_y) - (z - of_z)))
        .sum()
}
