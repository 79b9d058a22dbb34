//! The document: it says what there is, and there is what it says.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::people::Club;
use crate::site::{Database, Site};

#[test]
fn the_program_prints_what_it_serves() {
    let club = Club::open(Database::Sqlite);
    let served = club.anonymous().get("/openapi.json");
    assert_eq!(served.header("content-type"), "application/json");
    let printed: Value = serde_json::from_str(&club.site.run("openapi")).unwrap();
    assert_eq!(served.json(), printed);
}

/// The router and the document come from the same list; this holds them together all the same.
#[test]
fn every_operation_has_a_route_and_says_what_can_go_wrong() {
    let club = Club::open(Database::Sqlite);
    let anonymous = club.anonymous();
    let document = anonymous.get("/openapi.json").json();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(
            path.ends_with('/') || path.contains('.') || path.starts_with("/torznab"),
            "{path}"
        );
        let address = path
            .replace("{hash}", &"0".repeat(40))
            .replace(['{', '}'], "");
        for (method, operation) in item.as_object().unwrap() {
            let answer = anonymous.call(&method.to_uppercase(), &address, &[], Vec::new());
            let is_no_route = answer.text.contains("There is nothing here") && !path.contains('{');
            assert!(
                answer.status != 405 && !is_no_route,
                "{method} {path}: {answer:?}"
            );
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            assert!(
                operation["summary"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{id}"
            );
            let responses = operation["responses"].as_object().unwrap();
            let is_open = operation["security"][0]
                .as_object()
                .is_some_and(|needs| needs.is_empty());
            assert_eq!(
                !is_open,
                answer.status == 401,
                "{method} {path}: {answer:?}"
            );
            assert!(
                responses.contains_key("500") && responses.contains_key("429"),
                "{id}"
            );
            assert!(is_open || responses.contains_key("401"), "{id}");
        }
    }
    assert!(ids.len() >= 15, "{ids:?}");
}

#[test]
fn the_document_needs_no_site() {
    let site = Site::new(Database::Sqlite);
    let printed: Value = serde_json::from_str(&site.run("openapi")).unwrap();
    assert!(printed["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(!site.path().join("data").exists());
}

#[test]
fn the_pages_are_served_from_here() {
    let club = Club::open(Database::Sqlite);
    let anonymous = club.anonymous();
    let swagger = anonymous.get("/swagger/");
    assert_eq!(swagger.status, 200);
    assert!(swagger.header("content-type").starts_with("text/html"));
    for file in [
        "swagger-ui.css",
        "swagger-ui-bundle.js",
        "swagger-initializer.js",
    ] {
        let answer = anonymous.get(&format!("/swagger/{file}"));
        assert_eq!(answer.status, 200, "{file}");
        assert!(!answer.text.is_empty());
    }
    anonymous
        .get("/swagger/nothing.js")
        .is_problem(404, "not-found");
    let redoc = anonymous.get("/redoc/");
    assert_eq!(redoc.status, 200);
    assert!(redoc.text.contains("/openapi.json") && !redoc.text.contains("cdn.redoc.ly"));
}
