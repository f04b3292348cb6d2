//! Mutants: the product with one mistake each. A simulation that catches none of them would prove nothing.

use std::sync::Arc;

use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use livehooks::providers::Entry;
use livehooks_aws::recover::Recovered;
use livehooks_aws::{Fault, Outcome};
use livehooks_core::Rejection;
use serde_json::{Value, json};

use crate::fake_aws::{FakeAws, Message};
use crate::faults::{CallResult, Service};
use crate::keys;
use crate::process::Process;
use crate::sender::Delivery;

macro_rules! mutants {
    ($($(#[$comment:meta])* $name:ident,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant { $($(#[$comment])* $name,)* }

        impl Mutant {
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

mutants! {
    // Storing
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
    /// Answers `duplicate` for an id that it has seen, whoever sent it.
    DedupesBeforeVerifying,
    /// Remembers an id before the event is stored.
    RemembersBeforeStoring,

    // Time and sequences
    /// A repeat of the latest event of a sequence is a duplicate however old that is.
    RemembersSequencesForever,
    /// A repeat counts as a duplicate for two minutes.
    RemembersSequencesForTwoMinutes,
    /// A repeat never counts as a duplicate.
    ForgetsSequences,
    /// A delivery counts as received when the function has started.
    StampsByItsOwnClock,

    // Keys
    /// Lets everybody in while the keys cannot be read.
    FailsOpen,
    /// Rejects everybody while the keys cannot be read.
    RejectsWithoutKeys,
    /// Rejects everybody while the secret is no JSON.
    RejectsWithUnreadableKeys,
    /// Rejects everybody while the secret is the template's.
    RejectsWithPlaceholder,
    /// Lets everybody in while the secret is the template's.
    LetsInWithPlaceholder,
    /// Queues what comes while the secret is the template's.
    QueuesWithPlaceholder,
    /// Never reads a secret again.
    NeverReadsKeysAgain,
    /// Never reads a secret again that could not be read once.
    RemembersFailedReadsForever,
    /// Asks for a secret that cannot be read on every request.
    ForgetsFailedReads,

    // Rejecting and queueing
    /// Answers 400 where something of ours is out of order.
    BlamesTheSender,
    /// Queues what fits no key, where it cannot read any.
    QueuesWhatFitsNoKey,
    /// Answers `queued` without looking whether the queue took it.
    IgnoresTheQueuesFailure,

    // Recovering
    /// Deletes from the queue what could not be stored.
    DropsWhatFails,
    /// Deletes from the queue what came while the secret is the template's.
    DropsWithPlaceholder,
    /// Deletes from the queue what the keys reject.
    DropsWhatOtherKeysLetIn,
    /// Deletes from the queue what the dead-letter queue did not take.
    IgnoresTheDeadLetterQueuesFailure,
    /// Puts into the dead-letter queue what fits no key.
    DeadLettersWhatFitsNoKey,
    /// A dead letter does not say why it is one.
    DeadLettersWithoutReason,
    /// A dead letter was received when it was put there.
    DeadLettersLoseTheirTime,
    /// A dead letter has no credential.
    DeadLettersLoseTheirHeaders,
    /// Verifies what comes out of the queue by the clock on the wall.
    RecoversByTheWrongClock,
    /// Stores what comes out of the queue without verifying it again.
    TrustsTheQueue,
    /// Deletes dead letters instead of moving them.
    RedriveDrops,
    /// Stamps dead letters with the time at which they are moved.
    RedriveStamps,

    // Publishing
    /// Takes a batch for published when SNS answers 200.
    IgnoresFailedEntries,
    /// Reports no record that was not published.
    SkipsFailedRecords,
    /// Reports the last record of a batch instead of the first that failed.
    ReportsTheLastRecord,
    /// Reports the first record of a batch that SNS rejects whole, for ever.
    ReportsRejectedBatchesForever,
    /// Takes a batch that SNS rejects whole for published.
    DropsRejectedBatches,
    /// Quarantines the whole batch that SNS rejects for one entry.
    QuarantinesWholeBatches,
    /// Takes the entries of a rejected batch for published, whatever SNS answers to each.
    IgnoresFailuresOfSingleEntries,
    /// Quarantines what is throttled.
    QuarantinesWhatIsThrottled,
    /// Quarantines while a permission, an encryption key or the topic is missing.
    QuarantinesWhatIsDenied,
    /// Takes a record for quarantined that the quarantine queue did not take.
    IgnoresTheQuarantineQueuesFailure,
}

impl Mutant {
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mutant| format!("{mutant:?}") == name)
    }

    /// What the mutant makes of a delivery.
    pub async fn receive(
        mutant: Option<Self>,
        delivery: &Delivery,
        work: impl Future<Output = Outcome>,
        aws: &FakeAws,
        process: &Process,
    ) -> Outcome {
        use livehooks_aws::ingest::Receipt;
        let known = || {
            Outcome::Stored(Receipt {
                written: livehooks_aws::store::Written::Duplicate {
                    id: delivery.name.clone(),
                    altered: false,
                },
                r#type: livehooks_core::EventType::Unknown,
                provider_type: None,
                room: None,
                participant: None,
            })
        };
        let id = delivery.event_key.clone();
        if mutant == Some(Self::DedupesBeforeVerifying) && !process.memory().insert(id.clone()) {
            return known();
        }
        if mutant == Some(Self::RemembersBeforeStoring) && process.memory().contains(&id) {
            return known();
        }
        let outcome = work.await;
        let fault = match &outcome {
            Outcome::Failed(fault) | Outcome::Queued { fault, .. } => Some(fault.code()),
            _ => None,
        };
        match (mutant, outcome) {
            (Some(Self::BlamesTheSender), Outcome::Failed(_) | Outcome::Queued { .. }) => {
                Outcome::TooLarge { bytes: 0, bytes_max: 0 }
            }
            (Some(Self::RejectsWithoutKeys), _) if fault == Some("keys_unavailable") => {
                Outcome::Rejected(Rejection::NoExpiry)
            }
            (Some(Self::RejectsWithUnreadableKeys), _) if fault == Some("keys_invalid") => {
                Outcome::Rejected(Rejection::NoExpiry)
            }
            (Some(Self::RejectsWithPlaceholder), _) if fault == Some(NOT_SET) => {
                Outcome::Rejected(Rejection::NoExpiry)
            }
            (Some(Self::QueuesWithPlaceholder), Outcome::Failed(fault)) if fault.code() == NOT_SET => {
                Outcome::Queued { id: "a message".into(), fault }
            }
            (Some(Self::QueuesWhatFitsNoKey), Outcome::Rejected(_))
                if delivery.fits_no_key() && aws.call_result(Service::Secrets) != CallResult::Fine =>
            {
                Outcome::Queued { id: "a message".into(), fault: Fault::StoreTimeout(0) }
            }
            (Some(Self::RemembersBeforeStoring), outcome @ Outcome::Failed(_)) => {
                process.memory().insert(id);
                outcome
            }
            (_, outcome) => outcome,
        }
    }

    /// What the mutant makes of a message.
    pub fn queued(mutant: Option<Self>, message: &Message, now: Timestamp) -> Message {
        let mut message = message.clone();
        match mutant {
            Some(Self::RecoversByTheWrongClock) => message.body = stamped(&message.body, now),
            Some(Self::TrustsTheQueue) => {
                let mut body: Value = serde_json::from_str(&message.body).unwrap();
                let entry = Entry::named(body["provider"].as_str().unwrap()).unwrap();
                let bytes = BASE64.decode(body["body"].as_str().unwrap().as_bytes()).unwrap();
                let received_at = body["received_at"].as_str().unwrap().parse().unwrap();
                let headers = keys::signed_again(entry, &bytes, received_at).into_iter();
                let encoded = headers.map(|(name, value)| (name, BASE64.encode(value.as_bytes())));
                body["headers"] = json!(encoded.collect::<Vec<_>>());
                message.body = body.to_string();
            }
            _ => {}
        }
        message
    }

    /// Whether the mutant is done with a message that comes again.
    pub fn is_done(mutant: Option<Self>, recovered: &[Recovered], id: &str) -> bool {
        match mutant {
            Some(Self::DropsWhatFails) => true,
            Some(Self::DropsWithPlaceholder) => matches!(
                outcome(recovered, id),
                Some(Outcome::Failed(fault)) if fault.code() == NOT_SET
            ),
            _ => false,
        }
    }

    /// What else the mutant does with a message that does not come again.
    pub fn done(mutant: Option<Self>, recovered: &[Recovered], message: &Message, aws: &FakeAws) {
        let outcome = outcome(recovered, &message.id.to_string());
        if mutant == Some(Self::DeadLettersWhatFitsNoKey) && matches!(outcome, Some(Outcome::Rejected(_))) {
            aws.state().dead_letters.push(message.clone());
        }
    }

    pub fn redrive(mutant: Option<Self>, aws: &Arc<FakeAws>) {
        match mutant {
            Some(Self::RedriveDrops) => aws.state().dead_letters.clear(),
            Some(Self::RedriveStamps) => {
                for message in &mut aws.state().dead_letters {
                    message.body = stamped(&message.body, aws.now());
                }
            }
            _ => {}
        }
        aws.redrive();
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

/// The code of the fault of keys that nobody has filled in.
const NOT_SET: &str = "keys_not_set";

fn outcome<'a>(recovered: &'a [Recovered], id: &str) -> Option<&'a Outcome> {
    let recovered = recovered.iter().find(|recovered| recovered.message_id == id)?;
    recovered.result.as_ref().ok().map(|it| &it.outcome)
}

/// A queued delivery, received at this time.
pub fn stamped(message: &str, time: Timestamp) -> String {
    let mut message: Value = serde_json::from_str(message).unwrap();
    message["received_at"] = json!(time);
    message.to_string()
}

/// An item as if it had been received at another time.
pub fn shifted(mut item: crate::fake_aws::Item, to: Timestamp) -> crate::fake_aws::Item {
    item["received_at"] = json!({ "S": format!("{to:.9}") });
    item
}

pub const TWO_MINUTES: SignedDuration = SignedDuration::from_mins(2);
