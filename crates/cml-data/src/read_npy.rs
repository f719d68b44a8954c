//! NumPy arrays as features.
//!
//! Files of `numpy.save` and archives of `numpy.savez` and `numpy.savez_compressed`: arrays of `f32`,
//! `f64`, `u8` or `i64`, samples along axis 0, the features of a sample in C order. Numbers are rounded to `f32`. Nothing of a size that a file only claims is
//! allocated.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use ndarray::{Array2, ArrayViewD, IxDyn, ShapeBuilder};
use zip::ZipArchive;

use crate::error::shorten;
use crate::npy_header::NpyHeader;
use crate::{Error, Features};

/// Most bytes of an array.
const MAX_BYTES: u64 = 1 << 30;
/// Most elements of an array.
const MAX_CELLS: usize = 1 << 27;
/// Name of the array of an archive that has several.
const SAMPLES: &str = "x.npy";
/// Name of the array of classes in an archive.
const LABELS: &str = "y.npy";

/// Reads the array `[samples, ..]` of an NPY file as features `[samples, columns]`, named from 0.
///
/// # Errors
///
/// [`Error`] names the file and what was found: another type, fewer than two axes, more than 1 GiB or
/// 2^27 elements, no samples, a number that is not finite, a damaged file.
pub fn read_npy(path: impl AsRef<Path>) -> Result<Features, Error> {
    let path = path.as_ref();
    let name = path.display().to_string();
    features(&name, &bounded(open_file(path)?, &name)?)
}

/// As [`read_npy`], from any source; `name` stands for the file in messages.
///
/// # Errors
///
/// As [`read_npy`].
pub fn read_npy_from(input: impl Read, name: &str) -> Result<Features, Error> {
    features(name, &bounded(input, name)?)
}

/// As [`read_npy`], of the only array of an NPZ file, or that named `x`.
///
/// # Errors
///
/// As [`read_npy`], and if there are several arrays or none and none is named `x`.
pub fn read_npz(path: impl AsRef<Path>) -> Result<Features, Error> {
    let path = path.as_ref();
    npz_from(open_file(path)?, &path.display().to_string())
}

/// As [`read_npz`], from any source; `name` stands for the file in messages.
pub(crate) fn npz_from(file: impl Read + Seek, name: &str) -> Result<Features, Error> {
    arrays_of(file, name, false).map(|(features, _)| features)
}

/// As [`npz_from`], with the classes of an array named `y` beside it.
pub(crate) fn labelled_npz_from(
    file: impl Read + Seek,
    name: &str,
) -> Result<(Features, Option<Vec<usize>>), Error> {
    arrays_of(file, name, true)
}

fn arrays_of(
    file: impl Read + Seek,
    name: &str,
    labelled: bool,
) -> Result<(Features, Option<Vec<usize>>), Error> {
    let fail = |source| Error::Npz {
        file: name.to_owned(),
        source,
    };
    let mut archive = ZipArchive::new(file).map_err(fail)?;
    let arrays: Vec<String> = archive.file_names().map(str::to_owned).collect();
    let array = match &arrays[..] {
        [only] => only,
        several if several.iter().any(|a| a == SAMPLES) => SAMPLES,
        several => {
            return Err(Error::ArrayChoice {
                found: match several {
                    [] => "none".to_owned(),
                    several => shorten(&several.join(", ")),
                },
                file: name.to_owned(),
            });
        }
    };
    let member = format!("{name}, {}", shorten(array));
    let bytes = bounded(archive.by_name(array).map_err(fail)?, &member)?;
    let features = features(&member, &bytes)?;
    if !labelled || array == LABELS || !arrays.iter().any(|a| a == LABELS) {
        return Ok((features, None));
    }
    let member = format!("{name}, {LABELS}");
    let bytes = bounded(archive.by_name(LABELS).map_err(fail)?, &member)?;
    let labels = labels(&member, &bytes, features.values().nrows())?;
    Ok((features, Some(labels)))
}

