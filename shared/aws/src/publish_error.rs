//! Classifies SNS's errors: permanent ones, caused by the records, and retryable ones.

use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sns::operation::publish_batch::PublishBatchError;
use aws_sdk_sns::types::BatchResultErrorEntry;

use crate::fault::describe;

/// Why SNS accepted no entry of a batch.
pub(crate) enum PublishError {
    /// An outage, or a fault of ours that can be fixed: the records are retried.
    Retryable(String),
    /// SNS rejects the request's content, and would reject it again.
    Permanent(String),
}

impl PublishError {
    pub(crate) fn new(error: &SdkError<PublishBatchError>) -> Self {
        let why = describe(error);
        let status = error.raw_response().map(|response| response.status().as_u16());
        let (code, message) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
        match status.is_some_and(|status| is_permanent(status, code, message)) {
            true => Self::Permanent(why),
            false => Self::Retryable(why),
        }
    }
}

/// Whether SNS rejects the content of one entry of a batch. `SenderFault` is not enough: SNS also sets it for errors that
/// an operator can fix.
pub(crate) fn is_entry_permanent(entry: &BatchResultErrorEntry) -> bool {
    entry.sender_fault() && is_permanent(400, entry.code(), entry.message().unwrap_or_default())
}

/// Whether SNS rejects the request's content. Throttling is temporary, and so is anything that an operator can fix:
/// permissions, credentials, clocks, KMS keys, the topic. A 4xx without a code does not come from SNS, so it is
/// temporary too.
/// <https://docs.aws.amazon.com/sns/latest/api/CommonErrors.html>
fn is_permanent(status: u16, code: &str, message: &str) -> bool {
    const TEMPORARY_STATUSES: [u16; 5] = [401, 403, 404, 408, 429];
    const TEMPORARY_CODES: [&str; 19] = [
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
    let is_temporary = code.is_empty()
        || TEMPORARY_STATUSES.contains(&status)
        || TEMPORARY_CODES.iter().any(|temporary| code.contains(temporary))
        // An invalid parameter that all batches share.
        || message.contains("TopicArn");
    (400..500).contains(&status) && !is_temporary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_about_the_content_are_permanent() {
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
            assert!(is_permanent(status, code, message), "{status} {code}");
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
            assert!(!is_permanent(status, code, message), "{status} {code}");
        }
    }
}
