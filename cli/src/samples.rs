//! Sample events, in each provider's own words and style.

pub use livehooks_signing::{Sample, SampleValues as Places};

use crate::providers::Entry;

/// All samples of a provider, in the order of a session.
pub fn of(entry: &Entry) -> Vec<Sample<'static>> {
    entry.samples()
}
