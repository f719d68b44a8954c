//! Data that lies in other files.

use crate::wire::{File, external};
use cml_onnx::{Imported, OnnxError, Options, import, import_bytes};
use std::fs;
use std::path::Path;

fn file(entries: &[(&str, &str)]) -> Vec<u8> {
    let weights = external("w", &[2, 2], entries);
    File::new(&[1, 2])
        .raw(&weights)
        .node("Gemm", "x w", "y", &[])
        .build()
}

fn weights(folder: &Path) -> Vec<u8> {
    let raw: Vec<u8> = [9.0f32, 1.0, 2.0, 3.0, 4.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    fs::write(folder.join("weights.bin"), &raw).unwrap();
    raw
}

#[test]
fn data_beside_the_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    weights(folder.path());
    let bytes = file(&[("location", "weights.bin"), ("offset", "4"), ("length", "16")]);
    fs::write(folder.path().join("net.onnx"), &bytes).unwrap();
    let check = |imported: Imported| {
        assert_eq!(imported.network.forward(&[1.0, 10.0]).unwrap(), [31.0, 42.0]);
    };
    check(import(&folder.path().join("net.onnx"), &Options::default()).unwrap());
    check(import_bytes(&bytes, Some(folder.path()), &Options::default()).unwrap());
}

#[test]
fn nothing_else_is_read() {
    let outer = tempfile::tempdir().unwrap();
    weights(outer.path());
    let folder = outer.path().join("inside");
    fs::create_dir_all(folder.join("sub")).unwrap();
    weights(&folder);
    let check = |entries: &[(&str, &str)], expected: &str| {
        let error = import_bytes(&file(entries), Some(&folder), &Options::default()).unwrap_err();
        assert!(matches!(error, OnnxError::External { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    let inside = "not a path inside";
    check(&[("location", "../weights.bin")], inside);
    check(&[("location", "sub/../../weights.bin")], inside);
    check(
        &[("location", outer.path().join("weights.bin").to_str().unwrap())],
        inside,
    );
    check(&[("location", "")], inside);
    check(&[], inside);
    check(&[("location", "none.bin")], "does not exist");
    check(&[("location", "sub")], "is not a file");
    check(&[("location", "weights.bin"), ("offset", "8")], "ends at byte 20");
    check(
        &[("location", "weights.bin"), ("offset", "18446744073709551615")],
        "ends at byte 20",
    );
    check(&[("location", "weights.bin"), ("offset", "-4")], "needs a number");
    check(
        &[("location", "weights.bin"), ("length", "99999999999")],
        "needs 16",
    );
    let error = import_bytes(&file(&[("location", "weights.bin")]), None, &Options::default()).unwrap_err();
    assert!(error.to_string().contains("without the file's folder"), "{error}");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(outer.path().join("weights.bin"), folder.join("link.bin")).unwrap();
        std::os::unix::fs::symlink(outer.path(), folder.join("up")).unwrap();
        check(&[("location", "link.bin")], "through a link");
        check(&[("location", "up/weights.bin")], "through a link");
    }
}
