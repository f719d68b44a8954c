//! The steps of amortized blind rotation: accumulators change places by the digits of secret gaps.
//!
//! A digit of weight `2^shift` takes accumulator `i` to `i + d 2^shift`. So after the step place `i` holds the sum over all `d` of
//! a selector, which encrypts 1 for the digit's value and 0 else, times the accumulator at `i - d 2^shift`. The places
//! `i` modulo `2^shift` form chains. Each accumulator is decomposed and transformed once for all sums that it is a
//! part of, and each sum is transformed back once. What comes from before the first place has gone round, and has
//! its rotation turned: `X` becomes `X^-1`, by an automorphism and a keyswitch.
//!
//! Steps work in place. A chain is walked from its end, as no place needs one behind it; accumulators before the start of a
//! stretch of a chain, its halo, are transformed before any is written.
//!
//! Tables of `e` polynomials are lanes, as in [`crate::evaluator`]: a rotation moves whole polynomials, and for each place
//! the number is kept by which they moved.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::pool::Pool;
use crate::aligned::{self, Aligned};
use crate::digits::{Decompositions, decompose, to_words};
use crate::products::{BLOCK, TOGETHER, add_product, nothing, part, put};
use crate::transform::Transform;
use cml_scheme::GapDigit;

/// Sums that are taken together: their accumulators, transformed, stay in a cache of the second level.
const TILE: usize = 8;
/// Transformed digits of one lane of an accumulator: `rows` polynomials.
type Fourier = Aligned<f64>;

/// All accumulators of a bootstrap.
pub(crate) struct Accumulators {
    /// For each place and lane the mask and the body, `N` words each.
    words: Aligned<u32>,
    /// Lane `l` of place `i` lies at `l - moved[i]`, modulo the lanes.
    moved: Vec<usize>,
    lanes: usize,
    size: usize,
}

/// What all steps share.
pub(crate) struct Steps<'a> {
    pub(crate) transform: &'a Transform,
    pub(crate) by: Decompositions,
    /// Brings mask and body from the key of `X^-1` back to the key.
    pub(crate) keyswitch: &'a (dyn Fn(&mut [u32]) + Sync),
    pub(crate) scratch: &'a Pool<Scratch>,
}

/// Places of a stretch in order: by which power of `X` each is turned, and its words.
type Places<'a> = Vec<(usize, &'a mut [u32])>;

impl Accumulators {
    /// Room for so many places of so many lanes of polynomials.
    pub(crate) fn new(places: usize, lanes: usize, size: usize) -> Self {
        Self {
            words: aligned::zeros(places * lanes * 2 * size),
            moved: vec![0; places],
            lanes,
            size,
        }
    }

    /// Words of one lane of a place: mask and body.
    pub(crate) fn lane(&self, place: usize, lane: usize) -> &[u32] {
        let lane = (lane + self.lanes - self.moved[place]) % self.lanes;
        let start = (place * self.lanes + lane) * 2 * self.size;
        &self.words[start..start + 2 * self.size]
    }

    /// All lanes of each place, lane by lane; nothing has moved.
    pub(crate) fn places_mut(&mut self) -> impl IndexedParallelIterator<Item = &mut [u32]> {
        self.moved.fill(0);
        self.words.par_chunks_exact_mut(self.lanes * 2 * self.size)
    }

