//! The fallback queue, which stores deliveries as they were received while the table or the keys fail.
//!
//! A message holds the headers that verification reads, the body's exact bytes and the time of receipt. It is not
//! trusted: `recover` verifies it.

use std::io::{Read, Write};

use aws_sdk_sqs::Client;
use aws_types::SdkConfig;
use data_encoding::BASE64;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use lambda_http::http::{HeaderMap, HeaderName, HeaderValue};
use livehooks_core::{Delivery, Provider};
use serde::{Deserialize, Serialize};

use crate::Fault;
use crate::config::{BODY_BYTES_MAX, FallbackConfig};
use crate::fault::{QueueError, describe};

/// The largest message that SQS accepts, attributes included.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// The largest queued delivery: leaves room for the attributes of a dead letter.
pub const QUEUED_BYTES_MAX: usize = MESSAGE_BYTES_MAX - 256;

/// Sends deliveries to the fallback queue.
pub(crate) struct Fallback {
    sqs: Client,
    config: FallbackConfig,
}

/// A delivery in the fallback queue.
#[derive(Clone, Debug)]
pub struct QueuedDelivery {
    /// The provider that it claims to come from.
    pub provider: String,
    /// When it was received.
    pub received_at: Timestamp,
    headers: HeaderMap,
    url_token: Option<String>,
    body: Vec<u8>,
}

/// Why a message is not a queued delivery. Never repeats the message.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnreadableMessage {
    /// The message is not JSON of the expected shape.
    #[error("expected a queued delivery, found none at line {line} column {column}")]
    NotADelivery {
        /// The line of the first error.
        line: usize,
        /// The column of the first error.
        column: usize,
    },
    /// A part of the message is not what it should be.
    #[error("expected {0}, found none")]
    Missing(&'static str),
    /// The unpacked body is larger than any delivery.
    #[error("expected a body of at most {BODY_BYTES_MAX} bytes, found a larger one")]
    BodyTooLarge,
}

/// A message as JSON, with bytes in base64.
#[derive(Deserialize, Serialize)]
struct Message {
    provider: String,
    received_at: Timestamp,
    /// The code of the fault, for people who inspect the queue.
    fault: String,
    url_token: Option<String>,
    /// Names and values; repeated headers are repeated here.
    headers: Vec<(String, String)>,
    body: String,
    gzip: bool,
}

impl Fallback {
    pub(crate) fn new(config: FallbackConfig, sdk: &SdkConfig) -> Self {
        Self { sqs: Client::new(sdk), config }
    }

    /// Queues a delivery and returns the message's id.
    pub(crate) async fn put<P: Provider>(
        &self,
        delivery: &Delivery<'_>,
        received_at: Timestamp,
        fault: &Fault,
    ) -> Result<String, QueueError> {
        let message = message::<P>(delivery, received_at, fault)?;
        let send = self.sqs.send_message().queue_url(&self.config.queue_url).message_body(message).send();
        let late = |_| QueueError::Timeout(self.config.deadline.as_millis());
        let sent = tokio::time::timeout(self.config.deadline, send).await.map_err(late)?;
        let sent = sent.map_err(|error| QueueError::Sqs(describe(&error)))?;
        sent.message_id.ok_or_else(|| QueueError::Sqs("a response without a message id".into()))
    }
}

/// A delivery as a message, compressed only if it would be too large otherwise.
///
/// # Errors
/// [`QueueError::TooLarge`] if it is still too large.
pub fn message<P: Provider>(
    delivery: &Delivery<'_>,
    received_at: Timestamp,
    fault: &Fault,
) -> Result<String, QueueError> {
    let headers = delivery.headers.iter().filter(|(name, _)| P::reads(name));
    let mut message = Message {
        provider: P::NAME.into(),
        received_at,
        fault: fault.code().into(),
        url_token: delivery.url_token.map(str::to_owned),
        headers: headers.map(|(name, value)| (name.to_string(), BASE64.encode(value.as_bytes()))).collect(),
        body: BASE64.encode(delivery.body),
        gzip: false,
    };
    let json = |message: &Message| {
        serde_json::to_string(message).map_err(|error| QueueError::Unbuildable(error.to_string()))
    };
    let text = json(&message)?;
    if text.len() <= QUEUED_BYTES_MAX {
        return Ok(text);
    }
    message.body =
        BASE64.encode(&gzip(delivery.body).map_err(|error| QueueError::Unbuildable(error.to_string()))?);
    message.gzip = true;
    match json(&message)? {
        text if text.len() <= QUEUED_BYTES_MAX => Ok(text),
        text => Err(QueueError::TooLarge { bytes: text.len(), bytes_max: QUEUED_BYTES_MAX }),
    }
}

impl QueuedDelivery {
    /// Reads a message.
    ///
    /// # Errors
    /// Says what was expected; never repeats what was found.
    pub fn read(message: &str) -> Result<Self, UnreadableMessage> {
        use UnreadableMessage::Missing;
        let message: Message = serde_json::from_str(message).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            UnreadableMessage::NotADelivery { line, column }
        })?;
        let decode = |text: &str| BASE64.decode(text.as_bytes()).map_err(|_| Missing("base64"));
        let mut headers = HeaderMap::new();
        for (name, value) in &message.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            let name = name.map_err(|_| Missing("the name of a header"))?;
            let value = HeaderValue::from_bytes(&decode(value)?);
            headers.append(name, value.map_err(|_| Missing("the value of a header"))?);
        }
        let body = decode(&message.body)?;
        Ok(Self {
            provider: message.provider,
            received_at: message.received_at,
            headers,
            url_token: message.url_token,
            body: if message.gzip { gunzip(&body)? } else { body },
        })
    }

    /// The delivery as it was received.
    pub fn delivery(&self) -> Delivery<'_> {
        Delivery { headers: &self.headers, url_token: self.url_token.as_deref(), body: &self.body }
    }
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn gunzip(gzip: &[u8]) -> Result<Vec<u8>, UnreadableMessage> {
    let mut body = Vec::new();
    let read = GzDecoder::new(gzip).take(BODY_BYTES_MAX as u64 + 1).read_to_end(&mut body);
    read.map_err(|_| UnreadableMessage::Missing("gzip"))?;
    match body.len() {
        0..=BODY_BYTES_MAX => Ok(body),
        _ => Err(UnreadableMessage::BodyTooLarge),
    }
}
