//! The dead-letter queue: queued deliveries that were rejected, but that other keys might accept.
//!
//! A dead letter is the unchanged message of the fallback queue, so it can be moved back. Its attributes say why it is
//! here.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::MessageAttributeValue;
use jiff::Timestamp;

use crate::fault::{QueueError, describe};

/// Sends messages to the dead-letter queue.
pub(crate) struct DeadLetterQueue {
    pub(crate) sqs: Client,
    pub(crate) url: String,
}

impl DeadLetterQueue {
    /// Puts a message of the fallback queue into the dead-letter queue.
    pub(crate) async fn put(
        &self,
        message: &str,
        reason: &str,
        provider: &str,
        received_at: Timestamp,
    ) -> Result<(), QueueError> {
        let mut send = self.sqs.send_message().queue_url(&self.url).message_body(message);
        let received_at = received_at.to_string();
        for (name, value) in [("reason", reason), ("provider", provider), ("received_at", &received_at)] {
            let attribute = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            send = send.message_attributes(
                name,
                attribute.map_err(|error| QueueError::Unbuildable(error.to_string()))?,
            );
        }
        send.send().await.map(drop).map_err(|error| QueueError::Sqs(describe(&error)))
    }
}
