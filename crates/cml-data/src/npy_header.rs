//! The header of a NumPy array: `numpy.lib.format`, versions 1 to 3.

use crate::Error;

/// Most bytes of a header; NumPy writes about 100.
const MAX_HEADER: usize = 4096;

/// What an NPY file says about its array.
#[derive(Debug, Default)]
pub(crate) struct NpyHeader {
    /// Type of the elements: byte order, kind and size.
    pub(crate) descr: String,
    /// Whether the first index runs first.
    pub(crate) fortran_order: bool,
    /// Sizes of the axes.
    pub(crate) shape: Vec<usize>,
}

impl NpyHeader {
    /// The header at the start of a file, and the bytes after it.
    pub(crate) fn parse<'a>(file: &str, bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Error> {
        let fail = |why| Error::Npy {
            file: file.to_owned(),
            why,
        };
        let rest = bytes
            .strip_prefix(b"\x93NUMPY")
            .ok_or_else(|| fail("has no magic string"))?;
        let (version, rest) = rest.split_at_checked(2).ok_or_else(|| fail("ends early"))?;
        // The length has 2 bytes in version 1, then 4.
        let width = match version[0] {
            1 => 2,
            2 | 3 => 4,
            _ => return Err(fail("has a version other than 1 to 3")),
        };
        let (length, rest) = rest.split_at_checked(width).ok_or_else(|| fail("ends early"))?;
        let length = length.iter().rev().fold(0, |sum, &b| sum << 8 | usize::from(b));
        if length > MAX_HEADER {
            return Err(Error::ArrayHeader {
                file: file.to_owned(),
                found: length,
                limit: MAX_HEADER,
            });
        }
        let (text, data) = rest.split_at_checked(length).ok_or_else(|| fail("ends early"))?;
        let text = std::str::from_utf8(text).map_err(|_| fail("has a header that is no text"))?;
        let header = Cursor { rest: text }.header();
        let header = header.ok_or_else(|| fail("has a header without a plain type, order and shape"))?;
        Ok((header, data))
    }
}

/// What is left of a header: a Python dictionary.
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn header(mut self) -> Option<NpyHeader> {
        let (mut descr, mut order, mut shape) = (None, None, None);
        self.eat("{")?;
        while self.eat("}").is_none() {
            let key = self.string()?;
            self.eat(":")?;
            match key {
                "descr" => descr = Some(self.string()?.to_owned()),
                "fortran_order" => order = Some(self.boolean()?),
                "shape" => shape = Some(self.tuple()?),
                _ => return None,
            }
            if self.eat(",").is_none() {
                self.eat("}")?;
                break;
            }
        }
        self.rest.trim().is_empty().then_some(())?;
        Some(NpyHeader {
            descr: descr?,
            fortran_order: order?,
            shape: shape?,
        })
    }

    /// Skips blanks and a token, if it is next.
    fn eat(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(token)?;
        Some(())
    }

    fn string(&mut self) -> Option<&'a str> {
        let quote = if self.eat("'").is_some() {
            "'"
        } else {
            self.eat("\"")?;
            "\""
        };
        let (text, rest) = self.rest.split_once(quote)?;
        self.rest = rest;
        Some(text)
    }

    fn boolean(&mut self) -> Option<bool> {
        if self.eat("True").is_some() {
            return Some(true);
        }
        self.eat("False").map(|()| false)
    }

    fn tuple(&mut self) -> Option<Vec<usize>> {
        let mut sizes = Vec::new();
        self.eat("(")?;
        while self.eat(")").is_none() {
            let text = self.rest.trim_start();
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            sizes.push(text[..digits].parse().ok()?);
            self.rest = &text[digits..];
            if self.eat(",").is_none() {
                self.eat(")")?;
                break;
            }
        }
        Some(sizes)
    }
}
