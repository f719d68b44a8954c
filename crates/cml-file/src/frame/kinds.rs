//! What people call the files of each tag. The crates that own the formats say the rest
//! ([`Kind`](super::Kind)); a test across crates compares the names.

/// Every tag that was given out, and its name with an article.
const NAMES: [([u8; 4], &str); 8] = [
    (*b"GRPH", "a graph"),
    (*b"CIRC", "a circuit"),
    (*b"SPEC", "a client spec"),
    (*b"CKEY", "a client key"),
    (*b"CKPW", "a client key under a passphrase"),
    (*b"SKEY", "a server key"),
    (*b"CTIN", "an encrypted input"),
    (*b"CTOU", "an encrypted output"),
];

/// What a file of this tag is, for a message.
pub fn describe(tag: [u8; 4]) -> String {
    match NAMES.iter().find(|(known, _)| *known == tag) {
        Some((_, name)) => (*name).to_owned(),
        None => format!(
            "a cml file of an unknown kind, {:?}",
            String::from_utf8_lossy(&tag)
        ),
    }
}
