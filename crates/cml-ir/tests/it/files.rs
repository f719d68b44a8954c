//! Damaged, foreign and hostile files are refused with the reason.

use cml_file::{Access, Artifact, Kind};
use cml_ir::{GRAPH, Graph, GraphBuilder, InputSpec, Interval, OutputSpec, Tensor};
use proptest::prelude::*;

fn sample() -> Graph {
    let mut b = GraphBuilder::new("sample");
    let x = b
        .input("x", vec![2], InputSpec::new(0.5, 0, Interval::new(-3, 3)))
        .unwrap();
    let y = b
        .dot("fc", x, Tensor::new(vec![1, 2], vec![2, -1]).unwrap(), vec![0])
        .unwrap();
    b.output("y", y, OutputSpec::identity()).unwrap();
    b.finish().unwrap()
}

fn refused(bytes: &[u8], expected: &str) {
    let message = Graph::from_bytes("x.cmlg", bytes, ()).unwrap_err().to_string();
    assert!(
        message.contains(expected),
        "{message:?} does not say {expected:?}"
    );
}

#[test]
fn every_kind_of_damage_has_its_message() {
    let good = sample().to_bytes().unwrap();
    refused(b"", "not a cml file");
    refused(
        b"PK\x03\x04 something else entirely, and long enough to be a header of it",
        "not a cml file",
    );
    let whole = good.len();
    refused(
        &good[..whole - 1],
        &format!("truncated: has {} bytes, needs {whole}", whole - 1),
    );
    refused(&good[..30], "truncated: has 30 bytes, needs 56");
    let with = |at: usize, bytes: &[u8]| {
        let mut copy = good.to_vec();
        copy[at..at + bytes.len()].copy_from_slice(bytes);
        copy
    };
    refused(&with(8, b"CIRC"), "is a circuit, needs a graph");
    refused(
        &with(8, b"CIRK"),
        "is a cml file of an unknown kind, \"CIRK\", needs a graph",
    );
    refused(&with(12, &[9, 0, 0, 0]), "version 9");
    refused(&with(16, &[0xff; 8]), "limit");
    refused(&with(60, &[0xff]), "checksum");
    refused(&[&good[..], &[0]].concat(), "has 1 bytes more");
}

#[test]
fn a_checksummed_lie_is_refused_too() {
    for payload in [
        vec![0xff; 64],
        vec![0; 8],
        [&8u64.to_le_bytes()[..], b"abcdefgh", &[0xff; 8]].concat(),
    ] {
        let blob = cml_file::encode(GRAPH, &payload);
        refused(&blob, "x.cmlg".get(..0).unwrap());
        assert!(Graph::from_bytes("x", &blob, ()).is_err());
    }
}

#[test]
fn files_are_replaced_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.cmlg");
    sample().write(&path).unwrap();
    assert!(Graph::read(&path, ()).unwrap() == sample());
    let missing = folder.path().join("no/such/a.cmlg");
    assert!(
        sample()
            .write(&missing)
            .unwrap_err()
            .to_string()
            .contains("no/such")
    );
    assert!(Graph::read(&missing, ()).is_err());
    assert!(Graph::read(folder.path(), ()).is_err());
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "a temporary file was left behind"
    );
}

#[cfg(unix)]
#[test]
fn private_files_are_for_the_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let kind = Kind {
        tag: *b"TEST",
        name: "test",
        version: 1,
        max_payload: 10,
    };
    let path = folder.path().join("secret");
    cml_file::write_file(kind, &path, b"x", Access::Private).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(cml_file::read_file(kind, &path).unwrap(), b"x");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Graph::from_bytes("noise", &payload, ());
        let _ = Graph::from_bytes("noise", &cml_file::encode(GRAPH, &payload), ());
    }

    #[test]
    fn no_flipped_byte_goes_unnoticed(at in 0usize..1000, bit in 0u8..8) {
        let mut bytes = sample().to_bytes().unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        prop_assert!(Graph::from_bytes("flip", &bytes, ()).is_err());
    }
}
