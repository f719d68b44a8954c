//! Products against those of the library.

use super::*;

#[test]
fn products_with_one_level_are_those_of_the_library() {
    use tfhe::core_crypto::prelude::{
        FourierGgswCiphertext, add_external_product_assign_mem_optimized,
        add_external_product_assign_mem_optimized_requirement,
    };
    let parameters = small_parameters();
    let evaluator = evaluator(&ClientKey::insecure_from_seed(&parameters, 3));
    let dimensions = &evaluator.dimensions;
    let (size, polynomial) = (dimensions.glwe_size(), dimensions.polynomial);
    let mut buffers = ComputationBuffers::new();
    let needed =
        add_external_product_assign_mem_optimized_requirement::<u64>(size, polynomial, evaluator.key.fft());
    buffers.resize(needed.unaligned_bytes_required());
    let mut scratch = evaluator.scratch();
    let mut state = 5;
    for element in evaluator.key.bootstrap().elements().take(8) {
        let mut words = || -> Vec<u64> { (0..size.0 * polynomial.0).map(|_| next(&mut state)).collect() };
        let [mut ours, difference] = [(); 2].map(|()| words());
        let mut theirs = GlweCiphertextOwned::from_container(ours.clone(), polynomial, modulus64());
        let (base_log, levels) = dimensions.pbs;
        add_external_product_assign_mem_optimized(
            &mut theirs,
            &FourierGgswCiphertext::from_container(element.to_vec(), size, polynomial, base_log, levels),
            &GlweCiphertextOwned::from_container(difference.clone(), polynomial, modulus64()),
            evaluator.key.fft(),
            buffers.stack(),
        );
        scratch.products.add(
            Arch::new(),
            &mut ours,
            &Digits::of(dimensions, &difference),
            element,
            evaluator.key.fft(),
            &mut scratch.buffers,
        );
        assert_eq!(ours, theirs.as_ref());
    }
}
