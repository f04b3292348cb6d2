//! Where events go that are published again: a topic, or a developer's app.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use livehooks_aws::{Notification, describe};

use crate::forward::HttpTarget;
use crate::history::Source;

/// Where notifications go.
pub(super) enum Destination {
    /// An SNS topic.
    Topic {
        /// SNS.
        client: aws_sdk_sns::Client,
        /// The topic.
        arn: String,
    },
    /// A developer's app.
    App {
        /// The app.
        app: HttpTarget,
        /// The topic to publish to.
        topic_arn: String,
    },
}

/// What became of one notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    NotNow,
    /// It was rejected for what it is.
    Never(String),
}

/// What became of a batch: each of its notifications, and why the rest was not taken.
pub(super) struct Answer {
    pub(super) each: Vec<Taken>,
    pub(super) failure: Option<String>,
}

const ATTEMPTS: u32 = 5;
const BACKOFF: Duration = Duration::from_millis(200);

impl Destination {
    pub(super) fn topic(source: &Source) -> Self {
        Self::Topic { client: aws_sdk_sns::Client::new(&source.sdk), arn: source.topic_arn.clone() }
    }

    /// How many notifications go out at once.
    pub(super) fn batch_max(&self) -> usize {
        match self {
            Self::Topic { .. } => 10,
            Self::App { .. } => 1,
        }
    }

    /// Sends a batch; what is not taken now is tried a few times, until `stop` is set.
    pub(super) async fn send<T>(
        &self,
        batch: &[T],
        notification: impl Fn(&T) -> &Notification,
        stop: &AtomicBool,
    ) -> Answer {
        let mut each = vec![Taken::NotNow; batch.len()];
        let mut failure = None;
        for attempt in 0..ATTEMPTS {
            let left: Vec<usize> = (0..batch.len()).filter(|at| each[*at] == Taken::NotNow).collect();
            if left.is_empty() || stop.load(Ordering::Relaxed) {
                break;
            }
            if attempt > 0 {
                tokio::time::sleep(BACKOFF * 2_u32.pow(attempt - 1)).await;
            }
            let sent: Vec<_> = left.iter().map(|at| (*at, notification(&batch[*at]))).collect();
            failure = match self {
                Self::App { app, topic_arn } => post(app, topic_arn, &sent, &mut each).await.err(),
                Self::Topic { client, arn } => publish(client, arn, &sent, &mut each).await.err(),
            };
        }
        let is_left = each.contains(&Taken::NotNow);
        Answer { failure: failure.filter(|_| is_left), each }
    }
}

async fn post(
    app: &HttpTarget,
    topic_arn: &str,
    sent: &[(usize, &Notification)],
    each: &mut [Taken],
) -> Result<(), String> {
    for (at, notification) in sent {
        let attributes: Vec<(&str, &str)> =
            notification.attributes.iter().map(|(name, value)| (*name, value.as_str())).collect();
        app.post(topic_arn, &notification.message, &attributes).await?;
        each[*at] = Taken::Yes;
    }
    Ok(())
}

async fn publish(
    client: &aws_sdk_sns::Client,
    arn: &str,
    sent: &[(usize, &Notification)],
    each: &mut [Taken],
) -> Result<(), String> {
    let entries = sent.iter().map(|(at, notification)| notification.entry(&at.to_string()));
    let entries = entries.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let publish = client.publish_batch().topic_arn(arn).set_publish_batch_request_entries(Some(entries));
    let answer = publish.send().await.map_err(|error| describe(&error))?;
    let mut known: HashMap<String, Taken> =
        answer.successful().iter().filter_map(|entry| Some((entry.id()?.to_owned(), Taken::Yes))).collect();
    let mut failure = Ok(());
    for entry in answer.failed() {
        let why = format!("{}: {}", entry.code(), entry.message().unwrap_or("no message"));
        if entry.sender_fault() {
            known.insert(entry.id().to_owned(), Taken::Never(why));
        } else {
            failure = Err(why);
        }
    }
    for (at, _) in sent {
        match known.remove(&at.to_string()) {
            Some(taken) => each[*at] = taken,
            // What the answer says nothing about was not taken.
            None => failure = failure.and(Err("the topic says nothing about an entry".to_owned())),
        }
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::{Options, PublishFault, Stack};
    use crate::keys_file::KeysFile;

    fn notification(id: usize) -> Notification {
        Notification { message: format!("{{\"id\":\"{id}\"}}"), attributes: Default::default() }
    }

    #[tokio::test]
    async fn what_a_batch_leaves_is_tried_again_and_what_was_taken_is_not() {
        let options = Options {
            port: 0,
            dynamodb_port: Some(0),
            aws_host: std::net::Ipv4Addr::LOCALHOST,
            data: None,
            keys: KeysFile::from_json(&serde_json::json!({})).unwrap(),
            forward_to: None,
            verbose: false,
        };
        let stack = Stack::start(options).await.unwrap();
        let destination = Destination::topic(&Source::local(stack.dynamodb, stack.aws));
        let faults = [
            PublishFault::Whole,
            PublishFault::Entries(vec![(1, false), (2, true)]),
            PublishFault::Silent(0),
        ];
        stack.faults.publish.lock().unwrap().extend(faults);
        let batch: Vec<Notification> = (0..4).map(notification).collect();
        let answer = destination.send(&batch, |notification| notification, &AtomicBool::new(false)).await;
        assert_eq!(answer.failure, None);
        let taken = |at: usize| answer.each[at] == Taken::Yes;
        assert!(taken(0) && taken(1) && taken(3), "{:?}", answer.each);
        assert!(
            matches!(&answer.each[2], Taken::Never(why) if why.starts_with("Failed")),
            "{:?}",
            answer.each
        );

        let mut cursor = stack.published.cursor(true);
        let mut published = Vec::new();
        for _ in 0..3 {
            published.push(stack.published.next(&mut cursor).await.unwrap());
        }
        let ids: Vec<bool> = ["0", "3", "1"]
            .iter()
            .zip(&published)
            .map(|(id, entry)| entry.contains(&format!("\"id\":\"{id}\"")))
            .collect();
        assert_eq!(ids, [true; 3], "{published:?}");
        assert_eq!(
            stack.published.bytes(),
            published.iter().map(|entry| entry.len() as u64 + 8).sum::<u64>(),
            "each once"
        );
        stack.stop().await;
    }
}
