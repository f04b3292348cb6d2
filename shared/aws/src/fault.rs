//! What can go wrong on our side: never a 4xx. The delivery is queued, or asked for again.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use std::error::Error;

/// Our own fault, and the only thing that can lead a delivery to the fallback queue. The log and the metric say why.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The provider's secret could not be read, and none was read before.
    #[error("expected to read the keys from {from}, found: {why}")]
    KeysUnavailable {
        /// Where the keys should be.
        from: String,
        /// What the service answered.
        why: String,
    },
    /// Nobody has put the provider's keys in yet: nothing can be authentic, so nothing is queued either.
    #[error("the keys in {from} were never set: {why}; fill them with: {remedy}")]
    KeysNotSet {
        /// Where the keys should be.
        from: String,
        /// The field, what was expected and what was found.
        why: String,
        /// The command that fills the secret.
        remedy: String,
    },
    /// The provider's secret has the wrong shape.
    #[error("the keys in {from} cannot be used: {why}; fill them with: {remedy}")]
    KeysInvalid {
        /// Where the keys are.
        from: String,
        /// The field, what was expected and what was found.
        why: String,
        /// The command that fills the secret.
        remedy: String,
    },
    /// The table did not take the event.
    #[error("expected the table to take the event, found: {0}")]
    Store(String),
    /// The table did not answer in time.
    #[error("expected the table's answer within {0} ms, found none")]
    StoreTimeout(u128),
    /// A delivery was rejected, and the dead-letter queue did not take it.
    #[error("rejected for {reason}, and expected the dead-letter queue to take it, found: {why}")]
    DeadLetterQueue {
        /// The code of the rejection.
        reason: &'static str,
        /// What the queue answered.
        why: String,
    },
    /// Too many other deliveries of the same sequence arrived at once.
    #[error("expected a free place in the event's sequence, found each of {0} taken by others")]
    Contention(u32),
}

impl Fault {
    /// A stable code for metrics and filters.
    pub fn code(&self) -> &'static str {
        match self {
            Self::KeysUnavailable { .. } => "keys_unavailable",
            Self::KeysNotSet { .. } => "keys_not_set",
            Self::KeysInvalid { .. } => "keys_invalid",
            Self::Store(_) => "store",
            Self::StoreTimeout(_) => "store_timeout",
            Self::DeadLetterQueue { .. } => "dead_letter_queue",
            Self::Contention(_) => "contention",
        }
    }

    /// Whether a delivery that it has met may be authentic, and waits in the fallback queue.
    pub(crate) fn leads_to_queue(&self) -> bool {
        match self {
            Self::KeysNotSet { .. } => false,
            Self::KeysUnavailable { .. }
            | Self::KeysInvalid { .. }
            | Self::Store(_)
            | Self::StoreTimeout(_)
            | Self::DeadLetterQueue { .. }
            | Self::Contention(_) => true,
        }
    }
}

/// What an AWS call failed with: code and message of the service, or the chain of causes below it. Never
/// the request.
pub fn describe<E: ProvideErrorMetadata + Error + 'static, R>(error: &SdkError<E, R>) -> String {
    if let Some(service) = error.as_service_error() {
        let code = service.code().unwrap_or("an error without code");
        return format!("{code}: {}", service.message().unwrap_or("no message"));
    }
    let (kind, mut cause): (_, Option<&dyn Error>) = match error {
        SdkError::ConstructionFailure(_) => ("the request could not be built", None),
        SdkError::TimeoutError(_) => ("no answer in time", None),
        SdkError::DispatchFailure(failure) => ("no connection", failure.as_connector_error().map(|e| e as _)),
        _ => ("an answer that cannot be read", None),
    };
    let mut text = kind.to_owned();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
