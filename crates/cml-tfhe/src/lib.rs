//! Lowering of integer graphs to TFHE table lookups: noise model, parameters, keys, executor.
