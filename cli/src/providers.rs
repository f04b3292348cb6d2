//! What the command knows of the providers, derived from the one list.

use livehooks_aws::recover::ProviderPipeline;
use livehooks_core::{PROVIDER_NAMES, for_each_provider};

pub use livehooks_signing::{
    Checked, Normalized, PROVIDERS as ALL, ProviderInfo as Entry, SignError, Signed, Signer as Sender,
    Validity, VerificationResult,
};

/// Every provider's pipeline in the recover function.
pub const PIPELINES: &[ProviderPipeline] = &for_each_provider!(P => ProviderPipeline::of::<P>());

/// For error messages: `one of a, b, c`.
pub(crate) fn one_of_list() -> String {
    format!("one of {}", PROVIDER_NAMES.join(", "))
}

/// For help texts: `a, b or c`.
pub fn one_of() -> String {
    match PROVIDER_NAMES {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        names => names.concat(),
    }
}
