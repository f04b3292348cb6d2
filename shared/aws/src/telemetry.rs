//! What the operator sees: one JSON log line for what went wrong, metrics for everything.
//!
//! Neither ever holds a secret, a token, a signature or a body.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use livehooks_core::Rejection;
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use metrics_cloudwatch_embedded::{Builder, Collector};
use tracing::{error, info, warn};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::Outcome;
use crate::config::{KeySource, env};
use crate::gateway::MalformedEvent;
use crate::ingest::Receipt;
use crate::recover::{Recovered, TOO_LARGE};
use crate::store::Written;

/// The CloudWatch namespace of all metrics, where `METRICS_NAMESPACE` does not set another.
const NAMESPACE: &str = "livehooks";

/// A function's log and metrics.
pub struct Telemetry(&'static Collector);

impl Telemetry {
    /// Writes what was counted since the last time, in CloudWatch's embedded metric format.
    pub fn flush(&self) {
        if let Err(error) = self.0.flush(io::stdout()) {
            error!(%error, "the metrics could not be written");
        }
    }
}

/// Starts the log and the metrics of a function. `LOG_LEVEL` sets the level of our own lines; those of libraries
/// stay at `warn`, because below it they may hold headers and bodies. It is not `AWS_LAMBDA_LOG_LEVEL`: by that
/// Lambda filters too, and a line of metrics, which has no level, would be lost above `INFO`.
///
/// # Errors
/// Where a log or a recorder was started before.
pub fn init() -> Result<Telemetry, lambda_http::Error> {
    let level = env("LOG_LEVEL").and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let targets = Targets::new().with_default(LevelFilter::WARN).with_target("livehooks_aws", level);
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false);
    tracing_subscriber::registry().with(lines).with(targets).try_init()?;

    let namespace = env("METRICS_NAMESPACE").unwrap_or_else(|| NAMESPACE.into());
    let collector = Builder::new().cloudwatch_namespace(namespace).init()?;
    for name in ["Accepted", "Duplicate", "DuplicateAltered", "Rejected", "TooLarge", "UnknownType", "Failed"]
    {
        describe_counter!(name, Unit::Count, "");
    }
    for name in [
        "RejectedAfterSignature",
        "KeysWeak",
        "Queued",
        "Recovered",
        "DeadLettered",
        "Dropped",
        "RecoverFailed",
        "Announced",
        "Quarantined",
        "RelayFailed",
    ] {
        describe_counter!(name, Unit::Count, "");
    }
    describe_histogram!("AckLatency", Unit::Milliseconds, "");
    describe_histogram!("RecoverLag", Unit::Milliseconds, "");
    describe_histogram!("RelayLag", Unit::Milliseconds, "");
    Ok(Telemetry(collector))
}

/// Logs and counts what became of a delivery.
pub fn record(provider: &'static str, outcome: &Outcome, elapsed: Duration) {
    histogram!("AckLatency", "provider" => provider).record(elapsed.as_secs_f64() * 1e3);
    match outcome {
        Outcome::Stored(receipt) => record_stored(provider, receipt),
        Outcome::Queued { id, fault } => {
            let code = fault.code();
            error!(provider, fault = code, id, "delivery queued: {fault}");
            counter!("Queued", "provider" => provider, "fault" => code).increment(1);
        }
        Outcome::Rejected(rejection) => {
            let (reason, advice) = (rejection.code(), rejection.advice());
            warn!(provider, reason, detail = %rejection, advice, "delivery refused");
            counter!("Rejected", "provider" => provider, "reason" => reason).increment(1);
        }
        Outcome::TooLarge { bytes, bytes_max } => {
            warn!(provider, bytes, bytes_max, "delivery refused: too large");
            counter!("TooLarge", "provider" => provider).increment(1);
        }
        Outcome::Failed(fault) => {
            let code = fault.code();
            error!(provider, fault = code, "delivery not taken: {fault}");
            counter!("Failed", "provider" => provider, "fault" => code).increment(1);
        }
    }
}

/// Logs and counts an event that is no request.
pub(crate) fn record_malformed(provider: &'static str, malformed: MalformedEvent) {
    let reason = "malformed_request";
    warn!(provider, reason, detail = %malformed, "delivery refused");
    counter!("Rejected", "provider" => provider, "reason" => reason).increment(1);
}