    /// One step, after each place was turned by a degree below `2 N` times the lanes if degrees are given.
    ///
    /// `selectors` has for each value of the digit [`Decompositions::rows`] ciphertexts of two polynomials, transformed and
    /// [arranged](crate::products::arrange), in units that make sums of them units of 2^-32 of the torus.
    pub(crate) fn step(
        &mut self,
        steps: &Steps<'_>,
        digit: GapDigit,
        selectors: &[f64],
        turn: Option<&[usize]>,
    ) {
        let (places, lanes, size) = (self.moved.len(), self.lanes, self.size);
        // By which power of `X` a lane is turned, once lanes have moved: it was lane `from`, and `from + degree` is
        // `lane + lanes * power`.
        let power = |place: usize, lane: usize| {
            let degree = turn.map_or(0, |turn| turn[place]);
            let from = (lane + lanes - degree % lanes) % lanes;
            (from + degree) / lanes % (2 * size)
        };
        for (moved, degree) in self.moved.iter_mut().zip(turn.into_iter().flatten()) {
            *moved = (*moved + degree) % lanes;
        }
        let (stride, values) = (1_usize << digit.shift, 1_usize << digit.bits);
        let length = places / stride;
        let parts = parts(stride * lanes, length);
        let starts: Vec<usize> = (0..=parts).map(|part| length * part / parts).collect();
        let number = |lane: usize, chain: usize, part: usize| (lane * stride + chain) * parts + part;

        let this = &*self;
        let transformed = |number: usize| -> Vec<Fourier> {
            let mut scratch = steps.scratch.take(|| Scratch::new(steps));
            let (chain, start) = (number / parts % stride, starts[number % parts]);
            let lane = number / parts / stride;
            let mut of = |back: usize| {
                let mut digits = aligned::zeros(steps.by.rows() * size);
                if back <= start {
                    let place = chain + stride * (start - back);
                    scratch.transform(steps, &mut digits, this.lane(place, lane), power(place, lane));
                } else {
                    let place = chain + stride * (length + start - back);
                    let words = this.gone_round(steps, place, lane, &power);
                    scratch.transform(steps, &mut digits, &words, 0);
                }
                digits
            };
            let halo = (1..values).rev().map(&mut of).collect();
            steps.scratch.put(scratch);
            halo
        };
        let stretches = (0..lanes * stride * parts).into_par_iter();
        let halos: Vec<Vec<Fourier>> = stretches.map(transformed).collect();

        let mut of_stretches: Vec<Places<'_>> = Vec::new();
        of_stretches.resize_with(lanes * stride * parts, || Vec::with_capacity(length / parts + 1));
        for (at, words) in self.words.chunks_exact_mut(2 * size).enumerate() {
            let place = at / lanes;
            let lane = (at + self.moved[place]) % lanes;
            let part = starts.partition_point(|&start| start <= place / stride) - 1;
            of_stretches[number(lane, place % stride, part)].push((power(place, lane), words));
        }
        of_stretches
            .into_par_iter()
            .zip(halos)
            .with_max_len(1)
            .for_each(|(places, halo)| {
                let mut scratch = steps.scratch.take(|| Scratch::new(steps));
                scratch.walk(steps, places, halo, selectors);
                steps.scratch.put(scratch);
            });
    }

    /// A lane of a place whose rotation is turned, as it comes to be a lane before the first place.
    fn gone_round(
        &self,
        steps: &Steps<'_>,
        place: usize,
        lane: usize,
        power: &impl Fn(usize, usize) -> usize,
    ) -> Vec<u32> {
        let n = self.size;
        // `X^l Y^i` becomes its inverse: lane `l` comes from lane `-l`, and all but the first are a power of `X` less.
        let from = (self.lanes - lane) % self.lanes;
        let degree = power(place, from);
        let mut turned = vec![0; 2 * n];
        for (to, words) in turned
            .chunks_exact_mut(n)
            .zip(self.lane(place, from).chunks_exact(n))
        {
            for (i, &word) in words.iter().enumerate() {
                // The exponent `i + degree`, negated, and less one if the lane is not the first.
                let exponent = (4 * n - i - degree - usize::from(lane > 0)) % (2 * n);
                to[exponent % n] = if exponent < n { word } else { word.wrapping_neg() };
            }
        }
        (steps.keyswitch)(&mut turned);
        turned
    }
}

/// Into how many parts chains are cut: enough for all threads.
fn parts(chains: usize, length: usize) -> usize {
    let threads = rayon::current_num_threads();
    // Some parts for each thread, so that none waits long; none where chains are enough.
    let wanted = if threads == 1 || chains >= 4 * threads {
        1
    } else {
        (4 * threads).div_ceil(chains)
    };
    wanted.clamp(1, (length / TILE).max(1))
}

/// Buffers of one thread.
pub(crate) struct Scratch {
    state: Aligned<i32>,
    /// Transformed accumulators of a tile and before it, [arranged](crate::products::arrange).
    window: Aligned<f64>,
    slots: usize,
    digits: Fourier,
    sums: Aligned<f64>,
}

impl Scratch {
    fn new(steps: &Steps<'_>) -> Self {
        let (size, rows) = (steps.transform.size(), steps.by.rows());
        Self {
            state: aligned::zeros(size),
            window: aligned::zeros(0),
            slots: 0,
            digits: aligned::zeros(rows * size),
            sums: aligned::zeros(TILE * 2 * size),
        }
    }

    fn transform(&mut self, steps: &Steps<'_>, digits: &mut [f64], words: &[u32], degree: usize) {
        let arch = Arch::new();
        decompose(arch, &mut self.state, digits, words, degree, steps.by);
        for polynomial in digits.chunks_exact_mut(words.len() / 2) {
            steps.transform.forward(arch, polynomial);
        }
    }

