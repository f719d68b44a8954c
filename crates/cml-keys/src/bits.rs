//! Packed bits.

use cml_scheme::KeyError;

/// Appends bits, eight to a byte, lowest first; the last byte is padded with zeros.
pub(crate) fn put_bits(out: &mut Vec<u8>, bits: impl ExactSizeIterator<Item = bool>) {
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
pub(crate) fn get_bits<'a>(
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
