//! What happened: a line on the terminal for each delivery, and the latest refusals.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use livehooks_aws::Outcome;
use livehooks_aws::ingest::Receipt;
use livehooks_aws::recover::{Recovered, Taken};
use livehooks_aws::store::Written;
use serde::Serialize;

use crate::terminal::{DIM, GREEN, RED, YELLOW, safe, styled};

/// A delivery that was refused.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    /// When it came.
    pub time: Timestamp,
    /// Where it came.
    pub provider: &'static str,
    /// Why, as a stable code.
    pub diagnosis: &'static str,
    /// Why, in words; never a secret.
    pub detail: String,
    /// What to do about it.
    pub advice: &'static str,
}

/// What happened since the start.
pub struct Report {
    verbose: bool,
    refusals: Mutex<VecDeque<Refusal>>,
}

const REFUSALS_MAX: usize = 1_000;

impl Report {
    pub(super) fn new(verbose: bool) -> Self {
        Self { verbose, refusals: Mutex::default() }
    }

    /// The latest refusals, newest first.
    pub fn refusals(&self) -> Vec<Refusal> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(super) fn outcome(&self, provider: &'static str, outcome: &Outcome) {
        match outcome {
            Outcome::Stored(receipt) => {
                let said = match &receipt.written {
                    Written::New { .. } => styled(GREEN, "accepted"),
                    Written::Duplicate { altered: false, .. } => styled(YELLOW, "duplicate"),
                    Written::Duplicate { altered: true, .. } => {
                        styled(YELLOW, "duplicate (same id, another body: the first one stays)")
                    }
                };
                self.stored(provider, receipt, said);
            }
            Outcome::Queued { fault, .. } => {
                let detail = format!("{}: {fault}", fault.code());
                self.line(provider, styled(YELLOW, "queued"), &detail);
            }
            Outcome::Rejected(rejection) => {
                self.refused(provider, rejection.code(), rejection.to_string(), rejection.advice());
            }
            Outcome::TooLarge { bytes, bytes_max } => {
                let detail = format!("expected at most {bytes_max} bytes, found {bytes}");
                self.refused(provider, "too_large", detail, "no provider sends as much: see who does");
            }
            Outcome::Failed(fault) => {
                let detail = format!("{}: {fault}", fault.code());
                self.line(provider, styled(RED, "not taken"), &detail);
            }
        }
    }

    /// What became of a delivery that was queued.
    pub(super) fn recovered(&self, recovered: &Recovered) {
        let (provider, outcome) = match &recovered.result {
            Ok(Taken { provider, outcome, .. }) => (*provider, outcome),
            Err(why) => return self.trouble("recover", &why.to_string()),
        };
        match outcome {
            Outcome::Stored(receipt) => {
                let said = match &receipt.written {
                    Written::New { .. } => styled(GREEN, "recovered"),
                    Written::Duplicate { .. } => styled(YELLOW, "recovered duplicate"),
                };
                self.stored(provider, receipt, said);
            }
            Outcome::Queued { fault, .. } | Outcome::Failed(fault) => {
                self.trouble(provider, &format!("a queued delivery was not taken yet: {fault}"));
            }
            Outcome::Rejected(_) | Outcome::TooLarge { .. } => self.outcome(provider, outcome),
        }
    }

    /// Something that is not about one delivery.
    pub(super) fn trouble(&self, what: &str, why: &str) {
        self.line(what, styled(YELLOW, "waits"), why);
    }

    fn stored(&self, provider: &str, receipt: &Receipt, said: String) {
        let column = |text: &Option<String>| format!("{:16}", safe(text.as_deref().unwrap_or("-"), 16));
        let kind = format!("{:34}", receipt.r#type.as_str());
        let mut text = format!("{kind} {} {} {said}", column(&receipt.room), column(&receipt.participant));
        if receipt.r#type == livehooks_core::EventType::Unknown {
            let name = receipt.provider_type.as_deref().unwrap_or("a body without type");
            text = format!("{text} {}", styled(DIM, safe(name, 40)));
        }
        self.print(provider, &text);
    }

    fn refused(&self, provider: &'static str, diagnosis: &'static str, detail: String, advice: &'static str) {
        self.line(provider, styled(RED, format!("refused: {diagnosis}")), &format!("{detail}; {advice}"));
        let refusal = Refusal { time: Timestamp::now(), provider, diagnosis, detail, advice };
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.push_front(refusal);
        refusals.truncate(REFUSALS_MAX);
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
