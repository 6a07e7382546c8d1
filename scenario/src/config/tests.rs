//! Scenarios are read strictly, drawn from seeds, and written so that they are read back.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use synod_consensus::Limits;
use synod_machine::PeerId;
use synod_sim::Tail as DiskTail;

use super::*;
use crate::Deed;

const LEAST: &str = "\
name = 'least'
peers = 12
topology = { kind = 'random-regular', degree = 4 }
links = { delay = '20 ms' }
stop = { blocks = 5, time = '1 h' }
";

fn parse(text: &str) -> Result<Scenario, String> {
    Scenario::parse(text).map_err(|error| error.to_string())
}

fn least() -> Scenario {
    parse(LEAST).expect("the least scenario is right")
}

fn no_file(path: &str) -> io::Result<String> {
    Err(io::Error::new(io::ErrorKind::NotFound, format!("no file {path} in this test")))
}

fn plan(scenario: &Scenario, seed: u64) -> Plan {
    scenario.plan(seed, no_file).expect("the scenario is right")
}

/// The message for the least scenario with more lines.
fn mistake(more: &str) -> String {
    parse(&format!("{LEAST}{more}")).expect_err(more)
}

#[test]
fn what_is_left_out_has_its_default() {
    let scenario = least();
    assert_eq!(scenario.seed, 1);
    assert_eq!(scenario.confirmations, 6);
    assert_eq!(scenario.chain, ChainConfig::default());
    assert_eq!(scenario.gossip, GossipConfig::Mesh(MeshConfig::default()));
    assert_eq!(scenario.mining.power, Power::Equal {});
    assert_eq!(scenario.churn, None);
    assert_eq!(format!("{:?}", scenario.limits.limits()), format!("{:?}", Ok::<_, ()>(Limits::default())));
    assert_eq!(scenario.outputs, OutputsConfig { outcome: true, blocks: false });
    let plan = plan(&scenario, 1);
    assert_eq!(plan.power, [1; 12]);
    assert_eq!(plan.load.rate.to_bits(), 0.0_f64.to_bits(), "without a load nobody pays");
    assert_eq!(plan.chain.block_time(), Duration::from_secs(600));
    assert_eq!(plan.stop, Stop { blocks: 5, time: Time::from_secs(3_600) });
    assert!(plan.absent.is_empty());
}

#[test]
fn the_defaults_of_gossip_are_the_machines() {
    let seed = 7;
    let rng = || Rng::new(seed, 0, "gossip");
    let mesh = GossipConfig::Mesh(MeshConfig::default()).params(seed).expect("defaults are right");
    let machine = synod_peer::GossipParams::Mesh(synod_dht::mesh::Params::new(rng()));
    assert_eq!(format!("{mesh:?}"), format!("{machine:?}"));
    let rumour = GossipConfig::Rumour(RumourConfig::default()).params(seed).expect("defaults are right");
    let machine = synod_peer::GossipParams::Rumour(synod_dht::rumour::Params::new(PeerId(0), rng()));
    assert_eq!(format!("{rumour:?}"), format!("{machine:?}"));
}

