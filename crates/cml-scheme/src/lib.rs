//! What client and server of an encrypted circuit both know.
//!
//! It has TFHE [`Parameters`] at 132-bit security, [`Ciphertext`]s, seeded evaluation keys ([`ServerKeys`]),
//! the client's part of a circuit ([`ClientSpec`]), and their files ([`cml_file::Artifact`]). How to quantize
//! and dequantize is said in the types of `cml-ir`, because it is a fact of the graph's border.
//!
//! Nothing here holds a secret, draws randomness, or computes on ciphertexts. A server can be built of this
//! crate and an executor. It then has no name for a secret key.
//!
//! ```
//! use cml_scheme::Parameters;
//!
//! // Small key of 918 bits, one polynomial of 2048 coefficients, decompositions of bootstrap and keyswitch.
//! let parameters = Parameters::new(918, (1, 2048), (23, 1), (4, 4))?;
//! assert_eq!(parameters.server_key_bytes(), 22_593_568);
//! assert!(Parameters::new(300, (1, 2048), (23, 1), (4, 4)).is_err());
//! # Ok::<(), cml_scheme::ParameterError>(())
//! ```

mod amortized_key;
pub mod artifact;
mod ciphertext;
mod encoding;
mod error;
mod interface;
mod params;
pub mod raw;
pub mod security;
mod server_key;
mod server_keys;
mod spec;

pub use amortized_key::AmortizedKey;
pub use artifact::{ArtifactError, Binding, Bound};
pub use ciphertext::{Ciphertext, LweKey, SeededCiphertexts, ciphertexts_from_bytes, ciphertexts_to_bytes};
pub use encoding::{Encoding, LARGEST_HALF_PERIOD, bad_encoding, nearest_value};
pub use error::KeyError;
pub use interface::{CircuitInput, Interface, check_text, input_codes, plain_text};
pub use params::{
    ACCUMULATOR_BITS, Amortized, GapDigit, MAX_EVALUATION_KEY_BYTES, MOST_SETS, ParameterError,
    ParameterSets, Parameters, Ring, SEED_BYTES, Set,
};
pub use server_key::{Progress, ServerKey, Stage};
pub use server_keys::ServerKeys;
pub use spec::{ClientOutput, ClientSpec, KEY_SHARE_LOG2, LEAST_LOG2, SpecError, SpecParts, one_in};
