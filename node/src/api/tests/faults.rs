//! Links can be broken through the API where the node's config lets it.

use serde_json::json;

use crate::api::testing::{NEIGHBOUR, Node, code, node_info};
use crate::handle::NodeInfo;

#[tokio::test]
async fn faults_are_set_as_a_whole_shown_and_healed() {
    let node = Node::start();
    let none = json!({
        "cut": [],
        "default": { "delay_ms": 0, "jitter_ms": 0, "loss": 0.0, "bandwidth_bytes_per_s": 0 },
        "links": {},
        "resting": false
    });
    assert_eq!(node.get("/v1/faults").await.1, none);
    let wanted = json!({
        "cut": [NEIGHBOUR],
        "default": { "delay_ms": 50, "jitter_ms": 5, "loss": 0.25, "bandwidth_bytes_per_s": 1_000 },
        "links": { NEIGHBOUR: { "delay_ms": 3_600_000, "jitter_ms": 0, "loss": 1.0, "bandwidth_bytes_per_s": 0 } },
        "resting": true
    });
    let (status, body) = node.send("PUT", "/v1/faults", &wanted).await;
    assert_eq!((status.as_u16(), &body), (200, &wanted));
    assert_eq!(node.get("/v1/faults").await.1, wanted);
    assert_eq!(node.send("PUT", "/v1/faults", &json!({})).await.1, none);
    assert_eq!(node.get("/v1/faults").await.1, none);
}

#[tokio::test]
async fn impossible_faults_are_refused_and_change_nothing() {
    let node = Node::start();
    let impossible = [
        json!({ "cut": ["peer1"] }),
        json!({ "links": { "peer1": {} } }),
        json!({ "default": { "loss": 1.01 } }),
        json!({ "default": { "loss": -0.01 } }),
        json!({ "default": { "delay_ms": 3_600_001 } }),
        json!({ "links": { NEIGHBOUR: { "jitter_ms": 3_600_001 } } }),
    ];
    for faults in impossible {
        let (status, body) = node.send("PUT", "/v1/faults", &faults).await;
        assert_eq!((status.as_u16(), code(&body)), (422, "invalid_faults"), "{faults}");
    }
    assert_eq!(node.get("/v1/faults").await.1["cut"], json!([]));
}

#[tokio::test]
async fn a_node_that_does_not_allow_faults_says_which_setting_would() {
    let node = Node::start_as(NodeInfo { faults_allowed: false, ..node_info() });
    let (status, body) = node.send("PUT", "/v1/faults", &json!({})).await;
    assert_eq!((status.as_u16(), code(&body)), (403, "faults_forbidden"));
    assert!(body["error"]["hint"].as_str().is_some_and(|hint| hint.contains("faults = true")), "{body}");
    assert_eq!(node.get("/v1/faults").await.0.as_u16(), 200);
}

#[tokio::test]
async fn a_node_without_tcp_can_be_cut_and_not_shaped() {
    let listen = vec![format!("/ip4/127.0.0.1/udp/4001/quic-v1/p2p/{NEIGHBOUR}")];
    let node = Node::start_as(NodeInfo { listen, ..node_info() });
    for shaped in [json!({ "default": { "delay_ms": 1 } }), json!({ "links": { NEIGHBOUR: { "loss": 0.1 } } })] {
        let (status, body) = node.send("PUT", "/v1/faults", &shaped).await;
        assert_eq!((status.as_u16(), code(&body)), (422, "faults_need_tcp"), "{shaped}");
    }
    assert_eq!(node.send("PUT", "/v1/faults", &json!({ "cut": [NEIGHBOUR] })).await.0.as_u16(), 200);
}
