//! What the command derives from the list of providers.

use livehooks_aws::recover::ProviderPipeline;
use livehooks_core::{PROVIDER_NAMES, for_each_provider};

/// Every provider's pipeline in the recover function.
pub const PROVIDER_PIPELINES: &[ProviderPipeline] = &for_each_provider!(P => ProviderPipeline::of::<P>());

/// The providers' names for error messages: `one of a, b, c`.
pub(crate) fn expected_name() -> String {
    format!("one of {}", PROVIDER_NAMES.join(", "))
}

/// The providers' names for help texts: `a, b or c`.
pub(crate) fn name_choices() -> String {
    match PROVIDER_NAMES {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        names => names.concat(),
    }
}
