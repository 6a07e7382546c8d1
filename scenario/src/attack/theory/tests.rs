//! Against what the papers print, and against recursions that are too slow and too plain to be wrong.

use statrs::function::beta::beta_reg;

use super::*;

fn close(got: f64, expected: f64, digit: f64) {
    assert!((got - expected).abs() <= 0.500_001 * digit, "{got} is not {expected} to its last digit");
}

#[test]
fn nakamotos_print_is_met_to_its_last_digit() {
    let tenth = [
        1.0, 0.2045873, 0.0509779, 0.0131722, 0.0034552, 0.0009137, 0.0002428, 0.0000647, 0.0000173, 0.0000046,
        0.0000012,
    ];
    for (confirmations, printed) in (0..).zip(tenth) {
        close(nakamoto(0.1, confirmations), printed, 1e-7);
    }
    let three_tenths = [
        1.0, 0.1773523, 0.0416605, 0.0101008, 0.0024804, 0.0006132, 0.0001522, 0.0000379, 0.0000095, 0.0000024,
        0.0000006,
    ];
    for (fives, printed) in (0..).zip(three_tenths) {
        close(nakamoto(0.3, 5 * fives), printed, 1e-7);
    }
    let enough = [(10, 5), (15, 8), (20, 11), (25, 15), (30, 24), (35, 41), (40, 89), (45, 340)];
    for (percent, printed) in enough {
        assert_eq!(confirmations(Wait::Held, f64::from(percent) / 100.0, 0.001), Some(printed), "{percent} per cent");
    }
}

#[test]
fn rosenfelds_values_are_met_to_their_last_digit() {
    for (share, confirmations, printed, digit) in [
        (0.1, 1, 0.2, 1e-4),
        (0.1, 3, 0.0171, 1e-4),
        (0.1, 6, 0.000591, 1e-6),
        (0.2, 1, 0.4, 1e-4),
        (0.2, 3, 0.1158, 1e-4),
        (0.2, 6, 0.02331, 1e-5),
        (0.3, 1, 0.6, 1e-4),
        (0.3, 3, 0.3262, 1e-4),
        (0.3, 6, 0.1564, 1e-4),
    ] {
        close(rosenfeld(share, confirmations), printed, digit);
    }
    for (percent, printed) in [(10, 6), (20, 13), (30, 32), (40, 133)] {
        assert_eq!(confirmations(Wait::Raced, f64::from(percent) / 100.0, 0.001), Some(printed), "{percent} per cent");
    }
}

/// Grunspan and Pérez-Marco 2018, "Double spend races", theorem 1: Rosenfeld's sum is the regularised incomplete beta
/// function of 4pq at z and ½.
#[test]
fn rosenfelds_probabilities_are_an_incomplete_beta_function() {
    for share in [0.01, 0.1, 0.25, 0.4, 0.45, 0.499] {
        for confirmations in [1, 2, 7, 40, 100] {
            let (sum, beta) =
                (rosenfeld(share, confirmations), beta_reg(confirmations as f64, 0.5, 4.0 * share * (1.0 - share)));
            assert!((sum - beta).abs() <= 1e-8 * beta, "q = {share}, z = {confirmations}: {sum}, {beta}");
        }
    }
}

/// As the race goes: block by block, and after the confirmations until nothing moves any more.
fn slowly(terms: &Terms) -> f64 {
    let share = terms.attacker as f64 / (terms.honest + terms.attacker) as f64;
    // What it is to be so many behind, after another round each time.
    let mut behind = vec![0.0; terms.behind_max as usize];
    for _ in 0..20_000 {
        let before = behind.clone();
        for place in 0..behind.len() {
            let nearer = if place == 0 { 1.0 } else { before[place - 1] };
            let further = before.get(place + 1).copied().unwrap_or(0.0);
            behind[place] = share * nearer + (1.0 - share) * further;
        }
    }
    fn wait(share: f64, behind: &[f64], honest_left: u64, gap: i64) -> f64 {
        let lead = |gap: i64| usize::try_from(gap).map_or(1.0, |gap| behind.get(gap).copied().unwrap_or(0.0));
        if honest_left == 0 {
            return lead(gap);
        }
        // Ahead of all that the honest side has yet to find: it stays so.
        if gap + (honest_left as i64) < 0 {
            return 1.0;
        }
        share * wait(share, behind, honest_left, gap - 1)
            + (1.0 - share) * wait(share, behind, honest_left - 1, gap + 1)
    }
    wait(share, &behind, terms.confirmations, -(terms.in_hand as i64))
}