#[test]
fn a_scenario_is_read_back_as_it_was_written() {
    let full = "\
name = 'full'
about = 'Everything that there is.'
seed = 9
peers = 12
codec = true
confirmations = 3
absent = [1]
actions = [
  { do = 'clock', at = '1 s', peers = [0, '2-4'], ahead = '3 s', drift-ppm = -100 },
  { do = 'crash', at = '2 s', peers = { share = 0.25 }, tail = 'kept' },
  { do = 'cut', at = '3 s', peers = { count = 3, group = 'b' }, direction = 'in', notice = '1 s' },
  { do = 'omit', at = '4 s', peers = 'all', sent = 0.5 },
  { do = 'forge', at = '4 s', peers = [4], what = 'double-spend' },
  { do = 'reap', at = '4 s', peers = [4], most = 2 },
  { do = 'pause', at = '5 s', peers = [5] },
  { do = 'reconnect', at = '6 s' },
  { do = 'resume', at = '7 s', peers = [5] },
  { do = 'start', at = '8 s', peers = [1] },
  { do = 'wipe', at = '9 s', peers = [6] },
  { do = 'heal', at = '10 s' },
]
[chain]
retarget = { rule = 'lwma', window = 60 }
subsidy = '12.5'
[mining]
miners = ['0-2']
power = { kind = 'listed', shares = [5, 3, 2] }
[gossip]
kind = 'rumour'
interest = { kind = 'rounds', rounds = 9 }
shuffle-length = 0
[topology]
kind = 'ring'
neighbours = 2
[links]
regions = 'bitcoin'
[disk]
sync = '5 ms'
[churn]
sessions = { kind = 'weibull', scale = '1 h', shape = 0.5 }
gaps = '10 min'
peers = ['7-11']
until = '1 h'
[load]
rate = 0.5
conflicts = 0.1
[stop]
time = '2 h'
[outputs]
blocks = true
";
    let scenario = parse(full).expect("the scenario is right");
    let text = scenario.to_toml();
    assert_eq!(parse(&text), Ok(scenario.clone()), "{text}");
    let least = least();
    assert_eq!(parse(&least.to_toml()), Ok(least.clone()), "{}", least.to_toml());

    let plan = plan(&scenario, 9);
    assert_eq!(plan.deeds.len(), 12);
    let clock = Deed::Clock { peers: [0, 2, 3, 4].map(PeerId).into(), ahead_ns: 3_000_000_000, drift_ppm: -100 };
    assert_eq!(plan.deeds[0], (Time::from_secs(1), clock));
    let Deed::Crash { peers, tail: DiskTail::Kept } = &plan.deeds[1].1 else { panic!("{:?}", plan.deeds[1]) };
    assert_eq!(peers.len(), 3, "a quarter of twelve");
    assert_eq!(plan.power[..4], [5, 3, 2, 0]);
    assert_eq!(plan.churn.iter().map(|(peer, _)| peer.0).collect::<Vec<_>>(), [7, 8, 9, 10, 11]);
    assert_eq!(plan.absent, [PeerId(1)]);
    assert_eq!(plan.stop.blocks, u64::MAX);
}

#[test]
fn the_seed_draws_the_topology_and_the_groups() {
    let mut scenario = least();
    let share = |share, group: &str| Who::Share { share, group: group.to_owned() };
    let crash = |peers| Action::Crash { at: synod_sim::model::Span::ZERO, peers, tail: Tail::Lost };
    scenario.actions = [share(0.25, ""), share(0.5, ""), share(0.5, "b")].map(crash).into();
    let groups = |seed| {
        let deeds = plan(&scenario, seed).deeds;
        let groups = deeds.into_iter().map(|(_, deed)| match deed {
            Deed::Crash { peers, .. } => peers.into_iter().collect::<BTreeSet<PeerId>>(),
            other => panic!("{other:?}"),
        });
        groups.collect::<Vec<_>>()
    };
    let first = groups(1);
    assert_eq!(first.iter().map(BTreeSet::len).collect::<Vec<_>>(), [3, 6, 6]);
    assert!(first[0].is_subset(&first[1]), "a smaller share is a part of a larger one");
    assert_ne!(first[1], first[2], "another group is other peers");
    assert_eq!(first, groups(1));
    assert_ne!(first, groups(2));
    assert_eq!(plan(&scenario, 1).graph, plan(&scenario, 1).graph);
    assert_ne!(plan(&scenario, 1).graph, plan(&scenario, 2).graph);
}

#[test]
fn peers_that_a_program_lists_become_ranges() {
    let who = Who::of([7, 3, 4, 5, 7, 0].map(PeerId));
    let toml = |who: &Who| toml::Value::try_from(who).map(|value| value.to_string()).expect("it can be written");
    assert_eq!(toml(&who), "[0, \"3-5\", 7]");
    assert_eq!(who.draw(8, 1, "peers"), Ok([0, 3, 4, 5, 7].map(PeerId).into()));
    assert_eq!(toml(&Who::All), "\"all\"");
    assert_eq!(Who::All.draw(2, 1, "peers"), Ok([0, 1].map(PeerId).into()));
}

