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
    let server = Process::start(folder.path());
    let send = |call: Call| server.send(&call.with("authorization", &format!("Bearer {TOKEN}")));
    assert_eq!(send(party.put()).status, 201);
    let call = party.infer(&[0, 1, 2, 3]);
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
    assert_eq!(statuses, [201, 200, 400, 401, 200]);
    for secret in [
        TOKEN,
        "a-wrong-token-in-full",
        "query-that-stays-out",
        "AAAAAAAA",
        &party.id(),
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
