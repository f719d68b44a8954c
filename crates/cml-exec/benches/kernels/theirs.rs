//! tfhe's own batch function at standard parameters: keyswitches one by one, then one call for all bootstraps.

use tfhe::core_crypto::prelude::*;

/// `n, (k, N), (pbs base, levels), (ks base, levels), (small, big noise)` by precision; the noise is
/// TUniform in units of 2^-64.
///
/// 4, 6 and 8 bits: tfhe's published sets for 2 + 2, 3 + 3 and 4 + 4 bits at 2^-40 (V1_6, TUniform). It has
/// none for 3, 5 and 7: these are of the sizes that such lookups take, for timing only.
const SETS: [(u32, Set); 6] = [
    (3, (728, (2, 1024), (21, 1), (3, 5), (50, 17))),
    (4, (839, (1, 2048), (23, 1), (3, 5), (47, 17))),
    (5, (844, (1, 4096), (23, 1), (3, 5), (47, 3))),
    (6, (958, (1, 8192), (15, 2), (3, 6), (44, 3))),
    (7, (972, (1, 16384), (14, 2), (3, 6), (44, 3))),
    (8, (1077, (1, 32768), (15, 2), (3, 7), (41, 3))),
];

type Set = (usize, (usize, usize), (usize, usize), (usize, usize), (u32, u32));

/// A batch, ready to run.
pub(crate) struct Batch {
    keyswitch: LweKeyswitchKeyOwned<u64>,
    bootstrap: FourierLweBootstrapKeyOwned,
    fft: Fft,
    buffers: ComputationBuffers,
    inputs: LweCiphertextListOwned<u64>,
    small: LweCiphertextListOwned<u64>,
    tables: GlweCiphertextListOwned<u64>,
    outputs: LweCiphertextListOwned<u64>,
}

impl Batch {
    pub(crate) fn new(bits: u32, count: usize) -> Self {
        let set = SETS.iter().find(|(known, _)| *known == bits);
        let (n, (k, size), pbs, ks, noise) = set.expect("a set for this precision").1;
        let native = CiphertextModulus::new_native();
        let (n, k, size) = (LweDimension(n), GlweDimension(k), PolynomialSize(size));
        let big = k.to_equivalent_lwe_dimension(size);
        let count = LweCiphertextCount(count);

        let mut seeder = new_seeder();
        let seeder = seeder.as_mut();
        let mut secret = SecretRandomGenerator::<DefaultRandomGenerator>::new(seeder.seed());
        let mut random = EncryptionRandomGenerator::<DefaultRandomGenerator>::new(seeder.seed(), seeder);
        let glwe = allocate_and_generate_new_binary_glwe_secret_key(k, size, &mut secret);
        let lwe = allocate_and_generate_new_binary_lwe_secret_key(n, &mut secret);
        let wide = glwe.clone().into_lwe_secret_key();
        let (small_noise, big_noise) = (TUniform::new(noise.0), TUniform::new(noise.1));

        let keyswitch = allocate_and_generate_new_lwe_keyswitch_key(
            &wide,
            &lwe,
            DecompositionBaseLog(ks.0),
            DecompositionLevelCount(ks.1),
            small_noise,
            native,
            &mut random,
        );
        let (base, levels) = (DecompositionBaseLog(pbs.0), DecompositionLevelCount(pbs.1));
        let standard = par_allocate_and_generate_new_lwe_bootstrap_key(
            &lwe,
            &glwe,
            base,
            levels,
            big_noise,
            native,
            &mut random,
        );
        let mut bootstrap = FourierLweBootstrapKey::new(n, k.to_glwe_size(), size, base, levels);
        par_convert_standard_lwe_bootstrap_key_to_fourier(&standard, &mut bootstrap);
        drop(standard);

        let mut inputs = LweCiphertextList::new(0_u64, big.to_lwe_size(), count, native);
        let plain = PlaintextList::new(1_u64 << 60, PlaintextCount(count.0));
        encrypt_lwe_ciphertext_list(&wide, &mut inputs, &plain, big_noise, &mut random);
        let fft = Fft::new(size);
        let mut buffers = ComputationBuffers::new();
        let needed = batch_programmable_bootstrap_lwe_ciphertext_mem_optimized_requirement::<u64>(
            k.to_glwe_size(),
            size,
            CiphertextCount(count.0),
            fft.as_view(),
        );
        buffers.resize(needed.unaligned_bytes_required());
        Self {
            keyswitch,
            bootstrap,
            fft,
            buffers,
            inputs,
            small: LweCiphertextList::new(0, n.to_lwe_size(), count, native),
            tables: GlweCiphertextList::new(
                1 << 60,
                k.to_glwe_size(),
                size,
                GlweCiphertextCount(count.0),
                native,
            ),
            outputs: LweCiphertextList::new(0, big.to_lwe_size(), count, native),
        }
    }

    /// Keyswitches and bootstraps all of the batch.
    pub(crate) fn run(&mut self) {
        for (input, mut small) in self.inputs.iter().zip(self.small.iter_mut()) {
            keyswitch_lwe_ciphertext(&self.keyswitch, &input, &mut small);
        }
        batch_programmable_bootstrap_lwe_ciphertext_mem_optimized(
            &self.small,
            &mut self.outputs,
            &self.tables,
            &self.bootstrap,
            self.fft.as_view(),
            self.buffers.stack(),
        );
    }
}
