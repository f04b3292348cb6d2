//! Which of SNS's errors are about the records, and which will pass.

use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sns::operation::publish_batch::PublishBatchError;
use aws_sdk_sns::types::BatchResultErrorEntry;

use crate::fault::describe;

/// Why SNS took nothing of a batch.
pub(crate) enum PublishError {
    /// An outage, or something of ours that is out of order: it has to come again.
    Retryable(String),
    /// What the request says, which will not be any better the next time.
    Permanent(String),
}

impl PublishError {
    pub(crate) fn new(error: &SdkError<PublishBatchError>) -> Self {
        let why = describe(error);
        let status = error.raw_response().map(|response| response.status().as_u16());
        let (code, message) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
        match status.is_some_and(|status| is_rejected_for_good(status, code, message)) {
            true => Self::Permanent(why),
            false => Self::Retryable(why),
        }
    }
}

/// Whether SNS rejects one entry of a batch for what it says. `SenderFault` is not enough: SNS also sets it for what an
/// operator can fix.
pub(crate) fn is_entry_rejected_for_good(entry: &BatchResultErrorEntry) -> bool {
    entry.sender_fault() && is_rejected_for_good(400, entry.code(), entry.message().unwrap_or_default())
}

/// Whether SNS rejects what a request says. Throttling, and whatever an operator fixes (permissions, credentials, clocks,
/// keys of KMS, the topic), passes; so does a 4xx without a code, which does not come from SNS.
/// <https://docs.aws.amazon.com/sns/latest/api/CommonErrors.html>
fn is_rejected_for_good(status: u16, code: &str, message: &str) -> bool {
    const PASSING_STATUSES: [u16; 5] = [401, 403, 404, 408, 429];
    const PASSING_CODES: [&str; 19] = [
        "Throttl",
        "TooManyRequests",
        "LimitExceeded",
        "SlowDown",
        "Authorization",
        "AccessDenied",
        "NotAuthorized",
        "OptInRequired",
        "KMS",
        "NotFound",
        "Disabled",
        "Token",
        "AccessKey",
        "Security",
        "Signature",
        "UnrecognizedClient",
        "RequestExpired",
        "TimeTooSkewed",
        "RequestInTheFuture",
    ];
    let passes = code.is_empty()
        || PASSING_STATUSES.contains(&status)
        || PASSING_CODES.iter().any(|passing| code.contains(passing))
        // An invalid parameter that all batches have in common.
        || message.contains("TopicArn");
    (400..500).contains(&status) && !passes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_request_says_is_rejected_for_good() {
        for (status, code, message) in [
            (400, "InvalidParameter", "Invalid parameter: Message too long"),
            (400, "ParameterValueInvalid", ""),
            (400, "ValidationException", ""),
            (400, "ValidationError", ""),
            (400, "BatchRequestTooLong", ""),
            (400, "AWS.SimpleNotificationService.InvalidBatchEntryId", ""),
            (413, "RequestEntityTooLarge", ""),
            (400, "SomethingNew", ""),
        ] {
            assert!(is_rejected_for_good(status, code, message), "{status} {code}");
        }
        for (status, code, message) in [
            (400, "Throttling", ""),
            (400, "ThrottledException", ""),
            (429, "SomethingNew", ""),
            (400, "RequestLimitExceeded", ""),
            (403, "AuthorizationError", ""),
            (400, "AccessDeniedException", ""),
            (400, "NotAuthorized", ""),
            (403, "OptInRequired", ""),
            (400, "KMSAccessDenied", ""),
            (400, "KMSDisabled", ""),
            (400, "KMSInvalidState", ""),
            (400, "KMSNotFound", ""),
            (400, "KMSOptInRequired", ""),
            (400, "KMSThrottling", ""),
            (404, "NotFound", ""),
            (400, "EndpointDisabled", ""),
            (400, "ExpiredToken", ""),
            (403, "InvalidClientTokenId", ""),
            (403, "MissingAuthenticationToken", ""),
            (403, "InvalidAccessKeyId", ""),
            (403, "InvalidSecurity", ""),
            (400, "IncompleteSignature", ""),
            (403, "SignatureDoesNotMatch", ""),
            (400, "InvalidSignatureException", ""),
            (400, "UnrecognizedClientException", ""),
            (400, "RequestExpired", ""),
            (403, "RequestTimeTooSkewed", ""),
            (408, "RequestTimeout", ""),
            (400, "InvalidParameter", "Invalid parameter: TopicArn Reason: not an ARN"),
            (400, "", ""),
            (500, "InternalError", ""),
            (503, "ServiceUnavailable", ""),
        ] {
            assert!(!is_rejected_for_good(status, code, message), "{status} {code}");
        }
    }
}
