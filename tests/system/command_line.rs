//! The main job as a person types it.

use serde_json::Value;

use crate::support::{Net, json, synod_in};

/// Issue 2, 2: what is paid is the same on every peer, to the last unit, and no money comes from nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn up_pay_and_down() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = folder.path().join("net");
    let _guard = DownAtEnd(dir.clone());
    let up = ["up", "--nodes", "5", "--block-time", "1s", "--detach", "--json"];
    json(&up, &synod_in(&dir, &up));

    let send = ["tx", "send", "--from", "alice", "--to", "bob", "--amount", "12.5", "--wait", "3", "--json"];
    let sent = json(&send, &synod_in(&dir, &send));
    let id = sent["id"].as_str().expect("an id").to_owned();

    let balance = ["wallet", "balance", "bob", "--all", "--json"];
    let balances = json(&balance, &synod_in(&dir, &balance));
    let amounts: Vec<u64> = find_all(&balances, "balance");
    assert_eq!(amounts.len(), 5, "{balances}");
    assert!(amounts.iter().all(|&amount| amount == (1_000 + 12) * 100_000_000 + 50_000_000), "{balances}");

    let status = ["status", "--json"];
    let status = json(&status, &synod_in(&dir, &status));
    let supplies: Vec<u64> = find_all(&status, "supply");
    let heights: Vec<u64> = find_all(&status, "height");
    assert!(supplies.len() >= 5, "{status}");
    for (supply, height) in supplies.iter().zip(&heights) {
        assert_eq!(*supply, (5 * 1_000 + 50 * height) * 100_000_000, "genesis plus subsidies: {status}");
    }

    let show = ["tx", "show", &id, "--json"];
    let shown = json(&show, &synod_in(&dir, &show));
    assert_eq!(shown["status"], "confirmed", "{shown}");

    // A second `up` in the same directory finds the network running and says so.
    let again = synod_in(&dir, &["up", "--detach", "--json"]);
    assert_eq!(again.status.code(), Some(4), "{again:?}");
    json(&["down"], &synod_in(&dir, &["down", "--json"]));

    // And once it is down, goes on with the same chain.
    json(&["up"], &synod_in(&dir, &["up", "--detach", "--json"]));
    let shown = json(&show, &synod_in(&dir, &show));
    assert_eq!(shown["status"], "confirmed", "{shown}");
    json(&["down"], &synod_in(&dir, &["down", "--json"]));
}

/// Issue 2, 5: wrong flags, names and amounts each have their exit code and one JSON object with code, message, hint.
#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_on_the_command_line_has_its_exit_code_and_one_json_object() {
    let net = Net::up(2, |_| {}).await;
    let table: [(&[&str], i32); 8] = [
        (&["tx", "send", "--from", "alice", "--to", "bob", "--amount", "1", "--nonsense"], 2),
        (&["tx", "send", "--from", "alice", "--to", "bob", "--amount", "minus one"], 2),
        (&["tx", "send", "--from", "nobody", "--to", "bob", "--amount", "1"], 7),
        (&["tx", "send", "--from", "alice", "--to", "bob", "--amount", "20000000"], 7),
        (&["wallet", "new", "alice"], 7),
        (&["up", "--nodes", "9", "--detach"], 3),
        (&["logs", "peer77"], 2),
        (&["fault", "kill", "peer77"], 2),
    ];
    for (words, exit) in table {
        let output = net.synod(&[words, &["--json"]].concat());
        let text = [output.stdout.clone(), output.stderr.clone()].concat();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(output.status.code(), Some(exit), "{words:?}: {text}");
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?} ({error}): {text}"));
        assert!(value["error"]["code"].is_string(), "{words:?}: {value}");
        assert!(value["error"]["message"].is_string(), "{words:?}: {value}");
    }
}

/// Every number under a key of that name, in order.
fn find_all(value: &Value, name: &str) -> Vec<u64> {
    let mut found = Vec::new();
    collect(value, name, &mut found);
    found
}

fn collect(value: &Value, name: &str, found: &mut Vec<u64>) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                match field.as_u64() {
                    Some(number) if key == name => found.push(number),
                    _ => collect(field, name, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, name, found)),
        _ => {}
    }
}

struct DownAtEnd(std::path::PathBuf);

impl Drop for DownAtEnd {
    fn drop(&mut self) {
        synod_in(&self.0, &["down"]);
    }
}
