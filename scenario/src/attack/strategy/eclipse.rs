//! An eclipse: for a while all of the merchant's connections are the attacker's (Heilman, Kendler, Zohar and Goldberg 2015,
//! "Eclipse attacks on Bitcoin's peer-to-peer network", section 1.1, double spends of none and of n confirmations).
//!
//! The merchant, the attacker and the honest miners that are cut off with the merchant hear of the payment alone, and mine a
//! branch with it; all others hear of the rival alone. The attacker stops when the merchant has handed over, since from then on
//! each block of that branch is one more to be outweighed. When the eclipse ends, the merchant's replica and that of the others
//! tell each other all they have, and the branch with more work stays. A tie is no success.

use synod_machine::{PeerId, Time};

use super::{Played, Terms};
use crate::duel::Stage;
use crate::party::{BLOCK_TIME, Party, meet, race};

const MERCHANT: PeerId = PeerId(0);
const OTHERS: PeerId = PeerId(1);
const ATTACKER: PeerId = PeerId(2);

/// One attack.
pub(super) fn play(stage: &Stage, seed: u64, terms: &Terms) -> Played {
    let [mut merchant, mut others, mut attacker] =
        [MERCHANT, OTHERS, ATTACKER].map(|own| Party::new(&stage.chain, own));
    let mut now = Time::ZERO;
    merchant.submit(now, &stage.payment);
    attacker.submit(now, &stage.payment);
    others.submit(now, &stage.rival);
    let mut race = race(&stage.chain, seed, &[terms.merchant, terms.others, terms.attacker]);
    let end = now + BLOCK_TIME.mul_f64(terms.span);
    let mut found = 0;
    loop {
        let tick = now + race.wait();
        // What comes of it stands when only the others mine on and are ahead.
        let is_decided =
            terms.merchant == 0 && merchant.height() >= terms.confirmations && others.height() > merchant.height();
        if tick > end || is_decided {
            break;
        }
        now = tick;
        let draw = race.draw();
        match race.winner() {
            MERCHANT => {
                let block = merchant.mine(now, draw);
                attacker.hear(now, MERCHANT, &block);
            }
            OTHERS => {
                others.mine(now, draw);
            }
            _ if merchant.height() < terms.confirmations => {
                let block = attacker.mine(now, draw);
                merchant.hear(now, ATTACKER, &block);
                found += 1;
            }
            _ => {}
        }
    }
    assert_eq!(merchant.depth, 0, "who sees one branch takes nothing back");
    let is_delivered = merchant.height() >= terms.confirmations;
    meet(end, &mut merchant, &mut others);
    let is_undone = merchant.has_confirmed(&stage.rival);
    Played { is_delivered, is_undone, depth: merchant.depth, attacker: found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(terms: &Terms, of: impl Fn(&Played) -> bool) -> usize {
        let stage = Stage::new();
        (0..50).filter(|seed| of(&play(&stage, *seed, terms))).count()
    }

    #[test]
    fn a_long_eclipse_undoes_what_the_merchant_alone_saw_confirmed() {
        let terms = Terms::new(0.3, 0.0, 3, 100.0, 0.0);
        let played = play(&Stage::new(), 1, &terms);
        assert_eq!(played, Played { is_delivered: true, is_undone: true, depth: 3, attacker: 3 });
    }

    #[test]
    fn an_attacker_without_power_shows_the_merchant_no_block_and_is_not_paid_for_with_goods() {
        let none = Terms::new(0.0, 0.0, 1, 50.0, 0.0);
        assert_eq!(count(&none, |played| played.is_delivered || played.attacker > 0), 0);
        let unconfirmed = Terms::new(0.0, 0.0, 0, 50.0, 0.0);
        assert_eq!(count(&unconfirmed, |played| played.is_delivered && played.is_undone), 50);
    }

    #[test]
    fn miners_that_are_cut_off_too_confirm_the_payment_for_an_attacker_without_power() {
        let terms = Terms::new(0.0, 0.3, 2, 40.0, 0.0);
        assert!(count(&terms, |played| played.is_delivered && played.is_undone) > 40);
        // With most of the power on the merchant's side it is the others who change over.
        let most = Terms::new(0.0, 0.7, 2, 40.0, 0.0);
        assert!(count(&most, |played| played.is_delivered && !played.is_undone) > 40);
    }

    #[test]
    fn the_same_eclipse_that_lasts_longer_delivers_no_less() {
        let stage = Stage::new();
        for seed in 0..50 {
            let [short, long] = [5.0, 10.0].map(|span| play(&stage, seed, &Terms::new(0.2, 0.0, 2, span, 0.0)));
            assert!(long.is_delivered >= short.is_delivered, "seed {seed}");
            assert!(long.attacker >= short.attacker, "seed {seed}");
        }
    }
}
