//! `--forward-to`: every announcement to the developer's own app, as SNS delivers it raw, in order, until it
//! answers 2xx.

use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

use super::{Announced, Report, StartError, endpoint::TOPIC_ARN};

const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// SNS waits this long for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// What a header's value cannot hold.
const NOT_IN_HEADERS: &AsciiSet = &CONTROLS.add(b'%');

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
    attributes: BTreeMap<String, String>,
}

pub(super) fn target(text: &str) -> Result<Url, StartError> {
    let wrong = || StartError::ForwardTo(text.to_owned());
    let url = Url::parse(text).map_err(|_| wrong())?;
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(wrong()) }
}

pub(super) async fn run(url: Url, announced: Arc<Announced>, report: Arc<Report>) {
    let client = Client::builder().timeout(TIMEOUT).build().unwrap_or_default();
    let mut cursor = announced.cursor(true);
    announced.set_delivered(0);
    while let Some(entry) = announced.next(&mut cursor).await {
        let mut backoff = BACKOFF_MIN;
        while let Err(why) = post(&client, &url, &entry).await {
            report.trouble("forward", &format!("{url} does not take an event yet: {why}"));
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
        announced.set_delivered(cursor.read_bytes());
    }
}

async fn post(client: &Client, url: &Url, entry: &str) -> Result<(), String> {
    let entry: Entry<'_> = serde_json::from_str(entry).map_err(|error| error.to_string())?;
    let mut request = client
        .post(url.clone())
        .header("content-type", "text/plain; charset=UTF-8")
        .header("user-agent", "Amazon Simple Notification Service Agent")
        .header("x-amz-sns-message-type", "Notification")
        .header("x-amz-sns-rawdelivery", "true")
        .header("x-amz-sns-topic-arn", TOPIC_ARN);
    for (name, value) in &entry.attributes {
        let name = format!("x-livehooks-{}", name.replace('_', "-"));
        request = request.header(name, utf8_percent_encode(value, NOT_IN_HEADERS).to_string());
    }
    let answer = request.body(entry.message.get().to_owned()).send().await;
    match answer.map_err(|error| error.without_url().to_string())?.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("it answered {status}")),
    }
}
