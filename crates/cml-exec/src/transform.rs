//! Negacyclic transforms of polynomials whose real and imaginary parts lie apart.
//!
//! A polynomial `p` of `N` real coefficients is taken modulo `X^(N/2) - i`: number `k` is `p_k + i p_(k + N/2)`. So the real
//! parts are the first half of the coefficients and the imaginary ones the second half, and a polynomial
//! is its own input. `X^m - c` has the factors `X^(m/2) - w` and `X^(m/2) + w` with `w^2 = c`, so a level of the transform
//! turns the halves `a` and `b` of each block into `a + w b` and `a - w b` with one constant a block, until
//! blocks have one number. Their order is that of the recursion; products, which go number by number, need no other. Several
//! levels go together in registers. The last levels, of blocks within a vector, first take each fourth number apart.
//!
//! Beside the transforms of the `tfhe` crate these take half the time: there are no shuffles before the last levels, and
//! no conversions between the order of a transform and that of products.

use crate::aligned::{self, Aligned};
use crate::products::Complex;
use pulp::{Arch, Scalar, Simd, WithSimd};
use std::f64::consts::TAU;

/// Vectors that the last levels take together.
const GROUP: usize = 4;
/// Vectors of factors for each group: two for each vector of eight lanes, then three pairs.
const FACTORS: usize = 2 * GROUP + 6;

/// A plan for polynomials of one size.
pub(crate) struct Transform {
    size: usize,
    /// Cosine and sine of the factor of each block, which has the number `blocks of its level + place`.
    re: Vec<f64>,
    im: Vec<f64>,
    /// Factors of the last levels, by group: lane by lane.
    lanes: Aligned<f64>,
}

impl Transform {
    /// For polynomials of `size` coefficients, a power of two from 64 on.
    pub(crate) fn new(size: usize) -> Self {
        let numbers = size / 2;
        // In turns: half the angle of the constant that a block is taken modulo.
        let mut angles = vec![0.0; numbers.max(2)];
        angles[1] = 0.125;
        for block in 1..numbers / 2 {
            angles[2 * block] = angles[block] / 2.0;
            angles[2 * block + 1] = angles[block] / 2.0 + 0.25;
        }
        let (re, im): (Vec<f64>, Vec<f64>) = angles.iter().map(|&turns| cos_sin(turns)).unzip();
        let lanes = Arch::new().dispatch(LaneFactors {
            numbers,
            re: &re,
            im: &im,
        });
        let lanes = aligned::of(&lanes);
        Self { size, re, im, lanes }
    }

    /// Coefficients of a polynomial.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Transforms a polynomial in place.
    pub(crate) fn forward(&self, arch: Arch, polynomial: &mut [f64]) {
        arch.dispatch(Forward {
            plan: self,
            polynomial,
        });
    }

    /// Transforms words of 64 bits, which are signed, times `unit` and divided by what transforms there and back multiply with.
    pub(crate) fn forward_words(&self, arch: Arch, polynomial: &mut [f64], words: &[u64], unit: f64) {
        let scale = unit * 2.0 / self.size as f64;
        let scaled = words.iter().map(|&word| word as i64 as f64 * scale);
        polynomial
            .iter_mut()
            .zip(scaled)
            .for_each(|(to, word)| *to = word);
        self.forward(arch, polynomial);
    }

    /// Takes [`Transform::forward`] back, times `size / 2`.
    pub(crate) fn backward(&self, arch: Arch, polynomial: &mut [f64]) {
        arch.dispatch(Backward {
            plan: self,
            polynomial,
        });
    }
}

