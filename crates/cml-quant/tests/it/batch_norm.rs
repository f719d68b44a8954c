//! Folding batch normalization into the layer before it.

use cml_quant::{BatchNorm, fold_batch_norm};
use ndarray::{Array4, array};

fn norm() -> BatchNorm {
    BatchNorm {
        gamma: vec![2.0, -0.5],
        beta: vec![1.0, 0.25],
        mean: vec![0.5, -1.0],
        var: vec![3.75, 0.0],
        eps: 0.25,
    }
}

#[test]
fn a_dense_layer_by_hand() {
    let weights = array![[1.0f32, -3.0, 0.5], [4.0, 0.0, 0.125]];
    // Factors 2 / sqrt(4) = 1 and -0.5 / sqrt(0.25) = -1.
    let (folded, bias) = fold_batch_norm(&weights, Some(&[0.75, 2.0]), &norm()).unwrap();
    assert_eq!(folded, array![[1.0, -3.0, 0.5], [-4.0, 0.0, -0.125]]);
    assert_eq!(bias, [0.25 + 1.0, -3.0 + 0.25]);
    let (_, bias) = fold_batch_norm(&weights, None, &norm()).unwrap();
    assert_eq!(bias, [-0.5 + 1.0, -1.0 + 0.25]);
}

#[test]
fn a_convolution_normalizes_each_output_channel() {
    let weights = Array4::from_shape_fn((2, 3, 2, 2), |(o, i, y, x)| (o * 12 + i * 4 + y * 2 + x) as f32);
    let norm = BatchNorm {
        var: vec![8.75, 0.75],
        ..norm()
    };
    let (folded, bias) = fold_batch_norm(&weights, None, &norm).unwrap();
    let factors = [2.0 / 3.0, -0.5];
    for (at, &w) in folded.indexed_iter() {
        assert_eq!(w, (f64::from(weights[at]) * factors[at.0]) as f32);
    }
    assert_eq!(bias, [(1.0 - 0.5 * factors[0]) as f32, -0.25]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let check = |change: fn(&mut BatchNorm), expected: &str| {
        let mut norm = norm();
        change(&mut norm);
        let result = fold_batch_norm(&array![[1.0f32], [2.0]], None, &norm);
        assert_eq!(result.unwrap_err().to_string(), expected);
    };
    check(|n| n.gamma.truncate(1), "layer batch norm: gamma: needs 2, has 1");
    check(|n| n.mean.push(0.0), "layer batch norm: mean: needs 2, has 3");
    check(|n| n.beta[1] = f32::NAN, "beta is NaN, must be finite");
    check(|n| n.eps = f32::INFINITY, "eps is inf, must be finite");
    check(
        |n| n.var[1] = -0.25,
        "layer batch norm: var + eps: needs above 0, has 0",
    );
    check(
        |n| (n.eps, n.gamma[1]) = (1e-40, 1e38),
        "folded weight is inf, must be finite",
    );
}
