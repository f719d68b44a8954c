//! Who asks: bearer tokens, or else addresses.

use crate::ServeError;
use crate::refusal::Refusal;
use cml_file::{from_hex, to_hex};
use sha2::{Digest, Sha256};
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// Fewest characters of a token.
const SHORTEST: usize = 16;
/// Most tokens of a file.
const MOST: usize = 10_000;

/// Whose limits count: the name of a token or an address, which tells neither at a glance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Caller([u8; 8]);

impl Caller {
    fn of(kind: &str, bytes: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(kind).chain_update(bytes).finalize();
        let mut name = [0; 8];
        name.copy_from_slice(&digest[..8]);
        Self(name)
    }

    /// All of an IPv4 address; of an IPv6 address the network, of which one machine has all.
    pub(crate) fn at(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::of("address ", &v4.octets()),
            IpAddr::V6(v6) => Self::of("address ", &v6.octets()[..8]),
        }
    }

    /// Reads what `Display` writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

/// The tokens that are let in; without any, everybody is.
#[derive(Clone, Default)]
pub struct Tokens {
    /// SHA-256 of each: all of one length, and no token is in memory for long.
    digests: Vec<[u8; 32]>,
}

impl Tokens {
    /// Everybody is let in; limits count by address.
    pub fn none() -> Self {
        Self::default()
    }

    /// Tokens one a line; empty lines and lines that begin with `#` do not count.
    ///
    /// # Errors
    /// If there is no token, one is shorter than 16 characters or not printable ASCII, or there are more
    /// than 10,000.
    pub fn parse(text: &str) -> Result<Self, ServeError> {
        let lines = text.lines().map(str::trim).enumerate();
        let tokens = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let mut digests = Vec::new();
        for (number, token) in tokens {
            let line = number + 1;
            if !token.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(ServeError::Token {
                    line,
                    why: "has characters other than printable ASCII".to_owned(),
                });
            }
            if token.len() < SHORTEST {
                return Err(ServeError::Token {
                    line,
                    why: format!("has {} characters, needs {SHORTEST} or more", token.len()),
                });
            }
            digests.push(Sha256::digest(token).into());
        }
        match digests.len() {
            0 => Err(ServeError::NoTokens),
            1..=MOST => Ok(Self { digests }),
            has => Err(ServeError::TooManyTokens { has, limit: MOST }),
        }
    }

    /// Reads a token file.
    ///
    /// # Errors
    /// If it cannot be read; as [`Tokens::parse`].
    pub fn read(path: &Path) -> Result<Self, ServeError> {
        let text = std::fs::read_to_string(path).map_err(|source| ServeError::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text)
    }

    /// Whether a token is asked for.
    pub fn are_asked_for(&self) -> bool {
        !self.digests.is_empty()
    }

    /// Whether a token is one of these and one of those.
    pub(crate) fn share_one_with(&self, other: &Self) -> bool {
        self.digests.iter().any(|digest| other.digests.contains(digest))
    }

    /// Who asks, with this token, from this address. Takes the same time for each wrong token.
    pub(crate) fn caller(&self, token: Option<&[u8]>, address: IpAddr) -> Result<Caller, Refusal> {
        if !self.are_asked_for() {
            return Ok(Caller::at(address));
        }
        self.known(token.ok_or(Refusal::NoToken)?)
    }

    /// Who has this token. Without any tokens nobody has.
    pub(crate) fn known(&self, token: &[u8]) -> Result<Caller, Refusal> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let mut known = Choice::from(0);
        for other in &self.digests {
            known.conditional_assign(&Choice::from(1), other.ct_eq(&digest));
        }
        if bool::from(known) {
            Ok(Caller::of("token ", &digest))
        } else {
            Err(Refusal::UnknownToken)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        Tokens::parse(text).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn tokens_are_long_and_printable() {
        assert_eq!(message(""), "no token, needs one at least");
        assert_eq!(message("# a\n\n"), "no token, needs one at least");
        assert_eq!(
            message("\nshort"),
            "token of line 2 has 5 characters, needs 16 or more"
        );
        assert_eq!(
            message("0123456789 abcdef"),
            "token of line 1 has characters other than printable ASCII"
        );
        let many = "0123456789abcdef\n".repeat(MOST + 1);
        assert_eq!(message(&many), "10001 tokens, limit 10000");
    }

    #[test]
    fn callers_are_told_apart() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let at = |text: &str| Tokens::none().caller(None, address(text)).unwrap();
        assert!(at("10.0.0.1") != at("10.0.0.2"));
        assert!(at("10.0.0.1") == at("::ffff:10.0.0.1"));
        assert!(at("2001:db8::1") == at("2001:db8::2"));
        assert!(Caller::parse(&at("10.0.0.1").to_string()) == Some(at("10.0.0.1")));

        let tokens = Tokens::parse("one-token-of-many\nanother-token-of-many\n").unwrap();
        let with = |token: &str| tokens.caller(Some(token.as_bytes()), address("10.0.0.1"));
        let one = with("one-token-of-many").unwrap();
        assert!(one == tokens.known(b"one-token-of-many").unwrap());
        assert!(one != with("another-token-of-many").unwrap());
        for wrong in ["one-token-of-man", ""] {
            assert!(matches!(with(wrong), Err(Refusal::UnknownToken)), "{wrong}");
        }
        let none = tokens.caller(None, address("10.0.0.1"));
        assert!(matches!(none, Err(Refusal::NoToken)));
        // Without tokens everybody is let in, but nobody has one.
        let nobody = Tokens::none().known(b"one-token-of-many");
        assert!(matches!(nobody, Err(Refusal::UnknownToken)));
        let others = |text: &str| tokens.share_one_with(&Tokens::parse(text).unwrap());
        assert!(others("x-token-of-its-own\none-token-of-many") && !others("x-token-of-its-own"));
    }
}
