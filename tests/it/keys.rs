//! Key pairs and files of one tiny circuit, drawn once for all tests.

use crate::networks::lowered;
use cml_exec::Server;
use cml_file::Artifact;
use cml_ir::{Graph, GraphBuilder, InputSpec, Interval, Lut, OutputSpec, Tensor};
use cml_keys::Client;
use cml_scheme::Binding;
use cml_tfhe::{Circuit, client_spec};
use std::path::Path;
use std::sync::OnceLock;

/// One dense layer and one lookup on a few values: cheap keys.
pub(crate) fn tiny_graph(name: &str) -> Graph {
    let mut b = GraphBuilder::new(name);
    let x = b
        .input("x", vec![2], InputSpec::new(1.0, 0, Interval::new(0, 1)))
        .unwrap();
    let acc = b
        .dot("fc", x, Tensor::new(vec![1, 2], vec![1, 2]).unwrap(), vec![0])
        .unwrap();
    let act = b
        .lut("act", acc, Lut::from_fn(Interval::new(0, 3), |v| v * v % 3))
        .unwrap();
    b.output("y", act, OutputSpec::identity()).unwrap();
    b.finish().unwrap()
}

/// The files of one client: bytes of each.
pub(crate) struct Files {
    pub(crate) client_key: Vec<u8>,
    pub(crate) server_key: Vec<u8>,
    pub(crate) inputs: Vec<u8>,
    pub(crate) outputs: Vec<u8>,
    pub(crate) binding: Binding,
}

pub(crate) struct Tiny {
    pub(crate) circuit: Circuit,
    pub(crate) circuit_file: Vec<u8>,
    pub(crate) spec_file: Vec<u8>,
    /// Two clients of the same circuit.
    pub(crate) clients: [Files; 2],
    /// A circuit with the same parameters and another name.
    pub(crate) other: Circuit,
}

/// Both samples of [`Files::inputs`], and the results that are expected.
pub(crate) fn samples() -> (Vec<Vec<Tensor>>, Vec<Vec<Tensor>>) {
    let tensor = |values: &[i64]| vec![Tensor::new(vec![values.len()], values.to_vec()).unwrap()];
    (
        vec![tensor(&[1, 0]), tensor(&[0, 1])],
        vec![tensor(&[1]), tensor(&[4 % 3])],
    )
}

fn draw(circuit: &Circuit, folder: &Path) -> Files {
    let path = |name: &str| folder.join(name);
    let (client, server_key) = Client::generate(client_spec(circuit).unwrap(), &mut |_| {}).unwrap();
    client.key().write(&path("client.key")).unwrap();
    server_key.write(&path("server.key")).unwrap();
    let inputs = client.encrypt(&samples().0).unwrap();
    inputs.write(&path("in.ct")).unwrap();
    let server = Server::new(circuit, &server_key, &mut |_| {}).unwrap();
    let outputs = server.run(&inputs, &mut |_| {}).unwrap();
    outputs.write(&path("out.ct")).unwrap();
    let read = |name: &str| std::fs::read(path(name)).unwrap();
    Files {
        client_key: read("client.key"),
        server_key: read("server.key"),
        inputs: read("in.ct"),
        outputs: read("out.ct"),
        binding: client.key().binding,
    }
}

pub(crate) fn tiny() -> &'static Tiny {
    static TINY: OnceLock<Tiny> = OnceLock::new();
    TINY.get_or_init(|| {
        let circuit = lowered(&tiny_graph("tiny"));
        let other = lowered(&tiny_graph("other"));
        assert_eq!(circuit.parameters(), other.parameters());
        let folder = tempfile::tempdir().unwrap();
        Tiny {
            circuit_file: circuit.to_bytes().unwrap().to_vec(),
            spec_file: client_spec(&circuit).unwrap().to_bytes().unwrap().to_vec(),
            clients: [draw(&circuit, folder.path()), draw(&circuit, folder.path())],
            circuit,
            other,
        }
    })
}
