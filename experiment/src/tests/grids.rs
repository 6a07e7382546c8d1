//! What an experiment may say, and which cells it has.

use synod_scenario::Deed;
use synod_scenario::config::EngineConfig;
use synod_sim::model::Span;

use super::SMALL;
use crate::presets::{CONSENSUS, CONSENSUS_REAL, FAULTS, GOSSIP, LOAD, SEARCH};
use crate::{Experiment, grid};

fn scenario(cell: &grid::Cell) -> &synod_scenario::Scenario {
    cell.scenario().expect("it has a chain")
}

fn cells(text: &str) -> Result<Vec<grid::Cell>, String> {
    let experiment = Experiment::parse(text).map_err(|error| error.to_string())?;
    grid::cells(&experiment, text).map_err(|error| error.to_string())
}

#[test]
fn cells_are_all_combinations_the_last_axis_fastest_and_others_fields_can_be_named() {
    let cells = cells(SMALL).expect("a good experiment");
    let values: Vec<String> = cells.iter().map(|cell| cell.values.join(" ")).collect();
    assert_eq!(values, ["4 pow", "4 pbft", "8 pow", "8 pbft"]);
    assert_eq!(cells.iter().map(|cell| cell.number).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(scenario(&cells[0]).chain.engine, EngineConfig::Pow);
    assert_eq!(scenario(&cells[0]).confirmations, 2);
    assert!(matches!(scenario(&cells[3]).chain.engine, EngineConfig::Pbft { validators: 8, .. }));
    assert_eq!((scenario(&cells[3]).confirmations, scenario(&cells[3]).peers), (1, 8));
    let until = scenario(&cells[3]).load.as_ref().and_then(|load| load.until).map(|until| until.to_string());
    assert_eq!(until, Some("1m 10s".to_owned()), "nobody pays after the duration");
    assert_eq!(scenario(&cells[3]).stop.time.to_string(), "2m 10s");
}

#[test]
fn a_field_with_a_question_mark_is_set_only_where_it_is() {
    let text = SMALL.replace("validators = \"= peers\"", "validators = 4").replace(
        "name = \"peers\"\nfields = [\"peers\"]\nvalues = [4, 8]\n",
        "name = \"peers\"\nfields = [\"peers\"]\nvalues = [8]\n",
    );
    let text =
        format!("{text}\n[[axes]]\nname = \"voters\"\nfields = [\"chain.engine.validators?\"]\nvalues = [5, 6]\n");
    let cells = cells(&text).expect("a good experiment");
    assert_eq!(scenario(&cells[0]).chain.engine, EngineConfig::Pow, "it has none");
    assert!(matches!(scenario(&cells[3]).chain.engine, EngineConfig::Pbft { validators: 6, .. }));
}

#[test]
fn skipped_cells_are_left_out_and_none_left_is_an_error() {
    let skip = |what: &str| format!("{SMALL}\n[[skip]]\n{what}\n");
    let values: Vec<String> = cells(&skip("engine = [\"pbft\"]\npeers = [8]"))
        .expect("three cells")
        .iter()
        .map(|cell| cell.values.join(" "))
        .collect();
    assert_eq!(values, ["4 pow", "4 pbft", "8 pow"]);
    assert_eq!(cells(&skip("peers = [4, 8]")).expect_err("none"), "`skip` leaves no cell to run");
}

#[test]
fn every_mistake_is_told_with_what_would_be_right_and_where() {
    let change = |from: &str, to: &str| cells(&SMALL.replace(from, to)).expect_err(to);
    let cases = [
        ("repetitions = 2", "repetition = 2", "line 3, column 1: unknown field `repetition`, expected one of `name`"),
        ("repetitions = 2", "repetitions = 0", "line 3, column 15: repetitions: expected from 1 to 10000, got 0"),
        ("\"small\"", "\"a b\"", "line 2, column 8: name: expected 1 to 48 letters, digits, - and _, got a b"),
        ("duration = \"60 s\"", "duration = \"0 s\"", "line 5, column 12: duration: expected a time above 0, got 0s"),
        ("duration = \"60 s\"", "duration = 60", "line 5, column 12: invalid type: integer `60`"),
        ("rate = 2.0", "rate = -2.0", "line 18, column 8: peers = 4, engine = pow: load.rate: expected"),
        ("rate = 2.0", "rat = 2.0", "peers = 4, engine = pow: unknown field `rat`"),
        (
            "values = [4, 8]",
            "values = [4, 4]",
            "line 23, column 10: axes[0].values: expected each value once, got `4` twice",
        ),
        ("values = [4, 8]", "", "axes[0].values: expected either `values` or `cases`, got both or none of them"),
        ("name = \"engine\"", "name = \"en/gine\"", "axes[1].name: expected letters, digits and -"),
        ("name = \"engine\"", "name = \"hops\"", "axes[1].name: expected letters, digits and -"),
        (
            "name = \"engine\"",
            "name = \"peers\"",
            "line 26, column 8: axes[1].name: expected letters, digits and -, each name once",
        ),
        ("\"= peers\"", "\"= pears\"", "expected a field's path after `= `, as `= peers`, got `= pears`"),
        (
            "[scenario]",
            "[search]\nmode = \"chord\"\n[scenario]",
            "expected either a [scenario] or a [search], got both or none",
        ),
        ("confirmations = 2", "seed = 3", "scenario.seed: expected no such field: the experiment sets it, got one"),
        ("values = [4, 8]", "values = [4, 129]", "peers = 129, engine = pbft: chain: "),
        (
            "[scenario]",
            "[knee]\nshare = 1.5\n[scenario]",
            "line 9, column 9: knee.share: expected a share above 0 and at most 1, as 0.7, got 1.5",
        ),
        (
            "[scenario]",
            "[knee]\ncommitted = 1.0\n[scenario]",
            "line 9, column 13: knee.committed: expected a share between 0 and 1",
        ),
        (
            "[scenario]",
            "[knee]\nprecision = 0.0\n[scenario]",
            "line 9, column 13: knee.precision: expected from 0.001 to 1, got 0",
        ),
        ("name = \"engine\"", "name = \"knee\"", "axes[1].name: expected letters, digits and -"),
    ];
    for (from, to, said) in cases {
        let error = change(from, to);
        assert!(error.contains(said), "{to}: {error}");
    }
}

#[test]
fn an_axis_can_be_restricted_and_what_is_skipped_with_it() {
    let mut experiment = Experiment::parse(CONSENSUS.text).expect("a good experiment");
    let all = grid::cells(&experiment, CONSENSUS.text).expect("good cells").len();
    assert_eq!(all, (8 * 3 - 2) * 3 * 3);
    for (axis, values) in CONSENSUS.small {
        experiment.restrict(axis, &values.iter().map(ToString::to_string).collect::<Vec<_>>()).expect("known values");
    }
    let written = experiment.to_toml();
    assert_eq!(Experiment::parse(&written).expect("what is written can be read"), experiment);
    assert_eq!(grid::cells(&experiment, &written).expect("good cells").len(), 9);
    let error = experiment.restrict("peers", &["5".to_owned()]).expect_err("no case of that name");
    assert_eq!(error.to_string(), "peers: expected one of 4, 8, 16, got 5");
    let error = experiment.restrict("pears", &[]).expect_err("no axis of that name");
    assert_eq!(error.to_string(), "axis: expected one of peers, engine, network, load, got pears");
    let mut gossip = Experiment::parse(GOSSIP.text).expect("a good experiment");
    gossip.restrict("peers", &["12".to_owned()]).expect("plain values can be others");
    assert_eq!(grid::cells(&gossip, GOSSIP.text).expect("good cells").len(), 3);
}

#[test]
fn a_search_for_the_knee_begins_at_a_rate() {
    let knee = |load: &str| cells(&SMALL.replace("[scenario]", "[knee]\n[scenario]").replace("rate = 2.0", load));
    assert_eq!(knee("rate = 2.0").expect("a good experiment").len(), 4);
    let error = knee("clients = { count = 3 }").expect_err("clients pay as they are served");
    let said = "peers = 4, engine = pow: load.rate: expected a rate, at which the search for the knee begins, got none";
    assert!(error.ends_with(said), "{error}");
}

#[test]
fn what_comes_with_the_program_can_be_run_whole_and_small() {
    let count = |experiment: &Experiment| grid::cells(experiment, &experiment.to_toml()).expect("good cells").len();
    let presets = [CONSENSUS, CONSENSUS_REAL, FAULTS, GOSSIP, LOAD, SEARCH];
    for (preset, whole, small) in
        presets.into_iter().zip([198, 9, 12, 15, 72, 60]).zip([9, 9, 12, 9, 3, 10]).map(|((a, b), c)| (a, b, c))
    {
        let mut experiment = Experiment::parse(preset.text).expect(preset.name);
        assert_eq!((experiment.name.as_str(), count(&experiment)), (preset.name, whole));
        for (axis, values) in preset.small {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            experiment.restrict(axis, &values).expect(preset.name);
        }
        assert_eq!(count(&experiment), small, "{}", preset.name);
    }
}

#[test]
fn faults_happen_to_those_who_matter_within_the_window() {
    let cells = cells(FAULTS.text).expect("a good experiment");
    let experiment = Experiment::parse(FAULTS.text).expect("a good experiment");
    let window = experiment.warm_up..Span::from_nanos(experiment.warm_up.nanos() + experiment.duration.nanos());
    for cell in &cells {
        let plan = scenario(cell).plan(1, |_| unreachable!("it names no file")).expect("a plan");
        assert!(scenario(cell).actions.iter().all(|action| window.contains(&action.at())), "{:?}", cell.values);
        assert_eq!(plan.deeds.is_empty(), cell.values[1] == "none", "{:?}", cell.values);
        let Some((_, Deed::Crash { peers, .. })) = plan.deeds.first() else { continue };
        let busiest = plan.power.iter().position(|power| Some(power) == plan.power.iter().max());
        assert_eq!(peers.iter().any(|peer| Some(peer.0 as usize) == busiest), cell.values[1] == "leader");
    }
}

#[test]
fn mistakes_of_searches_are_told() {
    let text = "name = \"find\"\nsearch = { mode = \"chord\", queries = 5, peers = 64 }\n";
    assert_eq!(cells(text).expect("a good experiment").len(), 1);
    let cases = [
        ("\"chord\"", "\"cord\"", "the only cell: "),
        ("peers = 64", "peers = 7", "the only cell: peers: expected 8 or more, got 7"),
        ("peers = 64", "peer = 64", "the only cell: unknown field `peer`, expected one of `mode`, `peers`"),
        (
            "name = \"find\"",
            "name = \"find\"\nwarm-up = \"1 s\"",
            "warm-up: expected no such field, since questions are put within an hour",
        ),
        (
            "name = \"find\"",
            "name = \"find\"\nknee = {}",
            "knee: expected no such field, since questions are put one by one",
        ),
    ];
    for (from, to, said) in cases {
        let error = cells(&text.replace(from, to)).expect_err(to);
        assert!(error.contains(said), "{to}: {error}");
    }
}
