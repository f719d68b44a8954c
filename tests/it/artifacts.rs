//! Files that are damaged, foreign, or of another circuit or client.

use crate::keys::{Files, samples, tiny};
use crate::random::fixed;
use cml_exec::Server;
use cml_file::{Artifact, Kind, describe};
use cml_keys::artifact::CLIENT_KEY;
use cml_keys::{BoundClientKeys, Client};
use cml_scheme::artifact::{EncryptedInputs, EncryptedOutputs, INPUTS, OUTPUTS, SERVER_KEY, SPEC};
use cml_scheme::{ArtifactError, Bound, ClientSpec, SeededCiphertexts, ServerKeys};
use cml_tfhe::artifact::CIRCUIT;
use cml_tfhe::{Circuit, client_spec};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::path::Path;

const HEADER: usize = 56;
const PREFIX: usize = 48;

type Reader = fn(&Path, &Circuit) -> Result<(), ArtifactError>;

/// A kind of file: a good one, its name, its reader.
struct Case {
    kind: Kind,
    file: &'static str,
    good: &'static [u8],
    read: Reader,
}

fn artifacts() -> [Case; 6] {
    let files: &'static Files = &tiny().clients[0];
    let artifact = |kind, file, good, read| Case {
        kind,
        file,
        good,
        read,
    };
    [
        artifact(CIRCUIT, "net.cmlc", &tiny().circuit_file[..], |p, _| {
            Circuit::read(p, ()).map(|_| ())
        }),
        artifact(CLIENT_KEY, "client.key", &files.client_key, |p, c| {
            BoundClientKeys::read(p, c).map(|_| ())
        }),
        artifact(SERVER_KEY, "server.key", &files.server_key, |p, c| {
            Bound::<ServerKeys>::read(p, c).map(|_| ())
        }),
        artifact(INPUTS, "in.ct", &files.inputs, |p, c| {
            EncryptedInputs::read(p, c).map(|_| ())
        }),
        artifact(OUTPUTS, "out.ct", &files.outputs, |p, c| {
            EncryptedOutputs::read(p, c).map(|_| ())
        }),
        artifact(SPEC, "net.cmls", &tiny().spec_file, |p, _| {
            ClientSpec::read(p, ()).map(|_| ())
        }),
    ]
}

/// A folder to write altered files into.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn read(&self, artifact: &Case, bytes: &[u8], circuit: &Circuit) -> Result<(), String> {
        let path = self.folder.path().join(artifact.file);
        std::fs::write(&path, bytes).unwrap();
        (artifact.read)(&path, circuit).map_err(|e| e.to_string())
    }

    /// Reads an altered file; it must be refused with its name and `expected`.
    fn refused(&self, artifact: &Case, bytes: &[u8], expected: &str) {
        let result = self.read(artifact, bytes, &tiny().circuit);
        let message = result.expect_err(&format!("{} accepted, should say {expected:?}", artifact.file));
        let path = self.folder.path().join(artifact.file).display().to_string();
        assert!(
            message.starts_with(&path) && message.contains(expected),
            "{message:?} does not say {expected:?}"
        );
    }
}

/// All positions of a short file; of a long one the ends and some between.
fn positions(length: usize) -> Vec<usize> {
    if length <= 2000 {
        return (0..length).collect();
    }
    let step = length / 12;
    (0..HEADER)
        .step_by(5)
        .chain((HEADER..length).step_by(step))
        .chain([length - 1])
        .collect()
}

#[test]
fn good_files_are_read() {
    let bench = Bench::new();
    for artifact in artifacts() {
        bench.read(&artifact, artifact.good, &tiny().circuit).unwrap();
    }
}

#[test]
fn truncated_files_are_refused() {
    let bench = Bench::new();
    for artifact in artifacts() {
        for length in positions(artifact.good.len()) {
            let expected = if length < 8 {
                "not a cml file"
            } else {
                "truncated: has "
            };
            bench.refused(&artifact, &artifact.good[..length], expected);
        }
        let longer = [artifact.good, &[0]].concat();
        bench.refused(&artifact, &longer, "has 1 bytes more than its header says");
    }
}

