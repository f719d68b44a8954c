//! `cml client`: what is refused before a server is asked, and servers that are not there.

use crate::world::World;
use std::net::TcpListener;

#[test]
fn what_is_wrong_here_is_found_here() {
    let world = World::new();
    world.refused("client models", &["--server URL is missing"]);
    world.refused(
        "client models --server fhe.example.org",
        &["needs http:// or https://"],
    );
    world.refused(
        "client predict nothing.csv --server http://127.0.0.1:1 --keys k",
        &["nothing.csv"],
    );
    world.refused(
        "client predict points.csv --samples 0 --server http://127.0.0.1:1 --keys k",
        &["--samples is 0"],
    );
    let both = world.cml("client --server http://127.0.0.1:1");
    assert_eq!(both.status.code(), Some(2));
    world.refused(
        "client predict points.csv --server fhe.example.org --keys k",
        &["needs http:// or https://"],
    );
    assert!(!world.path("k").exists(), "a folder for keys of no server");
    for timeout in ["0", "31536001", "9300000000000000000"] {
        let line = format!("client models --server http://127.0.0.1:1 --timeout {timeout}");
        let output = world.cml(&line);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("is not in 1..=31536000"), "{error}");
    }
}

/// What lies in the environment may be a secret although it is no text.
#[cfg(unix)]
#[test]
fn secrets_that_are_no_text_are_not_shown() {
    use std::os::unix::ffi::OsStrExt;
    let world = World::new();
    world.json("quantize net.safetensors -o net.cmlg");
    world.json("compile net.cmlg -o net.cmlc");
    let secret = std::ffi::OsStr::from_bytes(b"hunter2\xff");
    for (variable, line) in [
        ("CML_PASSPHRASE", "keygen net.cmlc"),
        ("CML_TOKEN", "client models --server http://127.0.0.1:1"),
    ] {
        let output = world.cml_with(line, &[(variable, secret)]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert_eq!(error, format!("error: {variable} is not UTF-8\n"));
    }
}

#[test]
fn a_server_that_is_not_there_is_no_fault_of_the_input() {
    let world = World::new();
    // Taken and given back: nobody listens there now.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let output = world.cml(&format!(
        "client predict points.csv --server http://127.0.0.1:{port} --keys keys"
    ));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains(&format!("GET http://127.0.0.1:{port}/v1/models")),
        "{error}"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(world.path("keys"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

/// Everybody on the way to another machine can do what a dishonest server can: with a token or without.
#[test]
fn addresses_in_clear_are_warned_of() {
    let world = World::new();
    // A proxy where nobody listens: nothing leaves this machine.
    let proxy = std::ffi::OsStr::new("http://127.0.0.1:1");
    let notes = |url: &str, token: &str| {
        let line = format!("client models --server {url} {token}");
        let output = world.cml_with(&line, &[("ALL_PROXY", proxy), ("NO_PROXY", "".as_ref())]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        let is_note = |line: &&str| line.starts_with("note: ");
        error.lines().filter(is_note).collect::<Vec<_>>().join("\n")
    };
    let clear = notes("http://192.0.2.1", "");
    assert!(
        clear.contains("do what a dishonest server can do; use https://"),
        "{clear}"
    );
    assert!(!clear.contains("token"), "{clear}");
    let token = notes("http://fhe.example.org:8080", "--token 0123456789abcdef");
    assert!(
        token.contains("dishonest") && token.contains("read the token"),
        "{token}"
    );
    for near in [
        "http://127.0.0.1:1",
        "http://[::1]:1",
        "http://localhost:1",
        "https://192.0.2.1",
    ] {
        assert_eq!(notes(near, "--token 0123456789abcdef"), "", "{near}");
    }
}

/// A circuit that promises less is refused before keys are drawn or anything is encrypted.
#[test]
fn clients_can_insist() {
    let world = World::new();
    world.json("quantize net.safetensors -o net.cmlg");
    world.json("compile net.cmlg -o net.cmlc");
    let strict =
        "network small promises that a lookup fails with less than 2^-40, the client requires 2^-128";
    world.refused("keygen net.cmlc --require-strict", &[strict]);
    world.refused(
        "keygen net.cmlc --max-failure 2^-200",
        &["the client requires 2^-200"],
    );
    let wrong = world.cml("keygen net.cmlc --max-failure 40");
    assert_eq!(wrong.status.code(), Some(2));
    let error = String::from_utf8(wrong.stderr).unwrap();
    assert!(
        error.contains("is no probability from 2^-1000 to 1, such as 2^-40"),
        "{error}"
    );
    let drawn = world.json("keygen net.cmlc --max-failure 1e-9");
    assert_eq!(drawn["promise"]["budget_log2"], -40.0);
    world.refused("encrypt net.cmlc --data points.csv --require-strict", &[strict]);
    world.json("encrypt net.cmlc --data points.csv --max-failure 2^-20");

    world.json("compile net.cmlg -o strict.cmlc --strict");
    let drawn = world.json("keygen strict.cmlc --require-strict --force");
    assert_eq!(drawn["promise"]["exact"], true);
}

#[cfg(unix)]
#[test]
fn a_folder_of_keys_that_others_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let folder = world.path("keys");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let output = world.cml("client predict points.csv --server http://127.0.0.1:1 --keys keys");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("mode 777 lets others write here"), "{error}");
}

/// A world with `net.cmlc` and the clear classes of its points.
#[cfg(feature = "serve")]
fn compiled() -> (World, serde_json::Value) {
    let world = World::new();
    world.json("quantize net.safetensors -o net.cmlg");
    world.json("compile net.cmlg -o net.cmlc");
    let clear = world.json("simulate net.cmlc --data points.csv");
    (world, clear["classes"].clone())
}

#[cfg(feature = "serve")]
fn classes(predicted: &serde_json::Value) -> serde_json::Value {
    let results = predicted["results"].as_array().unwrap();
    results.iter().map(|r| r["class"].clone()).collect()
}

/// A real server and a real client, over a real connection.
#[cfg(feature = "serve")]
#[test]
fn a_server_predicts_what_it_cannot_read() {
    use crate::served::Served;
    let (world, clear) = compiled();
    let server = Served::start(&world, "--model net.cmlc --data server");
    let at = format!("--server {} --keys mine", server.url);
    let models = world.json(&format!("client models {at}"));
    assert_eq!(models["models"][0]["name"], "small");
    assert_eq!(models["models"][0]["promise"]["budget_log2"], -40.0);
    let insists = world.json(&format!("client models {at} --require-strict"));
    let refused = insists["models"][0]["refused"].as_str().unwrap();
    assert!(refused.contains("requires 2^-128"), "{refused}");
    world.refused(
        &format!("client predict points.csv {at} --require-strict"),
        &[refused],
    );
    world.refused(
        &format!("client predict points.csv {at} --max-failure 2^-500"),
        &["requires 2^-500"],
    );

    world.write("three.csv", "x,y,z\n0.1,0.2,0.3\n");
    let three = format!("client predict three.csv {at}");
    world.refused(&three, &["three.csv: has 3 values a sample, input x takes 2"]);
    let drawn = std::fs::read_dir(world.path("mine")).unwrap();
    let is_key = |name: &std::ffi::OsStr| name.len() == 64;
    assert!(
        !drawn.flatten().any(|e| is_key(&e.file_name())),
        "no keys for rows that do not fit"
    );
    world.write("far.csv", "x,y,label\n9.0,0.2,7\n");
    let line = format!("client predict far.csv {at} --max-failure 2^-20 --json");
    let far = world.cml(&line);
    let notes = String::from_utf8(far.stderr).unwrap();
    assert!(
        notes.starts_with(
            "note: keys are drawn for small: budget 2^-40 a lookup; an inference fails less than"
        ),
        "{notes}"
    );
    let far: serde_json::Value = serde_json::from_slice(&far.stdout).unwrap();
    assert_eq!(
        (&far["new_keys"], &far["clipped_inputs"]),
        (&true.into(), &1.into())
    );
    assert_eq!(far["correct"], 0);

    let first = world.json(&format!("client predict points.csv {at}"));
    assert_eq!(classes(&first), clear);
    assert_eq!(
        (&first["new_keys"], &first["samples"]),
        (&false.into(), &4.into())
    );
    // All rows of a file, in their order; of some, their numbers.
    let rows = (0..25).map(|i| format!("{},{},0\n", i as f32 / 12.5 - 1.0, 1.0 - i as f32 / 12.5));
    world.write("rows.csv", &format!("x,y,label\n{}", rows.collect::<String>()));
    let clear_rows = world.json("simulate net.cmlc --data rows.csv");
    let all = world.json(&format!("client predict rows.csv {at}"));
    assert_eq!(classes(&all), clear_rows["classes"]);
    let some = world.json(&format!("client predict rows.csv --samples 5 {at}"));
    for result in some["results"].as_array().unwrap() {
        let number = result["sample"].as_u64().unwrap() as usize;
        assert_eq!(result["class"], clear_rows["classes"][number]);
    }
    let again = world.json(&format!("client predict points.csv {at} --model small"));
    assert_eq!(
        (classes(&again), &again["new_keys"]),
        (clear.clone(), &false.into())
    );
    let folder = first["keys"].as_str().unwrap();
    let hash = models["models"][0]["hash"].as_str().unwrap();
    assert!(folder.ends_with(hash), "{folder}");
    assert_eq!(
        world.json(&format!("inspect {folder}/client.key"))["kind"],
        "client key"
    );

    world.refused(
        &format!("client predict points.csv {at} --model other"),
        &["no model \"other\"", "small"],
    );
    // A server that forgot the keys is sent them again.
    drop(server);
    let server = Served::start(&world, "--model net.cmlc --data fresh --samples 1 --wait 0");
    let at = format!("--server {} --keys mine", server.url);
    let anew = world.json(&format!("client predict points.csv {at}"));
    assert_eq!((classes(&anew), &anew["new_keys"]), (clear, &false.into()));
}

/// The server is killed when the client has been told of its job, and started again: the job goes on.
#[cfg(feature = "serve")]
#[test]
fn a_server_that_is_killed_loses_nothing() {
    use crate::served::Served;
    let (world, _) = compiled();
    let rows = (0..100).map(|i| format!("{},{},0\n", (i % 10) as f32 / 5.0 - 1.0, i as f32 / 50.0 - 1.0));
    world.write("many.csv", &format!("x,y,label\n{}", rows.collect::<String>()));
    let clear = world.json("simulate net.cmlc --data many.csv");
    world.write("operators", "the-token-for-counters\n");
    let args = "--model net.cmlc --data server --wait 0 --metrics-token-file operators";
    let server = Served::start(&world, args);
    let url = server.url.clone();
    let address = url.strip_prefix("http://").unwrap();
    let line = format!("client predict many.csv --server {url} --keys mine");
    let predicted = std::thread::scope(|scope| {
        let client = scope.spawn(|| world.json(&line));
        // A client that asks for a job knows its id.
        while !counters(address).contains(r#"route="/v1/jobs/{id}""#) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        drop(server);
        let _again = Served::listening(&world, address, args);
        client.join().unwrap()
    });
    assert_eq!(classes(&predicted), clear["classes"]);
    // It was not sent again.
    let jobs = std::fs::read_dir(world.path("server/jobs")).unwrap();
    assert_eq!(jobs.count(), 1);
}

/// `GET /metrics`.
#[cfg(feature = "serve")]
fn counters(address: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let request = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                   authorization: Bearer the-token-for-counters\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[cfg(feature = "serve")]
#[test]
fn a_server_with_tokens_asks_for_one_and_keys_may_have_a_passphrase() {
    use crate::served::Served;
    let (world, clear) = compiled();
    world.write("tokens", "0123456789abcdef0123456789abcdef\n");
    world.write("pass", "correct horse\n");
    let server = Served::start(&world, "--model net.cmlc --data server --token-file tokens");
    let line = format!("client predict points.csv --server {} --keys mine", server.url);
    let output = world.cml(&line);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("401 unauthorized"), "{error}");

    let line = format!("{line} --token 0123456789abcdef0123456789abcdef");
    let predicted = world.json(&format!("{line} --passphrase-file pass"));
    assert_eq!(classes(&predicted), clear);
    world.refused(&line, &["client.key is under a passphrase: give --passphrase"]);
    world.refused(
        &format!("{line} --passphrase-file tokens"),
        &["the passphrase is wrong"],
    );
}

#[cfg(feature = "serve")]
#[test]
fn a_certificate_of_its_own_has_to_be_trusted() {
    use crate::served::Served;
    let (world, clear) = compiled();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    world.write("cert.pem", &made.cert.pem());
    world.write("key.pem", &made.signing_key.serialize_pem());
    let server = Served::start(
        &world,
        "--model net.cmlc --data server --tls-cert cert.pem --tls-key key.pem",
    );
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let line = format!("client predict points.csv --server {} --keys mine", server.url);
    let failed = |line: &str, says: &str| {
        let output = world.cml(line);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(says), "{error}");
    };
    failed(&line, "no trusted authority vouches for its certificate");
    failed(
        &line.replace("https://", "http://"),
        "perhaps the server speaks TLS",
    );
    let predicted = world.json(&format!("{line} --ca cert.pem"));
    assert_eq!(classes(&predicted), clear);
    world.refused(
        &format!("{line} --ca points.csv"),
        &["certificates to trust: no certificate"],
    );
    drop(server);

    // What `openssl req -x509` makes if it is not told otherwise.
    let mut authority = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    world.write("cert.pem", &authority.self_signed(&key).unwrap().pem());
    world.write("key.pem", &key.serialize_pem());
    let server = Served::start(
        &world,
        "--model net.cmlc --data server --tls-cert cert.pem --tls-key key.pem",
    );
    let line = format!("client models --server {} --ca cert.pem", server.url);
    failed(&line, "is an authority's and no server's");
    drop(server);

    let server = Served::start(&world, "--model net.cmlc --data server");
    let line = format!("client models --server {}", server.url);
    failed(
        &line.replace("http://", "https://"),
        "the server does not speak TLS",
    );
}
