//! Requests as bytes: also those that no library sends. Every answer is compared with the description.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A request.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Call {
    pub(crate) fn new(method: &'static str, path: &str, body: Vec<u8>) -> Self {
        Self {
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body,
        }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path, Vec::new())
    }

    pub(crate) fn put(path: &str, body: Vec<u8>) -> Self {
        Self::new("PUT", path, body)
    }

    pub(crate) fn post(path: &str, body: Vec<u8>) -> Self {
        Self::new("POST", path, body)
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The head as it is sent.
    pub(crate) fn head(&self) -> String {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n",
            self.method, self.path
        );
        if !self.headers.iter().any(|(name, _)| name == "content-length") {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head + "\r\n"
    }

    pub(crate) fn send(&self, address: SocketAddr) -> io::Result<Reply> {
        let mut stream = connect(address)?;
        stream.write_all(self.head().as_bytes())?;
        // A server that refuses early need not read all of it.
        let _ = stream.write_all(&self.body);
        self.reply(&mut stream)
    }

    /// Reads the answer to this request.
    pub(crate) fn reply(&self, stream: &mut impl Read) -> io::Result<Reply> {
        let reply = read(stream, self.method != "HEAD")?;
        crate::api::check(self.method, &self.path, &reply);
        Ok(reply)
    }
}

pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_write_timeout(Some(Duration::from_secs(60)))?;
    Ok(stream)
}

fn read(stream: &mut impl Read, has_body: bool) -> io::Result<Reply> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        // All of the answer may be there before a connection breaks.
        Err(e) if bytes.is_empty() => return Err(e),
        _ => {}
    }
    let broken = || io::Error::other(format!("no answer in {} bytes", bytes.len()));
    let end = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .ok_or_else(broken)?;
    let head = std::str::from_utf8(&bytes[..end]).map_err(io::Error::other)?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_lowercase(), value.trim().to_owned()))
    });
    let reply = Reply {
        status: status.ok_or_else(broken)?,
        headers: headers.collect(),
        body: bytes[end + 4..].to_vec(),
    };
    let length = reply.header("content-length").and_then(|text| text.parse().ok());
    if has_body && length.is_some_and(|length: usize| length != reply.body.len()) {
        return Err(broken());
    }
    Ok(reply)
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// Checks an error: its status, its word, and what it says.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str, says: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        let json = self.json();
        assert_eq!(json["code"], code, "{json}");
        let text = json["error"].as_str().unwrap();
        assert!(text.contains(says), "{text:?} does not say {says:?}");
        assert!(!text.ends_with('.'), "{text}");
    }
}
