//! The description and the router say the same.

use crate::http::{Call, Reply};
use crate::world::Running;
use cml_serve::OPENAPI;
use serde_json::Value;
use std::sync::OnceLock;

const METHODS: [&str; 7] = ["get", "head", "put", "post", "delete", "patch", "options"];

fn description() -> &'static Value {
    static DESCRIPTION: OnceLock<Value> = OnceLock::new();
    DESCRIPTION.get_or_init(|| serde_json::from_str(OPENAPI).unwrap())
}

/// The path of the description that a request goes to.
fn route(path: &str) -> Option<(&'static String, &'static Value)> {
    let path = path.split('?').next()?;
    let parts: Vec<&str> = path.split('/').collect();
    let matches = |template: &str| {
        let template: Vec<&str> = template.split('/').collect();
        template.len() == parts.len()
            && template
                .iter()
                .zip(&parts)
                .all(|(t, p)| t.starts_with('{') || t == p)
    };
    description()["paths"]
        .as_object()?
        .iter()
        .find(|(template, _)| matches(template))
}

/// Follows a reference within the description.
fn resolve(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => description().pointer(&reference[1..]).expect("dangling"),
        None => value,
    }
}

/// Every answer that a test gets is one of those described.
#[track_caller]
pub(crate) fn check(method: &str, path: &str, reply: &Reply) {
    let described = route(path).map(|(_, entry)| &entry[method.to_lowercase()]);
    let Some(described) = described.filter(|d| !d.is_null()) else {
        assert!(
            [404, 405].contains(&reply.status),
            "{method} {path}: {}",
            reply.status
        );
        return;
    };
    let answer = &described["responses"][reply.status.to_string()];
    assert!(
        !answer.is_null(),
        "{method} {path}: {} is not described",
        reply.status
    );
    let content = &resolve(answer)["content"];
    let Some(kind) = reply.header("content-type") else {
        assert!(content.is_null() && reply.body.is_empty());
        return;
    };
    let kind = kind.split(';').next().unwrap();
    assert!(
        !content[kind].is_null(),
        "{method} {path}: {} of type {kind}",
        reply.status
    );
    if reply.status >= 400 {
        let codes = &description()["components"]["schemas"]["Problem"]["properties"]["code"]["enum"];
        let code = &reply.json()["code"];
        assert!(
            codes.as_array().unwrap().contains(code),
            "{code} is not described"
        );
    }
}

#[test]
fn every_route_is_described_and_every_description_has_a_route() {
    let server = Running::start();
    let paths = description()["paths"].as_object().unwrap();
    for (template, entry) in paths {
        let hash = "0".repeat(64);
        let path = template.replace("{hash}", &hash).replace("{id}", &hash[..32]);
        for method in METHODS {
            let method: &'static str = method.to_uppercase().leak();
            let reply = server.send(&Call::new(method, &path, Vec::new()));
            let is_there =
                reply.status != 405 && !(reply.status == 404 && reply.json()["code"] == "not_found");
            let is_described = !entry[method.to_lowercase()].is_null();
            assert_eq!(is_there, is_described, "{method} {template}: {}", reply.status);
        }
    }
    // The router's own list: the names of routes in the source.
    let source = include_str!("../../src/routes.rs");
    let routes = source
        .split(".route(\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap());
    let mut routes: Vec<&str> = routes.collect();
    routes.sort_unstable();
    let mut described: Vec<&str> = paths.keys().map(String::as_str).collect();
    described.sort_unstable();
    assert_eq!(routes, described);
    server.send(&Call::get("/nowhere")).refused(404, "not_found", "");
    assert_eq!(server.send(&Call::get("/openapi.json")).text(), OPENAPI);
}

#[test]
fn what_no_route_expects_is_refused_as_described() {
    let server = Running::start();
    // No text.
    for (path, status, code) in [
        ("/v1/jobs/%ff", 404, "unknown_job"),
        ("/v1/models/%ff", 404, "unknown_model"),
    ] {
        server.send(&Call::get(path)).refused(status, code, "");
    }
    let call = Call::post("/v1/models/%ff/infer", Vec::new());
    server.send(&call).refused(404, "unknown_model", "");
    for method in ["PUT", "DELETE"] {
        let call = Call::new(method, "/v1/keys/%ff", Vec::new());
        server.send(&call).refused(400, "malformed", "hexadecimal");
    }
    assert!(server.count(r#"cml_refused_total{code="unknown_model"}"#) >= 2.0);
    // An answer without its body.
    for path in ["/healthz", "/v1/models", "/v1/jobs/x"] {
        let reply = server.send(&Call::new("HEAD", path, Vec::new()));
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET")));
        assert!(reply.body.is_empty());
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &'static Value) {
        match value {
            Value::Object(map) => {
                resolve(value);
                map.values().for_each(walk);
            }
            Value::Array(list) => list.iter().for_each(walk),
            _ => {}
        }
    }
    walk(description());
    let words = description().to_string();
    for code in include_str!("../../src/problem.rs").split("=> (\"").skip(1) {
        let word = code.split('"').next().unwrap();
        assert!(words.contains(&format!("\"{word}\"")), "{word} is not described");
    }
}
