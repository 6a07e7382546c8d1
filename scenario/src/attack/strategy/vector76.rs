//! Blocks that are shown to the merchant alone (vector76 on bitcointalk.org, 2011, "Fake bitcoins?"): a race and a Finney attack
//! in one, which a merchant is open to that waits for a confirmation.
//!
//! The attacker mines blocks with the payment in secret, as many as the merchant waits for, and stops. All others, the merchant's
//! peer among them, mine a branch with the rival. In the moment in which one of the others finds as many blocks, the attacker
//! hands its own to the merchant's peer, before that hears of the other. The merchant hands over. Its peer tells its own news to all,
//! but they stay on what they saw first, and so does its own hash power; the attacker's helps the others now. So the next
//! block decides. Without as many blocks in time, or where the merchant's peer itself finds the last of the others', nothing is
//! shown, and the attacker has lost nothing but its blocks.

use synod_machine::{PeerId, Time};

use super::{Played, Terms};
use crate::duel::Stage;
use crate::party::{Party, race};

const MERCHANT: PeerId = PeerId(0);
const OTHERS: PeerId = PeerId(1);
const ATTACKER: PeerId = PeerId(2);

/// One attack.
pub(super) fn play(stage: &Stage, seed: u64, terms: &Terms) -> Played {
    let [mut merchant, mut others, mut attacker] =
        [MERCHANT, OTHERS, ATTACKER].map(|own| Party::new(&stage.chain, own));
    let mut now = Time::ZERO;
    merchant.submit(now, &stage.rival);
    others.submit(now, &stage.rival);
    attacker.submit(now, &stage.payment);
    let mut race = race(&stage.chain, seed, &[terms.merchant, terms.others, terms.attacker]);
    let wanted = terms.confirmations;
    let mut secret = Vec::new();
    // The last block of the public branch, which the merchant's peer has not heard of.
    let last = loop {
        now = now + race.wait();
        let draw = race.draw();
        match race.winner() {
            MERCHANT => {
                let block = merchant.mine(now, draw);
                others.hear(now, MERCHANT, &block);
                if block.height().0 == wanted {
                    break None;
                }
            }
            OTHERS => {
                let block = others.mine(now, draw);
                if block.height().0 == wanted {
                    break Some(block);
                }
                merchant.hear(now, OTHERS, &block);
            }
            _ if (secret.len() as u64) < wanted => secret.push(attacker.mine(now, draw)),
            _ => {}
        }
    };
    let found = secret.len() as u64;
    let Some(last) = last.filter(|_| found == wanted) else {
        return Played { is_delivered: false, is_undone: true, depth: 0, attacker: found };
    };
    for block in &secret {
        merchant.hear(now, ATTACKER, block);
        others.hear(now, MERCHANT, block);
    }
    merchant.hear(now, OTHERS, &last);
    let is_delivered = merchant.has_confirmed(&stage.payment);
    assert!(is_delivered && merchant.height() == wanted, "of two equal branches the first that is seen is followed");
    assert_eq!(others.tip(), last.id(), "of two equal branches the first that is seen is followed");
    now = now + race.wait();
    let draw = race.draw();
    if race.winner() == MERCHANT {
        let block = merchant.mine(now, draw);
        others.hear(now, MERCHANT, &block);
    } else {
        // The others' or the attacker's, on the same branch.
        let block = others.mine(now, draw);
        merchant.hear(now, OTHERS, &block);
    }
    assert_eq!(merchant.tip(), others.tip(), "the branch with more work is followed");
    let is_undone = merchant.has_confirmed(&stage.rival);
    Played { is_delivered, is_undone, depth: merchant.depth, attacker: found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(terms: &Terms) -> Vec<Played> {
        let stage = Stage::new();
        (0..100).map(|seed| play(&stage, seed, terms)).collect()
    }

    #[test]
    fn whoever_is_shown_a_block_alone_and_mines_nothing_is_always_deceived() {
        for confirmations in [1, 2] {
            let played = all(&Terms::new(0.4, 0.0, confirmations, 0.0, 0.0));
            let shown: Vec<&Played> = played.iter().filter(|played| played.is_delivered).collect();
            assert!(!shown.is_empty() && shown.len() < played.len(), "{shown:?}");
            for played in shown {
                let expected =
                    Played { is_delivered: true, is_undone: true, depth: confirmations, attacker: confirmations };
                assert_eq!(*played, expected);
            }
        }
    }

    #[test]
    fn a_merchant_whose_peer_finds_the_next_block_keeps_its_payment() {
        let played = all(&Terms::new(0.3, 0.5, 1, 0.0, 0.0));
        let kept = |played: &&Played| played.is_delivered && !played.is_undone;
        assert!(played.iter().filter(kept).count() > 0);
        let all_at_merchant = all(&Terms::new(0.3, 1.0, 1, 0.0, 0.0));
        assert!(all_at_merchant.iter().all(|played| !played.is_delivered), "nobody else finds a block to answer");
    }
}