    /// Puts transformed digits into a slot of the window.
    fn keep(&mut self, slot: usize, digits: &[f64], size: usize) {
        let rows = digits.len() / size;
        let needs = self.slots * digits.len();
        let blocks = self.window[..needs].chunks_exact_mut(self.slots * rows * 2 * BLOCK);
        for (block, window) in blocks.enumerate() {
            let window = &mut window[slot * rows * 2 * BLOCK..][..rows * 2 * BLOCK];
            for (to, polynomial) in window.chunks_exact_mut(2 * BLOCK).zip(digits.chunks_exact(size)) {
                let (re, im) = polynomial.split_at(size / 2);
                to[..BLOCK].copy_from_slice(&re[block * BLOCK..][..BLOCK]);
                to[BLOCK..].copy_from_slice(&im[block * BLOCK..][..BLOCK]);
            }
        }
    }

    /// Replaces the places of a stretch by their sums. `halo` has what is before them, in order.
    fn walk(&mut self, steps: &Steps<'_>, mut places: Places<'_>, halo: Vec<Fourier>, selectors: &[f64]) {
        let arch = Arch::new();
        let before = halo.len();
        let (size, rows) = (steps.transform.size(), steps.by.rows());
        self.slots = TILE + before;
        let needs = self.slots * rows * size;
        if self.window.len() < needs {
            self.window = aligned::zeros(needs);
        }
        let mut end = places.len();
        // Inputs are counted from the start of the halo.
        let mut known = end + before;
        while end > 0 {
            let start = end.saturating_sub(TILE);
            for input in start..known {
                let slot = input % self.slots;
                match (halo.get(input), input.checked_sub(before)) {
                    (Some(digits), _) => self.keep(slot, digits, size),
                    (None, None) => {}
                    (None, Some(place)) => {
                        let (degree, words) = &places[place];
                        let mut digits = std::mem::replace(&mut self.digits, aligned::zeros(0));
                        self.transform(steps, &mut digits, words, *degree);
                        self.keep(slot, &digits, size);
                        self.digits = digits;
                    }
                }
            }
            known = start;
            let sums = &mut self.sums[..(end - start) * 2 * size];
            arch.dispatch(Products {
                window: &self.window[..needs],
                slots: self.slots,
                rows,
                first: start % self.slots,
                selectors,
                sums,
                size,
            });
            let tile = places[start..end].iter_mut().zip(sums.chunks_exact_mut(2 * size));
            for ((_, words), sums) in tile {
                for (words, sum) in words.chunks_exact_mut(size).zip(sums.chunks_exact_mut(size)) {
                    steps.transform.backward(arch, sum);
                    to_words(arch, words, sum);
                }
            }
            end = start;
        }
    }
}

/// For each place of a tile the sum over all values of selector times input.
struct Products<'a> {
    /// Transformed accumulators, [arranged](crate::products::arrange): for each block `slots` of them.
    window: &'a [f64],
    slots: usize,
    rows: usize,
    /// Number of the first input, that is of the farthest one before the first place.
    first: usize,
    /// Of one digit, arranged.
    selectors: &'a [f64],
    /// Two polynomials for each place.
    sums: &'a mut [f64],
    size: usize,
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.rows;
        // Of a block: of one polynomial, of all inputs, of all selectors.
        let polynomial = 2 * BLOCK;
        let of_inputs = self.slots * rows * polynomial;
        let of_selectors = self.selectors.len() / (self.size / 2 / BLOCK);
        let values = of_selectors / (2 * rows * polynomial);
        let blocks = self
            .window
            .chunks_exact(of_inputs)
            .zip(self.selectors.chunks_exact(of_selectors));
        let lanes = TOGETHER * S::F64_LANES;
        for (block, (inputs, selectors)) in blocks.enumerate() {
            for (place, sums) in self.sums.chunks_exact_mut(2 * self.size).enumerate() {
                let (of_mask, of_body) = sums.split_at_mut(self.size);
                for at in (0..BLOCK).step_by(lanes) {
                    let (mut mask, mut body) = (nothing(simd), nothing(simd));
                    // The value 0 takes the place itself, which is the last of its inputs.
                    let mut slot = (self.first + place + values - 1) % self.slots;
                    for selector in selectors.chunks_exact(2 * rows * polynomial) {
                        let input = &inputs[slot * rows * polynomial..][..rows * polynomial];
                        let of_rows = input
                            .chunks_exact(polynomial)
                            .zip(selector.chunks_exact(2 * polynomial));
                        for (input, selector) in of_rows {
                            let input = part::<S>(input, at);
                            let (by_mask, by_body) = selector.split_at(polynomial);
                            add_product(simd, &mut mask, part::<S>(by_mask, at), input);
                            add_product(simd, &mut body, part::<S>(by_body, at), input);
                        }
                        slot = if slot == 0 { self.slots - 1 } else { slot - 1 };
                    }
                    let start = block * BLOCK + at;
                    put::<S>(of_mask, start, mask);
                    put::<S>(of_body, start, body);
                }
            }
        }
    }
}
