//! `Prefer` (RFC 7240): what a caller would like, as far as this server knows it.

use axum::http::HeaderMap;
use std::time::Duration;

/// What a caller would like.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Preferences {
    /// A job to ask for, at once: `respond-async`.
    pub(crate) is_async: bool,
    /// A job to ask for after this time: `wait=SECONDS`.
    pub(crate) wait: Option<Duration>,
}

impl Preferences {
    /// Of a request. What is not known, or is no number, does not count; of what is there twice, the first does.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut found = Self {
            is_async: false,
            wait: None,
        };
        let values = headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok());
        for preference in values.flat_map(|value| value.split(',')) {
            // Parameters come after a semicolon; none of those known has any.
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            if name.eq_ignore_ascii_case("respond-async") {
                found.is_async = true;
            } else if name.eq_ignore_ascii_case("wait") && found.wait.is_none() {
                found.wait = value.parse().ok().map(Duration::from_secs);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_of_requests() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", value.parse().unwrap());
            }
            let Preferences { is_async, wait } = Preferences::of(&headers);
            (is_async, wait.map(|wait| wait.as_secs()))
        };
        assert_eq!(of(&[]), (false, None));
        assert_eq!(of(&["wait=30"]), (false, Some(30)));
        assert_eq!(of(&["Respond-Async, WAIT = \"5\"; x=1"]), (true, Some(5)));
        assert_eq!(of(&["wait=1, respond-async"]), (true, Some(1)));
        assert_eq!(of(&["return=minimal", "wait=7", "wait=9"]), (false, Some(7)));
        for other in [
            "wait",
            "wait=",
            "wait=-1",
            "wait=1.5",
            "wait=soon",
            "a; respond-async",
        ] {
            assert_eq!(of(&[other]), (false, None), "{other}");
        }
        assert_eq!(of(&["wait=18446744073709551616"]), (false, None));
    }
}
