//! What the log holds, and what it does not.

use crate::http::Call;
use crate::process::Process;
use crate::world::{hex, world};

const TOKEN: &str = "a-token-that-nobody-may-read";

#[test]
fn no_payload_no_token_no_key() {
    let party = &world().parties[0];
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokens"), TOKEN).unwrap();
    // Files that are not the server's, under names with ids.
    let job = "5a".repeat(16);
    for (name, file) in [
        ("keys", format!("{}-{}.key", party.id(), "0".repeat(16))),
        ("jobs", format!("1-{job}-{}-0.old", "0".repeat(16))),
    ] {
        let of_kind = folder.path().join("data").join(name);
        std::fs::create_dir_all(&of_kind).unwrap();
        std::fs::write(of_kind.join(file), "x").unwrap();
    }
    let server = Process::start(folder.path());
    let send = |call: Call| server.send(&call.with("authorization", &format!("Bearer {TOKEN}")));
    assert_eq!(send(party.put()).status, 201);
    let call = party.infer(&[0, 1, 2, 3]);
    // A key that is damaged, found when it is loaded.
    let keys = std::fs::read_dir(folder.path().join("data/keys")).unwrap();
    let paths = keys.map(|entry| entry.unwrap().path());
    let path = paths.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = party.key.clone();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(path, bytes).unwrap();
    assert_eq!(send(call.clone()).status, 404);
    assert_eq!(send(party.put()).status, 201);
    let reply = send(call.clone());
    assert_eq!(reply.status, 200);
    let mut damaged = call.clone();
    damaged.body[150..].fill(0x41);
    assert_eq!(send(damaged).status, 400);
    assert_eq!(
        server
            .send(&call.clone().with("authorization", "Bearer a-wrong-token-in-full"))
            .status,
        401
    );
    let query = Call::get("/v1/models?secret=query-that-stays-out");
    assert_eq!(send(query).status, 200);
    assert!(server.terminate());

    let log = std::fs::read(folder.path().join("log")).unwrap();
    let text = String::from_utf8_lossy(&log);
    // All the levels are there, each line one object.
    let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let requests = lines.iter().filter(|l| l["fields"]["message"] == "request");
    let statuses: Vec<_> = requests.map(|l| l["fields"]["status"].clone()).collect();
    assert_eq!(statuses, [201, 404, 201, 200, 400, 401, 200]);
    let said = |message: &str| lines.iter().find(|l| l["fields"]["message"] == message);
    let damaged = said("a damaged key is removed").unwrap();
    assert!(damaged["fields"]["why"].as_str().unwrap().contains("checksum"));
    for kind in ["keys are files of no key", "jobs are files of no job"] {
        let line = said(&format!("in the folder of {kind}, left alone")).unwrap();
        assert_eq!(line["fields"]["files"], 1);
    }
    for secret in [
        TOKEN,
        "a-wrong-token-in-full",
        "query-that-stays-out",
        "AAAAAAAA",
        &party.id(),
        &job,
    ] {
        assert!(!text.contains(secret), "the log holds {secret:?}");
    }
    for bytes in [&call.body, &reply.body, &party.key] {
        let middle = bytes.len() / 2;
        let piece = &bytes[middle..middle + 8];
        assert!(
            !log.windows(8).any(|w| w == piece),
            "the log holds bytes of a body"
        );
        assert!(
            !text.contains(&hex(piece)),
            "the log holds bytes of a body in hexadecimal"
        );
        assert!(
            !text.contains(&format!("{piece:?}")[1..20]),
            "the log holds bytes of a body in decimal"
        );
    }
}
