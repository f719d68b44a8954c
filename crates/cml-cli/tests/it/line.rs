//! The whole line without training, command by command and in one go.

use crate::world::World;

#[test]
fn every_command_hands_on_to_the_next() {
    let world = World::new();
    world.json("quantize net.safetensors -o net.cmlg");
    let widths = world.json("analyze net.cmlg --data points.csv --max-bits 8");
    assert!(widths["bits"].as_u64().unwrap() <= 8);
    let clear = world.json("simulate net.cmlg --data points.csv");
    let compiled = world.json("compile net.cmlg -o net.cmlc");
    assert!(compiled["worst_log2_p_fail"].as_f64().unwrap() <= -40.0);
    let simulated = world.json("simulate net.cmlc --data points.csv --noise 1");
    assert_eq!(simulated["classes"], clear["classes"]);
    assert_eq!(simulated["differ_from_exact"], 0);

    let spec = world.json("export-client net.cmlc -o net.cmls");
    let circuit = std::fs::metadata(world.path("net.cmlc")).unwrap().len();
    assert!(spec["bytes"].as_u64().unwrap() < circuit);
    // The client's commands never see the circuit.
    let keys = world.json("keygen net.cmls");
    assert_eq!(
        keys["server_key_bytes"].as_u64().unwrap(),
        // The frame of the file, and what it belongs to.
        compiled["server_key_bytes"].as_u64().unwrap() + 56 + 48
    );
    world.refused("keygen net.cmls", &["client.key", "exists"]);
    world.json("encrypt net.cmls --data points.csv -o in.ct");
    world.json("run net.cmlc in.ct -o out.ct");
    let decrypted = world.json("decrypt net.cmls out.ct");
    assert_eq!(decrypted, world.json("decrypt net.cmlc out.ct"));
    let classes: Vec<_> = decrypted["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["class"].clone())
        .collect();
    // The samples are drawn in the same order, for the same seed.
    assert_eq!(serde_json::Value::Array(classes), clear["classes"]);
    for file in [
        "net.safetensors",
        "net.cmlg",
        "net.cmlc",
        "net.cmls",
        "client.key",
        "server.key",
        "in.ct",
        "out.ct",
    ] {
        let text = world.cml(&format!("inspect {file}"));
        assert!(text.status.success() && !text.stdout.is_empty(), "{file}");
    }

    let predicted = world.json("predict net.cmlc --graph net.cmlg --data points.csv --samples 2");
    assert_eq!(
        (predicted["samples"].as_u64(), predicted["different"].as_u64()),
        (Some(2), Some(0))
    );
    artifacts_of_others(&world);
}

/// Keys and ciphertexts that do not belong together, on the files of the line.
fn artifacts_of_others(world: &World) {
    world.json("keygen net.cmlc --client-key other.key --server-key other-server.key");
    world.refused(
        "run net.cmlc in.ct --key other-server.key -o x.ct",
        &["encrypted input belongs to"],
    );
    world.refused(
        "decrypt net.cmlc out.ct --key other.key",
        &["encrypted output belongs to"],
    );
    world.json("compile net.cmlg -o strict.cmlc --strict");
    world.refused(
        "encrypt strict.cmlc --data points.csv -o x.ct",
        &["client.key", "another circuit"],
    );
    world.json("export-client strict.cmlc -o strict.cmls");
    world.refused("decrypt strict.cmls out.ct", &["client.key", "another circuit"]);
    world.refused(
        "keygen net.cmlg --force",
        &["net.cmlg", "needs a client spec or a circuit"],
    );
    world.refused("run net.cmls in.ct -o x.ct", &["net.cmls", "needs a circuit"]);
    world.refused("run strict.cmlc in.ct -o x.ct", &["in.ct", "another circuit"]);
    world.refused(
        "run net.cmlc out.ct -o x.ct",
        &["out.ct", "needs an encrypted input"],
    );

    let key = std::fs::read(world.path("server.key")).unwrap();
    std::fs::write(world.path("short.key"), &key[..key.len() / 2]).unwrap();
    world.refused(
        "run net.cmlc in.ct --key short.key -o x.ct",
        &["short.key", "truncated"],
    );
    let mut flipped = std::fs::read(world.path("net.cmlc")).unwrap();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 4;
    std::fs::write(world.path("flipped.cmlc"), flipped).unwrap();
    world.refused("keygen flipped.cmlc --force", &["flipped.cmlc", "checksum"]);
}

#[test]
fn a_key_under_a_passphrase_needs_it() {
    let world = World::new();
    world.json("quantize net.safetensors -o net.cmlg");
    world.json("compile net.cmlg -o net.cmlc");
    world.write("pass", "correct horse\nnot this line\n");
    world.write("wrong", "incorrect horse\n");
    world.write("empty", "\n");
    world.refused(
        "keygen net.cmlc --passphrase-file empty",
        &["empty", "passphrase is empty"],
    );
    world.refused("keygen net.cmlc --passphrase-file none", &["none"]);
    let keys = world.json("keygen net.cmlc --passphrase-file pass");
    assert_eq!(keys["passphrase"], true);
    let encrypt = "encrypt net.cmlc --data points.csv -o in.ct";
    world.refused(
        encrypt,
        &["client.key is under a passphrase", "--passphrase-file"],
    );
    world.refused(
        &format!("{encrypt} --passphrase-file wrong"),
        &["client.key: the passphrase is wrong"],
    );
    world.json(&format!("{encrypt} --passphrase-file pass"));
    let inspected = world.json("inspect client.key");
    assert_eq!(inspected["kind"], "client key under a passphrase");
}

#[test]
fn amortized_rotations_are_asked_for_and_refused() {
    let world = World::new();
    world.json("quantize net.safetensors -o net.cmlg");
    let slots = |options: &str| {
        let report = world.json(&format!("compile net.cmlg -o net.cmlc --no-fuse {options}"));
        let sets = report["parameters"].as_array().expect("a list of sets").clone();
        sets.iter().find_map(|set| set["slots"].as_u64())
    };
    assert_eq!(slots(""), None);
    assert!(slots("--samples-at-once 4000").is_some_and(|slots| slots >= 2048));
    let plan = world.json("plan net.cmlc");
    assert!(
        plan["samples_at_once"]
            .as_u64()
            .is_some_and(|samples| samples > 64),
        "{plan}"
    );
    assert_eq!(slots("--samples-at-once 4000 --no-amortized"), None);
    assert_eq!(slots("--samples-at-once 4000 --strict"), None);
    let none = world.cml("compile net.cmlg --samples-at-once 0");
    assert!(String::from_utf8_lossy(&none.stderr).contains("0 is not in 1..=65536"));
}

#[test]
fn help_has_an_example_for_every_command() {
    let world = World::new();
    let commands = "import quantize inspect analyze compile plan simulate export-client keygen encrypt run decrypt predict client";
    for command in commands
        .split(' ')
        .chain(cfg!(feature = "serve").then_some("serve"))
        .chain(cfg!(feature = "train").then_some("train"))
    {
        let output = world.cml(&format!("{command} --help"));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&format!("Example: cml {command} ")), "{text}");
    }
}
