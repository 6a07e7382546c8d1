//! Simulated networks of whole peers: what a scenario says, what runs it, what it measures, what must hold.
//!
//! Here the simulator (`sim`, which knows no protocol) meets the participants (`peer`, which know no simulator).

pub mod attack;
pub mod averaging;
mod comings;
pub mod config;
pub mod duel;
pub mod exam;
pub mod forge;
pub mod measure;
mod observe;
pub mod oracle;
mod outcome;
pub mod overlay;
mod party;
pub mod payer;
mod plan;
mod race;
mod run;
pub mod shrink;
pub mod stats;
pub mod swarm;
mod trial;

pub use comings::Comings;
pub use config::{Scenario, ScenarioError};
pub use observe::{Found, Observed, REACHES};
pub use outcome::{ChainFigures, Cost, KindFigures, Outcome, Payments, Spread, StakeFigures};
pub use plan::{Clients, Deed, Load, Plan, Stop};
pub use run::{Broken, Ended, Progress, Watch, advance, drive, run};
pub use trial::{Acknowledged, Alarm, Trial};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
