//! Values that have a file format.

use crate::frame::{self, Access, FileError, Kind};
use zeroize::Zeroizing;

/// Bytes of a payload that [`Artifact::too_large`] is given.
#[cfg(feature = "fs")]
const START: usize = 256;

/// A value that has a kind of file.
///
/// An implementation says what a payload holds. The frame around it, and files by path, are the same for all.
pub trait Artifact: Sized {
    /// Its kind of file.
    const KIND: Kind;
    /// Who may read its files.
    const ACCESS: Access = Access::Shared;
    /// What a payload is read against: a circuit that it must belong to, say; `()` if nothing.
    type Context<'c>: Copy;
    /// What can be wrong.
    type Error: From<FileError>;

    /// The payload.
    ///
    /// # Errors
    /// If the value is larger than its format allows.
    fn encode(&self) -> Result<Vec<u8>, Self::Error>;

    /// The value in an undamaged payload, checked; `name` says in errors whose payload it is.
    ///
    /// # Errors
    /// If the payload does not decode, or what it says does not hold together.
    fn decode(name: &str, payload: &[u8], context: Self::Context<'_>) -> Result<Self, Self::Error>;

    /// The longest payload that is read, in bytes: the kind's limit, or less if the context knows better.
    fn max_payload(_: Self::Context<'_>) -> u64 {
        Self::KIND.max_payload
    }

    /// What to say of a file whose payload is longer than [`Artifact::max_payload`], given the start of it: that it
    /// belongs to something else, say. `None` if it is just too long.
    fn too_large(_name: &str, _start: &[u8], _: Self::Context<'_>) -> Option<Self::Error> {
        None
    }

    /// The value as the bytes of a file; zeroed when dropped, since some hold secrets.
    ///
    /// # Errors
    /// As [`Artifact::encode`].
    fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, Self::Error> {
        let payload = Zeroizing::new(self.encode()?);
        Ok(Zeroizing::new(frame::encode(Self::KIND, &payload)))
    }

    /// The value in the bytes of a file; `name` says in errors which.
    ///
    /// # Errors
    /// If the frame is damaged or of another kind or version, and as [`Artifact::decode`].
    fn from_bytes(name: &str, bytes: &[u8], context: Self::Context<'_>) -> Result<Self, Self::Error> {
        let kind = Kind {
            max_payload: Self::max_payload(context),
            ..Self::KIND
        };
        Self::decode(name, frame::decode(kind, name, bytes)?, context)
    }

    /// Writes a file, at once: a reader sees the old file or the new one.
    ///
    /// # Errors
    /// If the file cannot be written, and as [`Artifact::encode`].
    #[cfg(feature = "fs")]
    fn write(&self, path: &std::path::Path) -> Result<(), Self::Error> {
        let payload = Zeroizing::new(self.encode()?);
        Ok(crate::fs::write_file(Self::KIND, path, &payload, Self::ACCESS)?)
    }

    /// Reads a file. Nothing beyond [`Artifact::max_payload`] is read into memory.
    ///
    /// # Errors
    /// If the file is missing or cannot be read, and as [`Artifact::from_bytes`].
    #[cfg(feature = "fs")]
    fn read(path: &std::path::Path, context: Self::Context<'_>) -> Result<Self, Self::Error> {
        let kind = Kind {
            max_payload: Self::max_payload(context),
            ..Self::KIND
        };
        let name = path.display().to_string();
        let payload = match crate::fs::read_file(kind, path) {
            Err(error) if error.is_too_large() => {
                let (start, _) = crate::fs::read_start(path, frame::HEADER + START)?;
                let why = Self::too_large(&name, start.get(frame::HEADER..).unwrap_or_default(), context);
                return Err(why.unwrap_or_else(|| error.into()));
            }
            payload => Zeroizing::new(payload?),
        };
        Self::decode(&name, &payload, context)
    }
}
