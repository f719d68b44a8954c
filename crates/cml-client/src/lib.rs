//! A client of a server that runs neural networks on encrypted data.
//!
//! A client fetches the description of a network, draws keys or takes them from a folder, encrypts, asks over HTTP and
//! decrypts. The server sees neither inputs nor results, and the client never sees the network's weights.
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
//!
//! A client can insist on what a circuit promises. One that promises less is refused before keys are drawn:
//!
//! ```
//! use cml_client::{Options, Requirements};
//! # use cml_ir::{GraphBuilder, InputSpec, Interval, Lut, OutputSpec};
//! # let mut b = GraphBuilder::new("net");
//! # let x = b.input("x", vec![1], InputSpec::new(0.5, 0, Interval::new(0, 3)))?;
//! # let y = b.lut("square", x, Lut::from_fn(Interval::new(0, 3), |v| v * v))?;
//! # b.output("y", y, OutputSpec::identity())?;
//! # let graph = b.finish()?;
//! # let circuit = cml_tfhe::lower(&graph, &cml_bitwidth::analyze(&graph), &cml_tfhe::Options::default())?;
//! # let spec = cml_tfhe::client_spec(&circuit)?;
//!
//! let requirements = Requirements { strict: true, max_failure: Some("2^-80".parse()?) };
//! let options = Options { requirements, ..Options::default() };
//! let refused = options.requirements.check(&spec).unwrap_err();
//! assert_eq!(
//!     refused.to_string(),
//!     "network net promises that a lookup fails with less than 2^-40, the client requires 2^-128",
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariants:
//! - Nothing that a server sends is trusted. Answers have a longest size. Specs are validated, and must be of the circuit
//!   that was asked for. Results must be as many as the samples, and under this client's keys.
//! - Keys are used with the [`ClientSpec`](cml_scheme::ClientSpec) that they were drawn for. A server that changes it later
//!   is found out.
//! - Secret keys stay in the [`KeyStore`], which only their owner can write to.
//!
//! Encryption keeps data from a server. It does not make a server honest: it can answer with results of its own making,
//! and one that learns anything about what they decrypt to recovers the key. So keep results to yourself.

mod error;
mod http;
mod options;
mod prediction;
mod private;
mod requirements;
mod service;
mod session;
mod store;

pub use error::RemoteError;
pub use http::{check_address, is_in_clear};
pub use options::Options;
pub use prediction::Prediction;
pub use requirements::{MaxFailure, Requirements};
pub use service::{ModelEntry, Service};
pub use session::Session;
pub use store::{KeyStore, Keys};
