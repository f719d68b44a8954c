//! Buffers at addresses that suit vectors: one that crosses a cache line takes two loads.

use tfhe::core_crypto::fft_impl::fft64::{ABox, AVec};

/// A cache line.
const ALIGN: usize = 64;

/// A buffer that begins with a cache line.
pub(crate) type Aligned<T> = ABox<[T]>;

/// Zeros.
pub(crate) fn zeros<T: Copy + Default>(len: usize) -> Aligned<T> {
    AVec::from_iter(ALIGN, std::iter::repeat_n(T::default(), len)).into_boxed_slice()
}

/// A copy of some numbers.
pub(crate) fn of<T: Copy>(numbers: &[T]) -> Aligned<T> {
    AVec::from_iter(ALIGN, numbers.iter().copied()).into_boxed_slice()
}
