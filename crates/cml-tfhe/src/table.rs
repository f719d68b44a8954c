//! Tables as polynomials that a blind rotation reads.
//!
//! A row takes the values `0..R`, encoded at a step of `1 / 2P` of the torus. A
//! blind rotation reads a polynomial of `L` coefficients, negacyclic: half a
//! torus further it reads the negative. So a table `f` is read as `f - c` with
//! `c` halfway between its end values: below its first change and beyond its last
//! one it is `-a` and `a`, and the wrap from one to the other is no change at all.
//! Hence the half period `P` may be smaller than `R`: see [`half_period`].
//!
//! A row whose table needs less than the others that read its wires is multiplied by a `scale`, so
//! that its values are so many steps apart and its margin grows with them ([`Spacing`]).
//!
//! The change of `f` at the value `t` happens at the coefficient nearest to
//! `(t - 1/2) scale L / P`. The centred modulus switch lands on coefficient `j` for
//! phases in `[j, j + 1)`, so a change at an exact half point is exact, and one at
//! a rounded point costs the margin that [`crate::noise::margin`] accounts for.

/// How far apart the values of a row lie: `scale / 2P` of the torus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spacing {
    /// `P`, half the number of steps that an encoding has on the torus.
    pub half_period: u64,
    /// Steps from one value to the next: what the row is multiplied by before it is looked up.
    pub scale: u64,
}

/// Values one step apart, of a half period.
impl From<u64> for Spacing {
    fn from(half_period: u64) -> Self {
        Self {
            half_period,
            scale: 1,
        }
    }
}

/// How one table is read off a rotated polynomial: `constant + sum weight * coefficient`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Degrees of the coefficients, below `L`, with their weights.
    pub terms: Vec<(usize, i64)>,
    /// A clear number on the torus modulo 2^64.
    pub constant: u64,
}

/// The values `t > 0` at which a table changes, with `f(t) - f(t - 1)`, which saturates: values from files are looked
/// at before they are known to be small.
pub fn changes(table: &[i64]) -> impl Iterator<Item = (u64, i64)> + '_ {
    table
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0] != pair[1])
        .map(|(i, pair)| (i as u64 + 1, pair[1].saturating_sub(pair[0])))
}

/// First and last change; none in a constant table.
fn ends(table: &[i64]) -> Option<(u64, u64)> {
    let mut found = changes(table).map(|(t, _)| t);
    let first = found.next()?;
    Some((first, found.last().unwrap_or(first)))
}

/// Smallest half period, in values, at which the table can be read, `P` over the scale: the
/// distance from every value to every change is at most `P`.
///
/// For a table of `R` values that is flat up to `t` and from `s` on it is
/// `max(R - t, s)`; `R - 1` for one that changes everywhere.
pub fn half_period(table: &[i64]) -> u64 {
    ends(table).map_or(1, |(first, last)| (table.len() as u64 - first).max(last))
}

/// Number of values of the narrowest plateau between two changes, the one that
/// wraps from the top of the table to its bottom included.
pub fn narrowest_plateau(table: &[i64], spacing: impl Into<Spacing>) -> u64 {
    let Spacing { half_period, scale } = spacing.into();
    let half_period = half_period / scale.max(1);
    let Some((first, last)) = ends(table) else {
        return half_period;
    };
    let places: Vec<u64> = changes(table).map(|(t, _)| t).collect();
    let inner = places.windows(2).map(|pair| pair[1] - pair[0]);
    inner
        .chain([half_period.saturating_sub(last - first)])
        .min()
        .unwrap_or(half_period)
}

/// Share of its half period that the slack of a table may be at most, where it is wider than the narrowest plateau.
pub const SLACK_SHARE: u64 = 32;

/// Most slack that a table may have: that of its narrowest plateau, with which a result is off by one level at most;
/// or, if that is more, `1/share` of the half period, with which it may be off by several. `share` is at least
/// [`SLACK_SHARE`].
///
/// Never more than the plateau that wraps from the top of the table to its bottom: an error across it would be one
/// of the whole staircase.
pub fn most_slack(table: &[i64], spacing: impl Into<Spacing>, share: u64) -> u64 {
    let spacing = spacing.into();
    let plateau = narrowest_plateau(table, spacing);
    let half_period = spacing.half_period / spacing.scale.max(1);
    let wrap = ends(table).map_or(half_period, |(first, last)| {
        half_period.saturating_sub(last - first)
    });
    plateau.max((half_period / share.max(SLACK_SHARE)).min(wrap))
}

/// Coefficient at which the change at the value `t >= 1` happens:
/// `round((t - 1/2) scale L / P)`, halves upward.
pub fn boundary(t: u64, spacing: impl Into<Spacing>, size: u64) -> u64 {
    let Spacing { half_period, scale } = spacing.into();
    let (period, size) = (
        u128::from(half_period.max(1)),
        u128::from(scale) * u128::from(size),
    );
    ((u128::from(2 * t).saturating_sub(1) * size + period) / (2 * period)) as u64
}

