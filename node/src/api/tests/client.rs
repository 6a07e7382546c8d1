//! The typed client against the API on a real socket.

use std::net::SocketAddr;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::api::client::{Client, ClientError};
use crate::api::testing::{ALICE, BOB, NEIGHBOUR, Node, address, chain, coin, pay};
use crate::api::types::{
    AddressQuery, ApiEvent, BlockRef, ChainQuery, Faults, MempoolQuery, Shape, TransactionStatus, TreeQuery,
};
use synod_ledger::{Amount, Height};

struct Served {
    node: Node,
    client: Client,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

async fn serve() -> Served {
    let node = Node::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let client = Client::new(&listener.local_addr().expect("bound").to_string());
    let (stop, stopped) = oneshot::channel();
    let stop_signal = async {
        let _ = stopped.await;
    };
    let server = tokio::spawn(crate::api::serve(listener, node.handle.clone(), Registry::default(), stop_signal));
    Served { node, client, stop, server }
}

#[tokio::test]
async fn every_route_has_a_method_that_reads_its_answer() {
    let Served { node, client, stop, server } = serve().await;
    let mut events = client.events().await.expect("a stream");
    let txs: Vec<_> = (0..3).map(|place| pay(ALICE, coin(ALICE, place), 10)).collect();
    assert_eq!(client.submit(&txs[0]).await.map(|submitted| submitted.id), Ok(txs[0].id()));
    let rival = pay(ALICE, coin(ALICE, 0), 11);
    let results = client.submit_batch(&[txs[1].clone(), rival, txs[2].clone()]).await.expect("an answer");
    assert_eq!((results[0].as_ref(), results[2].as_ref()), (Ok(&txs[1].id()), Ok(&txs[2].id())));
    assert_eq!(results[1].as_ref().map_err(|error| error.code.as_str()), Err("tx_conflict"));
    assert_eq!(events.next().await, Ok(Some(ApiEvent::Transaction { id: txs[0].id() })));

    assert_eq!(client.mempool(MempoolQuery::default()).await.map(|mempool| mempool.payments), Ok(3));
    let tip = node.mine().await;
    assert!(client.health().await.is_ok_and(|health| health.settled));
    assert_eq!(client.status().await.map(|status| status.tip), Ok(tip));
    assert_eq!(client.peers().await.map(|peers| peers.len()), Ok(1));
    let query = ChainQuery { before: None, limit: Some(1) };
    assert_eq!(client.chain(query).await.map(|blocks| blocks[0].id), Ok(tip));
    assert_eq!(client.tree(TreeQuery { depth: Some(1) }).await.map(|nodes| nodes[0].id), Ok(tip));
    let block = client.block(BlockRef::Height(Height(1))).await.expect("a block");
    assert_eq!(block.transactions.len(), 3);
    assert_eq!(client.block(BlockRef::Id(tip)).await, Ok(block));
    let info = client.transaction(txs[0].id()).await.expect("a transaction");
    assert_eq!(info.status, TransactionStatus::Confirmed);
    let bob = client.address(address(BOB), AddressQuery { coins: Some(0) }).await.expect("an address");
    assert_eq!((bob.balance, bob.coins.len()), (Amount(1_030), 0));
    let shape = Shape { delay_ms: 5, ..Shape::default() };
    let faults = Faults { links: [(NEIGHBOUR.to_owned(), shape)].into(), ..Faults::default() };
    assert_eq!(client.set_faults(&faults).await.as_ref(), Ok(&faults));
    assert_eq!(client.faults().await, Ok(faults));
    assert!(client.metrics().await.is_ok_and(|text| text.contains("synod_chain_height 1")));
    assert!(client.openapi().await.is_ok_and(|document| document["paths"].is_object()));

    let unknown = client.transaction(synod_ledger::TxId(chain().id().0)).await;
    let Err(ClientError::Api(error)) = unknown else { panic!("{unknown:?}") };
    assert_eq!((error.status, error.code.as_str(), error.hint.is_some()), (404, "unknown_transaction", true));

    // The open stream of events does not hold up the end.
    stop.send(()).expect("the server runs");
    let ended = tokio::time::timeout(Duration::from_secs(20), server).await.expect("it ends in time");
    ended.expect("the server does not panic").expect("the server does not fail");
    while events.next().await.expect("a clean end").is_some() {}
    assert!(matches!(client.status().await, Err(ClientError::Unreachable { .. })));
}

/// A server that reads one request and answers with `answer`, whatever it is.
async fn answering(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a caller");
        let mut request = [0; 4_096];
        let read = stream.read(&mut request).await.expect("a request");
        assert!(read > 0, "a request came");
        stream.write_all(answer.as_bytes()).await.expect("the caller reads");
    });
    address
}

