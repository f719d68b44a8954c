//! Files of secret keys under a passphrase.
//!
//! | bytes | content |
//! |---|---|
//! | 48 | circuit and key pair, as in every file of keys |
//! | 12 | costs of Argon2id, little endian: memory in KiB, passes, lanes |
//! | 16 | salt |
//! | 24 | nonce |
//! | n | the secret key under XChaCha20-Poly1305, which also vouches for all of the above |
//!
//! A file names its own costs, so that they can grow; what is read is bounded.

use super::LOCKED_CLIENT_KEY;
use crate::client_keys::{BoundClientKeys, ClientKeys};
use crate::random::Randomness;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use cml_file::{Access, Artifact, Kind};
use cml_scheme::artifact::{key_error, prefix, split};
use cml_scheme::{ArtifactError, Interface};
use zeroize::Zeroizing;

/// Costs of new files: the second choice of RFC 9106, 64 MiB and three passes.
const COSTS: Costs = Costs {
    memory_kib: 64 << 10,
    passes: 3,
    lanes: 4,
};
/// Most memory that a file may ask for, in KiB (1 GiB).
const MOST_MEMORY_KIB: u32 = 1 << 20;
/// Most passes over it.
const MOST_PASSES: u32 = 16;
/// Most lanes.
const MOST_LANES: u32 = 16;

const SALT: usize = 16;
const NONCE: usize = 24;
const HEAD: usize = 12 + SALT + NONCE;

/// What a guess costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Costs {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// What is written in clear before the key.
struct Head {
    costs: Costs,
    salt: [u8; SALT],
    nonce: [u8; NONCE],
}

/// A client's secrets under a passphrase: what lies in the file, sealed.
#[derive(Clone, Debug)]
pub struct LockedClientKeys {
    /// Of the file, for errors.
    name: String,
    payload: Vec<u8>,
}

impl LockedClientKeys {
    /// Seals a secret key. Takes 64 MiB and a part of a second, as each opening does; `name` says in errors which.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn seal(
        name: &str,
        key: &BoundClientKeys,
        passphrase: &[u8],
        random: &mut dyn Randomness,
    ) -> Result<Self, ArtifactError> {
        Ok(Self {
            name: name.to_owned(),
            payload: payload(name, key, passphrase, random)?,
        })
    }

    /// Opens the secret key of a circuit.
    ///
    /// # Errors
    /// If it is malformed, or of another circuit; [`ArtifactError::Passphrase`] if the passphrase is the wrong one.
    pub fn open(&self, circuit: &dyn Interface, passphrase: &[u8]) -> Result<BoundClientKeys, ArtifactError> {
        open(&self.name, &self.payload, circuit, passphrase)
    }
}

impl Artifact for LockedClientKeys {
    const KIND: Kind = LOCKED_CLIENT_KEY;
    const ACCESS: Access = Access::Private;
    type Context<'c> = ();
    type Error = ArtifactError;

    fn encode(&self) -> Result<Vec<u8>, ArtifactError> {
        Ok(self.payload.clone())
    }

    fn decode(name: &str, payload: &[u8], (): ()) -> Result<Self, ArtifactError> {
        Ok(Self {
            name: name.to_owned(),
            payload: payload.to_vec(),
        })
    }
}

fn payload(
    name: &str,
    key: &BoundClientKeys,
    passphrase: &[u8],
    random: &mut dyn Randomness,
) -> Result<Vec<u8>, ArtifactError> {
    let mut head = Head {
        costs: COSTS,
        salt: [0; SALT],
        nonce: [0; NONCE],
    };
    for bytes in [&mut head.salt[..], &mut head.nonce] {
        random.fill(bytes).map_err(|e| key_error(name, e))?;
    }
    let mut payload = prefix(&key.binding).to_vec();
    payload.extend(head.to_bytes());
    let message = Payload {
        msg: &key.value.to_bytes(),
        aad: &payload,
    };
    let sealed = head.cipher(passphrase).and_then(|cipher| {
        let sealed = cipher.encrypt(&XNonce::from(head.nonce), message);
        sealed.map_err(|_| "cannot be encrypted".to_owned())
    });
    payload.extend(sealed.map_err(|why| malformed(name, why))?);
    Ok(payload)
}

