//! Sample events of each provider.

pub use livehooks_signing::{Sample, SampleValues as Places};

use crate::providers::Entry;

/// All samples of a provider, in the order in which a session sends them.
pub fn of(entry: &Entry) -> Vec<Sample<'static>> {
    entry.samples()
}
