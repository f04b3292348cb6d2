//! The providers, as the command needs them: all derived from the one list.

use livehooks_aws::recover::ProviderPipeline;
use livehooks_core::{PROVIDER_NAMES, for_each_provider};

pub use livehooks_signing::{
    Checked, Lifetime, Normalized, PROVIDERS as ALL, ProviderInfo as Entry, SignError, Signed,
    Signer as Sender, Validity, VerifyResult,
};

/// Every provider's way through the recover function.
pub const PIPELINES: &[ProviderPipeline] = &for_each_provider!(P => ProviderPipeline::of::<P>());

/// For help texts: `a, b or c`.
pub fn one_of() -> String {
    match PROVIDER_NAMES {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        names => names.concat(),
    }
}
