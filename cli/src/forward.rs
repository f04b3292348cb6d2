//! A notification on its way to a developer's app, in the form in which SNS delivers it raw.

use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::{Client, Url};

/// SNS waits this long for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);
const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// What a header's value cannot hold.
const NOT_IN_HEADERS: &AsciiSet = &CONTROLS.add(b'%');

/// A developer's own app.
#[derive(Clone, Debug)]
pub struct HttpTarget {
    client: Client,
    url: Url,
}

impl HttpTarget {
    /// The app at an http or https URL; `None` where the text is no such URL.
    pub fn at(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        Some(Self { client: Client::builder().timeout(TIMEOUT).build().unwrap_or_default(), url })
    }

    /// Posts until the app answers 2xx, and reports each failure.
    pub async fn post_until_taken(
        &self,
        topic_arn: &str,
        message: &str,
        attributes: &[(&str, &str)],
        trouble: impl Fn(&str),
    ) {
        let mut backoff = BACKOFF_MIN;
        while let Err(why) = self.post(topic_arn, message, attributes).await {
            trouble(&format!("{} does not take an event yet: {why}", self.url));
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Posts once.
    ///
    /// # Errors
    /// Says what the app answered.
    pub async fn post(
        &self,
        topic_arn: &str,
        message: &str,
        attributes: &[(&str, &str)],
    ) -> Result<(), String> {
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
        match answer.map_err(|error| crate::error::causes(&error.without_url()))?.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("it answered {status}")),
        }
    }
}