/// The polynomial of one table, and how it is read: its constant coefficient.
///
/// Coefficients are `(2 f(v) - f(0) - f(R - 1)) * half_step`, products that wrap
/// modulo 2^64: values may be negative. The table must have a half period of at
/// most `P / scale`, which must be at most `size / 2` if values are to be kept apart: of changes at one coefficient the last
/// counts.
pub fn table_polynomial(
    table: &[i64],
    spacing: impl Into<Spacing>,
    size: u64,
    half_step: u64,
) -> (Vec<u64>, Reading) {
    let spacing = spacing.into();
    let (first, last) = (table.first().copied(), table.last().copied());
    let (first, last) = (first.unwrap_or(0), last.unwrap_or(0));
    let ends = (first as u64).wrapping_add(last as u64);
    let entry = |f: i64| {
        (f as u64)
            .wrapping_mul(2)
            .wrapping_sub(ends)
            .wrapping_mul(half_step)
    };
    let mut coefficients = Vec::with_capacity(size as usize);
    for (t, delta) in changes(table) {
        let before = table[t as usize] - delta;
        let end = boundary(t, spacing, size).min(size);
        coefficients.resize(end as usize, entry(before));
    }
    coefficients.resize(size as usize, entry(last));
    (coefficients, table_reading(table, half_step))
}

/// How a table is read off the rotation of its own polynomial: its constant coefficient.
pub fn table_reading(table: &[i64], half_step: u64) -> Reading {
    let ends = [table.first(), table.last()].into_iter().flatten();
    let ends = ends.fold(0_u64, |sum, &v| sum.wrapping_add(v as u64));
    Reading {
        terms: vec![(0, 1)],
        constant: ends.wrapping_mul(half_step),
    }
}

