//! The senders' side of webhooks: how each provider signs, samples of what it sends, when it retries, and which rejection
//! each attack on its deliveries must cause.
//!
//! For the command, tests, fuzzing and benchmarks. No function links this crate.

mod attack;
mod info;
mod keys;
mod meeting;
mod providers;
mod sample;
mod sender;
mod signer;

pub use attack::Attack;
pub use info::{Checked, Normalized, PROVIDERS, ProviderInfo, VerifyResult};
pub use keys::merge_keys;
pub use meeting::{Clock, Faults, Meeting, Person, Plan, SimulatedDelivery, Simulation, Step};
pub use sample::{Sample, SampleValues};
pub use sender::{Answer, Next, Queue, RetryPolicy, SenderRules};
pub use signer::{Lifetime, SignError, Signed, Signer, Validity};
