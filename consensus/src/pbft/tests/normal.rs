//! The normal case: counts, order, pipeline, batches.

use std::vec;
use std::vec::Vec;

use synod_ledger::Height;

use crate::pbft::testing::World;

#[test]
fn without_faults_a_height_costs_the_papers_messages() {
    for (count, pre_prepare, prepare, commit, between) in
        [(4, 3, 9, 12, 24), (7, 6, 36, 42, 84), (10, 9, 81, 90, 180), (31, 30, 900, 930, 1_860)]
    {
        let mut world = World::new(count, 1);
        let everybody: Vec<usize> = (0..count).collect();
        for request in 1..=3 {
            world.request_all(request);
            world.expect_executed(request, &everybody, 1_000);
            world.run_for(100);
            let heights = u64::from(request);
            let sent = [world.sent("pre_prepare"), world.sent("prepare"), world.sent("commit")];
            assert_eq!(sent, [heights * pre_prepare, heights * prepare, heights * commit], "n = {count}");
            assert_eq!(sent.iter().sum::<u64>(), heights * between, "n = {count}");
        }
        let others = ["checkpoint", "decided", "fetch", "new_view", "proposal", "view_change"];
        assert_eq!(others.map(|kind| world.sent(kind)), [0; 6], "n = {count}");
        assert_eq!(world.agreement(0).decided().height, Height(3));
        assert!(everybody.iter().all(|node| world.deadline(*node).is_none()), "nothing waits, no timer is pending");
        assert_eq!(world.evidence, vec![]);
    }
}
