//! The frame of every `cml` file, and bytes apart from paths.
//!
//! A file has a header of 56 bytes and a payload:
//!
//! | bytes | content |
//! |---|---|
//! | 8 | magic `\x89CML\r\n\x1a\n` (catches text-mode copies) |
//! | 4 | kind, ASCII |
//! | 4 | format version, little endian |
//! | 8 | payload length, little endian |
//! | 32 | SHA-256 of kind, version, length and payload |
//! | n | payload |
//!
//! The checksum finds damage, not forgery. A value that has a file format implements [`Artifact`]. The
//! implementation makes and reads the payload, and this crate does everything else. With the feature `fs` (a
//! default) there are paths: [`Artifact::read`] and [`Artifact::write`]. Without it the crate needs no
//! operating system.
//!
//! ```
//! use cml_file::{Access, Artifact, FileError, Kind};
//!
//! #[derive(Debug, PartialEq)]
//! struct Note(Vec<u8>);
//!
//! impl Artifact for Note {
//!     const KIND: Kind = Kind { tag: *b"NOTE", name: "note", version: 1, max_payload: 1 << 20 };
//!     type Context<'c> = ();
//!     type Error = FileError;
//!
//!     fn encode(&self) -> Result<Vec<u8>, FileError> {
//!         Ok(self.0.clone())
//!     }
//!
//!     fn decode(_: &str, payload: &[u8], (): ()) -> Result<Self, FileError> {
//!         Ok(Note(payload.to_vec()))
//!     }
//! }
//!
//! let bytes = Note(b"hello".to_vec()).to_bytes()?;
//! assert_eq!(Note::from_bytes("memory", &bytes, ())?, Note(b"hello".to_vec()));
//! let error = Note::from_bytes("memory", &bytes[..60], ()).unwrap_err();
//! assert_eq!(error.to_string(), "memory: truncated: has 60 bytes, needs 61");
//! # Ok::<(), FileError>(())
//! ```

mod artifact;
mod frame;
#[cfg(feature = "fs")]
mod fs;
mod hex;

pub use artifact::Artifact;
pub use frame::{Access, Arriving, FileError, FrameError, HEADER, Kind, decode, describe, encode, tag_of};
#[cfg(feature = "fs")]
pub use fs::{peek_tag, read_file, read_start, write_atomic, write_file};
pub use hex::{from_hex, short_hex, to_hex};
