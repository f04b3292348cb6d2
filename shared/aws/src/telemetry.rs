//! Logs in JSON, and metrics. Neither ever contains a secret, a token, a signature or a body.

use std::io;

use metrics::{Unit, describe_counter, describe_histogram};
use metrics_cloudwatch_embedded::{Builder, Collector};
use tracing::error;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::env;

/// The CloudWatch namespace of all metrics, unless `METRICS_NAMESPACE` sets another.
const NAMESPACE: &str = "livehooks";

/// A function's log and metrics.
pub struct Telemetry(&'static Collector);

impl Telemetry {
    /// Writes the metrics since the last flush, in CloudWatch's embedded metric format.
    pub fn flush(&self) {
        if let Err(error) = self.0.flush(io::stdout()) {
            error!(%error, "the metrics could not be written");
        }
    }
}

/// Starts the log and the metrics of a function. `LOG_LEVEL` sets the level of livehooks' own lines. Libraries stay at
/// `warn`, because more verbose levels may log headers and bodies. `AWS_LAMBDA_LOG_LEVEL` is not used: Lambda filters by
/// it as well, and above `INFO` it would drop the metrics, whose lines have no level.
///
/// # Errors
/// If a log or a recorder was started before.
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
        "Published",
        "Quarantined",
        "PublishFailed",
    ] {
        describe_counter!(name, Unit::Count, "");
    }
    describe_histogram!("AckLatency", Unit::Milliseconds, "");
    describe_histogram!("RecoverLag", Unit::Milliseconds, "");
    describe_histogram!("PublishLag", Unit::Milliseconds, "");
    Ok(Telemetry(collector))
}