/// Counts what the real sender has signed and was rejected all the same, besides what [`record`] counts: nobody can
/// forge that, so an alarm can ring at one.
pub(crate) fn record_rejected_by_keys(provider: &'static str, rejection: &Rejection) {
    if rejection.follows_signature() {
        let reason = rejection.code();
        counter!("RejectedAfterSignature", "provider" => provider, "reason" => reason).increment(1);
    }
}

/// Logs and counts a secret of Secrets Manager that protects nothing.
pub(crate) fn record_weak_keys(provider: &'static str, from: &KeySource, weakness: &str) {
    error!(provider, ?from, "{weakness}");
    counter!("KeysWeak", "provider" => provider).increment(1);
}

/// Logs why the fallback queue has not taken a delivery.
pub(crate) fn record_not_queued(provider: &'static str, why: &str) {
    error!(provider, "the fallback queue did not take a delivery: {why}");
}

/// Logs and counts what became of a message of the fallback queue.
pub(crate) fn record_recovered(recovered: &Recovered, now: Timestamp) {
    let message_id = &recovered.message_id;
    let taken = match &recovered.result {
        Ok(taken) => taken,
        Err(why) => {
            error!(message_id, "a message of the fallback queue cannot be recovered: {why}");
            counter!("RecoverFailed").increment(1);
            return;
        }
    };
    let provider = taken.provider;
    let rejected = |reason: &'static str, detail: &str, advice: &str| {
        let (metric, what) = match taken.is_dead_lettered {
            true => ("DeadLettered", "queued delivery dead-lettered"),
            false => ("Dropped", "queued delivery dropped"),
        };
        error!(provider, message_id, reason, detail, advice, "{what}");
        counter!(metric, "provider" => provider, "reason" => reason).increment(1);
    };
    match &taken.outcome {
        Outcome::Stored(receipt) => {
            record_stored(provider, receipt);
            counter!("Recovered", "provider" => provider).increment(1);
            let lag = now.duration_since(taken.received_at);
            histogram!("RecoverLag").record(lag.as_secs_f64() * 1e3);
        }
        Outcome::Rejected(rejection) => {
            rejected(rejection.code(), &rejection.to_string(), rejection.advice());
        }
        Outcome::TooLarge { bytes, bytes_max } => {
            let detail = format!("expected at most {bytes_max} bytes, found {bytes}");
            rejected(TOO_LARGE, &detail, "the table cannot hold it: read the message, then delete it");
        }
        Outcome::Queued { fault, .. } | Outcome::Failed(fault) => {
            error!(provider, message_id, fault = fault.code(), "queued delivery not taken yet: {fault}");
            counter!("RecoverFailed").increment(1);
        }
    }
}

fn record_stored(provider: &'static str, receipt: &Receipt) {
    let kind = receipt.r#type.as_str();
    let (Written::New { id } | Written::Duplicate { id, .. }) = &receipt.written;
    let id = cut(id);
    match &receipt.written {
        Written::New { .. } => {
            info!(provider, r#type = kind, id, "accepted");
            counter!("Accepted", "provider" => provider).increment(1);
            if receipt.r#type == livehooks_core::EventType::Unknown {
                warn!(
                    provider,
                    providertype = receipt.provider_type.as_deref().map(cut),
                    id,
                    "event type is not in the vocabulary"
                );
                counter!("UnknownType", "provider" => provider).increment(1);
            }
        }
        Written::Duplicate { altered, .. } => {
            info!(provider, r#type = kind, id, "duplicate");
            counter!("Duplicate", "provider" => provider).increment(1);
            if *altered {
                warn!(provider, id, "a repeated id came with another body: the first one stays");
                counter!("DuplicateAltered", "provider" => provider).increment(1);
            }
        }
    }
}

/// A text of a delivery, made fit for a log line.
fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(TEXT_CHARACTERS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(TEXT_CHARACTERS_MAX).is_some() {
        cut.push('…');
    }
    cut
}

const TEXT_CHARACTERS_MAX: usize = 64;