/// The classes in the bytes of an NPY file: a whole number from 0 for each row.
fn labels(file: &str, bytes: &[u8], rows: usize) -> Result<Vec<usize>, Error> {
    // Larger ones may be rounded.
    const MOST: f32 = 65536.0;
    let (shape, values) = numbers(file, bytes)?;
    let misfit = |found: String| Error::ArrayLabels(file.to_owned(), rows, found);
    if values.len() != rows || shape.first() != Some(&rows) {
        return Err(misfit(format!("shape {shape:?}")));
    }
    match values
        .iter()
        .find(|y| !(0.0..MOST).contains(*y) || y.fract() != 0.0)
    {
        Some(bad) => Err(misfit(bad.to_string())),
        None => Ok(values.iter().map(|&y| y as usize).collect()),
    }
}

/// The file at a path.
pub(crate) fn open_file(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|source| Error::Open {
        file: path.display().to_string(),
        source,
    })
}

/// All bytes, if they are no more than [`MAX_BYTES`].
pub(crate) fn bounded(input: impl Read, file: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = input.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|source| Error::Read {
        file: file.to_owned(),
        source,
    })?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::TooManyBytes {
            file: file.to_owned(),
            limit: MAX_BYTES,
        });
    }
    Ok(bytes)
}

/// The features in the bytes of an NPY file.
fn features(file: &str, bytes: &[u8]) -> Result<Features, Error> {
    let (shape, values) = numbers(file, bytes)?;
    let &[rows, .., _] = &shape[..] else {
        return Err(Error::ArrayRank {
            file: file.to_owned(),
            shape,
        });
    };
    let columns = values.len().checked_div(rows).unwrap_or(0);
    let misfit = |_| Error::EmptyTable { rows, columns };
    let values = Array2::from_shape_vec((rows, columns), values).map_err(misfit)?;
    let names = (0..columns).map(|i| i.to_string()).collect();
    Features::new(values, names)
}

/// Shape and numbers, row by row, in the bytes of an NPY file.
fn numbers(file: &str, bytes: &[u8]) -> Result<(Vec<usize>, Vec<f32>), Error> {
    let (header, data) = NpyHeader::parse(file, bytes)?;
    let NpyHeader {
        descr,
        fortran_order,
        shape,
    } = header;
    let Some((size, number)) = element(&descr) else {
        return Err(Error::ArrayType {
            file: file.to_owned(),
            found: shorten(&descr),
        });
    };
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let Some(count) = count.filter(|&n| n <= MAX_CELLS) else {
        return Err(Error::ArrayCells {
            file: file.to_owned(),
            shape,
            limit: MAX_CELLS,
        });
    };
    if data.len() != count * size {
        return Err(Error::ArrayData {
            file: file.to_owned(),
            shape,
            expected: count * size,
            found: data.len(),
        });
    }
    let mut values: Vec<f32> = data.chunks_exact(size).map(number).collect();
    if fortran_order {
        let [rows, columns] = [shape.first().copied().unwrap_or(0), 0];
        let view = ArrayViewD::from_shape(IxDyn(&shape).f(), &values);
        let view = view.map_err(|_| Error::EmptyTable { rows, columns })?;
        values = view.iter().copied().collect();
    }
    Ok((shape, values))
}

/// The number in the bytes of an element.
type Number = fn(&[u8]) -> f32;

/// Bytes of an element of a type, and its number.
fn element(descr: &str) -> Option<(usize, Number)> {
    Some(match descr {
        "<f4" => (4, |b| f32::from_le_bytes(array(b))),
        ">f4" => (4, |b| f32::from_be_bytes(array(b))),
        "<f8" => (8, |b| f64::from_le_bytes(array(b)) as f32),
        ">f8" => (8, |b| f64::from_be_bytes(array(b)) as f32),
        "<i8" => (8, |b| i64::from_le_bytes(array(b)) as f32),
        ">i8" => (8, |b| i64::from_be_bytes(array(b)) as f32),
        "<i4" => (4, |b| i32::from_le_bytes(array(b)) as f32),
        ">i4" => (4, |b| i32::from_be_bytes(array(b)) as f32),
        "|u1" => (1, |b| f32::from(b[0])),
        _ => return None,
    })
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}