/// Cosine and sine of a part of a turn, from 0 to 1/2, with few bits: to the last bit, or nearly so.
///
/// Angles are not: rounded, they would bring as large an error as all additions of a transform.
fn cos_sin(turns: f64) -> (f64, f64) {
    /// `2 pi` less [`std::f64::consts::TAU`].
    const TAU_REST: f64 = 2.449_293_598_294_706_4e-16;
    // From -1/8 to 1/8, and quarters of a turn.
    let quarters = (4.0 * turns).round();
    let turns = turns - quarters / 4.0;
    let angle = TAU * turns;
    let rest = TAU.mul_add(turns, -angle) + TAU_REST * turns;
    let (sin, cos) = angle.sin_cos();
    let (cos, sin) = (rest.mul_add(-sin, cos), rest.mul_add(cos, sin));
    match quarters as i64 & 3 {
        0 => (cos, sin),
        1 => (-sin, cos),
        2 => (-cos, -sin),
        _ => (sin, -cos),
    }
}

/// Levels that each pass over a polynomial of so many vectors takes, before groups are left.
fn passes(vectors: usize) -> impl DoubleEndedIterator<Item = u32> {
    let levels = (vectors / GROUP).ilog2();
    // Threes and twos, and a one where nothing else is left.
    let twos = match levels % 3 {
        0 => 0,
        1 if levels >= 4 => 2,
        1 => 0,
        _ => 1,
    };
    let ones = u32::from(levels == 1);
    let threes = (levels - 2 * twos - ones) / 3;
    let times = |take: u32, count: u32| std::iter::repeat_n(take, count as usize);
    times(3, threes).chain(times(2, twos)).chain(times(1, ones))
}

/// Whether the last levels know vectors of so many lanes; others are taken number by number.
const fn known(lanes: usize) -> bool {
    matches!(lanes, 1 | 4 | 8)
}

struct LaneFactors<'a> {
    numbers: usize,
    re: &'a [f64],
    im: &'a [f64],
}

impl WithSimd for LaneFactors<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f64> {
        let (numbers, lanes) = (self.numbers, S::F64_LANES);
        let mut factors = Vec::new();
        if !known(lanes) || lanes == 1 {
            return factors;
        }
        for first in (0..numbers).step_by(GROUP * lanes) {
            for vector in 0..GROUP {
                // The second half of the lanes is multiplied, if blocks of eight are one vector.
                let block = (numbers + first) / lanes + vector;
                let factor = |part: &[f64], one: f64, lane: usize| match lanes == 8 && lane >= 4 {
                    true => part[block],
                    false => one,
                };
                factors.extend((0..lanes).map(|lane| factor(self.re, 1.0, lane)));
                factors.extend((0..lanes).map(|lane| factor(self.im, 0.0, lane)));
            }
            // Which number each lane of each vector holds, once they are taken apart.
            let numbers_of: Vec<f64> = (first..first + GROUP * lanes).map(|i| i as f64).collect();
            let numbers_of = aligned::of(&numbers_of);
            let vectors = S::as_simd_f64s(&numbers_of).0;
            let apart = simd.deinterleave_shfl_f64s([vectors[0], vectors[1], vectors[2], vectors[3]]);
            let mut places = vec![0.0; GROUP * lanes];
            S::as_mut_simd_f64s(&mut places).0.copy_from_slice(&apart);
            for (vector, block_size) in [(0, 4), (0, 2), (2, 2)] {
                for part in [self.re, self.im] {
                    let number = |lane: usize| places[vector * lanes + lane] as usize;
                    factors.extend((0..lanes).map(|lane| part[(numbers + number(lane)) / block_size]));
                }
            }
        }
        factors
    }
}

/// `a + w b` and `a - w b`.
#[inline(always)]
fn butterfly<S: Simd>(simd: S, a: Complex<S>, b: Complex<S>, w: Complex<S>) -> (Complex<S>, Complex<S>) {
    let minus = simd.neg_f64s(w.1);
    let re = simd.mul_add_f64s(minus, b.1, simd.mul_add_f64s(w.0, b.0, a.0));
    let im = simd.mul_add_f64s(w.1, b.0, simd.mul_add_f64s(w.0, b.1, a.1));
    let two = simd.splat_f64s(2.0);
    let less = |a, sum| simd.mul_add_f64s(two, a, simd.neg_f64s(sum));
    ((re, im), (less(a.0, re), less(a.1, im)))
}

