//! A server process and a client process, on networks that were trained: the checkerboard, Iris, Digits.

use crate::served::Served;
use crate::world::World;
use std::path::Path;

/// The results of the client by way of the server, of `cml predict` on this machine, and of the simulation are one.
fn check(name: &str, data: &str, samples: usize) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/v1");
    let world = World::new();
    std::fs::copy(fixtures.join(format!("{name}.cmlg")), world.path("trained.cmlg")).unwrap();
    world.json("compile trained.cmlg -o trained.cmlc");
    let server = Served::start(&world, "--model trained.cmlc --data server");
    let by_server = world.json(&format!(
        "client predict {data} --samples {samples} --server {} --keys mine",
        server.url
    ));
    drop(server);
    let here = world.json(&format!(
        "predict trained.cmlc --graph trained.cmlg --data {data} --samples {samples}"
    ));
    assert_eq!(here["different"], 0);
    assert_eq!(by_server["results"], here["results"], "{name}");
    assert_eq!(by_server["samples"], samples);
}

#[test]
fn the_checkerboard_by_a_server_is_as_it_is_here() {
    check("checkerboard", "checkerboard", 4);
}

#[test]
fn iris_by_a_server_is_as_it_is_here() {
    check("iris", "iris", 3);
}

#[test]
fn digits_by_a_server_are_as_they_are_here() {
    check("digits", "digits", 1);
}
