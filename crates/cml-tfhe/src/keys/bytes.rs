//! Flat little-endian layouts: integers and packed bits.

use super::KeyError;

/// Compares a length with what the parameters ask for.
pub(super) fn check_length(what: &'static str, bytes: &[u8], needs: u64) -> Result<(), KeyError> {
    let has = bytes.len() as u64;
    if has == needs {
        Ok(())
    } else {
        Err(KeyError::Length { what, has, needs })
    }
}

/// Appends the highest `size` bytes of 64-bit words.
pub(super) fn put_high_bytes(out: &mut Vec<u8>, words: &[u64], size: usize) {
    for word in words {
        out.extend_from_slice(&word.to_le_bytes()[8 - size..]);
    }
}

/// Reads 64-bit words of which the highest `size` bytes, at least one, are there; the length is a multiple of it.
pub(super) fn get_high_bytes(bytes: &[u8], size: usize) -> Vec<u64> {
    let word = |high: &[u8]| {
        let mut word = [0; 8];
        word[8 - size..].copy_from_slice(high);
        u64::from_le_bytes(word)
    };
    bytes.chunks_exact(size).map(word).collect()
}

/// Appends 32-bit words.
pub(super) fn put_u32(out: &mut Vec<u8>, words: &[u32]) {
    out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}

/// Reads 32-bit words; the length is a multiple of 4.
pub(super) fn get_u32(bytes: &[u8]) -> Vec<u32> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|word| u32::from_le_bytes(*word))
        .collect()
}

/// Splits a seed off the front.
pub(super) fn split_seed<'a>(what: &'static str, bytes: &'a [u8]) -> Result<(u128, &'a [u8]), KeyError> {
    let Some((seed, rest)) = bytes.split_first_chunk() else {
        return Err(KeyError::Length {
            what,
            has: bytes.len() as u64,
            needs: 16,
        });
    };
    Ok((u128::from_le_bytes(*seed), rest))
}

/// Appends bits, eight to a byte, lowest first; the last byte is padded with zeros.
pub(super) fn put_bits(out: &mut Vec<u8>, bits: impl ExactSizeIterator<Item = bool>) {
    let start = out.len();
    out.resize(start + bits.len().div_ceil(8), 0);
    for (index, bit) in bits.enumerate() {
        out[start + index / 8] |= u8::from(bit) << (index % 8);
    }
}

/// Reads `count` bits from `count.div_ceil(8)` bytes.
///
/// # Errors
///
/// [`KeyError::Padding`] if a bit beyond them is set.
pub(super) fn get_bits<'a>(
    what: &'static str,
    bytes: &'a [u8],
    count: u32,
) -> Result<impl Iterator<Item = bool> + 'a, KeyError> {
    let used = count % 8;
    if let Some(last) = bytes.last()
        && used != 0
        && last >> used != 0
    {
        return Err(KeyError::Padding { what, bits: count });
    }
    let bits = bytes
        .iter()
        .flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
    Ok(bits.take(count as usize))
}