#[test]
fn flipped_bits_are_refused() {
    let bench = Bench::new();
    for artifact in artifacts() {
        for at in positions(artifact.good.len()) {
            let expected = match at {
                0..8 => "not a cml file",
                8..12 => ", needs ",
                12..16 => "format version",
                16..24 => "",
                _ => "checksum mismatch: the file is damaged",
            };
            let mut damaged = artifact.good.to_vec();
            damaged[at] ^= 1 << (at % 8);
            bench.refused(&artifact, &damaged, expected);
        }
    }
}

#[test]
fn every_bit_of_a_circuit_file_counts() {
    let good = &tiny().circuit_file;
    for bit in 0..8 * good.len() {
        let mut damaged = good.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Circuit::from_bytes("flip", &damaged, ()).is_err(), "bit {bit}");
    }
}

#[test]
fn files_of_another_kind_are_refused() {
    let bench = Bench::new();
    for wanted in artifacts() {
        for given in artifacts().into_iter().filter(|g| g.kind != wanted.kind) {
            let (is, needs) = (given.kind, wanted.kind);
            let expected = format!("is {}, needs {}", describe(is.tag), describe(needs.tag));
            assert!(
                expected.contains(is.name) && expected.ends_with(needs.name),
                "{expected}"
            );
            bench.refused(&wanted, given.good, &expected);
        }
        bench.refused(
            &wanted,
            b"PK\x03\x04 and so on, long enough for a header of some kind",
            "not a cml file",
        );
        bench.refused(&wanted, b"", "not a cml file");
    }
}

#[test]
fn missing_files_and_folders_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for artifact in artifacts() {
        let path = folder.path().join("nowhere").join(artifact.file);
        let message = (artifact.read)(&path, &tiny().circuit).unwrap_err().to_string();
        assert!(message.contains(artifact.file), "{message}");
        let message = (artifact.read)(folder.path(), &tiny().circuit)
            .unwrap_err()
            .to_string();
        assert!(message.contains("not a regular file"), "{message}");
    }
}

/// `circuit` is the same program under another name: sizes agree, hashes do not.
#[test]
fn files_of_another_circuit_are_refused() {
    let bench = Bench::new();
    for artifact in artifacts()
        .into_iter()
        .filter(|a| ![CIRCUIT, SPEC].contains(&a.kind))
    {
        let message = bench.read(&artifact, artifact.good, &tiny().other).unwrap_err();
        assert!(
            message.contains(&format!(
                "{} belongs to another circuit: made for ",
                artifact.file
            )),
            "{message}"
        );
    }
}

/// That it is too long is what follows from it, and not worth saying.
#[test]
fn a_longer_key_of_another_circuit_is_said_to_be_one() {
    let [_, _, server_key, ..] = artifacts();
    let longer = [&server_key.good[HEADER..], &[0; 1000]].concat();
    let file = cml_file::encode(SERVER_KEY, &longer);
    let bench = Bench::new();
    let message = bench.read(&server_key, &file, &tiny().other).unwrap_err();
    assert!(
        message.contains("server.key belongs to another circuit"),
        "{message}"
    );
    bench.refused(&server_key, &file, "limit");
}

