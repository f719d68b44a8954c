//! Tensor data in files beside the model.

use crate::OnnxError;
use rten_onnx::onnx::TensorProto;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// Reads the data of a tensor, `len` bytes, from a file in `folder`.
///
/// # Errors
/// If the location is absolute, leaves the folder, also by a link, or has not so many bytes.
pub(crate) fn read(tensor: &TensorProto, len: usize, folder: Option<&Path>) -> Result<Vec<u8>, OnnxError> {
    let entry = |key: &str| {
        let mut entries = tensor.external_data.iter();
        entries
            .find(|e| e.key.as_deref() == Some(key))
            .and_then(|e| e.value.as_deref())
    };
    let location = entry("location").unwrap_or_default();
    let fail = |why: &str| OnnxError::External {
        name: tensor.name.clone().unwrap_or_default(),
        location: location.to_owned(),
        why: why.to_owned(),
    };
    let number = |key: &str, default: u64| match entry(key) {
        None => Ok(default),
        Some(text) => text
            .parse::<u64>()
            .map_err(|_| fail(&format!("has {key} {text:?}, needs a number"))),
    };
    let folder = folder.ok_or_else(|| fail("cannot be read without the file's folder"))?;
    let path = within(folder, location).map_err(fail)?;
    let offset = number("offset", 0)?;
    let stated = number("length", len as u64)?;
    if stated != len as u64 {
        return Err(fail(&format!("has {stated} bytes, needs {len}")));
    }
    let io = |source| OnnxError::Io {
        path: path.clone(),
        source,
    };
    let mut file = File::open(&path).map_err(io)?;
    let has = file.metadata().map_err(io)?.len();
    if offset.checked_add(stated).is_none_or(|end| end > has) {
        return Err(fail(&format!("ends at byte {has}, needs {len} from {offset}")));
    }
    file.seek(SeekFrom::Start(offset)).map_err(io)?;
    let mut bytes = vec![0; len];
    file.read_exact(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// The file that a location names, if it lies in the folder with all links followed.
fn within(folder: &Path, location: &str) -> Result<PathBuf, &'static str> {
    let relative = Path::new(location);
    let plain = |c: Component<'_>| matches!(c, Component::Normal(_) | Component::CurDir);
    if location.is_empty() || !relative.components().all(plain) {
        return Err("is not a path inside the file's folder");
    }
    let folder = folder
        .canonicalize()
        .map_err(|_| "is in a folder that cannot be read")?;
    let path = folder
        .join(relative)
        .canonicalize()
        .map_err(|_| "does not exist")?;
    if !path.starts_with(&folder) {
        return Err("leaves the file's folder through a link");
    }
    if !path.is_file() {
        return Err("is not a file");
    }
    Ok(path)
}