#[test]
fn a_race_with_giving_up_is_what_playing_it_through_says() {
    for (honest, attacker) in [(9, 1), (7, 3), (6, 4), (1, 1), (45, 55), (2, 3), (1, 9)] {
        for confirmations in [1, 2, 5, 6] {
            for in_hand in [0, 1, 3, 9] {
                for behind_max in [1, 2, 6, 20] {
                    let terms = Terms { honest, attacker, confirmations, in_hand, wait: Wait::Raced, behind_max };
                    let (fast, slow) = (success(&terms), slowly(&terms));
                    assert!((fast - slow).abs() < 1e-9, "{terms:?}: {fast}, but played through {slow}");
                }
            }
        }
    }
}

#[test]
fn the_later_it_gives_up_the_more_it_is_as_published() {
    for wait in [Wait::Held, Wait::Raced] {
        for attacker in [10, 30, 45] {
            let published = match wait {
                Wait::Held => nakamoto(attacker as f64 / 100.0, 6),
                Wait::Raced => rosenfeld(attacker as f64 / 100.0, 6),
            };
            let given_up = |behind_max| {
                success(&Terms { honest: 100 - attacker, attacker, confirmations: 6, in_hand: 1, wait, behind_max })
            };
            let chances: Vec<f64> = [1, 2, 4, 8, 16, 32, 64].map(given_up).into();
            assert!(chances.is_sorted(), "{chances:?}");
            assert!(chances[0] < 0.8 * published, "giving up early costs: {chances:?}, {published}");
            assert!((given_up(400) - published).abs() < 1e-12 * published, "{chances:?}, {published}");
            let terms = Terms { honest: 100 - attacker, attacker, confirmations: 6, in_hand: 1, wait, behind_max: 1 };
            assert_eq!(success_without_end(&terms), published);
        }
    }
}

#[test]
fn who_has_nothing_in_hand_has_to_overtake() {
    let terms = Terms { honest: 70, attacker: 30, confirmations: 6, in_hand: 0, wait: Wait::Raced, behind_max: 400 };
    close(success(&terms), 0.089, 1e-3);
}

#[test]
fn a_majority_succeeds_but_for_where_it_gives_up() {
    for share in [0.5, 0.51, 0.9] {
        close(rosenfeld(share, 6), 1.0, 1e-9);
        close(nakamoto(share, 6), 1.0, 1e-9);
        assert_eq!(confirmations(Wait::Raced, share, 0.001), None);
    }
    close(catch_up(0.5, 4, Some(9)), 0.5, 1e-12);
    // Next to one half the powers of r hardly differ, and the digits must not be lost.
    close(catch_up(0.5 + 1e-13, 4, Some(9)), 0.5, 1e-11);
    close(catch_up(0.5 - 1e-13, 4, Some(9)), 0.5, 1e-11);
    assert_eq!(catch_up(0.6, 10, Some(10)), 0.0);
    assert_eq!(catch_up(0.1, -1, Some(10)), 1.0);
    assert_eq!(catch_up(0.0, 0, Some(10)), 0.0);
}

/// As the race goes, in slices of time so short that next to nothing happens twice in one.
fn slowly_delayed(terms: &Terms, delay: f64) -> f64 {
    let share = terms.attacker as f64 / (terms.honest + terms.attacker) as f64;
    let slices = 1_000;
    let rate = share * delay / f64::from(slices);
    // While a block is under way the attacker may find one in each slice, and comes one place nearer; the first place is the end.
    let hear = |mut chances: Vec<f64>| {
        for _ in 0..slices {
            for place in 1..chances.len() {
                let nearer = chances[place] * rate;
                chances[place] -= nearer;
                chances[place - 1] += nearer;
            }
        }
        chances
    };
    // Until the confirmations being ahead is no end: the place of `far` is level, and the first is never come to.
    let far = 60;
    let mut waiting = vec![0.0; far + 1 + terms.confirmations as usize];
    waiting[far - terms.in_hand as usize] = 1.0;
    for _ in 0..terms.confirmations {
        let mut found = vec![0.0; waiting.len()];
        for _ in 0..400 {
            for place in 0..waiting.len() - 1 {
                found[place + 1] += waiting[place] * (1.0 - share);
            }
            waiting = (0..waiting.len()).map(|place| waiting.get(place + 1).copied().unwrap_or(0.0) * share).collect();
        }
        waiting = hear(found);
    }
    // Now the first place is being ahead, and the last is one nearer than giving up.
    let behind_max = terms.behind_max as usize;
    let mut chances = vec![0.0; behind_max + 1];
    chances[0] = waiting[..far].iter().sum();
    for (place, chance) in waiting[far..].iter().enumerate().take(behind_max) {
        chances[place + 1] = *chance;
    }
    for _ in 0..400 {
        // The next honest block, before which the attacker finds any number.
        let mut found = vec![0.0; behind_max + 1];
        for _ in 0..200 {
            found[0] += chances[0];
            chances[0] = 0.0;
            for place in 1..behind_max {
                found[place + 1] += chances[place] * (1.0 - share);
            }
            chances = (0..=behind_max).map(|place| chances.get(place + 1).copied().unwrap_or(0.0) * share).collect();
        }
        chances = hear(found);
    }
    chances[0]
}

