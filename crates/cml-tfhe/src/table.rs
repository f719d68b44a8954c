//! Tables as polynomials that a blind rotation reads.
//!
//! A domain of `R` values, encoded at step `1 / 2R` of the torus, falls on the
//! points `v N / R` of a polynomial with `N` coefficients. Each value gets a box
//! of coefficients round its point; the boxes end at integers nearest to the
//! half points. The centred modulus switch lands on coefficient `j` for phases in
//! `[j, j + 1)`, so an end at an exact half point is exact, and one at a rounded
//! point costs the margin that [`crate::noise::margin`] accounts for.

/// First coefficient after the box of `value`: `round((value + 1/2) N / R)`, halves upward.
pub fn boundary(value: u64, values: u64, polynomial_size: u32) -> u64 {
    let (value, values, n) = (
        u128::from(value),
        u128::from(values.max(1)),
        u128::from(polynomial_size),
    );
    (((2 * value + 1) * n + values) / (2 * values)) as u64
}

/// Nearest multiple of `step`, as a signed number of steps, the torus read from
/// -1/2 to 1/2. A step of 0 counts as 1.
pub fn nearest_value(phase: u64, step: u64) -> i64 {
    let (phase, step) = (i128::from(phase as i64), i128::from(step.max(1)));
    (2 * phase + step).div_euclid(2 * step) as i64
}

/// The polynomial whose coefficient `j` is `values[v] * step` for the `v` whose box holds `j`.
///
/// Products wrap modulo 2^64: values may be negative. The coefficients beyond
/// the last box belong to value 0 seen from below, and hold `-values[0] * step`
/// since a rotation by `N` changes the sign. Empty `values` give the zero
/// polynomial; more values than coefficients leave some without a box, which
/// the noise model counts as certain failure.
pub fn lookup_polynomial(values: &[i64], polynomial_size: u32, step: u64) -> Vec<u64> {
    let mut coefficients = Vec::with_capacity(polynomial_size as usize);
    for (v, &value) in values.iter().enumerate() {
        let end = boundary(v as u64, values.len() as u64, polynomial_size) as usize;
        coefficients.resize(end, (value as u64).wrapping_mul(step));
    }
    let first = values.first().copied().unwrap_or(0);
    coefficients.resize(
        polynomial_size as usize,
        (first as u64).wrapping_mul(step).wrapping_neg(),
    );
    coefficients
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a noiseless blind rotation reads at index `j` of `2N`.
    fn read(polynomial: &[u64], index: i64) -> u64 {
        let n = polynomial.len() as i64;
        match index.rem_euclid(2 * n) {
            j if j < n => polynomial[j as usize],
            j => polynomial[(j - n) as usize].wrapping_neg(),
        }
    }

    #[test]
    fn every_odd_domain_reads_its_values_within_the_margin() {
        let n = 256_u32;
        let step = 0x0123_4567_89ab_cdef;
        for count in (1..=127_u64).step_by(2) {
            let values: Vec<i64> = (0..count as i64).map(|v| 7 * v - 100).collect();
            let polynomial = lookup_polynomial(&values, n, step);
            assert_eq!(polynomial.len(), n as usize);
            let margin = crate::noise::margin(n, count, crate::noise::Reader::Lookup);
            for (v, &value) in values.iter().enumerate() {
                // Phases in coefficients; the switch floors them.
                let point = v as f64 * f64::from(n) / count as f64;
                let reach = margin * 2.0 * f64::from(n) - 1e-9;
                for phase in [point - reach, point, point + reach] {
                    let found = read(&polynomial, phase.floor() as i64);
                    assert_eq!(found, (value as u64).wrapping_mul(step), "value {v} of {count}");
                }
            }
            // The margin is the largest with that property: just beyond it some value fails.
            if count > 1 {
                let beyond = margin * 2.0 * f64::from(n) + 1e-9;
                let fails = values.iter().enumerate().any(|(v, &value)| {
                    let point = v as f64 * f64::from(n) / count as f64;
                    [point - beyond, point + beyond].into_iter().any(|phase| {
                        let found = read(&polynomial, phase.floor() as i64);
                        found != (value as u64).wrapping_mul(step)
                    })
                });
                assert!(fails, "margin of {count} values is not tight");
            }
        }
    }

    #[test]
    fn power_of_two_domains_have_the_usual_layout() {
        assert_eq!(
            lookup_polynomial(&[1, 2], 8, 10),
            [10, 10, 20, 20, 20, 20, -10_i64 as u64, -10_i64 as u64]
        );
    }

    #[test]
    fn degenerate_tables_have_the_right_length() {
        assert_eq!(lookup_polynomial(&[], 4, 1), [0; 4]);
        assert_eq!(
            lookup_polynomial(&[3], 4, 1),
            [3, 3, -3_i64 as u64, -3_i64 as u64]
        );
        assert_eq!(lookup_polynomial(&[1; 100], 4, 1).len(), 4);
    }
}
