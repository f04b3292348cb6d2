//! Properties that hold for every input, however hostile. Each target passes its input to one of these functions, which
//! panics if a property is violated.

mod aws;
mod delivery;
mod envelope;
mod keys;
mod provider;
mod request;
mod stream;

pub use delivery::delivery;
pub use envelope::envelope;
pub use keys::keys;
pub use stream::stream;

use jiff::Timestamp;

/// The time of every fixture, at which their tokens are valid.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_761_815_000, 0);
