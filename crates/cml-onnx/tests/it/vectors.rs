//! Networks that Brevitas exported, in both dialects, against the outputs that it computed.

use crate::world::{differing, imported};

fn check(name: &str) {
    for dialect in ["qonnx", "qcdq"] {
        let network = imported(&format!("{name}.{dialect}.onnx")).network;
        let (rows, differing) = differing(&network, name);
        assert!(rows > 0);
        assert_eq!(differing, Vec::<String>::new(), "{name} {dialect}: {} of {rows} rows", differing.len());
    }
}

#[test]
fn checkerboard_peer() {
    check("checkerboard_peer");
}

#[test]
fn cnn3_perchannel_bn() {
    check("cnn3_perchannel_bn");
}

#[test]
fn cnn4() {
    check("cnn4");
}

#[test]
fn mlp3_seedquant() {
    check("mlp3_seedquant");
}

#[test]
fn mlp4_learned() {
    check("mlp4_learned");
}
