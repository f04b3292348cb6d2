//! How mutants change the answers to their calls to AWS.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use jiff::Timestamp;
use livehooks_signing::ProviderInfo;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::fake_aws::{self, FakeAws, Item};
use crate::faults::{CallResult, Service};
use crate::keys;
use crate::mutants::{Mutant, TWO_MINUTES, shifted, stamped};
use crate::operator;
use crate::process::Process;
use crate::wire::{Call, failure, publish_answer, put_answer, rejected_batch, response};

impl Mutant {
    /// The answer to a call, if it differs from the product's.
    pub async fn answer(
        mutant: Option<Self>,
        call: &Call,
        result: CallResult,
        aws: &Arc<FakeAws>,
        process: &Arc<Process>,
    ) -> Option<HttpResponse> {
        let mutant = mutant?;
        match call {
            Call::Put { item, .. } => mutant.put(item, result, aws, process).await,
            Call::Query { event_key, .. } if result == CallResult::Fine => mutant.query(event_key, aws),
            Call::Query { .. } => None,
            Call::Secret { id } => mutant.secret(id, result, aws, process),
            Call::Send { request } => mutant.send(request, result, aws),
            Call::Publish { entries } => mutant.publish(entries, result, aws),
        }
    }

    async fn put(
        self,
        item: &Item,
        result: CallResult,
        aws: &Arc<FakeAws>,
        process: &Arc<Process>,
    ) -> Option<HttpResponse> {
        match self {
            Self::ChecksThenPuts if result == CallResult::Fine => {
                let is_there = aws.state().table.contains_key(&fake_aws::key(item));
                sleep(aws.up_to(Duration::from_millis(30))).await;
                Some(put_answer(aws.state().put(item.clone(), is_there, aws.now())))
            }
            Self::PublishesBeforeStoring => {
                aws.state().publish(&fake_aws::event(item));
                None
            }
            Self::PublishesInline if result == CallResult::Fine => {
                let put = aws.state().put(item.clone(), true, aws.now());
                sleep(aws.up_to(Duration::from_millis(30))).await;
                if put.is_ok() && aws.call_result(Service::Topic) == CallResult::Fine {
                    aws.state().publish(&fake_aws::event(item));
                }
                Some(put_answer(put))
            }
            Self::AnswersBeforeStoring => {
                let (aws, process, item) = (aws.clone(), process.clone(), item.clone());
                tokio::spawn(async move {
                    sleep(Duration::from_millis(20)).await;
                    if result == CallResult::Fine && !process.is_dead() {
                        let _ = aws.state().put(item, true, aws.now());
                    }
                });
                Some(response(200, "{}".into()))
            }
            Self::TreatsSilenceAsSuccess if result == CallResult::Silent => Some(response(200, "{}".into())),
            _ => None,
        }
    }

    fn query(self, event_key: &str, aws: &FakeAws) -> Option<HttpResponse> {
        let now = aws.now();
        let received_at =
            |item: &Item| -> Timestamp { item["received_at"]["S"].as_str().unwrap().parse().unwrap() };
        let known: Vec<Item> = aws.state().items(event_key).rev().take(10).cloned().collect();
        let items: Vec<Item> = match self {
            Self::RemembersSequencesForever => {
                known.into_iter().take(1).map(|item| shifted(item, now)).collect()
            }
            Self::RemembersSequencesForTwoMinutes => {
                let latest = known.into_iter().take(1);
                let shift = |item| match now.duration_since(received_at(&item)) < TWO_MINUTES {
                    true => shifted(item, now),
                    false => item,
                };
                latest.map(shift).collect()
            }
            Self::ForgetsSequences => {
                known.into_iter().map(|item| shifted(item, Timestamp::UNIX_EPOCH)).collect()
            }
            _ => return None,
        };
        Some(response(200, json!({ "Items": items }).to_string()))
    }