#[tokio::test]
async fn a_client_tells_refused_unsent_and_unknown_apart() {
    let tx = pay(ALICE, coin(ALICE, 0), 10);
    // Bound and dropped, so that nobody listens there.
    let nobody = TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr()).expect("a port");
    let error = Client::new(&nobody.to_string()).submit(&tx).await.expect_err("nobody is there");
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert!(!error.leaves_result_unknown());

    let cut_off = answering("HTTP/1.1 202 Accepted\r\ncontent-length: 100\r\n\r\n{").await;
    let error = Client::new(&cut_off.to_string()).submit(&tx).await.expect_err("the answer is not whole");
    assert!(matches!(error, ClientError::Unanswered { .. }), "{error:?}");
    assert!(error.leaves_result_unknown());

    let silent = answering("").await;
    let error = Client::new(&silent.to_string()).submit(&tx).await.expect_err("there is no answer");
    assert!(matches!(error, ClientError::Unanswered { .. }), "{error:?}");

    let other = answering("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno").await;
    let error = Client::new(&format!("http://{other}/")).submit(&tx).await.expect_err("it is something else");
    assert!(matches!(error, ClientError::Protocol { .. }), "{error:?}");

    let unknown = "{\"error\":{\"code\":\"unknown_result\",\"message\":\"stopped\"}}";
    let answer = format!("HTTP/1.1 503 Service Unavailable\r\ncontent-length: {}\r\n\r\n{unknown}", unknown.len());
    let stopped = answering(answer.leak()).await;
    let error = Client::new(&stopped.to_string()).submit(&tx).await.expect_err("the node stopped");
    assert!(matches!(&error, ClientError::Api(error) if error.status == 503), "{error:?}");
    assert!(error.leaves_result_unknown());
}

#[tokio::test]
async fn a_client_gives_up_on_a_server_that_stays_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let client = Client::with_timeout(&address, Duration::from_millis(50));
    let error = client.status().await.expect_err("nobody answers");
    assert_eq!(error.to_string(), format!("no answer from http://{address}/v1/status: timed out"));
    assert!(error.leaves_result_unknown());
}

#[tokio::test]
async fn an_event_stream_that_is_none_is_refused() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let cases = [
        (
            ": keep-alive\n\nevent: peer\r\ndata: {\"event\":\"peer\",\r\ndata: \"peer_id\":\"p\",\"up\":false}\r\n\r\n",
            true,
        ),
        ("data: {\"event\":\"tip\"}\n\n", false),
        ("data: no json\n\n", false),
    ];
    for (text, good) in cases {
        let address = answering(format!("{head}{text}").leak()).await;
        let mut events = Client::new(&address.to_string()).events().await.expect("a stream");
        let first = events.next().await;
        if good {
            assert_eq!(first, Ok(Some(ApiEvent::Peer { peer_id: "p".to_owned(), up: false })));
            assert_eq!(events.next().await, Ok(None));
        } else {
            assert!(matches!(first, Err(ClientError::Protocol { .. })), "{text}: {first:?}");
        }
    }
}
