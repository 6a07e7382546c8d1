//! Counters out of a peer's `/metrics` page.

use std::collections::BTreeMap;

use synod_machine::Count;

use super::figures::{GOSSIPSUB_BLOCK, GOSSIPSUB_PAYMENT, Sample};

/// Adds what a peer's page counts to a sample of all peers.
pub(super) fn add(page: &str, sample: &mut Sample) {
    let mut wire_bytes = 0;
    for (name, labels, value) in page.lines().filter_map(counter) {
        let label = |key: &str| labels.get(key).copied().unwrap_or_default();
        match name {
            "synod_messages_sent_total" => count(sample, label("kind")).messages += value,
            "synod_messages_sent_bytes_total" => count(sample, label("kind")).bytes += value,
            "synod_submits_total" if label("result") == "accepted" => sample.payments += value,
            "libp2p_gossip_topic_msg_sent_counts_total" => {
                count(sample, gossipsub_kind(label("hash"))).messages += value;
            }
            "libp2p_gossip_topic_msg_sent_bytes_total" => {
                count(sample, gossipsub_kind(label("topic_hash"))).bytes += value;
            }
            // Of its other messages libp2p counts the ids that were asked for, and IDONTWANTs where they arrive.
            "libp2p_gossip_topic_iwant_msgs_total" => count(sample, "gossipsub_iwant_ids").messages += value,
            "libp2p_gossip_idontwant_msgs_total" => count(sample, "gossipsub_idontwant").messages += value,
            "synod_signatures_checked_total" => sample.signatures.checked += value,
            "synod_signatures_made_total" => sample.signatures.made += value,
            "libp2p_bandwidth_bytes_total" if label("direction") == "Outbound" => wire_bytes += value,
            _ => {}
        }
    }
    *sample.wire_bytes.get_or_insert_default() += wire_bytes;
}

/// All messages that a peer's page says it sent, and their bytes.
pub(crate) fn sent(page: &str) -> Count {
    let mut sample = Sample::default();
    add(page, &mut sample);
    sample.sent.values().fold(Count::default(), |sum, count| Count {
        messages: sum.messages + count.messages,
        bytes: sum.bytes + count.bytes,
    })
}

fn count<'a>(sample: &'a mut Sample, kind: &str) -> &'a mut Count {
    sample.sent.entry(kind.to_owned()).or_default()
}

/// What a topic of ours carries.
fn gossipsub_kind(topic: &str) -> &'static str {
    if topic.ends_with("/blocks") { GOSSIPSUB_BLOCK } else { GOSSIPSUB_PAYMENT }
}

/// A line with a whole number: its name, labels and value.
fn counter(line: &str) -> Option<(&str, BTreeMap<&str, &str>, u64)> {
    let (head, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let (name, labels) = head.split_once('{').unwrap_or((head, ""));
    // None of the labels that are looked for holds a comma or a quotation mark.
    let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
    Some((name, labels.map(|(key, value)| (key, value.trim_matches('"'))).collect(), value))
}

#[cfg(test)]
mod tests {
    use synod_ledger::SignatureCount;

    use super::*;

    #[test]
    fn counters_of_all_peers_add_up_by_kind() {
        let page = "# HELP synod_messages_sent Messages sent, by kind\n\
            synod_messages_sent_total{kind=\"push_block\"} 7\n\
            synod_messages_sent_bytes_total{kind=\"push_block\"} 700\n\
            synod_messages_received_total{kind=\"push_block\"} 9\n\
            synod_submits_total{result=\"accepted\"} 3\n\
            synod_submits_total{result=\"tx_conflict\"} 2\n\
            synod_signatures_made_total 5\n\
            synod_signatures_checked_total 11\n\
            libp2p_gossip_topic_msg_sent_counts_total{hash=\"/synod/ab/blocks\"} 4\n\
            libp2p_gossip_topic_msg_sent_bytes_total{partial=\"false\",topic_hash=\"/synod/ab/tx\"} 50\n\
            libp2p_gossip_topic_iwant_msgs_total{hash=\"/synod/ab/tx\"} 6\n\
            libp2p_gossip_idontwant_msgs_total 8\n\
            libp2p_bandwidth_bytes_total{protocols=\"/ip4/tcp\",direction=\"Outbound\"} 1000\n\
            libp2p_bandwidth_bytes_total{protocols=\"/ip4/tcp\",direction=\"Inbound\"} 2000\n\
            synod_hash_rate 1.5\n# EOF\n";
        let mut sample = Sample::default();
        add(page, &mut sample);
        add(page, &mut sample);
        assert_eq!(sample.payments, 6);
        assert_eq!(sample.wire_bytes, Some(2_000));
        assert_eq!(sample.signatures, SignatureCount { made: 10, checked: 22 });
        let expected = [
            ("gossipsub_block", Count { messages: 8, bytes: 0 }),
            ("gossipsub_idontwant", Count { messages: 16, bytes: 0 }),
            ("gossipsub_iwant_ids", Count { messages: 12, bytes: 0 }),
            ("gossipsub_payment", Count { messages: 0, bytes: 100 }),
            ("push_block", Count { messages: 14, bytes: 1_400 }),
        ];
        let sent: Vec<(&str, Count)> = sample.sent.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
        assert_eq!(sent, expected);
    }
}
