//! Bodies: read within a number of bytes, and not slower than a least rate.

use crate::problem::{Code, Problem};
use crate::shared::Shared;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use bytes::Bytes;
use http_body_util::BodyExt;
use prometheus_client::metrics::counter::Counter;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A body that is being read.
pub(crate) struct Reader {
    body: Body,
    limit: u64,
    /// What the head says of its length.
    announced: Option<u64>,
    has: u64,
    start: Instant,
    idle: Duration,
    rate: u64,
    received: Counter,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.received.inc_by(self.has);
    }
}

impl Reader {
    /// Checks what the head says of the body.
    pub(crate) fn new(headers: &HeaderMap, body: Body, limit: u64, shared: &Shared) -> Result<Self, Problem> {
        let encodings = headers.get_all(CONTENT_ENCODING).iter();
        for encoding in encodings {
            // What does not unpack cannot explode. Ciphertexts do not compress anyway.
            if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") {
                let text = "the body has a content encoding, needs none";
                return Err(Problem::new(Code::UnsupportedEncoding, text).close());
            }
        }
        let mut announced = None;
        if let Some(length) = headers.get(CONTENT_LENGTH) {
            let length = length.to_str().ok().and_then(|text| text.parse::<u64>().ok());
            let Some(length) = length else {
                return Err(Problem::new(Code::Malformed, "the content length is not a number").close());
            };
            if length > limit {
                return Err(too_large(length, limit));
            }
            announced = Some(length);
        }
        let limits = &shared.limits;
        Ok(Self {
            body,
            limit,
            announced,
            has: 0,
            start: Instant::now(),
            idle: limits.body_time,
            rate: limits.body_rate.max(1),
            received: shared.metrics.received_bytes.clone(),
        })
    }

    /// The next bytes; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let now = Instant::now();
            let behind = self.start + self.idle + Duration::from_secs_f64(self.has as f64 / self.rate as f64);
            let deadline = behind.min(now + self.idle);
            let slow = || {
                let text = format!(
                    "{} bytes in {:.0} s, needs {} a second",
                    self.has,
                    self.start.elapsed().as_secs_f64(),
                    self.rate
                );
                Problem::new(Code::TooSlow, text).close()
            };
            let Ok(frame) = timeout_at(deadline, self.body.frame()).await else {
                return Err(slow());
            };
            let bytes = match frame {
                None => return Ok(None),
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(_)) => {
                    return Err(Problem::new(Code::Malformed, "the body breaks off").close());
                }
            };
            self.has += bytes.len() as u64;
            if self.has > self.limit {
                return Err(too_large(self.has, self.limit));
            }
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }

    /// Bytes of the body, if its head says so.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// Bytes that the body may take: what its head says, else the limit.
    pub(crate) fn expected(&self) -> u64 {
        self.announced.unwrap_or(self.limit)
    }

    /// The whole body; there is room for as much as is expected.
    pub(crate) async fn collect(mut self) -> Result<Vec<u8>, Problem> {
        let announced = usize::try_from(self.announced.unwrap_or(0));
        let mut all = Vec::with_capacity(announced.unwrap_or(0));
        while let Some(bytes) = self.next().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }
}

fn too_large(has: u64, limit: u64) -> Problem {
    let text = format!("the body has {has} bytes or more, limit {limit}");
    Problem::new(Code::TooLarge, text).close()
}
