//! A client of a server that runs neural networks on encrypted data.
//!
//! It fetches what it needs to know of a network, draws keys or takes them from
//! a folder, encrypts, asks over HTTP, and decrypts. The server sees neither
//! inputs nor results, and the client never sees the network's weights.
//!
//! Invariants:
//! - Nothing that a server sends is trusted: answers have a longest size, specs
//!   are validated and must be of the circuit that was asked for, results must
//!   be as many as the samples and under this client's keys.
//! - Keys are used with the [`ClientSpec`](cml_scheme::ClientSpec) that they were
//!   drawn for: a server that changes it later is found out.
//! - Secret keys stay in the [`KeyStore`].
//!
//! A server can still answer with results of its own making: encryption keeps
//! data from it, it does not make it honest.
//!
//! ```no_run
//! use cml_client::{KeyStore, Options, Service};
//!
//! let service = Service::connect("https://fhe.example.org", Options::default())?;
//! let keys = KeyStore::open("keys".as_ref())?;
//! let session = service.session(None, &keys, &mut |_| {})?;
//! for prediction in session.predict(&[vec![0.3, -0.7], vec![0.9, 0.1]])? {
//!     println!("{} {:?}", prediction.label, prediction.scores);
//! }
//! # Ok::<(), cml_client::RemoteError>(())
//! ```

mod error;
mod http;
mod options;
mod prediction;
mod service;
mod session;
mod store;

pub use error::RemoteError;
pub use http::{check_address, is_in_clear};
pub use options::Options;
pub use prediction::Prediction;
pub use service::{ModelEntry, Service};
pub use session::Session;
pub use store::{KeyStore, Keys};
