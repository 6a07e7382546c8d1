use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use synod_ledger::{Address, Amount, GenesisError, Retarget};
use synod_machine::Bytes;

use super::*;

const FILE: &str = "net/peer1/node.toml";

fn address() -> Address {
    Address(Bytes([5; 20]))
}

fn full() -> String {
    format!(
        r#"name = "peer1"
data = "data"
genesis = "../genesis.toml"
listen = ["/ip4/127.0.0.1/tcp/4001", "/ip6/::1/udp/4001/quic-v1"]
bootstrap = ["/ip4/127.0.0.1/tcp/4002"]
api = "127.0.0.1:8001"
faults = true
[mining]
address = "{}"
hash_rate = 50000
threads = 2
[network]
neighbours_min = 3
connections_max = 20
discover = false
gossip = "mesh"
gossip_signed = false
kad_public = false
[overlays]
capacity = 50
dht = ["chord", "kademlia-lab"]
index = ["/ip4/127.0.0.1/tcp/4002/p2p/12D3KooWPFY727sLWg92Q9jTnEnWVCEyCVWucMsrxzBxpnmpaiWe"]
ledger = false
search = ["flood", "index"]
"#,
        address()
    )
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new(FILE))
}

/// Where a mistake is reported, as `line:column`, and how.
fn mistake(text: &str) -> (String, String) {
    match parse(text).expect_err("a mistake") {
        ConfigError::Invalid { path, line, column, message } => {
            assert_eq!(path, Path::new(FILE));
            (format!("{line}:{column}"), message)
        }
        error => panic!("{error:?}"),
    }
}

#[test]
fn every_value_is_read_and_paths_are_relative_to_the_file() {
    let server = "/ip4/127.0.0.1/tcp/4002/p2p/12D3KooWPFY727sLWg92Q9jTnEnWVCEyCVWucMsrxzBxpnmpaiWe";
    let expected = Config {
        name: "peer1".into(),
        data: "net/peer1/data".into(),
        genesis: "net/peer1/../genesis.toml".into(),
        listen: vec![
            "/ip4/127.0.0.1/tcp/4001".parse().expect("an address"),
            "/ip6/::1/udp/4001/quic-v1".parse().expect("an address"),
        ],
        bootstrap: vec!["/ip4/127.0.0.1/tcp/4002".parse().expect("an address")],
        api: SocketAddr::from(([127, 0, 0, 1], 8001)),
        faults: true,
        mining: Some(MiningConfig { address: address(), hash_rate: 50_000, threads: 2 }),
        adversary: None,
        light: false,
        network: NetworkConfig {
            neighbours_min: 3,
            neighbours_max: None,
            connections_max: 20,
            discover: false,
            gossip: GossipKind::Mesh,
            gossip_signed: false,
            kad_public: false,
        },
        overlays: OverlaysConfig {
            capacity: 50,
            dht: vec![DhtKind::Chord, DhtKind::KademliaLab],
            index: vec![server.parse().expect("an address")],
            ledger: false,
            search: vec![SearchKind::Flood, SearchKind::Index],
        },
    };
    assert_eq!(parse(&full()).expect("valid"), expected);
}

