//! The server key as the executor uses it: expanded, the bootstrapping key in the Fourier domain.

use crate::aligned::{self, Aligned};
use crate::products::arrange;
use crate::transform::Transform;
use pulp::Arch;
use rayon::prelude::*;
use tfhe::core_crypto::commons::generators::MaskRandomGenerator;
use tfhe::core_crypto::prelude::{
    DefaultRandomGenerator, EncryptionMaskByteCount, GlweCiphertextList, LweKeyswitchKeyOwned,
    SeededGlweCiphertextList, SeededLweKeyswitchKey,
    decompress_seeded_glwe_ciphertext_list_with_pre_seeded_generator,
    par_decompress_seeded_lwe_keyswitch_key,
};

use cml_scheme::raw::{Dimensions, PARTS, compression_seed, modulus32, modulus64};
use cml_scheme::{Parameters, Progress, ServerKey, Stage};

/// The bootstrapping key in the Fourier domain.
///
/// For each bit of the small key an element: [`Dimensions::rows`] ciphertexts of `k + 1` polynomials, transformed and
/// [arranged](arrange), in units of 2^-64 of the torus, and divided by what transforms there and back multiply with.
pub(crate) struct FourierKey {
    data: Aligned<f64>,
    /// Numbers of one element.
    element: usize,
}

impl FourierKey {
    /// Zeros.
    fn new(dimensions: &Dimensions, elements: usize) -> Self {
        let element = dimensions.rows() * dimensions.glwe_size().0 * dimensions.polynomial.0;
        Self {
            data: aligned::zeros(elements * element),
            element,
        }
    }

    /// The elements, bit by bit.
    pub(crate) fn elements(&self) -> impl Iterator<Item = &[f64]> {
        self.data.chunks_exact(self.element)
    }
}

/// Expanded keys: Fourier bootstrapping key and 32-bit keyswitching key.
///
/// Takes [`Parameters::evaluation_key_bytes`].
pub struct EvaluationKey {
    parameters: Parameters,
    bootstrap: FourierKey,
    keyswitch: LweKeyswitchKeyOwned<u32>,
    transform: Transform,
}

impl EvaluationKey {
    /// Expands a server key on all threads; calls `report` as it goes.
    ///
    /// The standard form of the bootstrapping key, as large as the Fourier form,
    /// never exists as a whole: each thread makes and transforms one element after the other.
    pub fn expand(server: &ServerKey, report: &mut dyn FnMut(Progress)) -> Self {
        let transform = Transform::new(server.parameters().polynomial_size as usize);
        Self {
            parameters: *server.parameters(),
            keyswitch: expand_keyswitch(server, report),
            bootstrap: expand_bootstrap(server, &transform, report),
            transform,
        }
    }

    /// A key of ones that has only the first `bits` elements of the bootstrapping key: to take times
    /// with, which do not depend on what a key holds. (Zeros that nobody wrote would take no memory.)
    pub(crate) fn for_timing(parameters: &Parameters, bits: usize) -> Self {
        let dimensions = Dimensions::of(parameters);
        let ks = dimensions.ks;
        let mut bootstrap = FourierKey::new(&dimensions, bits);
        bootstrap.data.fill(1.0);
        Self {
            parameters: *parameters,
            bootstrap,
            keyswitch: LweKeyswitchKeyOwned::new(1, ks.0, ks.1, dimensions.big, dimensions.lwe, modulus32()),
            transform: Transform::new(dimensions.polynomial.0),
        }
    }

    /// Parameters of the key.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    pub(crate) fn bootstrap(&self) -> &FourierKey {
        &self.bootstrap
    }

    pub(crate) fn transform(&self) -> &Transform {
        &self.transform
    }

    pub(crate) fn keyswitch(&self) -> &LweKeyswitchKeyOwned<u32> {
        &self.keyswitch
    }
}

fn expand_keyswitch(server: &ServerKey, report: &mut dyn FnMut(Progress)) -> LweKeyswitchKeyOwned<u32> {
    let dimensions = Dimensions::of(server.parameters());
    let (stage, total) = (Stage::Keyswitch, dimensions.big.0);
    report(Progress {
        stage,
        done: 0,
        total,
    });
    let (base_log, level) = dimensions.ks;
    let mut key = LweKeyswitchKeyOwned::new(
        0_u32,
        base_log,
        level,
        dimensions.big,
        dimensions.lwe,
        modulus32(),
    );
    par_decompress_seeded_lwe_keyswitch_key::<_, _, _, DefaultRandomGenerator>(
        &mut key,
        &SeededLweKeyswitchKey::from_container(
            server.keyswitch().1,
            base_log,
            level,
            dimensions.lwe.to_lwe_size(),
            compression_seed(server.keyswitch().0),
            modulus32(),
        ),
    );
    report(Progress {
        stage,
        done: total,
        total,
    });
    key
}

fn expand_bootstrap(
    server: &ServerKey,
    transform: &Transform,
    report: &mut dyn FnMut(Progress),
) -> FourierKey {
    let dimensions = Dimensions::of(server.parameters());
    let (glwe_size, polynomial) = (dimensions.glwe_size(), dimensions.polynomial);
    let (n, rows) = (polynomial.0, dimensions.rows());
    let (stage, total) = (Stage::Bootstrap, dimensions.lwe.0);
    report(Progress {
        stage,
        done: 0,
        total,
    });
    let mut key = FourierKey::new(&dimensions, total);
    let seed = || compression_seed(server.bootstrap().0);
    let stretch = 8 * dimensions.stretch_level().0 * glwe_size.0 * dimensions.big.0;
    let expand = |bit: usize, fourier: &mut [f64], bodies: &[u64], standard: &mut Vec<u64>| {
        let mut masks = MaskRandomGenerator::<DefaultRandomGenerator>::new(seed());
        if bit > 0 {
            masks.skip(EncryptionMaskByteCount(bit * stretch));
        }
        decompress_seeded_glwe_ciphertext_list_with_pre_seeded_generator(
            &mut GlweCiphertextList::from_container(
                standard.as_mut_slice(),
                glwe_size,
                polynomial,
                modulus64(),
            ),
            &SeededGlweCiphertextList::from_container(bodies, glwe_size, polynomial, seed(), modulus64()),
            &mut masks,
        );
        for (fourier, words) in fourier.chunks_exact_mut(n).zip(standard.chunks_exact(n)) {
            transform.forward_words(Arch::new(), fourier, words, 1.0);
        }
        arrange(fourier, n);
    };
    let buffers = || vec![0; rows * glwe_size.0 * n];
    let (element, part) = (key.element, total.div_ceil(PARTS));
    let parts = key.data.chunks_mut(part * element);
    let mut done = 0;
    for (fourier, bodies) in parts.zip(server.bootstrap().1.chunks(part * rows * n)) {
        fourier
            .par_chunks_exact_mut(element)
            .zip(bodies.par_chunks_exact(rows * n))
            .enumerate()
            .for_each_init(buffers, |buffers, (i, (fourier, bodies))| {
                expand(done + i, fourier, bodies, buffers);
            });
        done += fourier.len() / element;
        report(Progress { stage, done, total });
    }
    key
}
