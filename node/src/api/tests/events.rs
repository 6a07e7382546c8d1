//! Server-sent events and metrics.

use std::time::Duration;

use axum::body::Body;
use futures::StreamExt;
use tokio::sync::watch;

use crate::api::testing::{ALICE, NEIGHBOUR, Node, call, coin, pay};
use crate::api::types::ApiEvent;
use crate::handle::{EVENTS_MAX, NodeHandle};

/// The next event's text, without its empty line.
async fn next(stream: &mut (impl StreamExt<Item = Result<axum::body::Bytes, axum::Error>> + Unpin)) -> Option<String> {
    let wait = tokio::time::timeout(Duration::from_secs(20), stream.next());
    let bytes = wait.await.expect("an event in time")?.expect("a whole piece");
    Some(String::from_utf8(bytes.to_vec()).expect("text").trim_end().to_owned())
}

#[tokio::test]
async fn events_name_what_happened_and_carry_it_as_json() {
    let node = Node::start();
    let response = node.response("/v1/events").await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut stream = response.into_body().into_data_stream();
    let (tx, rival) = (pay(ALICE, coin(ALICE, 0), 30), pay(ALICE, coin(ALICE, 0), 31));
    node.submit(&tx).await;
    node.submit(&rival).await;
    let tip = node.mine().await;
    let (id, seen, owned) = (tx.id(), rival.id(), coin(ALICE, 0).0);
    let (coin_tx, coin_index) = (owned.tx, owned.index);
    let expected = [
        format!("event: transaction\ndata: {{\"event\":\"transaction\",\"id\":\"{id}\"}}"),
        format!(
            "event: conflict\ndata: {{\"event\":\"conflict\",\"coin\":{{\"tx\":\"{coin_tx}\",\"index\":{coin_index}}},\
             \"kept\":\"{id}\",\"seen\":\"{seen}\"}}"
        ),
        format!("event: tip\ndata: {{\"event\":\"tip\",\"id\":\"{tip}\",\"height\":1,\"reorg_depth\":0}}"),
    ];
    for expected in expected {
        assert_eq!(next(&mut stream).await, Some(expected));
    }
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_told_how_much_it_missed() {
    let node = Node::start();
    let mut stream = node.response("/v1/events").await.into_body().into_data_stream();
    let peer = |number: usize| ApiEvent::Peer { peer_id: number.to_string(), up: true };
    for number in 0..EVENTS_MAX + 3 {
        node.handle.publish(peer(number));
    }
    assert_eq!(next(&mut stream).await.as_deref(), Some("event: lagged\ndata: {\"event\":\"lagged\",\"missed\":3}"));
    let oldest = "event: peer\ndata: {\"event\":\"peer\",\"peer_id\":\"3\",\"up\":true}";
    assert_eq!(next(&mut stream).await.as_deref(), Some(oldest));
}

#[tokio::test]
async fn a_stream_of_events_ends_when_the_node_stops() {
    let node = Node::start();
    let (stop, stopped) = watch::channel(false);
    let handle: NodeHandle = node.handle.clone();
    let app = crate::api::router(handle, prometheus_client::registry::Registry::default(), stopped);
    let reading = tokio::spawn(async move { call(&app, "GET", "/v1/events", Body::empty(), &[]).await });
    stop.send_replace(true);
    let ended = tokio::time::timeout(Duration::from_secs(20), reading).await;
    let (status, _, _) = ended.expect("it ends in time").expect("it does not panic");
    assert_eq!(status.as_u16(), 200);
}

#[tokio::test]
async fn metrics_show_chain_mempool_store_and_process_and_name_nobody() {
    let node = Node::start();
    node.submit(&pay(ALICE, coin(ALICE, 0), 30)).await;
    node.mine().await;
    let tx = pay(ALICE, coin(ALICE, 1), 30);
    node.submit(&tx).await;
    let response = node.response("/metrics").await;
    let content_type = response.headers()["content-type"].to_str().expect("text").to_owned();
    assert!(content_type.starts_with("application/openmetrics-text"), "{content_type}");
    let text = node.get("/metrics").await.1.as_str().expect("text").to_owned();
    let bytes = format!("synod_mempool_bytes {}", tx.len());
    let lines = [
        "synod_chain_height 1",
        "synod_chain_header_height 1",
        "synod_chain_settled 1",
        "synod_chain_supply_units 2050",
        "synod_mempool_payments 1",
        &bytes,
        "synod_mempool_conflicts 0",
        "synod_hashes_total 99",
        "synod_hash_rate 12.5",
        "synod_peers 1",
        "synod_steps_total 3",
        "synod_store_file_bytes 4096",
        "synod_submits_total{result=\"accepted\"} 2",
        "# TYPE synod_messages_sent_bytes counter",
        "# TYPE synod_rejects counter",
    ];
    for line in lines {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains(NEIGHBOUR), "no peer id");
    assert!(!text.contains(&tx.id().to_string()), "no hash");
}