#[test]
fn a_delayed_race_is_what_playing_it_through_says_and_without_a_delay_it_is_the_other_race() {
    for (honest, attacker) in [(9, 1), (7, 3), (45, 55)] {
        for (confirmations, in_hand) in [(1, 1), (3, 0), (4, 2), (2, 5)] {
            let terms = Terms { honest, attacker, confirmations, in_hand, wait: Wait::Raced, behind_max: 5 };
            let without = success(&terms);
            assert!((success_with_delay(&terms, 0.0) - without).abs() < 1e-11, "{terms:?}");
            let chances = [0.0, 0.02, 0.1, 0.5, 1.0].map(|delay| success_with_delay(&terms, delay));
            assert!(chances.is_sorted(), "{terms:?}: {chances:?}");
            for (delay, chance) in [(0.1, chances[2]), (0.5, chances[3])] {
                let slow = slowly_delayed(&terms, delay);
                assert!((chance - slow).abs() < 1e-4, "{terms:?}, {delay}: {chance}, but played through {slow}");
            }
        }
    }
}

#[test]
fn confirmations_are_the_least_that_are_enough() {
    for share in [0.01, 0.2, 0.35, 0.49] {
        for risk in [0.5, 0.01, 1e-9] {
            let least = confirmations(Wait::Raced, share, risk).expect("less than half can be waited for");
            assert!(rosenfeld(share, least) <= risk);
            assert!(rosenfeld(share, least - 1) > risk, "{share}, {risk}: {least}");
        }
    }
    assert_eq!(confirmations(Wait::Raced, 0.0, 0.001), Some(1));
    assert_eq!(confirmations(Wait::Raced, 0.3, 1.0), Some(0));
    assert_eq!(confirmations(Wait::Raced, 0.3, 0.0), None);
    assert_eq!(confirmations(Wait::Raced, 0.4999, 0.001), None);
}

#[test]
fn selfish_revenue_is_as_published() {
    let table = [
        (0.25, [0.195, 0.250, 0.305]),
        (0.30, [0.273, 0.327, 0.381]),
        (1.0 / 3.0, [0.333, 0.385, 0.436]),
        (0.40, [0.484, 0.526, 0.567]),
    ];
    for (alpha, revenues) in table {
        for (gamma, revenue) in [0.0, 0.5, 1.0].into_iter().zip(revenues) {
            close(selfish_revenue(alpha, gamma), revenue, 1e-3);
        }
    }
    close(selfish_threshold(0.0), 1.0 / 3.0, 1e-12);
    close(selfish_threshold(0.5), 0.25, 1e-12);
    close(selfish_threshold(1.0), 0.0, 1e-12);
}

#[test]
fn at_the_threshold_selfish_mining_is_worth_as_much_as_honest_mining() {
    for gamma in [0.0, 0.25, 0.5, 0.75, 0.99] {
        let threshold = selfish_threshold(gamma);
        close(selfish_revenue(threshold, gamma), threshold, 1e-12);
        assert!(selfish_revenue(threshold - 0.005, gamma) < threshold - 0.005);
        assert!(selfish_revenue(threshold + 0.005, gamma) > threshold + 0.005);
    }
    assert_eq!(selfish_revenue(0.0, 1.0), 0.0);
    close(selfish_revenue(0.5 - 1e-9, 0.0), 1.0, 1e-6);
}

