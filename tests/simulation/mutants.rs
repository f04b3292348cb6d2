//! Mutants: the product with one mistake each. A simulation that catches none of them would prove nothing.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use data_encoding::BASE64;
use jiff::Timestamp;
use lambda_http::{Body, Response};
use livehooks::providers::Entry;
use livehooks_aws::{Fault, Outcome};
use livehooks_core::Rejection;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::fake_aws::{FakeAws, Message};
use crate::faults::CallResult;
use crate::process::Process;
use crate::sender::{self, Delivery};
use crate::wire::{Call, publish_answer, put_answer, response};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Looks whether the item is there, then writes without a condition.
    ChecksThenPuts,
    /// Publishes, then stores.
    PublishesBeforeStoring,
    /// Publishes after the write, in the same function, and has no relay.
    PublishesInline,
    /// Answers, then stores.
    AnswersBeforeStoring,
    /// Takes a table that does not answer for one that has written.
    TakesSilenceForSuccess,
    /// Lets everybody in while the keys cannot be read.
    FailsOpen,
    /// Takes a batch for published when SNS answers 200.
    IgnoresFailedEntries,
    /// Answers `queued` without looking whether the queue took it.
    IgnoresTheQueuesFailure,
    /// A repeat of the latest event of a sequence is a duplicate however old that is.
    RemembersSequencesForever,
    /// Answers 400 where something of ours is out of order.
    BlamesTheSender,
    /// Refuses everybody while the keys cannot be read.
    RefusesWithoutKeys,
    /// Answers `duplicate` for an id that it has seen, whoever sent it.
    DedupesBeforeVerifying,
    /// Remembers an id before the event is stored.
    RemembersBeforeStoring,
    /// Reports no record that was not published.
    SkipsFailedRecords,
    /// Reports the last record of a batch instead of the first that failed.
    ReportsTheLastRecord,
    /// Deletes from the queue what could not be stored.
    DropsWhatFails,
    /// Verifies what comes out of the queue by the clock on the wall.
    RecoversByTheWrongClock,
    /// Stores what comes out of the queue without verifying it again.
    TrustsTheQueue,
}

impl Mutant {
    pub const ALL: [Self; 18] = [
        Self::ChecksThenPuts,
        Self::PublishesBeforeStoring,
        Self::PublishesInline,
        Self::AnswersBeforeStoring,
        Self::TakesSilenceForSuccess,
        Self::FailsOpen,
        Self::IgnoresFailedEntries,
        Self::IgnoresTheQueuesFailure,
        Self::RemembersSequencesForever,
        Self::BlamesTheSender,
        Self::RefusesWithoutKeys,
        Self::DedupesBeforeVerifying,
        Self::RemembersBeforeStoring,
        Self::SkipsFailedRecords,
        Self::ReportsTheLastRecord,
        Self::DropsWhatFails,
        Self::RecoversByTheWrongClock,
        Self::TrustsTheQueue,
    ];