#[test]
fn payloads_that_do_not_fit_are_refused() {
    let bench = Bench::new();
    let [_, client_key, server_key, inputs, outputs, _] = artifacts();
    let with = |artifact: &Case, change: &dyn Fn(&mut Vec<u8>)| {
        let mut payload = artifact.good[HEADER..].to_vec();
        change(&mut payload);
        cml_file::encode(artifact.kind, &payload)
    };
    for artifact in [&client_key, &server_key, &inputs, &outputs] {
        bench.refused(
            artifact,
            &with(artifact, &|p| p.truncate(PREFIX - 1)),
            "47 bytes, needs 48 or more",
        );
    }
    bench.refused(
        &client_key,
        &with(&client_key, &|p| p.push(0)),
        "the parameters ask for",
    );
    bench.refused(
        &client_key,
        &with(&client_key, &|p| p.truncate(PREFIX)),
        "client key has 0 bytes",
    );
    bench.refused(
        &server_key,
        &with(&server_key, &|p| p.truncate(PREFIX + 100)),
        "server key has 100 bytes",
    );
    bench.refused(&server_key, &with(&server_key, &|p| p.push(0)), "limit");
    for artifact in [&inputs, &outputs] {
        let count = |n: u32| {
            with(artifact, &move |p: &mut Vec<u8>| {
                p[PREFIX..PREFIX + 4].copy_from_slice(&n.to_le_bytes())
            })
        };
        bench.refused(artifact, &count(0), "0 samples, needs 1 to 1048576");
        bench.refused(
            artifact,
            &count(u32::MAX),
            "4294967295 samples, needs 1 to 1048576",
        );
        bench.refused(artifact, &count(1), "1 samples take ");
        bench.refused(artifact, &count(1 << 20), "1048576 samples take ");
        bench.refused(
            artifact,
            &with(artifact, &|p| p.truncate(PREFIX + 3)),
            "no number of samples",
        );
        bench.refused(artifact, &with(artifact, &|p| p.truncate(PREFIX + 4)), "has 0");
        bench.refused(
            artifact,
            &with(artifact, &|p| {
                p.pop();
            }),
            "2 samples take ",
        );
    }
}

/// An honest checksum over a dishonest header.
#[test]
fn hostile_lengths_with_a_valid_checksum_are_refused() {
    let bench = Bench::new();
    for artifact in artifacts() {
        for length in [u64::MAX, 1 << 63, 1 << 40, artifact.good.len() as u64] {
            let mut forged = artifact.good.to_vec();
            forged[16..24].copy_from_slice(&length.to_le_bytes());
            let digest = Sha256::new()
                .chain_update(&forged[8..24])
                .chain_update(&forged[HEADER..])
                .finalize();
            forged[24..HEADER].copy_from_slice(&digest);
            let result = bench.read(&artifact, &forged, &tiny().circuit);
            let message = result.expect_err("longer than the file");
            assert!(
                message.contains("limit ") || message.contains("truncated: has "),
                "{message}"
            );
        }
        let newer = Kind {
            version: artifact.kind.version + 1,
            ..artifact.kind
        };
        let forged = cml_file::encode(newer, &artifact.good[HEADER..]);
        let (is, reads) = (newer.version, artifact.kind.version);
        let expected = format!("format version {is}, this program reads {reads}");
        bench.refused(&artifact, &forged, &expected);
    }
}

#[cfg(unix)]
#[test]
fn a_secret_key_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let circuit = &tiny().circuit;
    let bench = Bench::new();
    let path = bench.folder.path().join("client.key");
    // An open file is replaced, not written into.
    std::fs::write(&path, &tiny().clients[0].client_key).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let key = BoundClientKeys::read(&path, circuit).unwrap();
    key.write(&path).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(std::fs::read(&path).unwrap(), tiny().clients[0].client_key);
    let shown = format!("{key:?}");
    assert!(!shown.contains("big") && shown.len() < 1000, "{shown}");
}

/// Values of a client's files, read back.
struct Party {
    client: Client,
    server: Server,
    inputs: Bound<Vec<cml_scheme::SeededCiphertexts>>,
    outputs: Bound<Vec<Vec<cml_scheme::Ciphertext>>>,
}

