//! Reports each delivery: a line on the terminal, a row for the page, and the latest rejections.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use livehooks_aws::recover::{Recovered, RecoveredDelivery, TOO_LARGE};
use livehooks_aws::store::PutOutcome;
use livehooks_aws::{Fault, Outcome, Receipt};
use livehooks_core::Rejection;
use serde::Serialize;

use crate::inspect::{DeliveryStatus, Log, Row};
use crate::terminal::{DIM, GREEN, RED, YELLOW, safe, styled};

/// A delivery that was rejected.
#[derive(Clone, Debug, Serialize)]
pub struct RejectedDelivery {
    /// When it was received.
    pub time: Timestamp,
    /// The provider whose path received it.
    pub provider: &'static str,
    /// The reason, a stable code.
    pub reason: &'static str,
    /// The reason in words; never contains a secret.
    pub detail: String,
    /// How to fix it.
    pub advice: &'static str,
}

impl RejectedDelivery {
    fn new(provider: &'static str, time: Timestamp, rejection: &Rejection) -> Self {
        let (reason, advice) = (rejection.code(), rejection.advice());
        Self { time, provider, reason, detail: rejection.to_string(), advice }
    }

    fn too_large(provider: &'static str, time: Timestamp, bytes: usize, bytes_max: usize) -> Self {
        let detail = format!("expected at most {bytes_max} bytes, found {bytes}");
        let advice = "no provider sends this much; find out who sent it";
        Self { time, provider, reason: TOO_LARGE, detail, advice }
    }
}

/// What happened since the start.
pub struct Report {
    verbose: bool,
    log: Arc<Log>,
    rejections: Mutex<VecDeque<RejectedDelivery>>,
}

const REJECTIONS_MAX: usize = 1_000;

impl Report {
    pub(super) fn new(verbose: bool) -> Self {
        Self { verbose, log: Arc::default(), rejections: Mutex::default() }
    }

