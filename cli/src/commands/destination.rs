//! The destination of a replay: a topic or a developer's app.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use livehooks_aws::{Notification, describe};

use crate::forward::HttpTarget;
use crate::history::Source;

/// Where notifications are sent.
pub(super) enum Destination {
    /// An SNS topic.
    Topic {
        /// SNS.
        client: aws_sdk_sns::Client,
        /// The topic.
        arn: String,
    },
    /// A developer's app.
    Http {
        /// The app.
        target: HttpTarget,
        /// The topic named in the headers.
        topic_arn: String,
    },
}

/// The result of sending one notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SendResult {
    Sent,
    NotSent,
    /// Rejected permanently.
    Rejected(String),
}

/// The result of sending a batch: one result per notification, and why the rest was not sent.
pub(super) struct BatchResult {
    pub(super) each: Vec<SendResult>,
    pub(super) failure: Option<String>,
}

const ATTEMPTS: u32 = 5;
const BACKOFF: Duration = Duration::from_millis(200);

impl Destination {
    pub(super) fn topic(source: &Source) -> Self {
        Self::Topic { client: aws_sdk_sns::Client::new(&source.sdk), arn: source.topic_arn.clone() }
    }

    /// The maximum number of notifications per batch.
    pub(super) fn batch_max(&self) -> usize {
        match self {
            Self::Topic { .. } => 10,
            Self::Http { .. } => 1,
        }
    }

    /// Sends a batch, and retries what fails a few times, or until `stop` is set.
    pub(super) async fn send<T>(
        &self,
        batch: &[T],
        notification: impl Fn(&T) -> &Notification,
        stop: &AtomicBool,
    ) -> BatchResult {
        let mut each = vec![SendResult::NotSent; batch.len()];
        let mut failure = None;
        for attempt in 0..ATTEMPTS {
            let left: Vec<usize> = (0..batch.len()).filter(|at| each[*at] == SendResult::NotSent).collect();
            if left.is_empty() || stop.load(Ordering::Relaxed) {
                break;
            }
            if attempt > 0 {
                tokio::time::sleep(BACKOFF * 2_u32.pow(attempt - 1)).await;
            }
            let sent: Vec<_> = left.iter().map(|at| (*at, notification(&batch[*at]))).collect();
            failure = match self {
                Self::Http { target, topic_arn } => post(target, topic_arn, &sent, &mut each).await.err(),
                Self::Topic { client, arn } => publish(client, arn, &sent, &mut each).await.err(),
            };
        }
        let is_left = each.contains(&SendResult::NotSent);
        BatchResult { failure: failure.filter(|_| is_left), each }
    }
}

async fn post(
    target: &HttpTarget,
    topic_arn: &str,
    sent: &[(usize, &Notification)],
    each: &mut [SendResult],
) -> Result<(), String> {
    for (at, notification) in sent {
        let attributes: Vec<(&str, &str)> =
            notification.attributes.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let posted = target.post(topic_arn, &notification.message, &attributes).await;
        posted.map_err(|error| error.to_string())?;
        each[*at] = SendResult::Sent;
    }
    Ok(())
}

async fn publish(
    client: &aws_sdk_sns::Client,
    arn: &str,
    sent: &[(usize, &Notification)],
    each: &mut [SendResult],
) -> Result<(), String> {
    let entries = sent.iter().map(|(at, notification)| notification.entry(&at.to_string()));
    let entries = entries.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let publish = client.publish_batch().topic_arn(arn).set_publish_batch_request_entries(Some(entries));
    let answer = publish.send().await.map_err(|error| describe(&error))?;
    let mut known: HashMap<String, SendResult> = answer
        .successful()
        .iter()
        .filter_map(|entry| Some((entry.id()?.to_owned(), SendResult::Sent)))
        .collect();
    let mut failure = Ok(());
    for entry in answer.failed() {
        let why = format!("{}: {}", entry.code(), entry.message().unwrap_or("no message"));
        if entry.sender_fault() {
            known.insert(entry.id().to_owned(), SendResult::Rejected(why));
        } else {
            failure = Err(why);
        }
    }
    for (at, _) in sent {
        match known.remove(&at.to_string()) {
            Some(result) => each[*at] = result,
            // An entry that the answer does not mention was not published.
            None => failure = failure.and(Err("the answer does not mention an entry".to_owned())),
        }
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::local_sdk_config;
    use axum::http::StatusCode;
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    const SUCCESSES: &str = "<member><Id>0</Id></member><member><Id>3</Id></member>";
    const FAILURES: &str = "<member><Id>1</Id><Code>Failed</Code><SenderFault>false</SenderFault></member>\
                            <member><Id>2</Id><Code>Failed</Code><SenderFault>true</SenderFault></member>";

    fn notification(id: usize) -> Notification {
        Notification { message: format!("{{\"id\":\"{id}\"}}"), attributes: Default::default() }
    }

    fn answer(successes: &str, failures: &str) -> (StatusCode, String) {
        let result = format!("<Successful>{successes}</Successful><Failed>{failures}</Failed>");
        let result = format!("<PublishBatchResult>{result}</PublishBatchResult>");
        (StatusCode::OK, format!("<PublishBatchResponse>{result}</PublishBatchResponse>"))
    }

    /// An SNS that gives these answers in turn. Returns a client, and the ids in each request.
    async fn sns(answers: Vec<(StatusCode, String)>) -> (aws_sdk_sns::Client, Arc<Mutex<Vec<Vec<String>>>>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        let requests: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
        let seen = requests.clone();
        let sns = axum::Router::new().fallback(async move |body: axum::body::Bytes| {
            let form = form_urlencoded::parse(&body);
            let ids = form.filter(|(name, _)| name.ends_with(".Id")).map(|(_, id)| id.into_owned());
            seen.lock().unwrap().push(ids.collect());
            answers.lock().unwrap().pop_front().unwrap()
        });
        tokio::spawn(axum::serve(listener, sns).into_future());
        (aws_sdk_sns::Client::new(&local_sdk_config(address)), requests)
    }

    #[tokio::test]
    async fn failed_notifications_are_retried_and_published_ones_are_not() {
        let unavailable = (StatusCode::INTERNAL_SERVER_ERROR, String::new());
        let published = answer("<member><Id>1</Id></member>", "");
        let answers = vec![unavailable, answer(SUCCESSES, FAILURES), answer("", ""), published];
        let (client, requests) = sns(answers).await;
        let destination = Destination::Topic { client, arn: "arn:aws:sns:us-east-1:0:topic".into() };
        let batch: Vec<Notification> = (0..4).map(notification).collect();
        let result = destination.send(&batch, |notification| notification, &AtomicBool::new(false)).await;
        assert_eq!(result.failure, None);
        let rejected = SendResult::Rejected("Failed: no message".into());
        assert_eq!(result.each, [SendResult::Sent, SendResult::Sent, rejected, SendResult::Sent]);
        let all = vec!["0", "1", "2", "3"];
        assert_eq!(*requests.lock().unwrap(), [all.clone(), all, vec!["1"], vec!["1"]]);
    }
}
