//! Networks whose blocks and payments are carried by our own gossip machines.

use synod_lab::settings::Gossip;

use crate::support::{Net, metric, wait};

/// Issue 3: `--gossip mesh` and `flood` carry what gossipsub carries, and what they send is counted by kind.
async fn pays_and_confirms(gossip: Gossip) {
    let net = Net::up(4, |settings| settings.gossip = gossip).await;
    let sent = net.synod_json(&["tx", "send", "--from", "alice", "--to", "bob", "--amount", "3"]);
    let id = sent["id"].as_str().expect("an id").parse().expect("an id");
    net.wait_known(id, 1).await;
    let tip = net.wait_one_tip(5).await;
    assert_eq!(tip.supply, Some(tip.supply_scheduled));
    for place in 0..4 {
        let url = format!("http://{}", net.client_address(place));
        for kind in ["push_block", "push_payment"] {
            let passed = metric(&url, "synod_messages_", &format!("kind=\"{kind}\"")).await;
            assert!(passed > 0.0, "peer {place} neither sent nor received a {kind}");
        }
        assert_eq!(metric(&url, "libp2p_gossip_", "").await, 0.0, "gossipsub is off");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_whose_gossip_is_our_mesh_pays_and_confirms() {
    pays_and_confirms(Gossip::Mesh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_whose_gossip_is_flooding_pays_and_confirms() {
    pays_and_confirms(Gossip::Flood).await;
}

/// What gossipsub sends is counted by libp2p itself.
#[tokio::test(flavor = "multi_thread")]
async fn what_gossipsub_sends_is_counted_by_topic() {
    let net = Net::up(3, |_| {}).await;
    net.wait_one_tip(3).await;
    let url = format!("http://{}", net.client_address(0));
    wait("blocks to be sent", async || {
        metric(&url, "libp2p_gossip_topic_msg_sent_counts_total", "blocks").await
            + metric(&url, "libp2p_gossip_topic_msg_recv_counts_unfiltered_total", "blocks").await
            > 0.0
    })
    .await;
    assert_eq!(metric(&url, "synod_messages_", "kind=\"push").await, 0.0, "no machine of ours gossips");
}
