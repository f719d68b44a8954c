//! Requests with a bounded answer, a bounded wait, and the errors of the server.

use crate::error::RemoteError;
use crate::options::Options;
use serde::Deserialize;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, EXPECT, RETRY_AFTER};
use ureq::http::{HeaderMap, HeaderValue, Uri};
use ureq::{Agent, Body, RequestBuilder};

/// A server answers nothing, and takes nothing, for so long: it is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// A server should hold a request no longer before it makes a job of it (RFC 7240), well within [`SILENCE`].
const PREFER: &str = "wait=30";
/// Longest wait that [`Options::timeout`] can ask for: clocks have an end.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);
/// Time to find a server.
const CONNECT: Duration = Duration::from_secs(20);
/// Shortest wait before asking again, and the wait if a busy server does not say how long.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest wait between two requests, whatever a server says.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Longest error message, in bytes.
const ERROR_BYTES: u64 = 64 << 10;
/// Longest text of a server in an error message, in characters.
const ERROR_CHARS: usize = 300;

/// A server, and how to speak to it.
#[derive(Debug)]
pub(crate) struct Http {
    agent: Agent,
    base: String,
    authorization: Option<HeaderValue>,
    patience: Duration,
}

/// What is asked.
#[derive(Clone, Copy)]
pub(crate) enum Request<'r> {
    Get,
    Post(&'r [u8]),
    PutFile(&'r Path),
}

/// What the server says, once it is not too busy to say it.
pub(crate) struct Answer {
    /// The request, for error messages.
    pub(crate) request: String,
    /// HTTP status.
    pub(crate) status: u16,
    /// When to ask again.
    pub(crate) retry_after: Duration,
    /// The whole body.
    pub(crate) body: Vec<u8>,
}

/// Body of an error.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    error: String,
    code: String,
}

impl Http {
    /// A server at `url`, `http` or `https`, perhaps with a path.
    pub(crate) fn new(url: &str, options: &Options) -> Result<Self, RemoteError> {
        let uri = address(url)?;
        let token = options.token.as_ref();
        let authorization = token.map(|token| HeaderValue::try_from(format!("Bearer {token}")));
        let mut authorization = authorization.transpose().map_err(|_| RemoteError::Token)?;
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // A token goes where it was meant to go, and nowhere else.
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .timeout_per_write(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .timeout_recv_response(Some(SILENCE))
            .timeout_recv_body(Some(options.timeout.min(LONGEST_TIMEOUT)))
            .tls_config(options.tls()?)
            .user_agent(concat!("cml/", env!("CARGO_PKG_VERSION")));
        if uri.host().is_some_and(is_loopback) {
            config = config.proxy(None);
        }
        Ok(Self {
            agent: config.build().into(),
            base: url.trim_end_matches('/').to_owned(),
            authorization,
            patience: options.patience,
        })
    }

    /// Address of the server.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The answer, of at most `limit` bytes, of a server that has not been heard of before. If it is busy it is
    /// asked again.
    pub(crate) fn ask(&self, request: Request<'_>, path: &str, limit: u64) -> Result<Answer, RemoteError> {
        self.ask_again(request, path, limit, false)
    }

    /// The answer, of at most `limit` bytes, of a server that was there: if it is busy or gone it is asked again.
    /// Every request may be sent twice: what it does, it does once, or costs the server time.
    pub(crate) fn insist(&self, request: Request<'_>, path: &str, limit: u64) -> Result<Answer, RemoteError> {
        self.ask_again(request, path, limit, true)
    }

    fn ask_again(
        &self,
        request: Request<'_>,
        path: &str,
        limit: u64,
        may_be_gone: bool,
    ) -> Result<Answer, RemoteError> {
        let start = Instant::now();
        loop {
            let (error, pause) = match self.ask_once(request, path, limit) {
                Ok(answer) if matches!(answer.status, 429 | 503) => {
                    let (pause, (_, text)) = (answer.retry_after, answer.error());
                    let busy = RemoteError::Busy {
                        request: answer.request,
                        seconds: start.elapsed().as_secs(),
                        text,
                    };
                    (busy, pause)
                }
                // Something in front of it does not find it.
                Ok(answer) if may_be_gone && matches!(answer.status, 502 | 504) => {
                    let pause = answer.retry_after;
                    (answer.refusal(), pause)
                }
                Err(error) if may_be_gone && is_of_a_moment(&error) => (error, PAUSE),
                other => return other,
            };
            if start.elapsed() + pause > self.patience {
                return Err(error);
            }
            sleep(pause);
        }
    }

    fn ask_once(&self, request: Request<'_>, path: &str, limit: u64) -> Result<Answer, RemoteError> {
        let url = format!("{}{path}", self.base);
        let method = match request {
            Request::Get => "GET",
            Request::Post(_) => "POST",
            Request::PutFile(_) => "PUT",
        };
        let shown = format!("{method} {url}");
        let failed = |source: ureq::Error| match source {
            ureq::Error::BodyExceedsLimit(limit) => RemoteError::Answer {
                request: shown.clone(),
                why: format!("is longer than the limit of {limit} bytes"),
            },
            source => RemoteError::Connection {
                request: shown.clone(),
                source: Box::new(source),
            },
        };
        let response = match request {
            Request::Get => self.authorized(self.agent.get(&url)).call(),
            Request::Post(body) => {
                let post = self
                    .agent
                    .post(&url)
                    .header("prefer", PREFER)
                    .header(CONTENT_TYPE, "application/octet-stream");
                self.authorized(post).send(body)
            }
            Request::PutFile(file) => {
                let store = |source| RemoteError::Store {
                    path: file.to_owned(),
                    source,
                };
                let body = File::open(file).map_err(store)?;
                let put = self
                    .agent
                    .put(&url)
                    // A refusal comes before the body: behind one that nobody reads it could be lost.
                    .header(EXPECT, "100-continue")
                    .header(CONTENT_TYPE, "application/octet-stream");
                self.authorized(put).send(body)
            }
        };
        let mut response = response.map_err(failed)?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let body = if response.status().is_success() {
            read_all(response.body_mut(), limit).map_err(failed)?
        } else {
            read_start(response.body_mut())
        };
        Ok(Answer {
            request: shown,
            status,
            retry_after,
            body,
        })
    }

    fn authorized<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        }
    }
}

