//! Files that are none of `cml`'s, by their first bytes: what they are, and which command takes them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes that are looked at.
const START: u64 = 512;

/// What a file is, and what to do with it.
pub(crate) struct Recognized {
    pub(crate) what: &'static str,
    pub(crate) advice: &'static str,
    /// Whether `cml import` reads it.
    pub(crate) is_onnx: bool,
}

/// Recognizes a file; nothing if it cannot be read or is of no known kind.
pub(crate) fn recognize(path: &Path) -> Option<Recognized> {
    let mut start = Vec::new();
    File::open(path).ok()?.take(START).read_to_end(&mut start).ok()?;
    of(&start)
}

/// Recognizes the first bytes of a file.
fn of(start: &[u8]) -> Option<Recognized> {
    let kind = |what, advice| {
        Some(Recognized {
            what,
            advice,
            is_onnx: false,
        })
    };
    if start.starts_with(b"version https://git-lfs") {
        return kind(
            "a pointer of Git LFS, without the data",
            "`git lfs pull` fetches them",
        );
    }
    if start.starts_with(b"PK\x03\x04") {
        let has = |word: &[u8]| start.windows(word.len()).any(|w| w == word);
        if has(b".npy") {
            return kind("an archive of NumPy arrays", "commands take it as --data");
        }
        return kind(
            "a zip archive, as torch.save writes it",
            "torch.onnx.export makes an ONNX file of the model, and `cml import` reads that",
        );
    }
    // Before pickles: the length at its start can look like one.
    if start.get(8) == Some(&b'{') && start.get(4..8) == Some(&[0; 4]) {
        return kind(
            "a safetensors file",
            "`cml quantize` makes a graph of a network that cml wrote; weights alone are no network",
        );
    }
    if start.starts_with(b"\x80\x02") || start.starts_with(b"\x80\x03") || start.starts_with(b"\x80\x04") {
        return kind(
            "a Python pickle",
            "export the model to ONNX; `cml import` reads that, and no pickle",
        );
    }
    if start.starts_with(b"\x93NUMPY") {
        return kind("a NumPy array", "commands take it as --data");
    }
    if start.starts_with(b"\x89HDF") {
        return kind(
            "an HDF5 file, as Keras writes it",
            "tf2onnx makes an ONNX file of it",
        );
    }
    if start.get(4..8) == Some(b"TFL3") {
        return kind("a TensorFlow Lite file", "tf2onnx makes an ONNX file of it");
    }
    if start.starts_with(b"\x1f\x8b") {
        return kind("compressed by gzip", "`gunzip` first");
    }
    if is_onnx(start) {
        return Some(Recognized {
            what: "an ONNX file",
            advice: "`cml import` makes a network of it",
            is_onnx: true,
        });
    }
    text(start)
}

/// Whether bytes begin as a model of ONNX: its version, then a field of a model.
fn is_onnx(start: &[u8]) -> bool {
    matches!(
        start,
        [
            0x08,
            1..=30,
            0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42 | 0x72,
            ..
        ]
    )
}

fn text(start: &[u8]) -> Option<Recognized> {
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // The last character may be cut.
        Err(error) if error.valid_up_to() + 4 > start.len() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if text.trim().is_empty() || text.contains(control) {
        return None;
    }
    let first = text.trim_start().lines().next().unwrap_or_default();
    let (what, advice) = if first.starts_with('<') {
        ("an HTML or XML page", "download the file itself")
    } else if first.contains(',') || first.contains(';') {
        ("a table of text (CSV)", "commands take it as --data")
    } else {
        ("a text", "the file that it stands for is needed")
    };
    Some(Recognized {
        what,
        advice,
        is_onnx: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        let check = |bytes: &[u8], what: &str| {
            let found = of(bytes).map_or("nothing", |r| r.what);
            assert!(found.contains(what), "{found}, not {what}");
        };
        check(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:",
            "Git LFS",
        );
        check(b"PK\x03\x04\x00\x00net/data.pkl", "torch.save");
        check(b"PK\x03\x04\x00\x00x.npy", "NumPy arrays");
        check(b"\x08\x08\x12\x07pytorch", "ONNX");
        check(b"a,b,c\n1,2,3\n", "CSV");
        check(b"hello\n", "a text");
        check("grün".as_bytes().split_last().unwrap().1, "a text");
        check(b"<!DOCTYPE html>", "HTML");
        check(b"\x60\0\0\0\0\0\0\0{\"a\"", "safetensors");
        check(b"\x89CML\r\n\x1a\nGRPH", "nothing");
        check(b"", "nothing");
        check(b"\xff\xfe\xfd\xfc\xfb\xfa", "nothing");
    }
}
