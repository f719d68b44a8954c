//! The weight budget that guarantees a width.

use cml_ir::Interval;

/// Largest L1 norm of a row of integer weights whose sum over inputs in
/// `input` fits a lookup domain of `bits` bits: `floor((2^bits - 1) / (hi - lo))`.
///
/// The sum takes at most `1 + ||w||_1 (hi - lo)` values, whatever the signs
/// and the bias. A2Q (Colbert et al., ICCV 2023, arXiv 2308.13504) bounds the
/// norm against a signed machine register, and A2Q+ (arXiv 2401.10432) needs
/// zero-centred weights for the looser budget; here a clear offset is free, so
/// neither sign nor centring costs anything. A padding value of a convolution
/// must lie in `input`.
///
/// A constant input (`lo == hi`) has no limit: `u64::MAX`. From 64 bits on the
/// domain counts as `2^64 - 1` values.
///
/// ```
/// # use cml_bitwidth::l1_budget;
/// # use cml_ir::Interval;
/// assert_eq!(l1_budget(6, Interval::new(-3, 3)), 10); // 1 + 10 * 6 = 61 values
/// ```
pub fn l1_budget(bits: u32, input: Interval) -> u64 {
    let steps = 1u64.checked_shl(bits).map_or(u64::MAX, |values| values - 1);
    steps.checked_div(input.hi.abs_diff(input.lo)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::l1_budget;
    use cml_ir::Interval;

    #[test]
    fn signs_and_offsets_are_free() {
        let check = |bits, lo, hi, budget| assert_eq!(l1_budget(bits, Interval::new(lo, hi)), budget);
        check(6, -3, 3, 10);
        check(6, 0, 6, 10);
        check(6, 100, 106, 10);
        check(4, -1, 1, 7);
        check(4, 0, 1, 15);
        check(2, 0, 3, 1);
        check(1, 0, 3, 0);
        check(0, 0, 1, 0);
        check(64, 0, 1, u64::MAX);
        check(3, 5, 5, u64::MAX);
        check(64, i64::MIN, i64::MAX, 1);
    }
}
