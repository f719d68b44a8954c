//! Certificate and private key.

use crate::ServeError;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// TLS 1.2 and 1.3 with one certificate.
#[derive(Clone)]
pub struct Tls(pub(crate) TlsAcceptor);

impl Tls {
    /// Reads PEM files: the certificate with those that vouch for it, and its private key.
    ///
    /// # Errors
    /// If a file cannot be read, holds nothing of its kind, or the two do not belong together.
    pub fn read(certificates: &Path, key: &Path) -> Result<Self, ServeError> {
        let fail = |path: &Path, why: String| ServeError::Tls(format!("{}: {why}", path.display()));
        let chain = CertificateDer::pem_file_iter(certificates)
            .and_then(|chain| chain.collect::<Result<Vec<_>, _>>())
            .map_err(|e| fail(certificates, e.to_string()))?;
        if chain.is_empty() {
            return Err(fail(certificates, "no certificate".to_owned()));
        }
        let private = PrivateKeyDer::from_pem_file(key).map_err(|e| fail(key, e.to_string()))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| ServeError::Tls(e.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|e| fail(certificates, e.to_string()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}