#[test]
fn a_name_and_a_genesis_are_enough() {
    let expected = Config {
        name: "a".into(),
        data: "net/peer1/data".into(),
        genesis: "/etc/genesis.toml".into(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")],
        bootstrap: Vec::new(),
        api: SocketAddr::from(([127, 0, 0, 1], 0)),
        faults: false,
        mining: None,
        adversary: None,
        light: false,
        network: NetworkConfig {
            neighbours_min: 4,
            neighbours_max: None,
            connections_max: 64,
            discover: true,
            gossip: GossipKind::Gossipsub,
            gossip_signed: true,
            kad_public: true,
        },
        overlays: OverlaysConfig { capacity: 1_000, dht: vec![], index: vec![], ledger: true, search: vec![] },
    };
    assert_eq!(parse("name = \"a\"\ngenesis = \"/etc/genesis.toml\"").expect("valid"), expected);
    let silent = parse("name = \"a\"\ngenesis = \"/etc/genesis.toml\"\nadversary = \"silent\"").expect("valid");
    assert_eq!(silent, Config { adversary: Some("silent".into()), ..expected });
}

#[test]
fn what_is_written_is_read_again() {
    let config: Config = toml::from_str(&full()).expect("valid");
    let written = toml::to_string(&config).expect("writable");
    assert_eq!(toml::from_str::<Config>(&written).expect("readable"), config);
    let bare: Config = toml::from_str("name = \"a\"\ngenesis = \"g\"").expect("valid");
    let written = toml::to_string(&bare).expect("writable");
    assert_eq!(toml::from_str::<Config>(&written).expect("readable"), bare);
}

#[test]
fn a_mistake_is_reported_where_it_stands() {
    let full = full();
    let cases = [
        ("name = \"peer1\"", "name = peer1", "1:8"),
        ("name = \"peer1\"", "name = \"\"", "1:8"),
        ("name = \"peer1\"", "name = \"a\\tb\"", "1:8"),
        ("faults = true", "fault = true", "7:1"),
        ("faults = true", "faults = 1", "7:10"),
        ("faults = true", "faults = true\nlight = true", "8:9"),
        ("faults = true", "faults = true\nadversary = \"rude\"", "8:13"),
        ("\"/ip4/127.0.0.1/tcp/4001\", ", "\"127.0.0.1:4001\", ", "4:11"),
        ("/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/udp/4001", "4:10"),
        ("/ip4/127.0.0.1/tcp/4001", "/dns/localhost/tcp/4001", "4:10"),
        ("api = \"127.0.0.1:8001\"", "api = \"localhost\"", "6:7"),
        ("hash_rate = 50000", "hash_rate = -1", "10:13"),
        ("threads = 2", "threads = 0", "11:11"),
        ("threads = 2", "threads = 257", "11:11"),
        ("neighbours_min = 3", "neighbours_min = 21", "13:18"),
        ("connections_max = 20", "connections_max = 0", "14:19"),
        ("gossip = \"mesh\"", "gossip = \"mash\"", "16:10"),
        ("kad_public = false", "kad_publik = false", "18:1"),
        ("\"kademlia-lab\"", "\"tapestry\"", "21:17"),
        ("/p2p/12D3KooWPFY727sLWg92Q9jTnEnWVCEyCVWucMsrxzBxpnmpaiWe", "", "22:9"),
        ("\"/ip4/127.0.0.1/tcp/4002/p2p/12D3KooWPFY727sLWg92Q9jTnEnWVCEyCVWucMsrxzBxpnmpaiWe\"", "", "24:10"),
    ];
    for (right, wrong, place) in cases {
        assert!(full.contains(right), "{right}");
        let (reported, message) = mistake(&full.replacen(right, wrong, 1));
        assert_eq!(reported, place, "{wrong}: {message}");
    }
    let bounds = [("threads = 2", "threads = 256"), ("neighbours_min = 3", "neighbours_min = 20")];
    for (before, edge) in bounds {
        parse(&full.replacen(before, edge, 1)).expect("the edge is allowed");
    }
}

#[test]
fn a_missing_or_half_file_is_reported() {
    let (_, message) = mistake("name = \"a\"");
    assert_eq!(message, "missing field `genesis`");
    let (place, _) = mistake("name = \"ä\" oops");
    assert_eq!(place, "1:12", "columns count characters");
    // The value is a default: its section is the place.
    let (place, _) = mistake("name = \"a\"\ngenesis = \"g\"\n[network]\nconnections_max = 3\n");
    assert_eq!(place, "3:1");
}

#[test]
fn a_setting_of_the_first_versions_is_read_and_not_written() {
    let config = parse("name = \"a\"\ngenesis = \"g\"\n[network]\nneighbours_max = 12\n").expect("as `up` wrote it");
    let written = toml::to_string(&config).expect("TOML");
    assert!(!written.contains("neighbours_max"), "{written}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Path::new("/nowhere/node.toml")).expect_err("no file");
    assert!(error.to_string().starts_with("/nowhere/node.toml cannot be read: "), "{error}");
}

const GENESIS: &str = r#"name = "test"
time_unix_ms = 1700000000000
[engine]
name = "pow"
target = 0x1f00ffff
block_time_ms = 2000
retarget = { rule = "lwma", window = 60 }
[ledger]
subsidy = 1000000000
halving_interval = 210000
maturity = 10
block_bytes_max = 1000000
fee_min = 1000
[[balances]]
name = "alice"
address = "ADDRESS"
amount = 100000000
coins = 4
"#;

#[test]
fn a_genesis_file_is_read_and_checked() {
    let text = GENESIS.replace("ADDRESS", &address().to_string());
    let path = Path::new("net/genesis.toml");
    let genesis = parse_genesis(&text, path).expect("valid");
    assert_eq!(genesis.name, "test");
    assert_eq!(genesis.balances[0].amount, Amount(100_000_000));
    let pow = genesis.engine.pow().expect("a chain of work");
    assert_eq!(pow.retarget, Retarget::Lwma { window: 60 });
    let error = parse_genesis(&text.replace("coins = 4", "coins = 0"), path).expect_err("no coins");
    assert!(matches!(error, ConfigError::Genesis { source: GenesisError::CoinSplit { .. }, .. }), "{error:?}");
    let error = parse_genesis(&text.replace("maturity = 10", "maturity = ten"), path).expect_err("no number");
    assert!(error.to_string().starts_with("net/genesis.toml:11:12: "), "{error}");
}

fn run_file() -> RunFile {
    RunFile {
        pid: 12,
        name: "peer1".into(),
        peer_id: "12D3KooW".into(),
        listen: vec!["/ip4/127.0.0.1/tcp/4001/p2p/12D3KooW".into()],
        api: SocketAddr::from(([127, 0, 0, 1], 8001)),
        chain_id: "00ff".into(),
        started_unix_ms: 1_700_000_000_000,
    }
}

#[test]
fn a_run_file_is_written_read_and_removed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert_eq!(RunFile::read(folder.path()).expect("no file is no error"), None);
    RunFile::remove(folder.path()).expect("no file is no error");
    run_file().write(folder.path()).expect("written");
    let later = RunFile { pid: 13, ..run_file() };
    later.write(folder.path()).expect("written over the old one");
    assert_eq!(RunFile::read(folder.path()).expect("read"), Some(later));
    let names: Vec<PathBuf> =
        fs::read_dir(folder.path()).expect("read").map(|file| file.expect("one").path()).collect();
    assert_eq!(names, [RunFile::path(folder.path())], "no draft is left");
    RunFile::remove(folder.path()).expect("removed");
    assert_eq!(RunFile::read(folder.path()).expect("read"), None);
}

#[test]
fn a_run_file_that_cannot_be_written_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // A folder in the file's place.
    fs::create_dir(RunFile::path(folder.path())).expect("made");
    run_file().write(folder.path()).expect_err("the place is taken");
    assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 1);
    fs::remove_dir(RunFile::path(folder.path())).expect("removed");
    fs::write(RunFile::path(folder.path()), "{").expect("written");
    RunFile::read(folder.path()).expect_err("half a file");
}