impl Answer {
    /// The error's word and message, made fit for a terminal.
    pub(crate) fn error(&self) -> (String, String) {
        let body: ErrorBody = serde_json::from_slice(&self.body).unwrap_or_default();
        (plain(&body.code), plain(&body.error))
    }

    /// The refusal of a server that answers with an error.
    pub(crate) fn refusal(self) -> RemoteError {
        let (code, text) = self.error();
        RemoteError::Refused {
            request: self.request,
            status: self.status,
            code,
            text,
        }
    }

    /// An answer that makes no sense.
    pub(crate) fn nonsense(self, why: impl Into<String>) -> RemoteError {
        RemoteError::Answer {
            request: self.request,
            why: why.into(),
        }
    }

    /// The body of an answer of status 200.
    pub(crate) fn ok(self) -> Result<Self, RemoteError> {
        match self.status {
            200 => Ok(self),
            201..300 => {
                let why = format!("has status {}, needs 200", self.status);
                Err(self.nonsense(why))
            }
            _ => Err(self.refusal()),
        }
    }
}

fn read_all(body: &mut Body, limit: u64) -> Result<Vec<u8>, ureq::Error> {
    body.with_config().limit(limit).read_to_vec()
}

/// As much of an error as is worth reading; a broken one is no other error.
fn read_start(body: &mut Body) -> Vec<u8> {
    let mut start = Vec::new();
    let _ = body.as_reader().take(ERROR_BYTES).read_to_end(&mut start);
    start
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok());
    let seconds = seconds.and_then(|text| text.trim().parse().ok());
    seconds
        .map_or(PAUSE, Duration::from_secs)
        .clamp(PAUSE, LONGEST_PAUSE)
}

/// Whether a text is the address of a server, as [`Service::connect`](crate::Service::connect) takes it. Asks nobody.
///
/// # Errors
/// [`RemoteError::Url`] if it is not.
pub fn check_address(url: &str) -> Result<(), RemoteError> {
    address(url).map(|_| ())
}

