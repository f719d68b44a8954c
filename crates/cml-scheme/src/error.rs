//! Why a key or a ciphertext is refused.

use crate::params::ParameterError;

/// Why a key or a ciphertext is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The parameters themselves are refused.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// Bytes do not have the length that the parameters ask for.
    #[error("{what} has {has} bytes, the parameters ask for {needs}")]
    Length {
        /// What was read.
        what: &'static str,
        /// Bytes found.
        has: u64,
        /// Bytes that the parameters ask for.
        needs: u64,
    },
    /// Keys whose parameter sets are not those of the circuit, in its order.
    #[error("the keys are not of the circuit's parameter sets")]
    Sets,
    /// A sparse key that the parameters do not have.
    #[error(
        "the sparse key is none of the parameters: exponents must descend, with gaps as small as they say"
    )]
    Sparse,
    /// A padding bit of a packed secret key is set.
    #[error("{what} has bits beyond its {bits}")]
    Padding {
        /// Which key.
        what: &'static str,
        /// Bits of that key.
        bits: u32,
    },
    /// A ciphertext does not belong to keys of these parameters.
    #[error("ciphertext has dimension {has}, the key has {needs}")]
    Dimension {
        /// Mask elements of the ciphertext.
        has: usize,
        /// Bits of the big key.
        needs: usize,
    },
    /// The system has no randomness.
    #[error("no randomness: {0}")]
    Randomness(String),
    /// A value cannot be read at a step of zero.
    #[error("step of an encoding is 0, at least 1 is needed")]
    ZeroStep,
}