#[test]
fn hash_rates_are_read_as_people_write_them() {
    let cases = [
        ("0", 0),
        ("800", 800),
        ("50k", 50_000),
        ("50K", 50_000),
        ("1.5M", 1_500_000),
        ("0.001k", 1),
        ("2g", 2_000_000_000),
        ("1.50000000000000000000000000000000000000000000k", 1500),
        ("18T", 18_000_000_000_000),
        ("18446744073709551615", u64::MAX),
    ];
    for (text, rate) in cases {
        assert_eq!(parse_hash_rate(text), Ok(rate), "{text}");
    }
    let refused = [
        "",
        "k",
        ".5k",
        "5.k",
        "-1",
        "+1",
        "1e3",
        "1 k",
        "50kH",
        "1.5",
        "0.0001k",
        "1.2.3",
        "18446744073709551616",
        "5µ",
        "99999999999999999999999999999999999999999",
    ];
    for text in refused {
        assert_eq!(parse_hash_rate(text), Err(ParseHashRateError { got: text.into() }), "{text:?}");
    }
}

#[test]
fn hash_rates_are_written_short_and_those_of_three_decimals_come_back() {
    let cases = [
        (0, "0"),
        (999, "999"),
        (1000, "1k"),
        (1234, "1.234k"),
        (50_000, "50k"),
        (49_990_400, "49.99M"),
        (49_990_600, "49.991M"),
        (999_999, "999.999k"),
        (999_999_400, "999.999M"),
        (999_999_600, "1G"),
        (u64::MAX, "18446744.074T"),
    ];
    for (rate, text) in cases {
        assert_eq!(format_hash_rate(rate), text);
    }
    for rate in (0..2_000_000).step_by(777) {
        let text = format_hash_rate(rate - rate % 1000);
        assert_eq!(parse_hash_rate(&text), Ok(rate - rate % 1000), "{text}");
    }
}