    fn secret(self, id: &str, result: CallResult, aws: &FakeAws, process: &Process) -> Option<HttpResponse> {
        let entry = ProviderInfo::named(id)?;
        let answer = |secret| Some(response(200, json!({ "Name": id, "SecretString": secret }).to_string()));
        let is_placeholder = || aws.secret(id) == Some(operator::placeholder(entry));
        match self {
            Self::FailsOpen if result != CallResult::Fine => answer(keys::open_secret(entry)),
            Self::AcceptsWithPlaceholder if is_placeholder() => answer(keys::open_secret(entry)),
            Self::NeverReadsKeysAgain if result == CallResult::Fine => {
                let read = format!("{id} ");
                let mut memory = process.memory();
                let known = memory.iter().find_map(|known| known.strip_prefix(&read)).map(str::to_owned);
                let secret = known.or_else(|| aws.secret(id))?;
                memory.insert(format!("{read}{secret}"));
                answer(secret)
            }
            Self::RemembersFailedReadsForever => {
                if result != CallResult::Fine {
                    process.memory().insert(id.to_owned());
                }
                process.memory().contains(id).then(|| response(500, String::new()))
            }
            _ => None,
        }
    }

    fn send(self, request: &Value, result: CallResult, aws: &FakeAws) -> Option<HttpResponse> {
        let sent = || Some(response(200, json!({ "MessageId": "a message" }).to_string()));
        let is_fine = result == CallResult::Fine;
        let queue = fake_aws::queue(request);
        match (self, queue) {
            (Self::IgnoresTheQueuesFailure, Service::Queue)
            | (Self::IgnoresTheDeadLetterQueuesFailure, Service::DeadLetters)
            | (Self::IgnoresTheQuarantineQueuesFailure, Service::Quarantine)
                if !is_fine =>
            {
                sent()
            }
            (Self::DropsWhatOtherKeysAccept, Service::DeadLetters) => sent(),
            (_, Service::DeadLetters) if is_fine => {
                let mut request = request.clone();
                let body = request["MessageBody"].as_str()?.to_owned();
                match self {
                    Self::DeadLettersWithoutReason => {
                        request["MessageAttributes"].as_object_mut()?.remove("reason");
                    }
                    Self::DeadLettersLoseTheirTime => {
                        request["MessageBody"] = json!(stamped(&body, aws.now()))
                    }
                    Self::DeadLettersLoseTheirHeaders => {
                        let mut message: Value = serde_json::from_str(&body).unwrap();
                        message["headers"] = json!([]);
                        request["MessageBody"] = json!(message.to_string());
                    }
                    _ => return None,
                }
                aws.state().send(&request);
                sent()
            }
            _ => None,
        }
    }

    fn publish(
        self,
        entries: &[(String, String)],
        result: CallResult,
        aws: &FakeAws,
    ) -> Option<HttpResponse> {
        let accepted =
            |(id, _): &(String, String)| format!("<member><Id>{id}</Id><MessageId>m</MessageId></member>");
        let all_accepted = || Some(publish_answer(&entries.iter().map(accepted).collect::<String>(), ""));
        let all_rejected = || {
            let failed = entries.iter().map(|(id, _)| failure(id, "InvalidParameter", true));
            Some(publish_answer("", &failed.collect::<String>()))
        };
        let is_poisoned = || entries.iter().any(|(_, message)| aws.state().poison(message).is_some());
        match (self, result) {
            (Self::IgnoresFailedEntries, CallResult::Partly) => {
                for (_, message) in entries.iter().skip(1) {
                    aws.state().publish(message);
                }
                all_accepted()
            }
            (Self::ReportsRejectedBatchesForever, CallResult::Fine) if is_poisoned() => {
                Some(rejected_batch(404, "NotFound"))
            }
            (Self::DropsRejectedBatches, CallResult::Fine) if is_poisoned() => all_accepted(),
            (Self::QuarantinesWholeBatches, CallResult::Fine) if is_poisoned() => all_rejected(),
            (
                Self::IgnoresFailuresOfSingleEntries,
                CallResult::Throttled | CallResult::Denied | CallResult::Broken,
            ) if entries.len() == 1 => all_accepted(),
            (Self::QuarantinesWhatIsThrottled, CallResult::Throttled)
            | (Self::QuarantinesWhatIsDenied, CallResult::Denied) => all_rejected(),
            _ => None,
        }
    }
}
