//! What is known of attacks in closed form.
//!
//! **Double spends.** The honest hash power finds the next block with the probability p, the attacker with q = 1 − p, its
//! *share*. While the honest side finds the z confirmations that the merchant waits for, the attacker finds m blocks: by
//! Rosenfeld 2014, section 4, m has the negative binomial law C(m + z − 1, m)·p^z·q^m; by Nakamoto 2008, section 11, who takes
//! those z blocks to come at their expected times, Poisson's with the mean z·q/p. From there on it catches up as a gambler does.
//! Both papers call it a success to draw level with one block pre-mined, or without one, which is the same.
//!
//! **What the real race demands** ([`crate::duel`]). A replica follows strictly more work and all blocks have the same, so the
//! attacker has to be one block longer; it has `in_hand` blocks when the payment is made; and it gives up as soon as, the
//! goods handed over, it is `behind_max` blocks behind or more. With d the blocks that it is behind, the rest is a walk from
//! d = z − in_hand − m that is won at −1, which is anything below 0, and lost at `behind_max`, which is anything above. It goes
//! down by one with the probability q and up with p: a gambler's ruin with two barriers. W(d) = q·W(d − 1) + p·W(d + 1) has
//! the solutions 1 and (q/p)^d, and W(−1) = 1 and W(B) = 0, B being `behind_max`, leave of their sums
//!
//! > W(d) = (r^(d + 1) − r^(B + 1)) / (1 − r^(B + 1)), with r = q/p, and 1 − (d + 1)/(B + 1) where r = 1.
//!
//! Without end, B grows, and W(d) becomes r^(d + 1), or 1 where q ≥ p. With one block in hand d + 1 = z − m: these are the papers'.
//!
//! **Delay.** Honest miners, many and small, hear of each other's blocks, and the merchant of theirs, after D block times. While a
//! block is under way nothing can be found above it, and what is found beside it is lost; so the honest chain grows by one
//! after D and then the time until the next honest block, 1/(D + 1/p) in the mean, which is the least that Sompolinsky and Zohar 2015,
//! "Secure high-rate transaction processing in Bitcoin", show for any network. The attacker meanwhile finds as many
//! blocks as ever: Poisson's law with the mean q·D for each block under way. So the race has two kinds of moments. V(d) is the
//! chance where nothing is under way: V(d) = q·V(d − 1) + p·W(d + 1). W(d) is that of the moment at which an honest block was found: 0
//! from `behind_max` on, and else the mean of V(d − a) over the attacker's a blocks until it is heard.
//!
//! **Eclipse.** The attacker, and the honest miners that are cut off with the merchant, show it blocks at the rate s, the others find
//! theirs at the rate 1 − s, and both are Poisson's, independent of each other. In T block times the merchant hands over where n ≥ z
//! blocks come on its side. Had the attacker gone on, each of the n − z after these would have been its own with the probability
//! q/s; these it does not mine, and the rest, j of them with a binomial law, are there. It wins if the others have more than z + j
//! blocks. Where nobody is cut off with the merchant, j = 0, and both events are independent: the product of two of Poisson's
//! tails, the first of which is Erlang's law of the time that z blocks take.
//!
//! **Vector76.** Of the blocks until the honest miners have z, which takes m more of the attacker's as in a race, m ≥ z are needed; the
//! last has to be another's than the merchant's peer's, and then the next one too.
//!
//! **Selfish mining.** Eyal and Sirer 2014, "Majority is not enough: Bitcoin mining is vulnerable", section 4.

use statrs::function::gamma::gamma_lr;

use crate::duel::{Terms, Wait};

/// Nakamoto's probability that an attacker with this share of the hash power, which never gives up, takes back a payment
/// of so many confirmations (2008, section 11).
pub fn nakamoto(share: f64, confirmations: u64) -> f64 {
    Attack { share, confirmations, in_hand: 1, wait: Wait::Held, behind_max: None }.success()
}

/// Rosenfeld's probability of the same (2014, section 4, equation 1).
pub fn rosenfeld(share: f64, confirmations: u64) -> f64 {
    Attack { share, confirmations, in_hand: 1, wait: Wait::Raced, behind_max: None }.success()
}

/// The probability that [`Stage::fight`](crate::duel::Stage::fight) ends with the payment taken back: with one block in hand
/// and a large `behind_max` Rosenfeld's or, where the confirmations are held, Nakamoto's.
pub fn success(terms: &Terms) -> f64 {
    Attack::new(terms, Some(terms.behind_max)).success()
}

