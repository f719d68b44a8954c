//! The key of amortized rotations, expanded: all of it transformed.

use pulp::Arch;
use rayon::prelude::*;
use tfhe::core_crypto::commons::generators::MaskRandomGenerator;
use tfhe::core_crypto::prelude::{
    DefaultRandomGenerator, EncryptionMaskByteCount, GlweCiphertextList, GlweSize, PolynomialSize,
    SeededGlweCiphertextList, decompress_seeded_glwe_ciphertext_list_with_pre_seeded_generator,
};

use crate::aligned::{self, Aligned};
use crate::products::arrange;
use crate::transform::Transform;
use cml_scheme::raw::{Dimensions, PARTS, compression_seed, modulus32, modulus64};
use cml_scheme::{Amortized, AmortizedKey, Progress, Stage};

/// Expanded keys of amortized rotations. Polynomials are transformed, and divided by what transforms there and back
/// multiply with.
pub(crate) struct ExpandedKey {
    pub(crate) parameters: Amortized,
    /// Of the big key.
    pub(crate) transform: Transform,
    /// Of the sparse key.
    pub(crate) sparse_transform: Transform,
    /// For each digit of each gap its selectors, [arranged](arrange), in units of 2^-32 of the torus.
    selectors: Aligned<f64>,
    /// Encryptions of zero, mask and body.
    pub(crate) zeros: Vec<Vec<u32>>,
    /// For each automorphism and level a ciphertext, in units of 2^-64 of the torus.
    automorphisms: Aligned<f64>,
    /// For each level a ciphertext, in units of 2^-64 of the torus.
    sparse: Aligned<f64>,
}

impl ExpandedKey {
    /// Expands a key on all threads; calls `report` as it goes.
    pub(crate) fn expand(key: &AmortizedKey, report: &mut dyn FnMut(Progress)) -> Self {
        let parameters = *key.parameters();
        let size = parameters.ring.polynomial_size as usize;
        let slots = parameters.slots as usize;
        let (transform, sparse_transform) = (Transform::new(size), Transform::new(slots));
        let selectors = selectors(key, &transform, report);

        let (seed, bodies) = key.automorphisms();
        let list = SeededGlweCiphertextList::from_container(
            bodies,
            GlweSize(2),
            PolynomialSize(size),
            compression_seed(seed),
            modulus64(),
        );
        let words = list.decompress_into_glwe_ciphertext_list().into_container();
        let scale = 2.0 / size as f64;
        let numbers: Vec<f64> = words.iter().map(|&word| word as i64 as f64 * scale).collect();
        let mut automorphisms = aligned::of(&numbers);
        let forward = |transform: &Transform, polynomials: &mut [f64]| {
            let polynomials = polynomials.par_chunks_exact_mut(transform.size());
            polynomials.for_each(|polynomial| transform.forward(Arch::new(), polynomial));
        };
        forward(&transform, &mut automorphisms);

        let (seed, bodies) = key.sparse();
        let list = SeededGlweCiphertextList::from_container(
            bodies,
            GlweSize(2),
            PolynomialSize(slots),
            compression_seed(seed),
            modulus32(),
        );
        let words = list.decompress_into_glwe_ciphertext_list().into_container();
        let scale = 32_f64.exp2() * 2.0 / slots as f64;
        let numbers: Vec<f64> = words.iter().map(|&word| f64::from(word as i32) * scale).collect();
        let mut sparse = aligned::of(&numbers);
        forward(&sparse_transform, &mut sparse);
        Self {
            parameters,
            transform,
            sparse_transform,
            zeros: zeros(key),
            selectors,
            automorphisms,
            sparse,
        }
    }

    /// A key of ones: to take times with, which do not depend on what a key holds.
    pub(crate) fn for_timing(parameters: &Amortized, gaps: usize) -> Self {
        let size = parameters.ring.polynomial_size as usize;
        let selectors = parameters.selectors_of_gap() as usize * gaps * parameters.selector_rows() as usize;
        Self {
            parameters: *parameters,
            transform: Transform::new(size),
            sparse_transform: Transform::new(parameters.slots as usize),
            zeros: vec![vec![1; 2 * size]],
            selectors: ones(selectors * 2 * size),
            automorphisms: ones(2 * parameters.automorphism_bodies() as usize),
            sparse: ones(2 * parameters.sparse_bodies() as usize),
        }
    }

    /// Of a gap: the selectors of each digit, value by value.
    pub(crate) fn selectors(&self, gap: usize) -> impl Iterator<Item = &[f64]> {
        let size = self.transform.size();
        let selector = self.parameters.selector_rows() as usize * 2 * size;
        let of_gap = self.parameters.selectors_of_gap() as usize * selector;
        let mut rest = &self.selectors[gap * of_gap..][..of_gap];
        self.parameters.digits().map(move |digit| {
            let (own, after) = rest.split_at((1 << digit.bits) * selector);
            rest = after;
            own
        })
    }

    /// The ciphertexts of an automorphism, level by level, by its number in [`Amortized::automorphisms`].
    pub(crate) fn automorphism(&self, number: usize) -> &[f64] {
        let one = self.parameters.automorphism_level as usize * 2 * self.transform.size();
        &self.automorphisms[number * one..][..one]
    }