fn party(which: usize) -> Party {
    let (circuit, files, bench) = (&tiny().circuit, &tiny().clients[which], Bench::new());
    let path = |name: &str, bytes: &[u8]| {
        let path = bench.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let server_key = Bound::<ServerKeys>::read(&path("server.key", &files.server_key), circuit).unwrap();
    Party {
        client: Client::new(
            client_spec(circuit).unwrap(),
            BoundClientKeys::read(&path("client.key", &files.client_key), circuit).unwrap(),
        )
        .unwrap(),
        server: Server::new(circuit, &server_key, &mut |_| {}).unwrap(),
        inputs: EncryptedInputs::read(&path("in.ct", &files.inputs), circuit).unwrap(),
        outputs: EncryptedOutputs::read(&path("out.ct", &files.outputs), circuit).unwrap(),
    }
}

#[test]
fn two_clients_of_one_circuit_cannot_be_confused() {
    let (a, b) = (party(0), party(1));
    let [of_a, of_b] = [0, 1].map(|i| tiny().clients[i].binding);
    assert_eq!(of_a.circuit, of_b.circuit);
    assert_ne!(of_a.keys, of_b.keys);
    for party in [&a, &b] {
        let outputs = party.server.run(&party.inputs, &mut |_| {}).unwrap();
        assert_eq!(party.client.decrypt(&outputs).unwrap(), samples().1);
        assert_eq!(party.client.decrypt(&party.outputs).unwrap(), samples().1);
    }
    let message = a.server.run(&b.inputs, &mut |_| {}).unwrap_err().to_string();
    assert_eq!(
        message,
        format!("encrypted input belongs to {of_b}, the server runs {of_a}")
    );
    let message = b.client.decrypt(&a.outputs).unwrap_err().to_string();
    assert_eq!(
        message,
        format!("encrypted output belongs to {of_a}, this client has {of_b}")
    );
}

#[test]
fn a_server_key_of_another_circuit_is_refused() {
    let bench = Bench::new();
    let path = bench.folder.path().join("server.key");
    std::fs::write(&path, &tiny().clients[0].server_key).unwrap();
    let key = Bound::<ServerKeys>::read(&path, &tiny().circuit).unwrap();
    let message = Server::new(&tiny().other, &key, &mut |_| {})
        .err()
        .map(|e| e.to_string());
    let message = message.expect("another circuit");
    assert!(message.starts_with("server key belongs to circuit "), "{message}");
}

#[test]
fn samples_that_do_not_fit_are_refused() {
    use cml_ir::Tensor;
    let a = party(0);
    let refused = |values: &[i64], expected: &str| {
        let good = samples().0[0].clone();
        let bad = vec![Tensor::new(vec![values.len()], values.to_vec()).unwrap()];
        let message = a.client.encrypt(&[good, bad]).unwrap_err().to_string();
        assert_eq!(message, expected);
    };
    refused(&[0, 2], "sample 1: input x: element 1 is 2, outside 0..1");
    refused(&[0], "sample 1: node x: input: needs [2], has [1]");
    let message = a.client.encrypt(&[vec![]]).unwrap_err().to_string();
    assert_eq!(message, "sample 0: graph tiny takes 1 inputs, got 0");
    let mut short = a.inputs.clone();
    let key = short.value[1].key();
    let each = key.word_bytes() as usize;
    short.value[1] = SeededCiphertexts::from_bytes(&short.value[1].to_bytes()[..16 + each], key, 1).unwrap();
    let message = a.server.run(&short, &mut |_| {}).unwrap_err().to_string();
    assert_eq!(message, "sample 1 has 1 encrypted values, the circuit takes 2");
    let mut short = a.outputs.clone();
    short.value[1].clear();
    let message = a.client.decrypt(&short).unwrap_err().to_string();
    assert_eq!(message, "sample 1 has 0 encrypted values, the circuit puts out 1");
}

proptest! {
    #![proptest_config(fixed(300, 11))]

    #[test]
    fn random_payloads_with_a_valid_frame_never_panic(
        // Shorter than a secret key: any bits of that length are one.
        payload in prop::collection::vec(any::<u8>(), 0..150), bound in any::<bool>(),
    ) {
        let bench = Bench::new();
        for artifact in artifacts() {
            let prefix = if bound { &artifact.good[HEADER..HEADER + PREFIX] } else { &[][..] };
            let file = cml_file::encode(artifact.kind, &[prefix, &payload].concat());
            let message = bench.read(&artifact, &file, &tiny().circuit).expect_err("random bytes");
            prop_assert!(message.contains(artifact.file), "{}", message);
        }
    }
}
