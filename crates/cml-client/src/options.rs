//! How to speak to a server.

use crate::error::RemoteError;
use crate::requirements::Requirements;
use std::fmt;
use std::time::Duration;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// How to speak to a server.
#[derive(Clone)]
pub struct Options {
    /// Bearer token, if the server asks for one. Over plain HTTP everyone on the way can read it.
    pub token: Option<String>,
    /// Certificates to trust instead of those of public authorities, PEM.
    pub roots: Option<Vec<u8>>,
    /// Largest evaluation keys that are drawn, in bytes: a server decides how large a model's are.
    pub max_key_bytes: u64,
    /// How long a busy server is asked again.
    pub patience: Duration,
    /// How long one request, or one job, may take.
    pub timeout: Duration,
    /// What a circuit has to promise before keys are drawn for it.
    pub requirements: Requirements,
}

impl Default for Options {
    /// No token, public authorities, keys of 1 GiB, five minutes for a busy server, an hour for a job, any circuit.
    fn default() -> Self {
        Self {
            token: None,
            roots: None,
            max_key_bytes: 1 << 30,
            patience: Duration::from_secs(300),
            timeout: Duration::from_secs(3600),
            requirements: Requirements::default(),
        }
    }
}

/// Says whether there is a token, not which.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("token", &self.token.as_ref().map(|_| "..."))
            .field("roots", &self.roots.as_ref().map(Vec::len))
            .field("max_key_bytes", &self.max_key_bytes)
            .field("patience", &self.patience)
            .field("timeout", &self.timeout)
            .field("requirements", &self.requirements)
            .finish()
    }
}

impl Options {
    /// Whom to trust.
    pub(crate) fn tls(&self) -> Result<TlsConfig, RemoteError> {
        let Some(pem) = &self.roots else {
            return Ok(TlsConfig::builder().root_certs(RootCerts::WebPki).build());
        };
        let mut roots: Vec<Certificate<'static>> = Vec::new();
        for item in parse_pem(pem) {
            match item {
                Ok(PemItem::Certificate(certificate)) => roots.push(certificate),
                Ok(_) => {}
                Err(why) => return Err(RemoteError::Roots(why.to_string())),
            }
        }
        if roots.is_empty() {
            return Err(RemoteError::Roots(
                "no certificate, needs one at least".to_owned(),
            ));
        }
        let roots = RootCerts::new_with_certs(&roots);
        Ok(TlsConfig::builder().root_certs(roots).build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_not_shown_and_roots_are_checked() {
        let options = |roots: &str| Options {
            token: Some("secret".to_owned()),
            roots: Some(roots.as_bytes().to_vec()),
            ..Options::default()
        };
        assert!(!format!("{:?}", options("")).contains("secret"));
        let message = |roots: &str| options(roots).tls().map(|_| ()).unwrap_err().to_string();
        assert_eq!(
            message("hello"),
            "certificates to trust: no certificate, needs one at least"
        );
        assert!(message("-----BEGIN CERTIFICATE-----\n!\n").starts_with("certificates to trust: "));
    }
}
