//! Quantization-aware training on libtorch.