#[test]
fn power_is_shared_among_those_that_mine() {
    let mut scenario = least();
    scenario.mining =
        MiningConfig { miners: Who::of([2, 5, 9].map(PeerId)), power: Power::Zipf { exponent: 1.0 }, hash_rate: 1.0 };
    let power = plan(&scenario, 1).power;
    assert_eq!(power.iter().filter(|share| **share > 0).count(), 3);
    let ratio = |place: usize| power[2] as f64 / power[place] as f64;
    assert!((ratio(5) - 2.0).abs() < 1e-6, "{power:?}");
    assert!((ratio(9) - 3.0).abs() < 1e-6, "{power:?}");
}

#[test]
fn mistakes_of_form_are_told_with_their_line() {
    assert!(mistake("peer = 3\n").starts_with("line 6, column 1: unknown field `peer`, expected one of"));
    assert!(mistake("[gossip]\nkind = 'mesh'\ndegre = 3\n").contains("unknown field `degre`"));
    assert!(mistake("[gossip]\nkind = 'pigeon'\n").contains("unknown variant `pigeon`, expected one of `flood`"));
    let at = mistake("[[actions]]\nat = '5'\ndo = 'heal'\n");
    assert!(at.contains("expected a duration of at most 100 years with its unit"), "{at}");
    assert!(at.starts_with("line 6"), "{at}");
    let peers = mistake("[load]\nrate = 'fast'\n");
    assert_eq!(peers, "line 7, column 8: invalid type: string \"fast\", expected f64");
    let who = mistake("absent = ['5-2']\n");
    assert_eq!(
        who,
        "line 6, column 11: invalid value: string \"5-2\", expected a peer's number as 3, or a range as \"10-19\""
    );
    let coins = mistake("[chain]\nsubsidy = '1,5'\n");
    assert!(coins.starts_with("line 7, column 11: expected an amount of money in coins"), "{coins}");
    assert!(parse("name = 'a'\npeers = 3\n").expect_err("too little").contains("missing field `topology`"));
}

