//! Posts notifications to an HTTP target as SNS does with raw delivery.

use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};

/// As long as SNS waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);
const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Characters that a header value cannot hold.
const NOT_IN_HEADERS: &AsciiSet = &CONTROLS.add(b'%');

/// Why a notification was not accepted.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum PostError {
    #[error("{0}")]
    NoAnswer(String),
    #[error("it answered {0}")]
    Rejected(StatusCode),
    #[error("it answered {0}, and redirects are not followed")]
    Redirected(StatusCode),
}

/// A developer's app.
#[derive(Clone, Debug)]
pub struct HttpTarget {
    client: Client,
    url: Url,
}

impl HttpTarget {
    /// The app at an http or https URL, or `None` for any other string.
    ///
    /// # Panics
    /// If TLS cannot be set up.
    pub fn at(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        // A login page that answers 200 has not accepted the event.
        let client = Client::builder().timeout(TIMEOUT).redirect(Policy::none()).build();
        Some(Self { client: client.expect("TLS can be set up"), url })
    }

    /// Posts until the app answers 2xx, and reports every failed attempt to `on_failure`.
    pub async fn post_until_accepted(
        &self,
        topic_arn: &str,
        message: &str,
        attributes: &[(&str, &str)],
        on_failure: impl Fn(&str),
    ) {
        let mut backoff = BACKOFF_MIN;
        while let Err(why) = self.post(topic_arn, message, attributes).await {
            on_failure(&format!("{} did not accept an event: {why}", self.url));
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Posts once.
    ///
    /// # Errors
    /// If the app cannot be reached or does not answer 2xx.
    pub async fn post(
        &self,
        topic_arn: &str,
        message: &str,
        attributes: &[(&str, &str)],
    ) -> Result<(), PostError> {
        let mut request = self
            .client
            .post(self.url.clone())
            .header("content-type", "text/plain; charset=UTF-8")
            .header("user-agent", "Amazon Simple Notification Service Agent")
            .header("x-amz-sns-message-type", "Notification")
            .header("x-amz-sns-rawdelivery", "true")
            .header("x-amz-sns-topic-arn", topic_arn);
        for (name, value) in attributes {
            let name = format!("x-livehooks-{}", name.replace('_', "-"));
            request = request.header(name, utf8_percent_encode(value, NOT_IN_HEADERS).to_string());
        }
        let answer = request.body(message.to_owned()).send().await;
        match answer.map_err(|error| PostError::NoAnswer(describe(error)))?.status() {
            status if status.is_success() => Ok(()),
            status if status.is_redirection() => Err(PostError::Redirected(status)),
            status => Err(PostError::Rejected(status)),
        }
    }
}

/// An HTTP error and its causes, without the URL.
pub(crate) fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