    /// What the mutant makes of a call to AWS, where that is another thing than the right one.
    pub async fn answer(
        mutant: Option<Self>,
        call: &Call,
        result: CallResult,
        aws: &Arc<FakeAws>,
        process: &Arc<Process>,
    ) -> Option<HttpResponse> {
        match (mutant?, call) {
            (Self::ChecksThenPuts, Call::Put { item, .. }) if result == CallResult::Fine => {
                let is_there = aws.state().table.contains_key(&crate::fake_aws::key(item));
                sleep(aws.up_to(Duration::from_millis(30))).await;
                Some(put_answer(aws.state().put(item.clone(), is_there, aws.now())))
            }
            (Self::PublishesBeforeStoring, Call::Put { item, .. }) => {
                aws.state().publish(item["event"]["S"].as_str()?);
                None
            }
            (Self::PublishesInline, Call::Put { item, .. }) if result == CallResult::Fine => {
                let put = aws.state().put(item.clone(), true, aws.now());
                sleep(aws.up_to(Duration::from_millis(30))).await;
                if put.is_ok() && aws.call_result(crate::faults::Service::Topic) == CallResult::Fine {
                    aws.state().publish(item["event"]["S"].as_str()?);
                }
                Some(put_answer(put))
            }
            (Self::AnswersBeforeStoring, Call::Put { item, .. }) => {
                let (aws, process, item) = (aws.clone(), process.clone(), item.clone());
                tokio::spawn(async move {
                    sleep(Duration::from_millis(20)).await;
                    if result == CallResult::Fine && !process.is_dead() {
                        let _ = aws.state().put(item, true, aws.now());
                    }
                });
                Some(response(200, "{}".into()))
            }
            (Self::TakesSilenceForSuccess, Call::Put { .. }) if result == CallResult::Silent => {
                Some(response(200, "{}".into()))
            }
            (Self::FailsOpen, Call::Secret { id }) if result != CallResult::Fine => {
                let secret = sender::open_secret(Entry::named(id)?);
                Some(response(200, json!({ "Name": id, "SecretString": secret }).to_string()))
            }
            (Self::IgnoresFailedEntries, Call::Publish { entries }) if result == CallResult::Partly => {
                let taken = |(id, _): &(String, String)| {
                    format!("<member><Id>{id}</Id><MessageId>m</MessageId></member>")
                };
                for (_, message) in entries.iter().skip(1) {
                    aws.state().publish(message);
                }
                Some(publish_answer(&entries.iter().map(taken).collect::<String>(), ""))
            }
            (Self::IgnoresTheQueuesFailure, Call::Send { .. }) if result != CallResult::Fine => {
                Some(response(200, json!({ "MessageId": "a message" }).to_string()))
            }
            (Self::RemembersSequencesForever, Call::Query { event_key, .. })
                if result == CallResult::Fine =>
            {
                let latest = aws.state().items(event_key).next_back().cloned();
                let items = latest.map(|mut item| {
                    item["received_at"] = json!({ "S": format!("{:.9}", aws.now()) });
                    item
                });
                Some(response(200, json!({ "Items": items.into_iter().collect::<Vec<_>>() }).to_string()))
            }
            _ => None,
        }
    }

    /// What the mutant answers.
    pub async fn receive(
        mutant: Option<Self>,
        delivery: &Delivery,
        work: impl Future<Output = Outcome>,
        process: &Process,
    ) -> Response<Body> {
        let known =
            || Response::new(Body::Text(json!({ "status": "duplicate", "id": delivery.name }).to_string()));
        let id = delivery.event_key.clone();
        if mutant == Some(Self::DedupesBeforeVerifying) && !process.memory().insert(id.clone()) {
            return known();
        }
        if mutant == Some(Self::RemembersBeforeStoring) && process.memory().contains(&id) {
            return known();
        }
        let outcome = work.await;
        let outcome = match (mutant, outcome) {
            (Some(Self::BlamesTheSender), Outcome::Failed(_) | Outcome::Queued { .. }) => {
                Outcome::TooLarge { bytes: 0, bytes_max: 0 }
            }
            (
                Some(Self::RefusesWithoutKeys),
                Outcome::Failed(Fault::KeysUnavailable { .. })
                | Outcome::Queued { fault: Fault::KeysUnavailable { .. }, .. },
            ) => Outcome::Rejected(Rejection::NoExpiry),
            (Some(Self::RemembersBeforeStoring), outcome @ Outcome::Failed(_)) => {
                process.memory().insert(id);
                outcome
            }
            (_, outcome) => outcome,
        };
        outcome.into_response()
    }

    /// What the mutant makes of a message.
    pub fn queued(mutant: Option<Self>, message: &Message, now: Timestamp) -> Message {
        let mut message = message.clone();
        let mut body: Value = serde_json::from_str(&message.body).unwrap();
        match mutant {
            Some(Self::RecoversByTheWrongClock) => body["received_at"] = json!(now),
            Some(Self::TrustsTheQueue) => {
                let entry = Entry::named(body["provider"].as_str().unwrap()).unwrap();
                let bytes = BASE64.decode(body["body"].as_str().unwrap().as_bytes()).unwrap();
                let received_at = body["received_at"].as_str().unwrap().parse().unwrap();
                let headers = sender::signed_anew(entry, &bytes, received_at).into_iter();
                let encoded = headers.map(|(name, value)| (name, BASE64.encode(value.as_bytes())));
                body["headers"] = json!(encoded.collect::<Vec<_>>());
            }
            _ => {}
        }
        message.body = body.to_string();
        message
    }

    /// Where the event source goes on, when these records were reported.
    pub fn checkpoint(mutant: Option<Self>, failed: Vec<usize>, end: usize) -> usize {
        match (mutant, failed.into_iter().min()) {
            (Some(Self::SkipsFailedRecords), _) | (_, None) => end,
            (Some(Self::ReportsTheLastRecord), Some(_)) => end - 1,
            (_, Some(lowest)) => lowest,
        }
    }
}