    /// The status of each delivery, for the page.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// The latest rejections, newest first.
    pub fn rejections(&self) -> Vec<RejectedDelivery> {
        self.rejections.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Reports the outcome of a delivery received at this time.
    pub(super) fn outcome(&self, provider: &'static str, received: Timestamp, outcome: &Outcome) {
        match outcome {
            Outcome::Stored(receipt) => {
                let said = match &receipt.written {
                    PutOutcome::New { .. } => styled(GREEN, "accepted"),
                    PutOutcome::Duplicate { altered: false, .. } => styled(YELLOW, "duplicate"),
                    PutOutcome::Duplicate { altered: true, .. } => {
                        styled(YELLOW, "duplicate (same id, different body; the first is kept)")
                    }
                };
                self.stored(provider, received, receipt, said);
            }
            Outcome::Answered(_) => {
                self.line(provider, styled(GREEN, "answered"), "a question of the provider, not an event");
            }
            Outcome::Queued { fault, .. } => {
                let detail = format!("{}: {fault}", fault.code());
                self.line(provider, styled(YELLOW, "queued"), &detail);
                self.log.push(Row {
                    reason: Some(fault.code().into()),
                    detail: Some(fault.to_string()),
                    advice: Some("it waits in the fallback queue and is stored as soon as possible"),
                    ..Row::new(DeliveryStatus::Queued, provider, received)
                });
            }
            Outcome::Rejected(rejection) => {
                self.rejected("rejected", RejectedDelivery::new(provider, received, rejection));
            }
            Outcome::TooLarge { bytes, bytes_max } => {
                self.rejected(
                    "rejected",
                    RejectedDelivery::too_large(provider, received, *bytes, *bytes_max),
                );
            }
            Outcome::Failed(fault) => {
                let advice = match fault {
                    Fault::KeysNotSet { .. } => {
                        "restart with --keys FILE and add this provider's keys to the file"
                    }
                    _ => "the provider was asked to retry (503); see the local stack's terminal",
                };
                let detail = format!("{}: {fault}; {advice}", fault.code());
                self.line(provider, styled(RED, "failed"), &detail);
                self.log.push(Row {
                    reason: Some(fault.code().into()),
                    detail: Some(fault.to_string()),
                    advice: Some(advice),
                    ..Row::new(DeliveryStatus::Failed, provider, received)
                });
            }
        }
    }

    /// Reports the outcome of a queued delivery.
    pub(super) fn recovered(&self, recovered: &Recovered) {
        let Ok(RecoveredDelivery { provider, received_at, outcome, is_dead_lettered }) = &recovered.result
        else {
            return;
        };
        match outcome {
            Outcome::Stored(receipt) => {
                let said = match &receipt.written {
                    PutOutcome::New { .. } => styled(GREEN, "recovered"),
                    PutOutcome::Duplicate { .. } => styled(YELLOW, "recovered duplicate"),
                };
                self.stored(provider, *received_at, receipt, said);
            }
            Outcome::Rejected(rejection) if *is_dead_lettered => {
                let advice = "it is kept; fix the keys, then run `cargo livehooks queue redrive`";
                let rejection =
                    RejectedDelivery { advice, ..RejectedDelivery::new(provider, *received_at, rejection) };
                self.rejected("dead-lettered", rejection);
            }
            Outcome::TooLarge { bytes, bytes_max } if *is_dead_lettered => {
                let rejection = RejectedDelivery::too_large(provider, *received_at, *bytes, *bytes_max);
                self.rejected("dead-lettered", rejection);
            }
            _ => self.outcome(provider, *received_at, outcome),
        }
    }

    /// Reports why queued deliveries cannot be stored yet.
    pub(super) fn not_recovered(&self, first: &Recovered, count: usize) {
        let why = match &first.result {
            Ok(RecoveredDelivery { outcome: Outcome::Failed(fault), .. }) => fault.to_string(),
            Ok(_) => return,
            Err(why) => why.to_string(),
        };
        let why = format!("{count} queued deliveries cannot be stored yet: {why}");
        self.trouble("recover", &why);
    }

    /// Reports a problem that does not concern a single delivery.
    pub(super) fn trouble(&self, what: &str, why: &str) {
        self.line(what, styled(YELLOW, "waits"), why);
    }

    fn stored(&self, provider: &str, received: Timestamp, receipt: &Receipt, said: String) {
        self.log.push(row(provider, received, receipt));
        let column = |text: &Option<String>| format!("{:16}", safe(text.as_deref().unwrap_or("-"), 16));
        let kind = format!("{:34}", receipt.r#type.as_str());
        let mut text = format!("{kind} {} {} {said}", column(&receipt.room), column(&receipt.participant));
        if receipt.r#type == livehooks_core::EventType::Unknown {
            let name = receipt.provider_type.as_deref().unwrap_or("a body without a type");
            text = format!("{text} {}", styled(DIM, safe(name, 40)));
        }
        self.print(provider, &text);
    }

    fn rejected(&self, what: &str, rejection: RejectedDelivery) {
        let RejectedDelivery { provider, reason, detail, advice, .. } = &rejection;
        self.line(provider, styled(RED, format!("{what}: {reason}")), &format!("{detail}; {advice}"));
        self.log.push(Row {
            reason: Some((*reason).into()),
            detail: Some(detail.clone()),
            advice: Some(advice),
            ..Row::new(DeliveryStatus::Rejected, provider, rejection.time)
        });
        let mut rejections = self.rejections.lock().unwrap_or_else(PoisonError::into_inner);
        rejections.push_front(rejection);
        rejections.truncate(REJECTIONS_MAX);
    }

    fn line(&self, provider: &str, said: String, detail: &str) {
        self.print(provider, &format!("{said}  {}", safe(detail, 400)));
    }

    fn print(&self, provider: &str, text: &str) {
        if self.verbose {
            let time = Timestamp::now().to_zoned(TimeZone::system()).strftime("%H:%M:%S");
            anstream::println!("{} {provider:10} {text}", styled(DIM, time));
        }
    }
}

fn row(provider: &str, received: Timestamp, receipt: &Receipt) -> Row {
    let (status, id, altered) = match &receipt.written {
        PutOutcome::New { id } => (DeliveryStatus::Stored, id, None),
        PutOutcome::Duplicate { id, altered } => (DeliveryStatus::Duplicate, id, Some(*altered)),
    };
    Row {
        stored: (status == DeliveryStatus::Stored).then(Timestamp::now),
        id: Some(id.clone()),
        r#type: Some(receipt.r#type.as_str().into()),
        provider_type: receipt.provider_type.clone(),
        room: receipt.room.clone(),
        participant: receipt.participant.clone(),
        name: receipt.participant_name.clone(),
        altered,
        ..Row::new(status, provider, received)
    }
}
