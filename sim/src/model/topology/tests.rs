use std::collections::BTreeSet;

use super::*;

fn rng(seed: u64) -> Rng {
    Rng::new(seed, 0, "topology")
}

fn no_file(path: &str) -> io::Result<String> {
    panic!("{path} is read and should not be")
}

fn build(topology: &Topology, peers: u32, seed: u64) -> Result<Graph, String> {
    topology.build(peers, &mut rng(seed), no_file).map_err(|error| error.to_string())
}

fn degrees(graph: &Graph) -> BTreeSet<usize> {
    (0..graph.peers()).map(|peer| graph.degree(peer)).collect()
}

#[test]
fn complete_links_everybody() {
    let graph = build(&Topology::Complete {}, 7, 0).expect("seven peers can");
    assert_eq!(graph.links(), 21);
    assert_eq!(degrees(&graph), BTreeSet::from([6]));
    assert_eq!(build(&Topology::Complete {}, 1, 0).map(|graph| graph.links()), Ok(0));
}

#[test]
fn a_ring_links_the_nearest_on_both_sides() {
    let graph = build(&Topology::Ring { neighbours: 2 }, 7, 0).expect("seven peers can");
    assert_eq!(graph.neighbours(0), [1, 2, 5, 6]);
    assert_eq!(graph.neighbours(3), [1, 2, 4, 5]);
    assert!(graph.is_connected());
}

#[test]
fn every_peer_of_a_regular_graph_has_its_degree_and_can_reach_every_other() {
    for (peers, degree) in
        [(1, 0), (2, 1), (3, 2), (4, 2), (4, 3), (6, 3), (10, 4), (10, 7), (101, 2), (1_000, 3), (64, 60)]
    {
        for seed in 0..20 {
            let graph = build(&Topology::RandomRegular { degree }, peers, seed).expect("such a graph exists");
            assert_eq!(degrees(&graph), BTreeSet::from([degree as usize]), "{peers} {degree} {seed}");
            assert!(graph.is_connected(), "{peers} {degree} {seed}");
        }
    }
}

#[test]
fn all_cubic_graphs_of_six_peers_come_about_as_often_as_they_are_many() {
    // There are 70 labelled ones: 60 prisms, and 10 of two sides with three peers each (A002829).
    let (mut prisms, mut seen) = (0, BTreeSet::new());
    for seed in 0..3_000 {
        let graph = build(&Topology::RandomRegular { degree: 3 }, 6, seed).expect("such a graph exists");
        let links: Vec<_> = (0..6).map(|peer| graph.neighbours(peer).to_vec()).collect();
        let triangle = |peer: u32| {
            graph.neighbours(peer).iter().any(|&a| graph.neighbours(peer).iter().any(|&b| graph.has_link(a, b)))
        };
        prisms += u32::from((0..6).any(triangle));
        seen.insert(links);
    }
    assert_eq!(seen.len(), 70);
    // 6/7 of 3,000 are 2,571, and five standard deviations 96.
    assert!((2_475..2_667).contains(&prisms), "{prisms}");
}

#[test]
fn a_hundred_thousand_peers_are_linked_at_once() {
    let graph = build(&Topology::RandomRegular { degree: 8 }, 100_000, 1).expect("such a graph exists");
    assert_eq!(graph.links(), 400_000);
    assert_eq!(degrees(&graph), BTreeSet::from([8]));
    assert!(graph.is_connected());
}

#[test]
fn a_scale_free_graph_has_few_peers_with_very_many_links() {
    let graph = build(&Topology::ScaleFree { links: 4 }, 50_000, 1).expect("such a graph exists");
    assert_eq!(graph.links(), 10 + 4 * (50_000 - 5));
    assert!(graph.is_connected());
    let degrees: Vec<_> = (0..graph.peers()).map(|peer| graph.degree(peer)).collect();
    assert_eq!(degrees.iter().min(), Some(&4));
    // The maximum-likelihood exponent of the tail (Clauset, Shalizi and Newman 2009, equation 3.7) is 3 in the limit.
    let least = 20;
    let tail: Vec<_> = degrees.iter().filter(|&&degree| degree >= least).collect();
    let logs: f64 = tail.iter().map(|&&degree| (degree as f64 / (least as f64 - 0.5)).ln()).sum();
    let exponent = 1.0 + tail.len() as f64 / logs;
    assert!((2.8..3.2).contains(&exponent), "{exponent} of {} peers", tail.len());
    // The greatest degree grows with the root of the number of peers, 4 * 224 here.
    assert!(degrees.iter().max().is_some_and(|&most| most > 300), "there are hubs");
}

