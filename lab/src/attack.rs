//! Attacks on a running local network, by real processes: an [`Arena`] is the network with a merchant and an attacker's wallet, a
//! `miner` is the attacker's own node, and each attack is a plan of what they do.
//!
//! An attack acts only on a network whose directory this program made, and whose peers all listen on loopback.

mod arena;
mod asker;
mod attacker;
mod double_spend;
mod equivocation;
mod flood;
mod miner;
mod page;
mod report;
mod selfish;
mod stake;
mod terms;

pub use arena::{Arena, Roles};
pub use double_spend::run;
pub use equivocation::{Equivocation, equivocate};
pub use flood::{Answers, Flood, FloodTerms, Kind, flood};
pub(crate) use page::summary;
pub use page::{page, page_of};
pub use report::{Costs, Evidence, Fate, Moment, Outcome, Report, Run, Standing};
pub use selfish::{BLOCKS_MAX, SelfishMining, SelfishTerms, mine_selfishly};
pub use stake::{NothingAtStake, mint_everywhere};
pub use terms::{Strategy, Terms};