/// The same for an attacker that never gives up: with one block in hand Rosenfeld's or, where the confirmations are held,
/// Nakamoto's.
pub fn success_without_end(terms: &Terms) -> f64 {
    Attack::new(terms, None).success()
}

/// The same as [`success`] where honest miners and the merchant hear of blocks after `delay`, in block times of all hash power
/// together. The honest blocks are raced for, whatever the terms say.
pub fn success_with_delay(terms: &Terms, delay: f64) -> f64 {
    let attack = Attack::new(&Terms { wait: Wait::Raced, ..*terms }, Some(terms.behind_max));
    let Some(behind) = terms.confirmations.checked_sub(terms.in_hand) else { return 1.0 };
    // What is found between the blocks, and while each is under way.
    let (between, meanwhile) =
        (attack.chances(behind), poisson(attack.share * delay * terms.confirmations as f64, behind));
    let quiet = Quiet::solve(attack.share, delay, terms.behind_max);
    let lost = (0..=behind as usize).map(|found| {
        let chance: f64 = (0..=found).map(|first| between[first] * meanwhile[found - first]).sum();
        chance * (1.0 - quiet.at(behind as i64 - found as i64))
    });
    (1.0 - lost.sum::<f64>()).max(0.0)
}

/// W(d) of this module's introduction: the probability that an attacker with this share of the hash power which is `behind`
/// blocks behind, below zero if it is ahead, ever has one more than the others, if it gives up `behind_max` behind or never.
pub fn catch_up(share: f64, behind: i64, behind_max: Option<u64>) -> f64 {
    if behind < 0 {
        return 1.0;
    }
    let (missing, log) = ((behind + 1) as f64, (share / (1.0 - share)).ln());
    let Some(behind_max) = behind_max else { return (missing * log).exp().min(1.0) };
    if behind as u64 >= behind_max {
        return 0.0;
    }
    // Both powers of r are near 1 where r is: `exp_m1` keeps the digits of what they differ by.
    let barrier = behind_max as f64 + 1.0;
    if log == 0.0 {
        1.0 - missing / barrier
    } else if log < 0.0 {
        (missing * log).exp() * ((barrier - missing) * log).exp_m1() / (barrier * log).exp_m1()
    } else {
        ((missing - barrier) * log).exp_m1() / (-barrier * log).exp_m1()
    }
}

