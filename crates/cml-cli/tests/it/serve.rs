//! `cml serve`: what it refuses to start with, and how it ends.

use crate::world::World;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

fn compiled() -> World {
    let world = World::new();
    world.json("quantize net.safetensors -o net.cmlg");
    world.json("compile net.cmlg -o net.cmlc");
    world
}

#[test]
fn wrong_usage() {
    let world = compiled();
    let refused = |args: &str, says: &[&str]| {
        world.refused(&format!("serve --data keys --listen 127.0.0.1:0 {args}"), says);
    };
    refused("--model missing.cmlc", &["missing.cmlc"]);
    refused("--model net.cmlg", &["net.cmlg", "needs a circuit"]);
    world.write("tokens", "short\n");
    refused(
        "--model net.cmlc --token-file tokens",
        &["tokens", "line 1 has 5 characters", "16"],
    );
    refused(
        "--model net.cmlc --metrics-token-file tokens",
        &["tokens", "line 1 has 5 characters", "16"],
    );
    world.write("tokens", "0123456789abcdef\n");
    refused(
        "--model net.cmlc --token-file tokens --metrics-token-file tokens",
        &["a token of the callers is also one for the counters"],
    );
    refused(
        "--model net.cmlc --tls-cert tokens --tls-key tokens",
        &["tokens", "no certificate"],
    );
    world.refused(
        "serve --model net.cmlc --data keys --listen 0.0.0.0:0",
        &["0.0.0.0:0 can be reached by other machines", "--open"],
    );
    let output = world.cml("serve --model net.cmlc --data keys --tls-cert tokens");
    assert_eq!(output.status.code(), Some(2));
    let output = world.cml("serve --data keys");
    assert_eq!(output.status.code(), Some(2));
    for limit in [
        "queue",
        "caller-jobs",
        "samples",
        "keys",
        "caller-keys",
        "disk",
        "connections",
    ] {
        let output = world.cml(&format!("serve --model net.cmlc --data keys --{limit} 0"));
        assert_eq!(output.status.code(), Some(2), "{limit}");
    }
    world.refused(
        "serve --model net.cmlc --data net.cmlg --listen 127.0.0.1:0",
        &["net.cmlg: is not a folder"],
    );
    let twice = world.cml("serve --model net.cmlc --model net.cmlc --data keys --listen 127.0.0.1:0");
    assert_eq!(twice.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&twice.stderr).contains("is given twice"));
}

#[test]
fn an_address_that_is_taken_is_no_fault_of_the_input() {
    let world = compiled();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let output = world.cml(&format!(
        "serve --model net.cmlc --data keys --listen {address} --log-level off"
    ));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(&format!("cannot listen on {address}")), "{error}");
}

#[test]
fn it_says_where_it_listens_and_ends_when_asked() {
    let world = compiled();
    let mut process = Command::new(env!("CARGO_BIN_EXE_cml"))
        .current_dir(world.folder.path())
        .args("serve --model net.cmlc --data keys --listen 127.0.0.1:0 --log-json --json".split(' '))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let report: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(report["models"][0]["name"], "small");
    let address = report["url"].as_str().unwrap().strip_prefix("http://").unwrap();
    assert!(!address.ends_with(":0"), "{line}");
    std::net::TcpStream::connect(address).unwrap();
    let id = process.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(process.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "one object is all");
    let mut log = String::new();
    process.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    let lines = log.lines().map(serde_json::from_str::<serde_json::Value>);
    let messages: Vec<_> = lines.map(|line| line.unwrap()["message"].clone()).collect();
    assert!(messages.contains(&"all accepted work is done".into()), "{log}");
}