/// `a + b` and `(a - b) / w`, for `w` of length 1.
#[inline(always)]
fn butterfly_back<S: Simd>(simd: S, a: Complex<S>, b: Complex<S>, w: Complex<S>) -> (Complex<S>, Complex<S>) {
    let (re, im) = (simd.sub_f64s(a.0, b.0), simd.sub_f64s(a.1, b.1));
    let sum = (simd.add_f64s(a.0, b.0), simd.add_f64s(a.1, b.1));
    (sum, times_conjugate(simd, (re, im), w))
}

#[inline(always)]
fn times<S: Simd>(simd: S, a: Complex<S>, w: Complex<S>) -> Complex<S> {
    let minus = simd.neg_f64s(w.1);
    (
        simd.mul_add_f64s(minus, a.1, simd.mul_f64s(w.0, a.0)),
        simd.mul_add_f64s(w.1, a.0, simd.mul_f64s(w.0, a.1)),
    )
}

#[inline(always)]
fn times_conjugate<S: Simd>(simd: S, a: Complex<S>, w: Complex<S>) -> Complex<S> {
    let minus = simd.neg_f64s(w.1);
    (
        simd.mul_add_f64s(w.1, a.1, simd.mul_f64s(w.0, a.0)),
        simd.mul_add_f64s(minus, a.0, simd.mul_f64s(w.0, a.1)),
    )
}

/// Factors of the blocks that a pass of `LEVELS` levels takes, from a block on: of its level, then of the next ones.
#[inline(always)]
fn factors<S: Simd, const BLOCKS: usize>(simd: S, plan: &Transform, block: usize) -> [Complex<S>; BLOCKS] {
    std::array::from_fn(|i| {
        // 1, then 2 and 3, then 4 to 7: the block itself and those that it is split into.
        let level = (i + 1).ilog2();
        let number = (block << level) + (i + 1 - (1 << level));
        (simd.splat_f64s(plan.re[number]), simd.splat_f64s(plan.im[number]))
    })
}

/// Levels of one pass, on `2^LEVELS` vectors of one block.
#[inline(always)]
fn levels<S: Simd, const VECTORS: usize>(simd: S, z: &mut [Complex<S>; VECTORS], w: &[Complex<S>]) {
    let mut half = VECTORS / 2;
    let mut blocks = 1;
    while half > 0 {
        for block in 0..blocks {
            for i in 0..half {
                let (a, b) = (2 * half * block + i, 2 * half * block + i + half);
                (z[a], z[b]) = butterfly(simd, z[a], z[b], w[blocks - 1 + block]);
            }
        }
        (half, blocks) = (half / 2, blocks * 2);
    }
}

/// The same, back.
#[inline(always)]
fn levels_back<S: Simd, const VECTORS: usize>(simd: S, z: &mut [Complex<S>; VECTORS], w: &[Complex<S>]) {
    let mut half = 1;
    let mut blocks = VECTORS / 2;
    while blocks > 0 {
        for block in 0..blocks {
            for i in 0..half {
                let (a, b) = (2 * half * block + i, 2 * half * block + i + half);
                (z[a], z[b]) = butterfly_back(simd, z[a], z[b], w[blocks - 1 + block]);
            }
        }
        (half, blocks) = (half * 2, blocks / 2);
    }
}