/// The least confirmations at which an attacker with this share of the hash power, which never gives up, takes a payment back
/// with at most the probability `risk`: what a merchant should wait for. By Rosenfeld if the wait is raced, as it really is, by
/// Nakamoto if held. Nothing if [`CONFIRMATIONS_MAX`] are not enough, as against half of the hash power or more, or for no risk
/// at all.
pub fn confirmations(wait: Wait, share: f64, risk: f64) -> Option<u64> {
    let is_enough =
        |confirmations| Attack { share, confirmations, in_hand: 1, wait, behind_max: None }.success() <= risk;
    if risk >= 1.0 {
        return Some(0);
    }
    if share >= 0.5 || risk <= 0.0 {
        return None;
    }
    let enough = (0..).map(|power| 1_u64 << power).take_while(|many| *many < CONFIRMATIONS_MAX);
    let enough = enough.chain([CONFIRMATIONS_MAX]).find(|many| is_enough(*many))?;
    // The probability falls with each confirmation.
    let (mut low, mut high) = (0, enough);
    while low < high {
        let middle = low.midpoint(high);
        if is_enough(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(low)
}

/// Nobody waits for more: at ten minutes a block these are two years.
pub const CONFIRMATIONS_MAX: u64 = 100_000;

/// The probability that a payment of so many confirmations is undone when an eclipse of so many block times ends, by an
/// attacker with this share of all hash power. `merchant` is the share of all hash power that is cut off with the merchant.
pub fn eclipse(share: f64, merchant: f64, confirmations: u64, span: f64) -> f64 {
    // What is left over of all may be a rounding error below nothing.
    let (side, others) = ((share + merchant) * span, (1.0 - share - merchant).max(0.0) * span);
    let most = |mean: f64| (mean + 12.0 * mean.sqrt() + 30.0).ceil() as u64;
    let upto = most(side).max(confirmations);
    let shown = poisson(side, upto);
    // The chance that the others have more than so many blocks.
    let outweighed: Vec<f64> = (confirmations..=upto).map(|length| above(others, length)).collect();
    let stays = if share + merchant > 0.0 { merchant / (share + merchant) } else { 0.0 };
    let mut later = vec![1.0];
    let mut sum = 0.0;
    for chance in shown.iter().skip(confirmations as usize) {
        let wins: f64 = later.iter().zip(&outweighed).map(|(later, outweighed)| later * outweighed).sum();
        sum += chance * wins;
        later = one_more(&later, stays);
    }
    sum.min(1.0)
}

/// The binomial law of one trial more.
fn one_more(law: &[f64], chance: f64) -> Vec<f64> {
    let at = |place: usize| law.get(place).copied().unwrap_or(0.0);
    let stays = |place: usize| at(place) * (1.0 - chance);
    (0..=law.len()).map(|place| stays(place) + place.checked_sub(1).map_or(0.0, at) * chance).collect()
}

/// The probability that Poisson's law of this mean gives more than so many.
fn above(mean: f64, length: u64) -> f64 {
    if mean <= 0.0 {
        return 0.0;
    }
    // The lower regularised gamma function: of so many and one more the time is Erlang's.
    gamma_lr((length + 1) as f64, mean)
}

/// The probability that a replica takes back `depth` blocks or more, one at least, when a split of so many block times ends in which one part
/// has this share of all hash power: both parts found so many.
pub fn partition_depth(share: f64, span: f64, depth: u64) -> f64 {
    above(share * span, depth - 1) * above((1.0 - share) * span, depth - 1)
}

/// The probability that a double spend as in [`success`] is won and takes back so many blocks or more, first for as many as there are
/// confirmations, each next for one more, as long as it is above `least`.
pub fn depths(terms: &Terms, least: f64) -> Vec<f64> {
    let attack = Attack::new(terms, Some(terms.behind_max));
    let share = attack.share;
    // By how far it is behind after so many honest blocks; who is ahead has won.
    let mut behind = vec![0.0; terms.behind_max as usize];
    let mut chance = attack.success();
    let mut won = 1.0;
    if let Some(most) = terms.confirmations.checked_sub(terms.in_hand) {
        for (found, chance) in attack.chances(most).into_iter().enumerate() {
            won -= chance;
            if let Some(place) = behind.get_mut(most as usize - found) {
                *place = chance;
            }
        }
    }
    let mut depths = Vec::new();
    while chance > least {
        depths.push(chance);
        let mut after = vec![0.0; behind.len()];
        for place in (0..behind.len()).rev() {
            let here = behind[place];
            match place.checked_sub(1) {
                Some(nearer) => behind[nearer] += share * here,
                None => won += share * here,
            }
            if let Some(further) = after.get_mut(place + 1) {
                *further = (1.0 - share) * here;
            }
        }
        chance -= won;
        (behind, won) = (after, 0.0);
    }
    depths
}

/// The probability that an attacker with this share of all hash power deceives a merchant of so many confirmations, one or more, by blocks that
/// it is shown alone. `merchant` is the share of all hash power at the merchant's peer.
pub fn vector76(share: f64, merchant: f64, confirmations: u64) -> f64 {
    let of_honest = (1.0 - merchant / (1.0 - share)).max(0.0);
    let attack = Attack { share, confirmations, in_hand: 0, wait: Wait::Raced, behind_max: None };
    let fewer: f64 = attack.chances(confirmations - 1).iter().sum();
    (1.0 - fewer).max(0.0) * of_honest * (1.0 - merchant)
}

/// The share of the main chain's blocks that a selfish pool gets which has the share α of the hash power, if the share γ of
/// the others mines on its block where there are two (Eyal and Sirer 2014, equation 8). α is below one half: a larger
/// pool gets all of them, in the end.
pub fn selfish_revenue(alpha: f64, gamma: f64) -> f64 {
    let pool = alpha * (1.0 - alpha).powi(2) * (4.0 * alpha + gamma * (1.0 - 2.0 * alpha)) - alpha.powi(3);
    pool / (1.0 - alpha * (1.0 + (2.0 - alpha) * alpha))
}

/// The α from which on a selfish pool gets more than its share α, given γ (Eyal and Sirer 2014, observation 1).
pub fn selfish_threshold(gamma: f64) -> f64 {
    (1.0 - gamma) / (3.0 - 2.0 * gamma)
}

/// A double spend, with an attacker that gives up, or never.
struct Attack {
    share: f64,
    confirmations: u64,
    in_hand: u64,
    wait: Wait,
    behind_max: Option<u64>,
}

impl Attack {
    fn new(terms: &Terms, behind_max: Option<u64>) -> Self {
        let share = terms.attacker as f64 / (terms.honest + terms.attacker) as f64;
        let Terms { confirmations, in_hand, wait, .. } = *terms;
        Self { share, confirmations, in_hand, wait, behind_max }
    }

    /// The sum of W(z − in_hand − m) over all m with their probabilities. Nothing is subtracted, so that a probability of 10^-12
    /// has as many digits as one of a half; logarithms are added, since (1 − q)^z is too small a number where many wait.
    fn success(&self) -> f64 {
        assert!((0.0..1.0).contains(&self.share), "an attacker has a share of the hash power, and not all");
        let mut log = self.log_of_none();
        let mut sum = 0.0;
        for found in 0_u64.. {
            let chance = log.exp();
            let behind = self.confirmations as i64 - self.in_hand as i64 - found as i64;
            sum += chance * catch_up(self.share, behind, self.behind_max);
            if found as f64 >= self.mean() && chance <= REST * sum {
                break;
            }
            log += self.log_of_one_more(found);
        }
        sum.min(1.0)
    }

    /// The probabilities that it finds nothing meanwhile, one, and so on.
    fn chances(&self, upto: u64) -> Vec<f64> {
        let steps = (0..upto).scan(self.log_of_none(), |log, found| {
            *log += self.log_of_one_more(found);
            Some(*log)
        });
        [self.log_of_none()].into_iter().chain(steps).map(f64::exp).collect()
    }

    /// The mean of what the attacker finds meanwhile; no number is more probable than one of those up to it.
    fn mean(&self) -> f64 {
        self.confirmations as f64 * self.share / (1.0 - self.share)
    }

    /// The logarithm of the probability that it finds nothing meanwhile.
    fn log_of_none(&self) -> f64 {
        match self.wait {
            Wait::Held => -self.mean(),
            Wait::Raced => self.confirmations as f64 * (1.0 - self.share).ln(),
        }
    }

    /// The logarithm of how much more probable it is that it finds one more.
    fn log_of_one_more(&self, found: u64) -> f64 {
        let one_more = (found + 1) as f64;
        match self.wait {
            Wait::Held => (self.mean() / one_more).ln(),
            Wait::Raced => (self.share * (found + self.confirmations) as f64 / one_more).ln(),
        }
    }
}

/// The probabilities of nothing, one, and so on.
fn poisson(mean: f64, upto: u64) -> Vec<f64> {
    let steps = (0..upto).scan((-mean).exp(), |chance, found| {
        *chance *= mean / (found + 1) as f64;
        Some(*chance)
    });
    [(-mean).exp()].into_iter().chain(steps).collect()
}

/// V(d), where nothing is under way, from d = 0 up to where the attacker gives up.
struct Quiet(Vec<f64>);

impl Quiet {
    /// Each is put in the place of what its neighbours say of it, until nothing moves: this goes up from 0 and comes to a rest, since
    /// the walk ends with certainty.
    fn solve(share: f64, delay: f64, behind_max: u64) -> Self {
        let meanwhile = poisson(share * delay, behind_max);
        let mut quiet = Self(vec![0.0; behind_max as usize]);
        loop {
            let mut moved = 0.0_f64;
            for behind in 0..behind_max as i64 {
                let chance = share * quiet.at(behind - 1) + (1.0 - share) * quiet.found(&meanwhile, behind + 1);
                let place = &mut quiet.0[behind as usize];
                moved = moved.max((chance - *place).abs());
                *place = chance;
            }
            if moved < MOVED {
                return quiet;
            }
        }
    }

    fn at(&self, behind: i64) -> f64 {
        usize::try_from(behind).map_or(1.0, |behind| self.0.get(behind).copied().unwrap_or(0.0))
    }

    /// W(d), where an honest block was found.
    fn found(&self, meanwhile: &[f64], behind: i64) -> f64 {
        if behind as usize >= self.0.len() {
            return 0.0;
        }
        let fewer = &meanwhile[..=behind as usize];
        let caught = 1.0 - fewer.iter().sum::<f64>();
        (0..).zip(fewer).map(|(found, chance)| chance * self.at(behind - found)).sum::<f64>() + caught
    }
}

/// Less than the last digits of a probability that anybody looks at.
const MOVED: f64 = 1e-14;

/// Terms below this share of the sum are left out, once they fall.
const REST: f64 = 1e-19;

#[cfg(test)]
mod tests;
