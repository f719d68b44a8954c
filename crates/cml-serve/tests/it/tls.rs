//! The same over TLS.

use crate::http::{Call, connect};
use crate::world::{Running, clear, config, limits, world};
use cml_serve::Tls;
use std::io::Write;
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

#[test]
fn requests_are_encrypted() {
    let party = &world().parties[0];
    let data = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (data.path().join("cert.pem"), data.path().join("key.pem"));
    std::fs::write(&cert, own.cert.pem()).unwrap();
    std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let refused = |cert, key| Tls::read(cert, key).err().unwrap().to_string();
    assert!(refused(&key, &key).ends_with("key.pem: no certificate"));
    assert!(refused(&cert, &cert).contains("cert.pem: "));
    assert!(refused(&data.path().join("none"), &key).contains("none: "));
    let tls = Tls::read(&cert, &key).unwrap();
    let config = config(data.path(), limits());
    let server = Running::on(data, config, Some(tls));

    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = Arc::new(client);
    let send = |call: &Call| {
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::clone(&client), name).unwrap();
        let mut stream = StreamOwned::new(session, connect(server.address).unwrap());
        stream.write_all(call.head().as_bytes()).unwrap();
        stream.write_all(&call.body).unwrap();
        call.reply(&mut stream).unwrap()
    };
    assert_eq!(send(&party.put()).status, 201);
    assert_eq!(party.decrypt(&send(&party.infer(&[1, 2, 3]))), clear(&[1, 2, 3]));
    // Without TLS there is no answer.
    assert!(Call::get("/healthz").send(server.address).is_err());
}