/// A pass over one block: its vectors are taken a part of the block apart.
#[inline(always)]
fn pass<S: Simd, const VECTORS: usize>(
    re: &mut [S::f64s],
    im: &mut [S::f64s],
    step: impl Fn(&mut [Complex<S>; VECTORS]),
) {
    let part = re.len() / VECTORS;
    let (mut re, mut im) = (re.chunks_exact_mut(part), im.chunks_exact_mut(part));
    // As many as there are vectors.
    let res: [&mut [S::f64s]; VECTORS] = std::array::from_fn(|_| re.next().unwrap_or_default());
    let ims: [&mut [S::f64s]; VECTORS] = std::array::from_fn(|_| im.next().unwrap_or_default());
    for x in 0..part {
        let mut z: [Complex<S>; VECTORS] = std::array::from_fn(|i| (res[i][x], ims[i][x]));
        step(&mut z);
        for (i, z) in z.into_iter().enumerate() {
            (res[i][x], ims[i][x]) = z;
        }
    }
}

struct Forward<'a> {
    plan: &'a Transform,
    polynomial: &'a mut [f64],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if !known(S::F64_LANES) {
            return self.with_simd(Scalar::new());
        }
        let (plan, lanes) = (self.plan, S::F64_LANES);
        let (re, im) = self.polynomial.split_at_mut(self.polynomial.len() / 2);
        let (re, im) = (S::as_mut_simd_f64s(re).0, S::as_mut_simd_f64s(im).0);
        let vectors = re.len();
        let mut blocks = 1;
        for take in passes(vectors) {
            let size = vectors / blocks;
            let parts = re.chunks_exact_mut(size).zip(im.chunks_exact_mut(size));
            for (block, (re, im)) in parts.enumerate() {
                let block = blocks + block;
                match take {
                    3 => {
                        let w = factors::<S, 7>(simd, plan, block);
                        pass::<S, 8>(
                            re,
                            im,
                            #[inline(always)]
                            |z| levels(simd, z, &w),
                        );
                    }
                    2 => {
                        let w = factors::<S, 3>(simd, plan, block);
                        pass::<S, 4>(
                            re,
                            im,
                            #[inline(always)]
                            |z| levels(simd, z, &w),
                        );
                    }
                    _ => {
                        let w = factors::<S, 1>(simd, plan, block);
                        pass::<S, 2>(
                            re,
                            im,
                            #[inline(always)]
                            |z| levels(simd, z, &w),
                        );
                    }
                }
            }
            blocks <<= take;
        }
        let groups = re.chunks_exact_mut(GROUP).zip(im.chunks_exact_mut(GROUP));
        if lanes == 1 {
            for (group, (re, im)) in groups.enumerate() {
                let w = factors::<S, 3>(simd, plan, blocks + group);
                pass::<S, 4>(
                    re,
                    im,
                    #[inline(always)]
                    |z| levels(simd, z, &w),
                );
            }
            return;
        }
        let of_lanes = S::as_simd_f64s(&plan.lanes).0.chunks_exact(FACTORS);
        for ((group, (re, im)), of_lanes) in groups.enumerate().zip(of_lanes) {
            let (of_halves, of_quarters) = of_lanes.split_at(2 * GROUP);
            let w = factors::<S, 3>(simd, plan, blocks + group);
            let mut z: [Complex<S>; GROUP] = std::array::from_fn(|i| (re[i], im[i]));
            levels(simd, &mut z, &w);
            if lanes == 8 {
                for (z, w) in z.iter_mut().zip(of_halves.chunks_exact(2)) {
                    *z = halves(simd, times(simd, *z, (w[0], w[1])));
                }
            }
            let apart_re = simd.deinterleave_shfl_f64s([z[0].0, z[1].0, z[2].0, z[3].0]);
            let apart_im = simd.deinterleave_shfl_f64s([z[0].1, z[1].1, z[2].1, z[3].1]);
            let mut z: [Complex<S>; GROUP] = std::array::from_fn(|i| (apart_re[i], apart_im[i]));
            levels(simd, &mut z, &pairs::<S>(of_quarters));
            for (i, z) in z.into_iter().enumerate() {
                (re[i], im[i]) = z;
            }
        }
    }
}