fn open(
    name: &str,
    payload: &[u8],
    circuit: &dyn Interface,
    passphrase: &[u8],
) -> Result<BoundClientKeys, ArtifactError> {
    let (binding, rest) = split(name, LOCKED_CLIENT_KEY, circuit, payload)?;
    let Some((head, sealed)) = rest.split_first_chunk::<HEAD>() else {
        let why = format!("{} bytes, needs more than {HEAD}", rest.len());
        return Err(malformed(name, why));
    };
    let head = Head::from_bytes(head);
    head.costs.check().map_err(|why| malformed(name, why))?;
    let cipher = head.cipher(passphrase).map_err(|why| malformed(name, why))?;
    let message = Payload {
        msg: sealed,
        aad: &payload[..payload.len() - sealed.len()],
    };
    let opened = cipher.decrypt(&XNonce::from(head.nonce), message);
    let opened = opened.map_err(|_| ArtifactError::Passphrase {
        name: name.to_owned(),
    })?;
    let value = ClientKeys::from_bytes(&Zeroizing::new(opened), circuit.parameters());
    let value = value.map_err(|e| key_error(name, e))?;
    Ok(BoundClientKeys { binding, value })
}

impl Costs {
    /// A file must not decide that reading it takes all memory, or forever.
    fn check(self) -> Result<(), String> {
        let (memory, most) = (self.memory_kib, MOST_MEMORY_KIB);
        if !(8..=most).contains(&memory) {
            return Err(format!(
                "asks for {memory} KiB of memory, supported are 8 to {most}"
            ));
        }
        for (what, has, most) in [
            ("passes", self.passes, MOST_PASSES),
            ("lanes", self.lanes, MOST_LANES),
        ] {
            if !(1..=most).contains(&has) {
                return Err(format!("asks for {has} {what}, supported are 1 to {most}"));
            }
        }
        Ok(())
    }
}

impl Head {
    fn to_bytes(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        let Costs {
            memory_kib,
            passes,
            lanes,
        } = self.costs;
        for (bytes, cost) in bytes.chunks_exact_mut(4).zip([memory_kib, passes, lanes]) {
            bytes.copy_from_slice(&cost.to_le_bytes());
        }
        bytes[12..12 + SALT].copy_from_slice(&self.salt);
        bytes[12 + SALT..].copy_from_slice(&self.nonce);
        bytes
    }

    fn from_bytes(bytes: &[u8; HEAD]) -> Self {
        let cost = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        Self {
            costs: Costs {
                memory_kib: cost(0),
                passes: cost(4),
                lanes: cost(8),
            },
            salt: std::array::from_fn(|i| bytes[12 + i]),
            nonce: std::array::from_fn(|i| bytes[12 + SALT + i]),
        }
    }

    /// The cipher that the passphrase and the salt make.
    fn cipher(&self, passphrase: &[u8]) -> Result<XChaCha20Poly1305, String> {
        let Costs {
            memory_kib,
            passes,
            lanes,
        } = self.costs;
        let mut key = Zeroizing::new([0; 32]);
        let params = Params::new(memory_kib, passes, lanes, Some(key.len())).map_err(|e| e.to_string())?;
        // The key follows from what it leaves in its memory.
        let mut memory = Zeroizing::new(vec![Block::new(); params.block_count()]);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2
            .hash_password_into_with_memory(passphrase, &self.salt, key.as_mut(), &mut *memory)
            .map_err(|e| e.to_string())?;
        XChaCha20Poly1305::new_from_slice(key.as_ref()).map_err(|e| e.to_string())
    }
}

fn malformed(name: &str, why: String) -> ArtifactError {
    ArtifactError::Malformed {
        name: name.to_owned(),
        what: LOCKED_CLIENT_KEY.name,
        why,
    }
}
