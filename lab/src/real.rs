//! A scenario on real processes of this machine, counted as the simulator counts it.
//!
//! The scenario's peers become `synod node` processes that are linked exactly as its topology says, mine with their shares of
//! one hash rate, and are paid at through their APIs. What they send is counted by the same [`Host`](synod_machine::Host)
//! counters that the simulator has, over a span of blocks: counters at its end less those at its beginning, so that
//! starting up is in neither. The same span of the same scenario in virtual time stands beside it ([`simulate`]).

mod figures;
mod layout;
mod measure;
mod run;
mod scrape;
mod search;
mod virtual_time;

pub use figures::{Costs, Figures, Passed};
pub use measure::Real;
pub use run::{Options, run};
pub(crate) use scrape::sent;
pub use virtual_time::simulate;
