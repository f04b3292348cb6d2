//! A simulated meeting: what happens in it, as any provider would report it.
//!
//! A [`Plan`] is in the common vocabulary. A [`Simulation`] fills in a provider's samples, one for each step that the
//! provider reports. [`Faults`] repeat, reorder and lose deliveries. The same seed gives the same meeting.

mod faults;
mod plan;
mod simulation;
#[cfg(test)]
mod tests;

pub use faults::Faults;
pub use plan::{Meeting, Person, Plan, Step};
pub use simulation::{Clock, SimulatedDelivery, Simulation};
