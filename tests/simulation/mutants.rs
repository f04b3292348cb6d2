//! Mutants: variants of the product with one mistake each. The simulation must catch them all.

use std::sync::Arc;

use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use livehooks_aws::recover::Recovered;
use livehooks_aws::{Fault, Outcome};
use livehooks_core::Rejection;
use livehooks_signing::ProviderInfo;
use serde_json::{Value, json};

use crate::fake_aws::{FakeAws, Message};
use crate::faults::{CallResult, Service};
use crate::keys;
use crate::process::Process;
use crate::sender::Delivery;

/// Defines each mutant with part of the violation that must catch it.
macro_rules! mutants {
    ($($(#[$comment:meta])* $name:ident => $violation:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant { $($(#[$comment])* $name,)* }

        impl Mutant {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            pub fn violation(self) -> &'static str {
                match self { $(Self::$name => $violation,)* }
            }
        }
    };
}

mutants! {
    // Storing
    /// Checks whether the item exists, then writes without a condition.
    ChecksThenPuts => "accepted as new",
    /// Publishes, then stores.
    PublishesBeforeStoring => "published before it was stored",
    /// Publishes after the write, in the same function, and has no notifier.
    PublishesInline => "stored, but never published",
    /// Answers, then stores.
    AnswersBeforeStoring => "answered 200 accepted, but not stored",
    /// Treats a write without an answer as successful.
    TreatsSilenceAsSuccess => "answered 200 accepted, but not stored",
    /// Answers `duplicate` for a known id before verifying.
    DedupesBeforeVerifying => "forged, but answered duplicate",
    /// Remembers an id before the event is stored.
    RemembersBeforeStoring => "answered 200 duplicate, but not stored",

    // Time and sequences
    /// A repeat of the latest event of a sequence is always a duplicate.
    RemembersSequencesForever => "answered duplicate, but lost",
    /// A repeat counts as a duplicate for two minutes.
    RemembersSequencesForTwoMinutes => "answered duplicate, but lost",
    /// A repeat never counts as a duplicate.
    ForgetsSequences => "stored twice in a row",
    /// Uses the function's clock as the receive time.
    StampsWithItsOwnClock => "stored as received at",

    // Keys
    /// Accepts everything while the keys cannot be read.
    FailsOpen => "forged, but answered",
    /// Rejects everything while the keys cannot be read.
    RejectsWithoutKeys => "answered 401",
    /// Rejects everything while the secret is not JSON.
    RejectsWithUnreadableKeys => "answered 401",
    /// Rejects everything while the secret is the placeholder.
    RejectsWithPlaceholder => "answered 401",
    /// Accepts everything while the secret is the placeholder.
    AcceptsWithPlaceholder => "forged, but answered",
    /// Queues everything while the secret is the placeholder.
    QueuesWithPlaceholder => "queued although no keys were set",
    /// Never reads a secret again.
    NeverReadsKeysAgain => "answered 401",
    /// Never retries a secret that could not be read.
    RemembersFailedReadsForever => "not settled",
    /// Retries an unreadable secret on every request.
    ForgetsFailedReads => "too often",

    // Rejecting and queueing
    /// Blames the sender for our own faults.
    BlamesTheSender => "answered 413",
    /// Queues what matches no key while the keys cannot be read.
    QueuesWhatMatchesNoKey => "matches no key, but answered",
    /// Answers `queued` even if the queue rejects the message.
    IgnoresTheQueuesFailure => "answered 200 queued, but not stored",

    // Recovering
    /// Deletes a message that could not be stored.
    DropsWhatFails => "answered 200 queued, but not stored",
    /// Deletes messages while the secret is the placeholder.
    DropsWithPlaceholder => "answered 200 queued, but not stored",
    /// Deletes messages that the keys reject.
    DropsWhatOtherKeysAccept => "answered 200 queued, but not stored",
    /// Deletes a message that the dead-letter queue rejected.
    IgnoresTheDeadLetterQueuesFailure => "answered 200 queued, but not stored",
    /// Dead-letters what matches no key.
    DeadLettersWhatMatchesNoKey => "matches no key, but is a dead letter",
    /// Dead letters have no reason.
    DeadLettersWithoutReason => "without the attribute reason",
    /// Dead letters get the current time as their receive time.
    DeadLettersLoseTheirTime => "stored as received at",
    /// Dead letters have no credential.
    DeadLettersLoseTheirHeaders => "answered 200 queued, but not stored",
    /// Verifies queued deliveries at the current time.
    RecoversWithTheWrongClock => "stored as received at",
    /// Stores queued deliveries without verifying them.
    TrustsTheQueue => "forged, but stored",
    /// Deletes dead letters instead of redriving them.
    RedriveDrops => "answered 200 queued, but not stored",
    /// Gives redriven dead letters the current time as their receive time.
    RedriveStamps => "stored as received at",

    // Publishing
    /// Treats a batch as published if SNS answers 200.
    IgnoresFailedEntries => "stored, but never published",
    /// Reports no failed record.
    SkipsFailedRecords => "stored, but never published",
    /// Reports the last record of a batch instead of the first that failed.
    ReportsTheLastRecord => "stored, but never published",
    /// Reports the first record of a rejected batch forever.
    ReportsRejectedBatchesForever => "not settled",
    /// Treats a rejected batch as published.
    DropsRejectedBatches => "but not quarantined",
    /// Quarantines a whole batch that SNS rejects because of one entry.
    QuarantinesWholeBatches => "SNS would have accepted it",
    /// Treats each entry of a rejected batch as published, whatever SNS answers.
    IgnoresFailuresOfSingleEntries => "stored, but never published",
    /// Quarantines throttled events.
    QuarantinesWhatIsThrottled => "SNS would have accepted it",
    /// Quarantines events while a permission, an encryption key or the topic is missing.
    QuarantinesWhatIsDenied => "SNS would have accepted it",
    /// Treats a record as quarantined if the quarantine queue rejects it.
    IgnoresTheQuarantineQueuesFailure => "but not quarantined",
}

impl Mutant {
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mutant| format!("{mutant:?}") == name)
    }

    /// The mutant's outcome of a delivery.
    pub async fn receive(
        mutant: Option<Self>,
        delivery: &Delivery,
        work: impl Future<Output = Outcome>,
        aws: &FakeAws,
        process: &Process,
    ) -> Outcome {
        use livehooks_aws::Receipt;
        let known = || {
            Outcome::Stored(Receipt {
                written: livehooks_aws::store::PutOutcome::Duplicate {
                    id: delivery.name.clone(),
                    altered: false,
                },
                r#type: livehooks_core::EventType::Unknown,
                provider_type: None,
                is_new_type: false,
                room: None,
                participant: None,
                participant_name: None,
                reply: None,
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
            (Some(Self::QueuesWhatMatchesNoKey), Outcome::Rejected(_))
                if delivery.matches_no_key && aws.call_result(Service::Secrets) != CallResult::Fine =>
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

    /// The message as the mutant handles it.
    pub fn queued(mutant: Option<Self>, message: &Message, now: Timestamp) -> Message {
        let mut message = message.clone();
        match mutant {
            Some(Self::RecoversWithTheWrongClock) => message.body = stamped(&message.body, now),
            Some(Self::TrustsTheQueue) => {
                let mut body: Value = serde_json::from_str(&message.body).unwrap();
                let entry = ProviderInfo::named(body["provider"].as_str().unwrap()).unwrap();
                let bytes = BASE64.decode(body["body"].as_str().unwrap().as_bytes()).unwrap();
                let received_at = body["received_at"].as_str().unwrap().parse().unwrap();
                let headers = keys::resigned(entry, &bytes, received_at).into_iter();
                let encoded = headers.map(|(name, value)| (name, BASE64.encode(value.as_bytes())));
                body["headers"] = json!(encoded.collect::<Vec<_>>());
                message.body = body.to_string();
            }
            _ => {}
        }
        message
    }

    /// Whether the mutant deletes a failed message.
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

    /// What the mutant also does with a message that is deleted.
    pub fn done(mutant: Option<Self>, recovered: &[Recovered], message: &Message, aws: &FakeAws) {
        let outcome = outcome(recovered, &message.id.to_string());
        if mutant == Some(Self::DeadLettersWhatMatchesNoKey) && matches!(outcome, Some(Outcome::Rejected(_)))
        {
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

    /// Where the event source continues if these records failed.
    pub fn checkpoint(mutant: Option<Self>, failed: Vec<usize>, end: usize) -> usize {
        match (mutant, failed.into_iter().min()) {
            (Some(Self::SkipsFailedRecords), _) | (_, None) => end,
            (Some(Self::ReportsTheLastRecord), Some(_)) => end - 1,
            (_, Some(lowest)) => lowest,
        }
    }
}

/// The fault code of keys that were never set.
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

/// An item with another receive time.
pub fn shifted(mut item: crate::fake_aws::Item, to: Timestamp) -> crate::fake_aws::Item {
    item["received_at"] = json!({ "S": format!("{to:.9}") });
    item
}

pub const TWO_MINUTES: SignedDuration = SignedDuration::from_mins(2);