/// How a table is read off the rotation of the constant polynomial
/// `half_step * (1 + Y + .. + Y^(L - 1))`: as the sum of its changes.
///
/// The coefficient of `Y^(L - b)` is `-half_step` if the phase has passed `b`, and
/// `half_step` if not. Any number of tables can be read off one rotation, at noise
/// that grows with the sum of their squared changes (multi-value bootstrapping:
/// Carpov, Izabachène, Mollimard, CT-RSA 2019, section 4).
pub fn table_changes(table: &[i64], spacing: impl Into<Spacing>, size: u64, half_step: u64) -> Reading {
    let spacing = spacing.into();
    let (first, last) = (table.first().copied(), table.last().copied());
    let ends = (first.unwrap_or(0) as u64).wrapping_add(last.unwrap_or(0) as u64);
    let term = |(t, delta): (u64, i64)| {
        let passed = boundary(t, spacing, size).clamp(1, size);
        ((size - passed) as usize, -delta)
    };
    Reading {
        terms: changes(table).map(term).collect(),
        constant: ends.wrapping_mul(half_step),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{Reader, Requirement, Source, margin};
    use cml_scheme::nearest_value;

    /// Coefficient `index` of `2L` of a negacyclic polynomial.
    fn coefficient(polynomial: &[u64], index: i64) -> u64 {
        let n = polynomial.len() as i64;
        match index.rem_euclid(2 * n) {
            j if j < n => polynomial[j as usize],
            j => polynomial[(j - n) as usize].wrapping_neg(),
        }
    }

    /// What a noiseless blind rotation by `phase` coefficients reads.
    fn read(polynomial: &[u64], reading: &Reading, phase: i64) -> u64 {
        reading.terms.iter().fold(reading.constant, |sum, &(degree, w)| {
            let word = coefficient(polynomial, phase + degree as i64);
            sum.wrapping_add(word.wrapping_mul(w as u64))
        })
    }

    /// Tables of every kind: flat ends of several lengths, steps up and down.
    fn tables() -> Vec<Vec<i64>> {
        let mut tables: Vec<Vec<i64>> = (2..=80)
            .map(|count| (0..count).map(|v| 7 * v - 100).collect())
            .collect();
        for (low, high, count) in [(0, 7, 60), (-3, 4, 61), (5, 5, 9), (2, 3, 40)] {
            for start in [1, 7, 20] {
                tables.push((0..count).map(|v: i64| (v - start).clamp(low, high)).collect());
                tables.push((0..count).map(|v: i64| (start - v).clamp(low, high)).collect());
            }
        }
        tables.push(vec![0, 0, 5, -3, -3, 9, 9, 9]);
        tables.push(vec![4; 30]);
        tables
    }

    #[test]
    fn every_table_reads_its_values_within_the_margin() {
        let half_step = 0x0123_4567_89ab_cdef;
        for (i, values) in tables().iter().enumerate() {
            for size in [256, 3 * 128, 5 * 64] {
                let own = half_period(values);
                for (half_period, scale) in [(own, 1), (own + 3, 1), (3 * own, 3), (5 * own + 2, 5)] {
                    let spacing = Spacing { half_period, scale };
                    let (polynomial, direct) = table_polynomial(values, spacing, size, half_step);
                    assert_eq!(polynomial.len() as u64, size);
                    let constant = vec![half_step; size as usize];
                    let steps = table_changes(values, spacing, size, half_step);
                    let requirement = Requirement {
                        half_period,
                        scale,
                        nu2: 1,
                        alike: 0,
                        pairs: 0,
                        source: Source::Lookup,
                        reader: Reader::Lookup,
                        slack: 0,
                    };
                    let reach = margin(size, &requirement) * 2.0 * size as f64 - 1e-9;
                    assert!(reach > 0.0);
                    for (v, &value) in values.iter().enumerate() {
                        // Phases in coefficients; the switch floors them.
                        let point = (v as u64 * scale * size) as f64 / half_period as f64;
                        for phase in [point - reach, point, point + reach] {
                            let wanted = (value as u64).wrapping_mul(2 * half_step);
                            let phase = phase.floor() as i64;
                            let what = format!("table {i}, value {v}, L {size}, {spacing:?}");
                            assert_eq!(read(&polynomial, &direct, phase), wanted, "{what}");
                            assert_eq!(read(&constant, &steps, phase), wanted, "{what}, changes");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn slack_moves_a_value_by_one_plateau_at_most() {
        let half_step = 1 << 20;
        for values in tables().iter().filter(|t| t.len() > 5) {
            let period = half_period(values) + 1;
            let slack = narrowest_plateau(values, period);
            let size = 512;
            let requirement = Requirement {
                half_period: period,
                scale: 1,
                nu2: 1,
                alike: 0,
                pairs: 0,
                source: Source::Lookup,
                reader: Reader::Lookup,
                slack,
            };
            let reach = margin(size, &requirement) * 2.0 * size as f64 - 1e-9;
            let (polynomial, reading) = table_polynomial(values, period, size, half_step);
            let levels: Vec<i64> = std::iter::once(values[0])
                .chain(changes(values).map(|(t, _)| values[t as usize]))
                .collect();
            for (v, _) in values.iter().enumerate() {
                let level = changes(values).filter(|&(t, _)| t <= v as u64).count();
                let point = v as f64 * size as f64 / period as f64;
                let ends = values[0] + values[values.len() - 1];
                let neighbours: Vec<i64> = [level.wrapping_sub(1), level, level + 1]
                    .iter()
                    .filter_map(|&l| levels.get(l).copied())
                    // Beyond an end the staircase is climbed again from the other end.
                    .chain((level == 0).then(|| ends - levels[levels.len().saturating_sub(2)]))
                    .chain((level + 1 == levels.len()).then(|| ends - levels[1.min(levels.len() - 1)]))
                    .collect();
                for phase in [point - reach, point + reach] {
                    let word = read(&polynomial, &reading, phase.floor() as i64);
                    let value = nearest_value(word, 2 * half_step);
                    assert!(neighbours.contains(&value), "{values:?} at {v}: {value}");
                }
            }
        }
    }

    #[test]
    fn half_periods_follow_the_flat_ends() {
        assert_eq!(half_period(&[0, 1, 2, 3]), 3);
        assert_eq!(half_period(&[0, 0, 0, 1, 2, 2]), 4);
        assert_eq!(half_period(&[0, 0, 0, 0, 1]), 4);
        assert_eq!(half_period(&[3, 3, 3]), 1);
        assert_eq!(half_period(&[]), 1);
        assert_eq!(narrowest_plateau(&[0, 0, 0, 1, 1, 2, 2, 2], 5), 2);
        assert_eq!(narrowest_plateau(&[0, 0, 0, 1, 1, 1, 1, 2], 7), 3);
    }

    #[test]
    fn slack_beyond_a_plateau_stays_below_the_wrap() {
        let stairs: Vec<i64> = (0..3200_i64).map(|v| (v - 1600).clamp(0, 40)).collect();
        assert_eq!(half_period(&stairs), 1640);
        assert_eq!(narrowest_plateau(&stairs, 1640), 1);
        assert_eq!(most_slack(&stairs, 1640, SLACK_SHARE), 51);
        // A smaller share is no way around the limit.
        assert_eq!(most_slack(&stairs, 1640, 1), 51);
        assert_eq!(most_slack(&stairs, 1640, 820), 2);
        assert_eq!(most_slack(&stairs, 1640, u64::MAX), 1);
        let all: Vec<i64> = (0..3200).collect();
        assert_eq!(most_slack(&all, 3199, SLACK_SHARE), 1);
        assert_eq!(most_slack(&all, 3210, SLACK_SHARE), 12);
    }

    #[test]
    fn power_of_two_domains_have_the_usual_layout() {
        let (polynomial, reading) = table_polynomial(&[1, 2, 2, 1], 4, 8, 10);
        assert_eq!(polynomial, [0, 20, 20, 20, 20, 0, 0, 0]);
        assert_eq!(reading.constant, 20);
    }

    #[test]
    fn degenerate_tables_have_the_right_length() {
        assert_eq!(table_polynomial(&[], 4, 4, 1).0, [0; 4]);
        assert_eq!(table_polynomial(&[3], 4, 4, 1).0, [0; 4]);
        assert_eq!(table_polynomial(&[1; 100], 4, 4, 1).0.len(), 4);
        assert!(table_changes(&[3], 4, 4, 1).terms.is_empty());
    }
}
