//! Failures on our side: never a 4xx. The delivery is queued, or the sender is asked to retry.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use std::error::Error;

/// A failure on our side. Only a fault can send a delivery to the fallback queue. The log and the metric name it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The provider's secret could not be read, and none was read before.
    #[error("the keys in {from} could not be read: {why}")]
    KeysUnavailable {
        /// Where the keys should be stored.
        from: String,
        /// The service's response.
        why: String,
    },
    /// The provider's keys were never set: nothing can be authentic, so nothing is queued.
    #[error("the keys in {from} were never set: {why}; fill them with: {remedy}")]
    KeysNotSet {
        /// Where the keys should be stored.
        from: String,
        /// The field, what was expected and what was found.
        why: String,
        /// The command that fills the secret.
        remedy: String,
    },
    /// The provider's secret has the wrong shape.
    #[error("the keys in {from} cannot be used: {why}; fill them with: {remedy}")]
    KeysInvalid {
        /// Where the keys are stored.
        from: String,
        /// The field, what was expected and what was found.
        why: String,
        /// The command that fills the secret.
        remedy: String,
    },
    /// A read or a write of the table failed.
    #[error("the events table failed: {0}")]
    Store(String),
    /// The table did not respond in time.
    #[error("the table did not respond within {0} ms")]
    StoreTimeout(u128),
    /// A delivery was rejected, and the dead-letter queue did not accept it.
    #[error("the delivery was rejected ({reason}), and the dead-letter queue did not accept it: {why}")]
    DeadLetterQueue {
        /// The code of the rejection.
        reason: &'static str,
        /// Why not.
        why: QueueError,
    },
    /// Too many other deliveries of the same sequence arrived at once.
    #[error(
        "expected a free occurrence in the event's sequence, found {0} in a row taken by other deliveries"
    )]
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

    /// Whether a delivery that failed with this fault may be authentic, and goes to the fallback queue.
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

/// Why a message could not be put into a queue.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The message is too large even when compressed. The table could not hold such a body either.
    #[error("expected a message of at most {bytes_max} bytes, found {bytes}")]
    TooLarge {
        /// The message's size.
        bytes: usize,
        /// The largest message that is sent.
        bytes_max: usize,
    },
    /// The message could not be built.
    #[error("the message could not be built: {0}")]
    Unbuildable(String),
    /// The queue did not respond in time.
    #[error("no response within {0} ms")]
    Timeout(u128),
    /// SQS's response.
    #[error("{0}")]
    Sqs(String),
}

/// Why an AWS call failed: the service's code and message, or the chain of causes. Never includes the request.
pub fn describe<E: ProvideErrorMetadata + Error + 'static, R>(error: &SdkError<E, R>) -> String {
    if let Some(service) = error.as_service_error() {
        let code = service.code().unwrap_or("an error without a code");
        return format!("{code}: {}", service.message().unwrap_or("no message"));
    }
    let (kind, mut cause): (_, Option<&dyn Error>) = match error {
        SdkError::ConstructionFailure(_) => ("the request could not be built", None),
        SdkError::TimeoutError(_) => ("no response in time", None),
        SdkError::DispatchFailure(failure) => ("no connection", failure.as_connector_error().map(|e| e as _)),
        _ => ("an unreadable response", None),
    };
    let mut text = kind.to_owned();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
