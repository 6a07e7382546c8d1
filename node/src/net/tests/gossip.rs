//! Gossip and its verdicts.

use super::*;

/// Three nodes in a line: the ends refuse each other, or look-ups would connect them.
async fn line(signed: bool) -> [Node; 3] {
    let config = |bootstrap: &[&Node]| NetConfig { gossip_signed: signed, ..config(bootstrap) };
    let left = Node::with(config(&[])).await;
    let middle = Node::with(config(&[&left])).await;
    let mut right = Node::with(config(&[])).await;
    left.tell(NetCommand::Ban { peer: right.peer() }).await;
    right.tell(NetCommand::Ban { peer: left.peer() }).await;
    right.dial(&middle).await;
    right.wait_up(middle.peer()).await;
    [left, middle, right]
}

async fn gossip_waits_for_the_verdict(signed: bool) {
    let [left, mut middle, mut right] = line(signed).await;
    for bytes in [&b"first"[..], b"second", b"third"] {
        left.tell(NetCommand::Publish { topic: Topic::Transactions, bytes: bytes.to_vec() }).await;
    }
    let mut messages = BTreeMap::new();
    for _ in 0..3 {
        let (id, source, bytes) = middle.wait_gossip().await;
        assert_eq!(source, left.peer());
        messages.insert(bytes, id);
    }
    for (bytes, acceptance) in [
        (&b"second"[..], MessageAcceptance::Ignore),
        (b"third", MessageAcceptance::Accept),
        // The first message has waited longest, and comes last.
        (b"first", MessageAcceptance::Accept),
    ] {
        let id = messages.remove(bytes).expect("it came");
        let is_accepted = matches!(acceptance, MessageAcceptance::Accept);
        middle.tell(NetCommand::Verdict { id, source: left.peer(), acceptance }).await;
        if is_accepted {
            let (_, source, heard) = right.wait_gossip().await;
            assert_eq!(source, middle.peer());
            assert_eq!(heard, bytes);
        }
    }
}

#[tokio::test]
async fn signed_gossip_is_forwarded_only_when_it_is_accepted() {
    gossip_waits_for_the_verdict(true).await;
}

#[tokio::test]
async fn anonymous_gossip_is_forwarded_only_when_it_is_accepted() {
    gossip_waits_for_the_verdict(false).await;
}

#[tokio::test]
async fn each_topic_has_its_own_limit_up_to_the_last_byte() {
    let (first, mut second) = pair().await;
    for (topic, len) in [(Topic::Blocks, 200_000), (Topic::Transactions, 1_000)] {
        first.tell(NetCommand::Publish { topic, bytes: vec![1; len + 1] }).await;
        first.tell(NetCommand::Publish { topic, bytes: vec![2; len] }).await;
        let (_, _, bytes) = second.wait_gossip().await;
        assert_eq!(bytes, vec![2; len], "the longer one is not published");
    }
}

#[tokio::test]
async fn what_is_published_alone_is_heard_by_the_first_to_come() {
    let first = Node::new(&[]).await;
    first.tell(NetCommand::Publish { topic: Topic::Blocks, bytes: b"anybody there".to_vec() }).await;
    let mut second = Node::new(&[&first]).await;
    assert_eq!(second.wait_gossip().await.2, b"anybody there");
}
