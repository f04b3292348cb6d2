//! What ingest and recover share: verify, normalize, store, within a deadline.

use std::time::Duration;

use jiff::Timestamp;
use livehooks_core::{Delivery, EventType, Normalized, Provider, Rejection, Verified};
use tokio::time::{Instant, timeout_at};

use crate::store::{NotWritten, Written};
use crate::{Fault, KeyRing, Store, telemetry};

/// No provider's body comes near.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What became of a delivery.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Authentic, and in the table.
    Stored(Receipt),
    /// In the fallback queue as it was received, because of our fault.
    Queued {
        /// The queue's id of the message.
        id: String,
        /// Why it is not in the table.
        fault: Fault,
    },
    /// Not authentic: the sender's fault.
    Rejected(Rejection),
    /// Too large to be taken: the sender's fault.
    TooLarge {
        /// The size that was found, in bytes.
        bytes: usize,
        /// The size that would have been taken.
        bytes_max: usize,
    },
    /// Not taken: our fault.
    Failed(Fault),
}

/// What is worth telling about an event that is in the table.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the event's attributes")]
pub struct Receipt {
    pub written: Written,
    pub r#type: EventType,
    pub provider_type: Option<String>,
    pub room: Option<String>,
    pub participant: Option<String>,
}

/// One provider's way into the table.
pub(crate) struct Intake<P: Provider> {
    pub(crate) keys: KeyRing<P::Keys>,
    pub(crate) store: Store,
    /// How long reading keys, and all reading and writing of the table, may take together.
    pub(crate) deadline: Duration,
}

impl<P: Provider> Intake<P> {
    /// Takes in a delivery that was received at `received_at`, which is the clock of its verification. `now` is
    /// the keys' clock.
    pub(crate) async fn take_in(
        &self,
        delivery: &Delivery<'_>,
        received_at: Timestamp,
        now: Timestamp,
    ) -> Outcome {
        if delivery.body.len() > BODY_BYTES_MAX {
            return Outcome::TooLarge { bytes: delivery.body.len(), bytes_max: BODY_BYTES_MAX };
        }
        let until = Instant::now() + self.deadline;
        let late_ms = self.deadline.as_millis();
        let verified = timeout_at(until, self.verify(delivery, received_at, now)).await;
        let late = |_| Err(self.keys.unavailable(format!("no answer within {late_ms} ms")));
        let verified = match verified.unwrap_or_else(late) {
            Ok(Ok(verified)) => verified,
            Ok(Err(rejection)) => return Outcome::Rejected(rejection),
            // What no keys could let in does not wait for them.
            Err(fault) => {
                return match P::precheck(delivery, received_at) {
                    Ok(()) => Outcome::Failed(fault),
                    Err(rejection) => Outcome::Rejected(rejection),
                };
            }
        };
        let mut event = P::normalize(&verified, received_at);
        match timeout_at(until, self.store.put(&mut event)).await {
            Ok(Ok(written)) => Outcome::Stored(Receipt::new(written, &event)),
            Ok(Err(NotWritten::TooLarge { bytes, bytes_max })) => Outcome::TooLarge { bytes, bytes_max },
            Ok(Err(NotWritten::Fault(fault))) => Outcome::Failed(fault),
            Err(_) => Outcome::Failed(Fault::StoreTimeout(late_ms)),
        }
    }

    /// A key may have been added since the keys were read: a failure that other keys could heal is final only with
    /// the newest ones. Nothing else has keys read because it came.
    async fn verify<'a>(
        &self,
        delivery: &Delivery<'a>,
        received_at: Timestamp,
        now: Timestamp,
    ) -> Result<Result<Verified<'a, P>, Rejection>, Fault> {
        if !self.keys.are_at_hand()
            && let Err(rejection) = P::precheck(delivery, received_at)
        {
            return Ok(Err(rejection));
        }
        let keys = self.keys.current(now).await?;
        let mut verified = P::verify(delivery, &keys, received_at);
        if verified.is_err()
            && P::precheck(delivery, received_at).is_ok()
            && let Some(keys) = self.keys.newer(now).await?
        {
            verified = P::verify(delivery, &keys, received_at);
        }
        if let Err(rejection) = &verified {
            telemetry::record_rejected_by_keys(P::NAME, rejection);
        }
        Ok(verified)
    }
}

impl Receipt {
    fn new(written: Written, normalized: &Normalized<'_>) -> Self {
        let event = &normalized.event;
        let participant = event.data.participant.as_ref();
        Self {
            written,
            r#type: event.r#type,
            provider_type: event.providertype.as_deref().map(str::to_owned),
            room: event.subject.as_deref().map(str::to_owned),
            participant: participant
                .and_then(|participant| participant.user_id.as_ref().or(participant.id.as_ref()))
                .map(|id| id.clone().into_owned()),
        }
    }
}
