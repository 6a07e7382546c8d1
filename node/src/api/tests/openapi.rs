//! The router and the OpenAPI document say the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::api::openapi::DOCUMENT;
use crate::api::routes;
use crate::api::testing::{Node, code};

fn document() -> Value {
    serde_json::to_value(&*DOCUMENT).expect("the document is JSON")
}

#[tokio::test]
async fn every_route_and_method_is_in_the_document_and_no_other() {
    let node = Node::start();
    let mut served = BTreeMap::new();
    for (path, _) in routes() {
        // No route takes TRACE, so each answers with the methods that it does take.
        let url = path.replace(['{', '}'], "");
        let (status, headers, body) = node.raw("TRACE", &url, "", &[]).await;
        assert_eq!((status.as_u16(), code(&body)), (405, "method_not_allowed"), "{path}");
        let allow = headers["allow"].to_str().expect("text").to_lowercase();
        let methods: BTreeSet<String> =
            allow.split(',').filter(|method| *method != "head").map(str::to_owned).collect();
        served.insert(path.to_owned(), methods);
    }
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    let described = paths.iter().map(|(path, item)| {
        let methods = item.as_object().expect("methods").keys().cloned();
        (path.clone(), methods.collect::<BTreeSet<_>>())
    });
    assert_eq!(served, described.collect());
}

#[test]
fn every_reference_of_the_document_leads_to_a_schema() {
    fn visit(value: &Value, references: &mut BTreeSet<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| visit(item, references)),
            Value::Object(fields) => {
                references.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|field| visit(field, references));
            }
            _ => {}
        }
    }
    let document = document();
    let mut references = BTreeSet::new();
    visit(&document, &mut references);
    assert!(references.len() > 20, "the types are described: {references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("a reference within the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let node = Node::start();
    let served: Value = node.read("/openapi.json").await;
    assert_eq!(served, document());
}
