//! Hashes and ids as text: lower case, two digits a byte.

/// Bytes as hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// First 8 digits of a digest, as in dumps and messages.
pub fn short_hex(digest: &[u8]) -> String {
    to_hex(&digest[..digest.len().min(4)])
}

/// The bytes that [`to_hex`] wrote. `None` for any other length or characters, upper case included: an id has one name.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_each() {
        assert_eq!(from_hex(&to_hex(&[0, 0xa5, 0xff])), Some([0, 0xa5, 0xff]));
        for wrong in ["00A5ff", "00a5f", "00a5ffff", "00a5fg", "0x00a5", ""] {
            assert_eq!(from_hex::<3>(wrong), None, "{wrong}");
        }
        assert_eq!(short_hex(&[0, 0xa5, 0xff, 1, 2]), "00a5ff01");
        assert_eq!(short_hex(&[7]), "07");
    }
}
