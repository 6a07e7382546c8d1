//! Every refusal is one JSON shape, whoever found the error.

use axum::body::Body;

use crate::api::testing::{ALICE, Disk, Node, address, app, call, code, coin, pay, submit_body};
use crate::api::{BATCH_BYTES_MAX, BODY_BYTES_MAX};

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn what_the_router_refuses_has_the_shape_of_every_error() {
    let node = Node::start();
    let cases = [
        ("GET", "/v2", "", None, 404, "not_found"),
        ("GET", "/v1/transactions/", "", None, 404, "not_found"),
        ("DELETE", "/v1/status", "", None, 405, "method_not_allowed"),
        ("GET", "/v1/transactions", "", None, 405, "method_not_allowed"),
        ("GET", "/v1/chain?limit=x", "", None, 400, "bad_request"),
        ("GET", "/v1/chain?limit=-1", "", None, 400, "bad_request"),
        ("GET", "/v1/blocks/0x10", "", None, 400, "bad_request"),
        ("GET", "/v1/blocks/%ff", "", None, 400, "bad_request"),
        ("GET", "/v1/transactions/abc", "", None, 400, "bad_request"),
        ("GET", "/v1/addresses/syn1qqqq", "", None, 400, "bad_request"),
        ("POST", "/v1/transactions", "{}", None, 415, "unsupported_media_type"),
        ("POST", "/v1/transactions", "{", Some(JSON), 400, "bad_request"),
        ("POST", "/v1/transactions", "{}", Some(JSON), 422, "invalid_body"),
        ("POST", "/v1/transactions", r#"{"transaction":"00","to":"x"}"#, Some(JSON), 422, "invalid_body"),
        ("PUT", "/v1/faults", r#"{"cuts":[]}"#, Some(JSON), 422, "invalid_body"),
    ];
    for (method, path, body, header, status, expected) in cases {
        let (got, _, body) = node.raw(method, path, body, header.as_slice()).await;
        assert_eq!((got.as_u16(), code(&body)), (status, expected), "{method} {path}: {body}");
    }
}

#[tokio::test]
async fn a_body_may_be_as_long_as_the_limit_and_no_longer() {
    let node = Node::start();
    for (path, limit) in [("/v1/transactions", BODY_BYTES_MAX), ("/v1/transactions/batch", BATCH_BYTES_MAX)] {
        let short = r#"{"transaction":7}"#;
        let body = |len: usize| short.to_owned() + &" ".repeat(len - short.len());
        let (status, _, answer) = node.raw("POST", path, body(limit), &[JSON]).await;
        assert_eq!(status.as_u16(), 422, "{path}: {answer}");
        let (status, _, answer) = node.raw("POST", path, body(limit + 1), &[JSON]).await;
        assert_eq!((status.as_u16(), code(&answer)), (413, "body_too_large"), "{path}");
    }
}

#[tokio::test]
async fn a_node_that_stopped_says_so_on_every_route_that_asks_it() {
    let mut node = Node::start();
    node.stop_engine();
    let id = "00".repeat(32);
    let paths = [
        "/health",
        "/metrics",
        &format!("/v1/addresses/{}", address(ALICE)),
        "/v1/blocks/0",
        "/v1/chain",
        "/v1/faults",
        "/v1/mempool",
        "/v1/peers",
        "/v1/status",
        "/v1/tree",
        &format!("/v1/transactions/{id}"),
    ];
    for path in paths {
        let (status, body) = node.get(path).await;
        assert_eq!((status.as_u16(), code(&body)), (503, "stopping"), "{path}");
    }
    let (status, body) = node.submit(&pay(ALICE, coin(ALICE, 0), 10)).await;
    assert_eq!((status.as_u16(), code(&body)), (503, "stopping"));
}

#[tokio::test]
async fn a_submit_that_the_node_took_but_did_not_answer_has_an_unknown_result() {
    let disk = std::sync::Arc::new(Disk::default());
    // The request is taken and its reply dropped, as when the engine ends after the payment reached the disk.
    let handle = crate::handle::NodeHandle::new(|_| Ok(()), disk);
    let (app, _stop) = app(handle);
    let body = submit_body(&pay(ALICE, coin(ALICE, 0), 10)).to_string();
    let (status, _, body) = call(&app, "POST", "/v1/transactions", Body::from(body), &[JSON]).await;
    assert_eq!((status.as_u16(), code(&body)), (503, "unknown_result"));
}