/// Whether what is sent to a server can be read on the way: by `http`, and not on this machine.
pub fn is_in_clear(url: &str) -> bool {
    address(url).is_ok_and(|uri| uri.scheme_str() == Some("http") && !uri.host().is_some_and(is_loopback))
}

fn address(url: &str) -> Result<Uri, RemoteError> {
    check_url(url).map_err(|why| RemoteError::Url { url: plain(url), why })
}

fn check_url(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|e| format!("{e}"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("needs http:// or https://".to_owned());
    }
    let Some(authority) = uri.authority() else {
        return Err("names no host".to_owned());
    };
    if authority.as_str().contains('@') || uri.query().is_some() || url.contains('#') {
        return Err("user names, queries and fragments have no place in it".to_owned());
    }
    let port = authority.as_str().strip_prefix(authority.host());
    if port != Some("") && authority.port_u16().is_none() {
        return Err("its port is no number from 0 to 65535".to_owned());
    }
    Ok(uri)
}

/// What can go away by itself: a server that is started again, a network that is not there for a while.
fn is_of_a_moment(error: &RemoteError) -> bool {
    let RemoteError::Connection { source, .. } = error else {
        return false;
    };
    match &**source {
        // A certificate, or what is no TLS.
        ureq::Error::Io(error) => error.kind() != ErrorKind::InvalidData,
        ureq::Error::Timeout(_) | ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
        _ => false,
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// A text of the server that a terminal can be shown.
pub(crate) fn plain(text: &str) -> String {
    let c = |c: char| {
        if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.chars().take(ERROR_CHARS).map(c).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        let refused = |url: &str, says: &str| {
            let made = Http::new(url, &Options::default());
            let message = made.map(|_| ()).unwrap_err().to_string();
            assert!(message.contains(says), "{message}");
        };
        refused("fhe.example.org", "needs http:// or https://");
        refused("ftp://fhe.example.org", "needs http:// or https://");
        refused("https://me:secret@fhe.example.org", "user names");
        refused("https://fhe.example.org/?a=b", "queries");
        refused("https://fhe.example.org/#x", "fragments");
        refused("https://fhe.example.org:80800", "its port is no number");
        refused("https://fhe.example.org:", "its port is no number");
        refused("http://", "server \"http://\"");
        refused("\u{1b}[2J", "server \"\u{fffd}[2J\"");
        let with = |token: &str| Options {
            token: Some(token.to_owned()),
            ..Options::default()
        };
        let http = Http::new("https://fhe.example.org/x/", &with("abc")).unwrap();
        assert_eq!(http.base(), "https://fhe.example.org/x");
        assert!(!format!("{http:?}").contains("abc"));
        let bad = Http::new("https://fhe.example.org", &with("a\nb"));
        assert!(matches!(bad, Err(RemoteError::Token)));
        for url in ["http://[::1]:8080", "http://10.0.0.1:8080/fhe", "http://[::1]"] {
            Http::new(url, &Options::default()).unwrap();
        }
    }

    #[test]
    fn waits_are_bounded() {
        let wait = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::try_from(text).unwrap());
            retry_after(&headers)
        };
        assert_eq!(wait("3"), Duration::from_secs(3));
        assert_eq!(wait("0"), PAUSE);
        assert_eq!(wait("999999999999"), LONGEST_PAUSE);
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), PAUSE);
        assert_eq!(retry_after(&HeaderMap::new()), PAUSE);
    }

    #[test]
    fn loopback_needs_no_proxy() {
        for host in ["localhost", "127.0.0.1", "[::1]", "127.3.2.1"] {
            assert!(is_loopback(host), "{host}");
        }
        assert!(is_in_clear("http://10.0.0.1:80") && !is_in_clear("http://localhost/x"));
        assert!(!is_in_clear("https://10.0.0.1") && !is_in_clear("10.0.0.1"));
        assert!(!is_loopback("10.0.0.1") && !is_loopback("localhost.example.org"));
    }
}
