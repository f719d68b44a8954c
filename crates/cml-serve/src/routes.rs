//! Which request goes where; who is let in; what is counted and logged.

use crate::metrics::{RefusedLabels, RequestLabels};
use crate::problem::{Code, Problem};
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::{jobs, keys, models};
use axum::Router;
use axum::extract::{Extension, FromRequestParts, MatchedPath, Path, Request, State};
use axum::handler::Handler;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter, post, put};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// Description of the interface, OpenAPI 3.1.
pub const OPENAPI: &str = include_str!("openapi.json");

/// Address of the other side.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The part of a path that names something. What is no text names nothing.
pub(crate) struct Named(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(path.map(|Path(name)| name).unwrap_or_default()))
    }
}

/// A route to read, by `GET` alone: answers that nobody gets are not made.
fn get<H, T>(handler: H) -> MethodRouter<Arc<Shared>>
where
    H: Handler<T, Arc<Shared>>,
    T: 'static,
{
    routing::get(handler).head(async || ([(ALLOW, "GET")], not_here()))
}

fn not_here() -> Problem {
    Problem::new(Code::MethodNotAllowed, "this cannot be done here").close()
}

/// All routes.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let guarded = Router::new()
        .route("/v1/models", get(models::list))
        .route("/v1/models/{hash}", get(models::spec))
        .route("/v1/models/{hash}/infer", post(jobs::infer))
        .route("/v1/keys/{id}", put(keys::put).delete(keys::delete))
        .route("/v1/jobs/{id}", get(jobs::get))
        .route_layer(from_fn_with_state(Arc::clone(shared), admit));
    let open = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .route("/openapi.json", get(describe));
    guarded
        .merge(open)
        .fallback(async || Problem::new(Code::NotFound, "there is nothing here").close())
        .method_not_allowed_fallback(async || not_here())
        .layer(from_fn_with_state(Arc::clone(shared), observe))
        .with_state(Arc::clone(shared))
}

/// Lets callers in, and notes who they are.
async fn admit(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let caller = shared.tokens.caller(bearer(request.headers()), peer.0);
    let caller = caller.map_err(|refusal| Problem::from(refusal).close())?;
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    response.extensions_mut().insert(caller);
    Ok(response)
}

/// The bearer token of a request.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

/// Counts and logs: routes, never paths, headers or bodies.
async fn observe(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("none", MatchedPath::as_str).to_owned();
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "PUT" | "POST" | "DELETE") => known,
        _ => "other",
    };
    let method = method.to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let code = response.extensions().get::<Code>().map(|code| code.word());
    let caller = response.extensions().get::<crate::caller::Caller>();
    tracing::info!(
        method,
        route,
        status,
        code,
        caller = caller.map(tracing::field::display),
        microseconds = start.elapsed().as_micros() as u64,
        "request"
    );
    if let Some(code) = code {
        shared
            .metrics
            .refused
            .get_or_create(&RefusedLabels { code })
            .inc();
    }
    let labels = RequestLabels {
        method,
        route,
        status,
    };
    shared.metrics.requests.get_or_create(&labels).inc();
    response
}

async fn health(State(shared): State<Arc<Shared>>) -> Result<&'static str, Problem> {
    if shared.is_draining() {
        Err(Refusal::ShuttingDown.into())
    } else {
        Ok("ok\n")
    }
}

/// The counters, for those who may see what all callers do.
async fn metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Result<Response, Problem> {
    let token = bearer(&headers).ok_or(Refusal::NoCounters);
    let operator = token.and_then(|token| shared.metrics_tokens.known(token));
    let operator = operator.map_err(|_| Problem::from(Refusal::NoCounters).close())?;
    let text = shared.metrics.text(&shared);
    let text = text.map_err(|_| Problem::new(Code::Internal, "the counters cannot be written"))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let mut response = ([(CONTENT_TYPE, kind)], text).into_response();
    response.extensions_mut().insert(operator);
    Ok(response)
}

async fn describe() -> Response {
    (StatusCode::OK, [(CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_tokens_are_found() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            bearer(&headers).map(<[u8]>::to_vec)
        };
        assert_eq!(of("Bearer one-token"), Some(b"one-token".to_vec()));
        assert_eq!(of("bearer  one-token"), Some(b"one-token".to_vec()));
        assert_eq!(of("Bearer "), Some(Vec::new()));
        for none in ["Basic one-token", "B", "Bearerone-token"] {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
