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

/// Each with a part of the violation that it has to be caught by.
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
    /// Looks whether the item is there, then writes without a condition.
    ChecksThenPuts => "accepted as new",
    /// Publishes, then stores.
    PublishesBeforeStoring => "published before it was stored",
    /// Publishes after the write, in the same function, and has no notifier.
    PublishesInline => "stored, and never published",
    /// Answers, then stores.
    AnswersBeforeStoring => "answered 200 accepted, and is not stored",
    /// Takes a table that does not answer for one that has written.
    TakesSilenceForSuccess => "answered 200 accepted, and is not stored",
    /// Answers `duplicate` for an id that it has seen, from any sender.
    DedupesBeforeVerifying => "forged, and answered duplicate",
    /// Remembers an id before the event is stored.
    RemembersBeforeStoring => "answered 200 duplicate, and is not stored",

    // Time and sequences
    /// A repeat of the latest event of a sequence is a duplicate however old that is.
    RemembersSequencesForever => "answered duplicate, and swallowed",
    /// A repeat counts as a duplicate for two minutes.
    RemembersSequencesForTwoMinutes => "answered duplicate, and swallowed",
    /// A repeat never counts as a duplicate.
    ForgetsSequences => "stored twice in a row",
    /// A delivery counts as received when the function has started.
    StampsByItsOwnClock => "stored as received at",

    // Keys
    /// Lets everybody in while the keys cannot be read.
    FailsOpen => "forged, and answered",
    /// Rejects everybody while the keys cannot be read.
    RejectsWithoutKeys => "answered 401",
    /// Rejects everybody while the secret is no JSON.
    RejectsWithUnreadableKeys => "answered 401",
    /// Rejects everybody while the secret is the template's.
    RejectsWithPlaceholder => "answered 401",
    /// Lets everybody in while the secret is the template's.
    LetsInWithPlaceholder => "forged, and answered",
    /// Queues what comes while the secret is the template's.
    QueuesWithPlaceholder => "queued although no keys were filled in",
    /// Never reads a secret again.
    NeverReadsKeysAgain => "answered 401",
    /// Never reads a secret again that could not be read once.
    RemembersFailedReadsForever => "never reached their goal",
    /// Asks for a secret that cannot be read on every request.
    ForgetsFailedReads => "again and again",

    // Rejecting and queueing
    /// Answers 400 where something of ours is out of order.
    BlamesTheSender => "answered 413",
    /// Queues what fits no key, where it cannot read any.
    QueuesWhatFitsNoKey => "forged, whatever the keys",
    /// Answers `queued` without looking whether the queue took it.
    IgnoresTheQueuesFailure => "answered 200 queued, and is not stored",

    // Recovering
    /// Deletes from the queue what could not be stored.
    DropsWhatFails => "answered 200 queued, and is not stored",
    /// Deletes from the queue what came while the secret is the template's.
    DropsWithPlaceholder => "answered 200 queued, and is not stored",
    /// Deletes from the queue what the keys reject.
    DropsWhatOtherKeysLetIn => "answered 200 queued, and is not stored",
    /// Deletes from the queue what the dead-letter queue did not take.
    IgnoresTheDeadLetterQueuesFailure => "answered 200 queued, and is not stored",
    /// Puts into the dead-letter queue what fits no key.
    DeadLettersWhatFitsNoKey => "fits no key, and is a dead letter",
    /// A dead letter does not say why it is one.
    DeadLettersWithoutReason => "without the attribute reason",
    /// A dead letter was received when it was put there.
    DeadLettersLoseTheirTime => "stored as received at",
    /// A dead letter has no credential.
    DeadLettersLoseTheirHeaders => "answered 200 queued, and is not stored",
    /// Verifies what comes out of the queue by the clock on the wall.
    RecoversByTheWrongClock => "stored as received at",
    /// Stores what comes out of the queue without verifying it again.
    TrustsTheQueue => "forged, and stored",
    /// Deletes dead letters instead of moving them.
    RedriveDrops => "answered 200 queued, and is not stored",
    /// Stamps dead letters with the time at which they are moved.
    RedriveStamps => "stored as received at",

    // Publishing
    /// Takes a batch for published when SNS answers 200.
    IgnoresFailedEntries => "stored, and never published",
    /// Reports no record that was not published.
    SkipsFailedRecords => "stored, and never published",
    /// Reports the last record of a batch instead of the first that failed.
    ReportsTheLastRecord => "stored, and never published",
    /// Reports the first record of a batch that SNS rejects whole, for ever.
    ReportsRejectedBatchesForever => "never reached their goal",
    /// Takes a batch that SNS rejects whole for published.
    DropsRejectedBatches => "and not quarantined",
    /// Quarantines the whole batch that SNS rejects for one entry.
    QuarantinesWholeBatches => "SNS would have accepted it",
    /// Takes the entries of a rejected batch for published, whatever SNS answers to each.
    IgnoresFailuresOfSingleEntries => "stored, and never published",
    /// Quarantines what is throttled.
    QuarantinesWhatIsThrottled => "SNS would have accepted it",
    /// Quarantines while a permission, an encryption key or the topic is missing.
    QuarantinesWhatIsDenied => "SNS would have accepted it",
    /// Takes a record for quarantined that the quarantine queue did not take.
    IgnoresTheQuarantineQueuesFailure => "and not quarantined",
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
        use livehooks_aws::Receipt;
        let known = || {
            Outcome::Stored(Receipt {
                written: livehooks_aws::store::PutOutcome::Duplicate {
                    id: delivery.name.clone(),
                    altered: false,
                },
                r#type: livehooks_core::EventType::Unknown,
                provider_type: None,
                room: None,
                participant: None,
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
            (Some(Self::QueuesWhatFitsNoKey), Outcome::Rejected(_))
                if delivery.fits_no_key && aws.call_result(Service::Secrets) != CallResult::Fine =>
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
