//! What must hold for every input, however hostile. A target hands its input to one of these functions; whatever
//! does not hold panics.

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

/// The time of every fixture, so that their tokens are valid as they are.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_761_815_000, 0);