struct Backward<'a> {
    plan: &'a Transform,
    polynomial: &'a mut [f64],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if !known(S::F64_LANES) {
            return self.with_simd(Scalar::new());
        }
        let (plan, lanes) = (self.plan, S::F64_LANES);
        let (re, im) = self.polynomial.split_at_mut(self.polynomial.len() / 2);
        let (re, im) = (S::as_mut_simd_f64s(re).0, S::as_mut_simd_f64s(im).0);
        let vectors = re.len();
        let mut blocks = vectors / GROUP;
        let groups = re.chunks_exact_mut(GROUP).zip(im.chunks_exact_mut(GROUP));
        if lanes == 1 {
            for (group, (re, im)) in groups.enumerate() {
                let w = factors::<S, 3>(simd, plan, blocks + group);
                pass::<S, 4>(
                    re,
                    im,
                    #[inline(always)]
                    |z| levels_back(simd, z, &w),
                );
            }
        } else {
            let of_lanes = S::as_simd_f64s(&plan.lanes).0.chunks_exact(FACTORS);
            for ((group, (re, im)), of_lanes) in groups.enumerate().zip(of_lanes) {
                let (of_halves, of_quarters) = of_lanes.split_at(2 * GROUP);
                let mut z: [Complex<S>; GROUP] = std::array::from_fn(|i| (re[i], im[i]));
                levels_back(simd, &mut z, &pairs::<S>(of_quarters));
                let together_re = simd.interleave_shfl_f64s([z[0].0, z[1].0, z[2].0, z[3].0]);
                let together_im = simd.interleave_shfl_f64s([z[0].1, z[1].1, z[2].1, z[3].1]);
                let mut z: [Complex<S>; GROUP] = std::array::from_fn(|i| (together_re[i], together_im[i]));
                if lanes == 8 {
                    for (z, w) in z.iter_mut().zip(of_halves.chunks_exact(2)) {
                        *z = times_conjugate(simd, halves(simd, *z), (w[0], w[1]));
                    }
                }
                let w = factors::<S, 3>(simd, plan, blocks + group);
                levels_back(simd, &mut z, &w);
                for (i, z) in z.into_iter().enumerate() {
                    (re[i], im[i]) = z;
                }
            }
        }
        for take in passes(vectors).rev() {
            blocks >>= take;
            let size = vectors / blocks;
            let parts = re.chunks_exact_mut(size).zip(im.chunks_exact_mut(size));
            for (block, (re, im)) in parts.enumerate() {
                let block = blocks + block;
                match take {
                    3 => {
                        let w = factors::<S, 7>(simd, plan, block);
                        pass::<S, 8>(
                            re,
                            im,
                            #[inline(always)]
                            |z| levels_back(simd, z, &w),
                        );
                    }
                    2 => {
                        let w = factors::<S, 3>(simd, plan, block);
                        pass::<S, 4>(
                            re,
                            im,
                            #[inline(always)]
                            |z| levels_back(simd, z, &w),
                        );
                    }
                    _ => {
                        let w = factors::<S, 1>(simd, plan, block);
                        pass::<S, 2>(
                            re,
                            im,
                            #[inline(always)]
                            |z| levels_back(simd, z, &w),
                        );
                    }
                }
            }
        }
    }
}

/// Sum of the two halves of eight lanes, and their difference.
#[inline(always)]
fn halves<S: Simd>(simd: S, z: Complex<S>) -> Complex<S> {
    let signs = [1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0];
    let signs = S::as_simd_f64s(&signs).0[0];
    let half = |x| simd.mul_add_f64s(signs, x, simd.rotate_right_f64s(x, 4));
    (half(z.0), half(z.1))
}

#[inline(always)]
fn pairs<S: Simd>(factors: &[S::f64s]) -> [Complex<S>; 3] {
    std::array::from_fn(|i| (factors[2 * i], factors[2 * i + 1]))
}

#[cfg(test)]
mod tests;
