//! The secret side of an encrypted circuit: secret keys, encryption, decryption.
//!
//! A [`Client`] draws keys for a circuit, encrypts inputs and decrypts results. It does not need the circuit,
//! only its [`cml_scheme::ClientSpec`]. Key files can be under a passphrase.
//!
//! Nothing here reads files by path, starts a thread of its own or asks for the time. With the feature `os`
//! (a default) every random byte comes from the operating system, XORed with one of the processor where there
//! is one. Without it the caller brings a [`Randomness`].
//!
//! Cryptography is unusable unoptimized: drawing keys takes minutes in a debug build, and a second in
//! release. These lines in your `Cargo.toml` optimize dependencies in debug builds:
//!
//! ```toml
//! [profile.dev.package."*"]
//! opt-level = 3
//! ```
//!
//! ```
//! use cml_keys::random::System;
//! use cml_keys::ClientKey;
//! use cml_scheme::{LweKey, Parameters};
//!
//! let parameters = Parameters::new(639, (1, 1024), (23, 1), (4, 3))?;
//! let mut random = System::new();
//! let key = ClientKey::generate(&parameters, &mut random)?;
//! let step = 1 << 60;
//! let sent = key.encrypt(LweKey::Big, &[(3, step), (-2, step)], &mut random)?;
//! let received = sent.expand(parameters.big_dimension() as usize);
//! assert_eq!(key.decrypt(&received[1], step)?, -2);
//! # Ok::<(), cml_scheme::KeyError>(())
//! ```

mod amortized_key;
pub mod artifact;
mod bits;
mod client;
mod client_key;
mod client_keys;
#[cfg(any(test, feature = "insecure"))]
pub mod insecure;
pub mod random;
mod server_key;
mod sparse_key;

pub use client::{Client, ClientError};
pub use client_key::ClientKey;
pub use client_keys::{BoundClientKeys, ClientKeys};
pub use random::Randomness;
pub use sparse_key::SparseKey;

#[cfg(test)]
mod tests;