#[test]
fn mistakes_of_meaning_are_told_with_their_field_and_line() {
    let actions = "[[actions]]\nat = '1 s'\ndo = 'heal'\n[[actions]]\nat = '1 s'\ndo = 'pause'\npeers = [12]\n";
    for (more, expected) in [
        (actions, "line 12, column 9: actions[1].peers: expected peers from 0 to 11, as there are 12, got 12"),
        ("absent = { share = 1.5 }\n", "line 6, column 10: absent: expected a share from 0 to 1, got 1.5"),
        (
            "absent = { count = 13 }\n",
            "line 6, column 10: absent: expected at most the 12 peers that there are, got 13",
        ),
        (
            "[chain]\nblock-time = '1 us'\n",
            "line 7, column 14: chain.block-time: expected whole milliseconds, at least one, got 1us",
        ),
        (
            "[[adversaries]]\npeers = [3]\nbehaviour = 'silent'\n",
            "line 8, column 13: adversaries[0].behaviour: expected a chain of validators, got another engine",
        ),
        (
            "[chain]\nengine = { kind = 'pbft', validators = 4 }\n[[adversaries]]\npeers = [4]\nbehaviour = 'silent'\n",
            "line 9, column 9: adversaries[0].peers: expected validators, got peer 4",
        ),
        ("[chain]\ncoins = 0\n", "chain: the balance of \"person0\" cannot be split into 0 coins"),
        (
            "[mining]\npower = { kind = 'listed', shares = [1, 2] }\n",
            "line 7, column 37: mining.power.shares: expected as many as there are miners, which is 12, got 2",
        ),
        (
            "[gossip]\nkind = 'mesh'\ndegree = 3\n",
            "line 8, column 10: gossip.degree: expected at least degree-low, which is 5, got 3",
        ),
        (
            "[gossip]\nkind = 'rumour'\nview-max = 0\n",
            "line 8, column 12: gossip.view-max: expected from 1 to 4096, got 0",
        ),
        (
            "[load]\nrate = 0.0\n",
            "line 7, column 8: load.rate: expected a number of payments per second above 0 and at most 1000000, got 0",
        ),
        (
            "[load]\nhot = 1.0\n",
            "line 6, column 1: load.rate: expected either `rate`, for payments that come when they are due, or `clients`, who wait for \
             each of theirs, got none of them",
        ),
        (
            "[load]\nrate = 1.0\nclients = { count = 3 }\n",
            "line 7, column 8: load.rate: expected either `rate`, for payments that come when they are due, or `clients`, who wait for \
             each of theirs, got both",
        ),
        (
            "[load]\nclients = { count = 0 }\n",
            "line 7, column 21: load.clients.count: expected from 1 to 100000, got 0",
        ),
        (
            "[load.clients]\ncount = 3\nretry = '0 s'\n",
            "line 8, column 9: load.clients.retry: expected a time above 0, got 0s",
        ),
        (
            "[load.clients]\ncount = 3\nretry = '5 ms'\n[disk]\nsync = '5 ms'\n",
            "line 8, column 9: load.clients.retry: expected longer than disk.sync: who is not answered yet would pay again, got 5ms",
        ),
        (
            "[load]\nconflicts = 0.5\nclients = { count = 3 }\n",
            "line 7, column 13: load.conflicts: expected 0 beside `clients`, who would wait for payments that never come, got 0.5",
        ),
        ("[load]\nrate = 1.0\noutputs = 1\n", "line 8, column 11: load.outputs: expected from 2 to 2048, got 1"),
        ("[limits]\norphans = 0\n", "line 7, column 11: limits.orphans: expected at least 1, got 0"),
        (
            "[churn]\nsessions = '1 h'\ngaps = { kind = 'pareto', scale = '1 s', shape = 1.0 }\n",
            "line 8, column 8: churn.gaps: expected a law with a mean: a shape above 1, or a greatest value in `most`, got one \
             without",
        ),
        (
            "[churn]\nsessions = '1 h'\ngaps = '1 h'\nfrom = '2 h'\nuntil = '1 h'\n",
            "line 10, column 9: churn.until: expected a time after `from`, which is 2h, got 1h",
        ),
    ] {
        assert_eq!(mistake(more), expected);
    }
    let wrong = |from: &str, to: &str| parse(&LEAST.replace(from, to)).expect_err(to);
    assert_eq!(wrong("12", "0"), "line 2, column 9: peers: expected from 1 to 1000000, got 0");
    assert_eq!(
        wrong("'least'", "'a b'"),
        "line 1, column 8: name: expected 1 to 64 letters, digits, - and _, got `a b`"
    );
    assert_eq!(
        wrong("blocks = 5", "blocks = 0"),
        "line 5, column 19: stop.blocks: expected at least 1, or no such line, got 0"
    );
    assert_eq!(
        wrong("delay = '20 ms'", "loss = 0.1"),
        "line 4, column 9: links.delay: expected either it or `regions`, got neither"
    );
}

#[test]
fn what_needs_files_or_the_graph_is_told_when_it_is_planned() {
    let mut scenario = least();
    scenario.topology = Topology::RandomRegular { degree: 12 };
    let error = scenario.plan(1, no_file).expect_err("no such graph");
    assert!(error.to_string().starts_with("topology.degree: expected"), "{error}");
    scenario.topology = Topology::File { path: "links.txt".into() };
    let error = scenario.plan(1, no_file).expect_err("no such file");
    assert_eq!(error.to_string(), "links.txt: no file links.txt in this test");
    let read = |_: &str| Ok((1..12).map(|peer| format!("0 {peer}\n")).collect());
    assert_eq!(scenario.plan(1, read).map(|plan| plan.graph.links()), Ok(11));
}