#[test]
fn the_same_seed_gives_the_same_graph_and_another_one_another() {
    for topology in [Topology::RandomRegular { degree: 4 }, Topology::ScaleFree { links: 2 }] {
        assert_eq!(build(&topology, 500, 1), build(&topology, 500, 1));
        assert_ne!(build(&topology, 500, 1), build(&topology, 500, 2));
    }
}

#[test]
fn a_file_is_asked_for_by_its_name() {
    let topology = Topology::File { path: "net.txt".to_owned() };
    let graph = topology.build(3, &mut rng(0), |path| {
        assert_eq!(path, "net.txt");
        Ok("0 1\n1 2".to_owned())
    });
    assert_eq!(graph.map(|graph| graph.links()), Ok(2));
    let wrong = topology.build(3, &mut rng(0), |_| Ok("0 1\n1 5".to_owned())).map_err(|error| error.to_string());
    let message = "net.txt: line 2: expected peers' numbers below 3, which is how many the scenario has, got `1 5`";
    assert_eq!(wrong, Err(message.to_owned()));
    let missing = topology.build(3, &mut rng(0), |_| Err(io::Error::other("no such file")));
    assert_eq!(missing.map_err(|error| error.to_string()), Err("net.txt: no such file".to_owned()));
}

#[test]
fn graphs_that_do_not_exist_are_refused_with_what_would() {
    let links = 100_000_u64 * 99_999 / 2;
    let many =
        format!("peers: expected at most 67108864 links in all: take fewer peers or a sparser topology, got {links}");
    let mistakes = [
        (Topology::Complete {}, 0, "peers: expected at least 1, got 0"),
        (Topology::Complete {}, 100_000, many.as_str()),
        (Topology::Ring { neighbours: 0 }, 5, "neighbours: expected from 1 to 2 on each side of 5 peers, got 0"),
        (Topology::Ring { neighbours: 3 }, 5, "neighbours: expected from 1 to 2 on each side of 5 peers, got 3"),
        (Topology::RandomRegular { degree: 5 }, 5, "degree: expected less than the 5 peers, got 5"),
        (
            Topology::RandomRegular { degree: 3 },
            5,
            "degree: expected an even number, since the number of peers, 5, is odd, got 3",
        ),
        (
            Topology::RandomRegular { degree: 1 },
            4,
            "degree: expected at least 2, or nobody could reach everybody, got 1",
        ),
        (
            Topology::RandomRegular { degree: 600 },
            2_000,
            "degree: expected at most 512, or all but at most 512 of the others, got 600",
        ),
        (Topology::ScaleFree { links: 0 }, 5, "links: expected at least 1 and fewer than the 5 peers, got 0"),
        (Topology::ScaleFree { links: 5 }, 5, "links: expected at least 1 and fewer than the 5 peers, got 5"),
    ];
    for (topology, peers, message) in mistakes {
        assert_eq!(build(&topology, peers, 0).map(|_| ()), Err(message.to_owned()), "{topology:?}");
    }
}

#[test]
fn topologies_are_written_as_people_write_them() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Document {
        topology: Topology,
    }
    let read = |text: &str| {
        toml::from_str(text).map(|document: Document| document.topology).map_err(|e| e.message().to_owned())
    };
    let forms = [
        ("topology = { kind = 'complete' }", Topology::Complete {}),
        ("topology = { kind = 'file', path = 'net.txt' }", Topology::File { path: "net.txt".to_owned() }),
        ("topology = { kind = 'random-regular', degree = 8 }", Topology::RandomRegular { degree: 8 }),
        ("topology = { kind = 'ring', neighbours = 2 }", Topology::Ring { neighbours: 2 }),
        ("topology = { kind = 'scale-free', links = 4 }", Topology::ScaleFree { links: 4 }),
    ];
    for (text, topology) in forms {
        assert_eq!(read(text), Ok(topology), "{text}");
    }
    let unknown = read("topology = { kind = 'complete', degree = 8 }");
    assert!(unknown.is_err_and(|message| message.contains("unknown field `degree`")));
}
