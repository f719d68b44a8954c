//! A file that arrives in pieces: checked as it comes, without being kept.

use super::{FileError, FrameError, HEADER, Kind, bad, parse, truncated};
use sha2::{Digest, Sha256};

/// The check of a file whose bytes come one piece after the other.
pub struct Arriving {
    kind: Kind,
    name: String,
    header: Vec<u8>,
    /// From the header, once it is complete.
    length: Option<u64>,
    /// Start of the payload.
    start: Vec<u8>,
    /// How much of it is kept.
    keep: usize,
    /// Bytes of the payload so far.
    has: u64,
    digest: Sha256,
}

impl Arriving {
    /// A file of this kind of which nothing has come yet; `name` says in errors which. Of its payload
    /// the first `keep` bytes can be read.
    pub fn new(kind: Kind, name: &str, keep: usize) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            header: Vec::with_capacity(HEADER),
            length: None,
            start: Vec::new(),
            keep,
            has: 0,
            digest: Sha256::new(),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// As soon as magic, kind, version or length are wrong, or there are more bytes than declared.
    pub fn update(&mut self, mut bytes: &[u8]) -> Result<(), FileError> {
        if self.length.is_none() {
            let (header, rest) = bytes.split_at(bytes.len().min(HEADER - self.header.len()));
            self.header.extend_from_slice(header);
            bytes = rest;
            if self.header.len() < HEADER {
                return Ok(());
            }
            let length = parse(self.kind, &self.header).map_err(|e| bad(&self.name, e))?;
            self.length = Some(length);
            self.digest.update(&self.header[8..24]);
        }
        let length = self.length.unwrap_or_default();
        self.has += bytes.len() as u64;
        if self.has > length {
            let extra = self.has - length;
            return Err(bad(&self.name, FrameError::Trailing { extra }));
        }
        let kept = bytes.len().min(self.keep - self.start.len());
        self.start.extend_from_slice(&bytes[..kept]);
        self.digest.update(bytes);
        Ok(())
    }

    /// Declared bytes of the payload, once the header has come.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The first bytes of the payload, once there are as many as were to be kept.
    pub fn start(&self) -> Option<&[u8]> {
        (self.start.len() == self.keep).then_some(&self.start)
    }

    /// The checksum that the header declares, once that has come.
    pub fn checksum(&self) -> Option<[u8; 32]> {
        self.length?;
        self.header[24..HEADER].try_into().ok()
    }

    /// The checksum of a file that has come as a whole and is undamaged.
    ///
    /// # Errors
    /// If bytes are missing or differ.
    pub fn finish(self) -> Result<[u8; 32], FileError> {
        let fail = |error| Err(bad(&self.name, error));
        let Some(length) = self.length else {
            // Says what is wrong with a header that is too short.
            let short = parse(self.kind, &self.header).err();
            return fail(short.unwrap_or(FrameError::Magic));
        };
        if self.has < length {
            return fail(truncated(length, self.has));
        }
        let digest: [u8; 32] = self.digest.finalize().into();
        if digest != self.header[24..HEADER] {
            return fail(FrameError::Checksum);
        }
        Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{decode, encode};

    const KIND: Kind = Kind {
        tag: *b"TEST",
        name: "test",
        version: 1,
        max_payload: 1000,
    };

    /// Both readers, the second one in pieces of every size.
    fn check(blob: &[u8]) -> Result<(), String> {
        let whole = decode(KIND, "x", blob).map(|_| ()).map_err(|e| e.to_string());
        for size in [1, 7, 55, 56, 57, 2000] {
            let mut arriving = Arriving::new(KIND, "x", 3);
            let pieces = blob.chunks(size).try_for_each(|piece| arriving.update(piece));
            if pieces.is_ok() && blob.len() >= HEADER + 3 {
                assert_eq!(arriving.start(), Some(&blob[HEADER..HEADER + 3]));
            }
            let result = pieces.and_then(|()| arriving.finish().map(|_| ()));
            let result = result.map_err(|e| e.to_string());
            // How many bytes are too many is not known before the end.
            let same = result == whole || whole.as_ref().is_err_and(|e| e.contains("after the end"));
            assert!(same && result.is_ok() == whole.is_ok(), "{result:?} {whole:?}");
        }
        whole
    }

    #[test]
    fn pieces_are_checked_as_the_whole_is() {
        let blob = encode(KIND, b"payload");
        assert_eq!(check(&blob), Ok(()));
        for length in [0, 5, 11, 40, HEADER, blob.len() - 1] {
            check(&blob[..length]).unwrap_err();
        }
        let mut long = blob.clone();
        long.push(0);
        check(&long).unwrap_err();
        for at in 0..blob.len() {
            let mut flipped = blob.clone();
            flipped[at] ^= 0x80;
            check(&flipped).unwrap_err();
        }
        let mut huge = blob;
        huge[16..24].copy_from_slice(&(1_u64 << 63).to_le_bytes());
        assert_eq!(
            check(&huge).unwrap_err(),
            "x: test of 9223372036854775808 bytes, limit 1000"
        );
    }
}