    /// The number of the automorphism that turns `X` to `X^-1`.
    pub(crate) fn turn(&self) -> usize {
        self.transform.size().ilog2() as usize
    }

    /// The ciphertexts of the keyswitch to the sparse key, level by level.
    pub(crate) fn sparse(&self) -> &[f64] {
        &self.sparse
    }
}

fn ones(len: usize) -> Aligned<f64> {
    let mut ones = aligned::zeros(len);
    ones.fill(1.0);
    ones
}

/// As a bootstrapping key is expanded: each selector has masks from a stretch of its own.
fn selectors(key: &AmortizedKey, transform: &Transform, report: &mut dyn FnMut(Progress)) -> Aligned<f64> {
    let dimensions = Dimensions::of_amortized(key.parameters());
    let (n, rows, total) = (transform.size(), dimensions.rows(), dimensions.lwe.0);
    let stage = Stage::Bootstrap;
    report(Progress {
        stage,
        done: 0,
        total,
    });
    let (_, bodies) = key.selectors();
    let unit = (-32_f64).exp2();
    let expand = |selector: usize, fourier: &mut [f64], bodies: &[u64], standard: &mut Vec<u64>| {
        decompress(key, &dimensions, selector, bodies, standard);
        for (fourier, words) in fourier.chunks_exact_mut(n).zip(standard.chunks_exact(n)) {
            transform.forward_words(Arch::new(), fourier, words, unit);
        }
    };
    let element = rows * 2 * n;
    let mut expanded = aligned::zeros(total * element);
    let part = total.div_ceil(PARTS);
    let mut done = 0;
    for (fourier, bodies) in expanded
        .chunks_mut(part * element)
        .zip(bodies.chunks(part * rows * n))
    {
        fourier
            .par_chunks_exact_mut(element)
            .zip(bodies.par_chunks_exact(rows * n))
            .enumerate()
            .for_each_init(
                || vec![0; element],
                |standard, (i, (fourier, bodies))| expand(done + i, fourier, bodies, standard),
            );
        done += fourier.len() / element;
        report(Progress { stage, done, total });
    }
    let parameters = key.parameters();
    let mut digits: Vec<&mut [f64]> = Vec::new();
    for gap in expanded.chunks_exact_mut(parameters.selectors_of_gap() as usize * element) {
        let mut rest = gap;
        for digit in parameters.digits() {
            let (own, after) = rest.split_at_mut((1 << digit.bits) * element);
            digits.push(own);
            rest = after;
        }
    }
    digits.into_par_iter().for_each(|digit| arrange(digit, n));
    expanded
}

/// A selector in the standard domain: its ciphertexts, of two polynomials each. Its masks are a stretch of their own of the stream.
fn decompress(
    key: &AmortizedKey,
    dimensions: &Dimensions,
    selector: usize,
    bodies: &[u64],
    standard: &mut Vec<u64>,
) {
    let (glwe, size) = (GlweSize(2), dimensions.polynomial);
    let seed = || compression_seed(key.selectors().0);
    let mut masks = MaskRandomGenerator::<DefaultRandomGenerator>::new(seed());
    if selector > 0 {
        let stretch = 8 * dimensions.stretch_level().0 * 2 * size.0;
        masks.skip(EncryptionMaskByteCount(selector * stretch));
    }
    standard.resize(2 * bodies.len(), 0);
    decompress_seeded_glwe_ciphertext_list_with_pre_seeded_generator(
        &mut GlweCiphertextList::from_container(standard.as_mut_slice(), glwe, size, modulus64()),
        &SeededGlweCiphertextList::from_container(bodies, glwe, size, seed(), modulus64()),
        &mut masks,
    );
}

/// Encryptions of zero, in words of 32 bits: one for each row of a selector.
///
/// The selectors of all values of a digit sum up to one that is always chosen. Less what that is without noise, an
/// encryption of zero is left.
fn zeros(key: &AmortizedKey) -> Vec<Vec<u32>> {
    let parameters = key.parameters();
    let dimensions = Dimensions::of_amortized(parameters);
    let (n, rows) = (dimensions.polynomial.0, dimensions.rows());
    let values = parameters.digits().next().map_or(0, |digit| 1 << digit.bits);
    let mut sum = vec![0_u64; rows * 2 * n];
    let mut standard = Vec::new();
    for (selector, bodies) in key.selectors().1.chunks_exact(rows * n).take(values).enumerate() {
        decompress(key, &dimensions, selector, bodies, &mut standard);
        sum.iter_mut()
            .zip(&standard)
            .for_each(|(sum, &word)| *sum = sum.wrapping_add(word));
    }
    let factors = |base_log: u32, levels: u32| {
        (1..=levels)
            .rev()
            .map(move |level| 1_u64 << (64 - base_log * level))
    };
    let masks = factors(parameters.pbs_base_log, parameters.pbs_level).map(|factor| (0, factor));
    let bodies = factors(parameters.pbs_body_base_log, parameters.pbs_body_level).map(|factor| (n, factor));
    for (row, (place, factor)) in sum.chunks_exact_mut(2 * n).zip(masks.chain(bodies)) {
        row[place] = row[place].wrapping_sub(factor);
    }
    let narrow = |word: &u64| (word.wrapping_add(1 << 31) >> 32) as u32;
    sum.chunks_exact(2 * n)
        .map(|row| row.iter().map(narrow).collect())
        .collect()
}