/// By hand: (1 − e^−1)(1 − 5e^−4), 1 − e^−0.7, and sums that were written down in another language.
#[test]
fn an_eclipse_is_as_its_sum_says_by_hand() {
    for (share, merchant, confirmations, span, expected) in [
        (0.2, 0.0, 1, 5.0, 0.574_232_10),
        (0.3, 0.0, 0, 1.0, 0.503_414_70),
        (0.1, 0.0, 6, 40.0, 0.214_869_61),
        (0.3, 0.0, 3, 10.0, 0.529_646_82),
        (0.2, 0.2, 3, 20.0, 0.928_937_84),
        (0.0001, 0.3, 2, 10.0, 0.671_798_21),
    ] {
        close(eclipse(share, merchant, confirmations, span), expected, 1e-8);
    }
}

#[test]
fn an_eclipse_wins_for_certain_if_it_lasts_and_never_without_power() {
    close(eclipse(0.2, 0.0, 6, 500.0), 1.0, 1e-9);
    // A majority too, since it stops when the goods are handed over.
    close(eclipse(0.6, 0.0, 6, 500.0), 1.0, 1e-9);
    assert_eq!(eclipse(0.0, 0.0, 1, 100.0), 0.0);
    // Where nobody is left outside nothing is undone, however the rest is rounded: of these shares 1 − s − m is below 0 for twenty.
    for hundredth in 1..95 {
        let share = f64::from(hundredth) / 100.0;
        assert!(eclipse(share, 1.0 - share, 1, 10.0) < 1e-6, "{share}");
        assert!((0.0..1e-9).contains(&vector76(share, 1.0 - share, 1)), "{share}");
    }
    let longer: Vec<f64> = [1.0, 3.0, 9.0, 27.0].map(|span| eclipse(0.2, 0.0, 3, span)).into();
    assert!(longer.is_sorted() && longer[0] < 0.001 && longer[3] > 0.9, "{longer:?}");
}

/// By hand with one confirmation: q(1 − m/(1 − q))(1 − m); the others were written down in another language.
#[test]
fn blocks_for_the_merchant_alone_deceive_as_the_sum_says_by_hand() {
    for (share, merchant, confirmations, expected) in
        [(0.1, 0.18, 1, 0.0656), (0.3, 0.14, 2, 0.148_608), (0.3, 0.14, 3, 0.112_199_04), (0.3, 0.0, 1, 0.3)]
    {
        close(vector76(share, merchant, confirmations), expected, 1e-8);
    }
}

/// By hand with equal parts for two block times: (1 − e^−1)², and (1 − 2e^−1)² for two.
#[test]
fn what_a_split_takes_back_is_the_shorter_branch() {
    close(partition_depth(0.5, 2.0, 1), 0.399_576_40, 1e-8);
    close(partition_depth(0.5, 2.0, 2), 0.069_823_37, 1e-8);
    assert_eq!(partition_depth(0.0, 100.0, 1), 0.0);
    close(partition_depth(0.3, 5.0, 4), partition_depth(0.7, 5.0, 4), 1e-12);
}

/// By hand, for a quarter of the power that has nothing in hand and gives up two behind a merchant of one confirmation.
#[test]
fn depths_are_what_a_walk_block_by_block_says() {
    let terms = Terms { honest: 3, attacker: 1, confirmations: 1, in_hand: 0, wait: Wait::Raced, behind_max: 2 };
    let all = depths(&terms, 1e-9);
    close(all[0], success(&terms), 1e-12);
    let (p, q) = (0.75_f64, 0.25_f64);
    // It finds none, one or more before the first honest block with p, pq and q²; two are enough, who has one is level, and
    // so is who has none and finds the next.
    let level = p * q + p * q;
    close(all[0] - all[1], q * q + level * q, 1e-12);
    // Of those that were level and saw a second honest block, who finds the next two takes back two. Who was behind has given up.
    close(all[1] - all[2], level * p * q * q, 1e-12);
    assert!(all.is_sorted_by(|one, other| one > other));
    let many = Terms { honest: 6, attacker: 4, confirmations: 6, in_hand: 1, wait: Wait::Raced, behind_max: 10 };
    close(depths(&many, 1e-9)[0], success(&many), 1e-12);
    assert!(depths(&Terms { attacker: 0, ..many }, 0.0).is_empty(), "without power nothing is taken back");
}
