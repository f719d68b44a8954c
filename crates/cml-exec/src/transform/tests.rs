use super::*;

/// By its definition, in integers.
fn product(a: &[i64], b: &[i64]) -> Vec<i64> {
    let n = a.len();
    let mut result = vec![0; n];
    for (i, x) in a.iter().enumerate() {
        for (j, y) in b.iter().enumerate() {
            match i + j {
                k if k < n => result[k] += x * y,
                k => result[k - n] -= x * y,
            }
        }
    }
    result
}

fn multiply(f: &[f64], g: &[f64]) -> Vec<f64> {
    let half = f.len() / 2;
    let re = (0..half).map(|k| f[k] * g[k] - f[k + half] * g[k + half]);
    let im = (0..half).map(|k| f[k] * g[k + half] + f[k + half] * g[k]);
    re.chain(im).collect()
}

#[test]
fn products_are_negacyclic() {
    let arch = Arch::new();
    for log in 6..=13 {
        let n = 1 << log;
        let plan = Transform::new(n);
        let a: Vec<i64> = (0..n as i64).map(|i| (i * i * 7 + 3 * i) % 101 - 50).collect();
        let b: Vec<i64> = (0..n as i64).map(|i| (i * 13 + 5) % 97 - 48).collect();
        let forward = |x: &[i64]| {
            let mut x: Vec<f64> = x.iter().map(|&x| x as f64).collect();
            plan.forward(arch, &mut x);
            x
        };
        let mut result = multiply(&forward(&a), &forward(&b));
        plan.backward(arch, &mut result);
        let scale = 2.0 / n as f64;
        let result: Vec<i64> = result.iter().map(|x| (x * scale).round() as i64).collect();
        assert_eq!(result, product(&a, &b), "{n}");
    }
}

/// Machines without vectors of four or eight lanes.
#[test]
fn number_by_number_is_the_same_transform() {
    let n = 256;
    let plan = Transform {
        lanes: crate::aligned::zeros(0),
        ..Transform::new(n)
    };
    let a: Vec<f64> = (0..n).map(|i| ((i * i * 7) % 101) as f64).collect();
    let mut there = a.clone();
    Forward {
        plan: &plan,
        polynomial: &mut there,
    }
    .with_simd(Scalar::new());
    let mut square = multiply(&there, &there);
    Backward {
        plan: &plan,
        polynomial: &mut square,
    }
    .with_simd(Scalar::new());
    let whole: Vec<i64> = a.iter().map(|&x| x as i64).collect();
    let square: Vec<i64> = square
        .iter()
        .map(|x| (x * 2.0 / n as f64).round() as i64)
        .collect();
    assert_eq!(square, product(&whole, &whole));
}
