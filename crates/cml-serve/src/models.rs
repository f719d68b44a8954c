//! `GET /v1/models`: what is served, and what clients need of it.

use crate::problem::{Code, Problem};
use crate::routes::Named;
use crate::shared::{Served, Shared};
use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use cml_file::from_hex;
use serde_json::{Value, json};
use std::sync::Arc;

/// Type of all files.
pub(crate) const OCTETS: &str = "application/octet-stream";

/// All models.
pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let models: Vec<Value> = shared.models.iter().map(|m| entry(m, &shared)).collect();
    Json(json!({ "models": models }))
}

fn entry(served: &Served, shared: &Shared) -> Value {
    let (model, circuit) = (&served.model, served.model.circuit.circuit());
    json!({
        "hash": served.hash,
        "name": circuit.name(),
        "exact": circuit.is_exact(),
        "spec_bytes": model.spec.len(),
        "key_bytes": model.key_file_bytes(),
        "input_bytes": model.input_file_bytes(1),
        "output_bytes": model.output_file_bytes(1),
        "seconds": served.seconds(),
        "max_samples": model.most_samples(&shared.limits),
    })
}

/// The client's part of a model.
pub(crate) async fn spec(State(shared): State<Arc<Shared>>, Named(hash): Named) -> Result<Response, Problem> {
    let model = find(&shared, &hash)?;
    let spec = shared.models[model].model.spec.clone();
    Ok(([(CONTENT_TYPE, OCTETS)], spec).into_response())
}

/// Number of the model that a path names.
pub(crate) fn find(shared: &Shared, hash: &str) -> Result<usize, Problem> {
    let model = from_hex(hash).and_then(|hash| shared.model(&hash));
    model.ok_or_else(|| Problem::new(Code::UnknownModel, "no model has this hash"))
}