/// Fields below a schema without a word on them.
fn undocumented(schema: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &serde_json::Value)> = match schema {
        serde_json::Value::Array(all) => all.iter().enumerate().map(|(place, one)| (place.to_string(), one)).collect(),
        serde_json::Value::Object(all) => all.iter().map(|(name, one)| (name.clone(), one)).collect(),
        _ => return,
    };
    for (name, child) in children {
        let path = format!("{path}/{name}");
        let is_field = path.rsplit('/').nth(1) == Some("properties");
        if is_field && child.get("const").is_none() && child.get("description").is_none() {
            found.push(path.clone());
        }
        undocumented(child, &path, found);
    }
}

#[test]
fn every_field_is_documented() {
    let mut found = Vec::new();
    undocumented(&schema(), "", &mut found);
    assert!(found.is_empty(), "without a word: {found:#?}");
}

#[test]
fn the_reference_shows_types_defaults_and_forms() {
    let reference = reference();
    for part in [
        "# How many peers there are, from 1 to a million.\npeers = <whole number>  # required\n",
        "# The chain.\n[chain]\n",
        "block-time = \"10m\"  # duration\n",
        "\n[[actions]]  # one of:\n",
        "    kind = \"mesh\"\n",
        "mode = \"push-pull\"  # \"pull\" | \"push\" | \"push-pull\"\n",
        "# delay = <distribution, see below>\n",
        "# --- distribution ---\n",
        "    kind = \"weibull\"\n",
    ] {
        assert!(reference.contains(part), "{part:?} is not in\n{reference}");
    }
    assert!(reference.lines().all(|line| line.chars().count() <= 120), "{reference}");
}

#[test]
fn an_absent_peer_starts_when_an_action_says_so() {
    let text = "absent = [2]\n[chain]\nblock-time = '10 s'\n[[actions]]\nat = '30 s'\ndo = 'start'\npeers = [2]\n";
    let scenario = parse(&format!("{LEAST}{text}")).expect("the scenario is right");
    let mut world = crate::Trial::world(plan(&scenario, 1));
    world.run(Time::from_secs(29), u64::MAX);
    let up: Vec<u32> = world.net().peers().filter(|peer| world.net().is_up(*peer)).map(|peer| peer.0).collect();
    assert_eq!(up, [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    world.run(Time::from_secs(31), u64::MAX);
    assert!(world.net().is_up(PeerId(2)), "the action started it");
}

#[test]
fn whoever_went_by_churn_is_not_counted_among_those_that_agree() {
    let text = "\
[chain]
block-time = '5 s'
[churn]
sessions = { kind = 'exponential', mean = '20 s' }
gaps = { kind = 'exponential', mean = '20 s' }
[[actions]]
at = '50 s'
do = 'heal'
";
    let scenario =
        parse(&format!("{LEAST}{text}").replace("blocks = 5", "blocks = 40")).expect("the scenario is right");
    let ended = crate::run(plan(&scenario, 3), None, |_| crate::Watch::GoOn).expect("no invariant breaks");
    assert_eq!(ended.outcome.chain.height, 40);
    assert!(ended.outcome.chain.is_agreed, "{:#?}", ended.outcome);
    let up = ended.world.net().peers().filter(|peer| ended.world.net().is_up(*peer)).count();
    assert_eq!(up, 12, "healing brings everybody back for good");
}

#[test]
fn validators_that_are_not_honest_are_drawn_like_other_groups() {
    let engine = "[chain]\nengine = { kind = 'pbft', validators = 7, view-timeout = '1 s' }\n";
    let adversaries =
        "[[adversaries]]\npeers = ['0-1']\nbehaviour = 'slow'\n[[adversaries]]\npeers = [5]\nbehaviour = 'colluder'\n";
    let scenario = parse(&format!("{LEAST}{engine}{adversaries}")).expect("a right scenario");
    let slow = adversary::Behaviour::Slow(Duration::from_millis(900));
    let expected = [(PeerId(0), slow), (PeerId(1), slow), (PeerId(5), adversary::Behaviour::Colluder)];
    assert_eq!(plan(&scenario, 1).adversaries, BTreeMap::from(expected));
    assert_eq!(parse(&scenario.to_toml()), Ok(scenario));
}
