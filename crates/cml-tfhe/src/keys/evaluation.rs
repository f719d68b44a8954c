//! The server key as the executor uses it: expanded, the bootstrapping key in the Fourier domain.

use tfhe::core_crypto::commons::generators::MaskRandomGenerator;
use tfhe::core_crypto::fft_impl::fft64::c64;
use tfhe::core_crypto::prelude::{
    DefaultRandomGenerator, Fft, FftView, FourierLweBootstrapKey, FourierLweBootstrapKeyOwned,
    LweBootstrapKey, LweDimension, LweKeyswitchKeyOwned, SeededLweBootstrapKey, SeededLweKeyswitchKey,
    par_decompress_seeded_lwe_bootstrap_key_with_pre_seeded_generator,
    par_decompress_seeded_lwe_keyswitch_key,
};

use super::{Dimensions, Progress, ServerKey, Stage, compression_seed, modulus32, modulus64};
use crate::params::Parameters;

/// Memory for the part of the bootstrapping key that is in the standard domain, in bytes.
const PART_BYTES: usize = 64 << 20;

/// Expanded keys: Fourier bootstrapping key and 32-bit keyswitching key.
///
/// Takes [`Parameters::evaluation_key_bytes`].
pub struct EvaluationKey {
    parameters: Parameters,
    bootstrap: FourierLweBootstrapKeyOwned,
    keyswitch: LweKeyswitchKeyOwned<u32>,
    fft: Fft,
}

impl EvaluationKey {
    /// Expands a server key on all threads; calls `report` as it goes.
    ///
    /// The standard form of the bootstrapping key, as large as the Fourier form,
    /// never exists as a whole: it is made and transformed in parts of 64 MiB
    /// (one key bit at least for each thread).
    pub fn expand(server: &ServerKey, report: &mut dyn FnMut(Progress)) -> Self {
        // The order of Fourier coefficients depends on the plan: key and executor share one.
        let fft = Fft::new(Dimensions::of(&server.parameters).polynomial);
        Self {
            parameters: server.parameters,
            keyswitch: expand_keyswitch(server, report),
            bootstrap: expand_bootstrap(server, &fft, report),
            fft,
        }
    }

    /// A key of ones that has only the first `bits` elements of the bootstrapping key: to take times
    /// with, which do not depend on what a key holds. (Zeros that nobody wrote would take no memory.)
    pub(crate) fn for_timing(parameters: &Parameters, bits: usize) -> Self {
        let dimensions = Dimensions::of(parameters);
        let (glwe_size, polynomial) = (dimensions.glwe_size(), dimensions.polynomial);
        let (pbs, ks) = (dimensions.pbs, dimensions.ks);
        let mut bootstrap =
            FourierLweBootstrapKey::new(LweDimension(bits), glwe_size, polynomial, pbs.0, pbs.1);
        bootstrap.as_mut_view().data().fill(c64 { re: 1.0, im: 0.0 });
        Self {
            parameters: *parameters,
            bootstrap,
            keyswitch: LweKeyswitchKeyOwned::new(1, ks.0, ks.1, dimensions.big, dimensions.lwe, modulus32()),
            fft: Fft::new(polynomial),
        }
    }

    /// Parameters of the key.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    pub(crate) fn bootstrap(&self) -> &FourierLweBootstrapKeyOwned {
        &self.bootstrap
    }

    pub(crate) fn fft(&self) -> FftView<'_> {
        self.fft.as_view()
    }

    pub(crate) fn keyswitch(&self) -> &LweKeyswitchKeyOwned<u32> {
        &self.keyswitch
    }
}

fn expand_keyswitch(server: &ServerKey, report: &mut dyn FnMut(Progress)) -> LweKeyswitchKeyOwned<u32> {
    let dimensions = Dimensions::of(&server.parameters);
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
            server.keyswitch_bodies.as_slice(),
            base_log,
            level,
            dimensions.lwe.to_lwe_size(),
            compression_seed(server.keyswitch_seed),
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
    fft: &Fft,
    report: &mut dyn FnMut(Progress),
) -> FourierLweBootstrapKeyOwned {
    let dimensions = Dimensions::of(&server.parameters);
    let (stage, total) = (Stage::Bootstrap, dimensions.lwe.0);
    report(Progress {
        stage,
        done: 0,
        total,
    });
    let (base_log, level) = dimensions.pbs;
    let (glwe_size, polynomial) = (dimensions.glwe_size(), dimensions.polynomial);
    let mut key = FourierLweBootstrapKey::new(dimensions.lwe, glwe_size, polynomial, base_log, level);

    // Words of one key bit: bodies, all words, and complex numbers after the transform.
    let bodies = level.0 * glwe_size.0 * polynomial.0;
    let words = bodies * glwe_size.0;
    let bits = (PART_BYTES / (8 * words))
        .max(rayon::current_num_threads())
        .min(total);
    let mut standard = vec![0_u64; bits * words];
    let mut masks =
        MaskRandomGenerator::<DefaultRandomGenerator>::new(compression_seed(server.bootstrap_seed));
    let mut done = 0;
    let parts = key.as_mut_view().data().chunks_mut(bits * words / 2);
    for (fourier, seeded) in parts.zip(server.bootstrap_bodies.chunks(bits * bodies)) {
        let count = seeded.len() / bodies;
        let mut part = LweBootstrapKey::from_container(
            &mut standard[..count * words],
            glwe_size,
            polynomial,
            base_log,
            level,
            modulus64(),
        );
        // One generator for all parts: it moves on by what each part takes, as at generation.
        par_decompress_seeded_lwe_bootstrap_key_with_pre_seeded_generator(
            &mut part,
            &SeededLweBootstrapKey::from_container(
                seeded,
                glwe_size,
                polynomial,
                base_log,
                level,
                compression_seed(server.bootstrap_seed),
                modulus64(),
            ),
            &mut masks,
        );
        FourierLweBootstrapKey::from_container(
            fourier,
            LweDimension(count),
            glwe_size,
            polynomial,
            base_log,
            level,
        )
        .par_fill_with_forward_fourier(part.as_view(), fft.as_view());
        done += count;
        report(Progress { stage, done, total });
    }
    key
}
