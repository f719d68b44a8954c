use std::io::Write as _;
use std::path::Path;

use cml_data::{Error, Features, read_npy, read_npy_from, read_npz};
use ndarray::array;
use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// An NPY file of version 1, as `numpy.save` writes it: header padded to 64 bytes.
fn npy(descr: &str, order: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if order { "True" } else { "False" };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn read(bytes: &[u8]) -> Result<Features, Error> {
    read_npy_from(bytes, "f.npy")
}

fn refused(bytes: &[u8], expected: &str) {
    let error = read(bytes).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains(expected),
        "{message:?} does not say {expected:?}"
    );
}

#[test]
fn every_type_is_read() {
    let expected = array![[1.0, 2.0], [3.0, 4.0]];
    let doubles: Vec<u8> = [1.0f64, 2.0, 3.0, 4.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let integers: Vec<u8> = [1i64, 2, 3, 4].iter().flat_map(|v| v.to_le_bytes()).collect();
    let cases = [
        ("<f4", floats(&[1.0, 2.0, 3.0, 4.0])),
        ("<f8", doubles),
        ("<i8", integers),
        ("|u1", vec![1, 2, 3, 4]),
        (
            ">f4",
            [1.0f32, 2.0, 3.0, 4.0]
                .iter()
                .flat_map(|v| v.to_be_bytes())
                .collect(),
        ),
    ];
    for (descr, data) in cases {
        let found = read(&npy(descr, false, "(2, 2)", &data)).unwrap();
        assert_eq!(found.values(), &expected, "{descr}");
        assert_eq!(found.names(), ["0", "1"]);
    }
}

#[test]
fn axes_after_the_first_are_flattened_in_c_order() {
    let data = floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let found = read(&npy("<f4", false, "(2, 2, 2)", &data)).unwrap();
    assert_eq!(found.values(), array![[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]);
    // In Fortran's order the first index runs first.
    let found = read(&npy("<f4", true, "(2, 2, 2)", &data)).unwrap();
    assert_eq!(found.values(), array![[1.0, 5.0, 3.0, 7.0], [2.0, 6.0, 4.0, 8.0]]);
}

#[test]
fn what_is_not_an_array_of_features_is_refused() {
    refused(b"", "f.npy: not a NumPy array: has no magic string");
    refused(b"\x93NUMPY\x01", "f.npy: not a NumPy array: ends early");
    refused(b"\x93NUMPY\x04\x00", "has a version other than 1 to 3");
    let four = [0u8; 4];
    refused(
        &npy("<c8", false, "(1, 1)", &four),
        "needs an array of f32, f64, u8, i32 or i64, found <c8",
    );
    refused(&npy("|O", false, "(1, 1)", &four), "found |O");
    refused(
        &npy("<f4", false, "(1,)", &four),
        "needs an array of 2 or more axes, samples first, found shape [1]",
    );
    refused(&npy("<f4", false, "()", &four), "found shape []");
    refused(
        &npy("<f4", false, "(0, 3)", &[]),
        "at least one row and one column",
    );
    refused(
        &npy("<f4", false, "(1, 0)", &[]),
        "at least one row and one column",
    );
    refused(
        &npy("<f4", true, "(0, 0, 2)", &[]),
        "at least one row and one column",
    );
    let found = |shape: &str| format!("array of shape {shape} needs");
    refused(
        &npy("<f4", false, "(2, 1)", &four),
        &(found("[2, 1]") + " 8 bytes of data, found 4"),
    );
    refused(
        &npy("<f4", false, "(1, 1)", &[0; 5]),
        &(found("[1, 1]") + " 4 bytes of data, found 5"),
    );
    refused(
        &npy("<f4", false, "(1, 1)", &floats(&[f32::NAN])),
        "row 0, column \"0\": needs a finite number",
    );
    refused(
        &npy("<f8", false, "(1, 1)", &1e300f64.to_le_bytes()),
        "needs a finite number, found inf",
    );
    let header = "has a header without a plain type, order and shape";
    refused(&npy("<f4", false, "(1, 1", &four), header);
    refused(&npy("<f4", false, "1", &four), header);
    refused(&npy("<f4", false, "(1 1)", &four), header);
    refused(&npy("<f4", false, "(1, 1), 'more': (1,)", &four), header);
}

#[test]
fn claims_are_not_believed() {
    for shape in ["(1099511627776, 1)", "(4294967296, 4294967296)", "(134217729, 1)"] {
        refused(&npy("<f4", false, shape, &[0; 8]), ", limit 134217728 elements");
    }
    for shape in ["(99999999999999999999999, 1)", "(-1, 2)", &"(".repeat(3000)] {
        refused(
            &npy("<f4", false, shape, &[0; 8]),
            "has a header without a plain type",
        );
    }
    let mut long = b"\x93NUMPY\x02\x00".to_vec();
    long.extend([0xff; 4]);
    refused(&long, "the header of the array has 4294967295 bytes, limit 4096");
}

fn archive(path: &Path, members: &[(&str, &[u8])]) {
    let mut zip = ZipWriter::new(std::fs::File::create(path).unwrap());
    for (i, (name, data)) in members.iter().enumerate() {
        let method = [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated][i % 2];
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method))
            .unwrap();
        zip.write_all(data).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn an_archive_may_hold_the_classes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.npz");
    let x = npy("|u1", false, "(2, 1)", &[5, 6]);
    let labels = |y: &[u8]| {
        archive(&path, &[("x.npy", &x), ("y.npy", y)]);
        let table = cml_data::open(path.to_str().unwrap(), &Default::default(), 0);
        table
            .map(|table| table.labels().map(<[usize]>::to_vec))
            .map_err(|e| e.to_string())
    };
    let i4 = [3i32.to_le_bytes(), 0i32.to_le_bytes()].concat();
    assert_eq!(labels(&npy("<i4", false, "(2,)", &i4)), Ok(Some(vec![3, 0])));
    assert_eq!(
        labels(&npy("|u1", false, "(2, 1)", &[1, 2])),
        Ok(Some(vec![1, 2]))
    );
    let refused = |y: &[u8], found: &str| {
        let message = labels(y).unwrap_err();
        assert!(
            message.contains("f.npz, y.npy: needs classes of 2 rows") && message.contains(found),
            "{message}"
        );
    };
    refused(&npy("|u1", false, "(3,)", &[1, 2, 3]), "found shape [3]");
    let halves = [0.5f32.to_le_bytes(), 1f32.to_le_bytes()].concat();
    refused(&npy("<f4", false, "(2,)", &halves), "found 0.5");
    let below = [1i32.to_le_bytes(), (-1i32).to_le_bytes()].concat();
    refused(&npy("<i4", false, "(2,)", &below), "found -1");
}

#[test]
fn archives_hold_one_array_or_one_named_x() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.npz");
    let (a, b) = (
        npy("|u1", false, "(1, 2)", &[1, 2]),
        npy("|u1", false, "(1, 2)", &[3, 4]),
    );
    let read = |members: &[(&str, &[u8])]| {
        archive(&path, members);
        read_npz(&path)
            .map(Features::into_values)
            .map_err(|e| e.to_string())
    };
    assert_eq!(read(&[("arr_0.npy", &a)]).unwrap(), array![[1.0, 2.0]]);
    assert_eq!(read(&[("y.npy", &a), ("x.npy", &b)]).unwrap(), array![[3.0, 4.0]]);
    let message = read(&[("y.npy", &a), ("z.npy", &b)]).unwrap_err();
    assert!(
        message.contains("needs a single array, or one named \"x\", found "),
        "{message}"
    );
    assert!(
        message.contains("y.npy") && message.contains("z.npy"),
        "{message}"
    );
    let message = read(&[]).unwrap_err();
    assert!(message.ends_with("found none"), "{message}");
    let message = read(&[("x.npy", b"nothing")]).unwrap_err();
    assert!(message.contains("f.npz, x.npy: not a NumPy array"), "{message}");
    std::fs::write(&path, &a).unwrap();
    let message = read_npz(&path).unwrap_err().to_string();
    assert!(
        message.ends_with("f.npz: not an archive of NumPy arrays that can be read"),
        "{message}"
    );
    assert_eq!(read_npy(&path).unwrap().values(), array![[1.0, 2.0]]);
    let message = read_npy(folder.path().join("none.npy")).unwrap_err().to_string();
    assert!(message.ends_with("none.npy: cannot open the file"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_arrays_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = npy("<f8", false, "(1, 2)", &[0; 16]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = read(&bytes);
        let _ = read(&bytes[..cut.index(bytes.len())]);
    }
}
