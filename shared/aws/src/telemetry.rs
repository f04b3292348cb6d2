//! Logs in JSON, and metrics. Neither ever contains a secret, a token, a signature or a body.
//!
//! A line of the log has the metrics that were counted since the last one, in CloudWatch's embedded metric format. So a
//! delivery leaves one line: what happened, and its numbers. Metrics have no units, because logs are charged by the byte.

use std::fmt;
use std::io::{self, Write};

use jiff::Timestamp;
use metrics_cloudwatch_embedded::{Builder, Collector};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber, error};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::env;

/// The CloudWatch namespace of all metrics, unless `METRICS_NAMESPACE` sets another.
const NAMESPACE: &str = "livehooks";
/// The target of livehooks' own lines.
const TARGET: &str = "livehooks_aws";

/// A function's log and metrics.
pub struct Telemetry(Metrics);

impl Telemetry {
    /// Writes the metrics since the last line.
    pub fn flush(&self) {
        let lines: String = self.0.lines(Map::new()).iter().map(|line| format!("{line}\n")).collect();
        if let Err(error) = io::stdout().write_all(lines.as_bytes()) {
            error!(%error, "the metrics could not be written");
        }
    }
}

/// Starts the log and the metrics of a function. `LOG_LEVEL` sets the level of livehooks' own lines. Libraries stay at
/// `warn`, because more verbose levels may log headers and bodies. `AWS_LAMBDA_LOG_LEVEL` is not used: Lambda filters by
/// it as well, and above `INFO` it would drop metrics that have no line with a level.
///
/// # Errors
/// If a log or a recorder was started before.
pub fn init() -> Result<Telemetry, lambda_http::Error> {
    let namespace = env("METRICS_NAMESPACE").unwrap_or_else(|| NAMESPACE.into());
    let metrics = Metrics(Builder::new().cloudwatch_namespace(namespace).init()?);
    let level = env("LOG_LEVEL").and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let targets = Targets::new().with_default(LevelFilter::WARN).with_target(TARGET, level);
    let lines = tracing_subscriber::fmt::layer().event_format(metrics);
    tracing_subscriber::registry().with(lines).with(targets).try_init()?;
    Ok(Telemetry(metrics))
}

/// Seconds as milliseconds for a metric, to a hundredth.
pub(crate) fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1e5).round() / 1e2
}

/// The metrics since the last line.
#[derive(Clone, Copy)]
struct Metrics(&'static Collector);

/// A line of metrics: where CloudWatch finds them, their dimensions and their values.
#[derive(Deserialize)]
struct EmbeddedMetrics {
    #[serde(rename = "_aws")]
    metadata: Metadata,
    #[serde(flatten)]
    members: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    timestamp: u64,
    cloud_watch_metrics: Vec<Value>,
}

impl Metrics {
    /// Adds the metrics to a line that has their dimensions. The others get lines of their own, as few as possible.
    fn lines(self, line: Map<String, Value>) -> Vec<Value> {
        let mut written = Vec::new();
        // A vector accepts everything, and the library writes what its own type serializes.
        let _ = self.0.flush(&mut written);
        let read = |line: &[u8]| serde_json::from_slice::<EmbeddedMetrics>(line).ok();
        let mut lines = vec![Line { is_event: !line.is_empty(), members: line, ..Line::default() }];
        for metrics in written.split(|byte| *byte == b'\n').filter_map(read) {
            let at = lines.iter().position(|line| line.accepts(&metrics)).unwrap_or(lines.len());
            if at == lines.len() {
                lines.push(Line::default());
            }
            lines[at].add(metrics);
        }
        lines.into_iter().filter_map(Line::finish).collect()
    }
}

/// A line, and the metrics that were added to it.
#[derive(Default)]
struct Line {
    is_event: bool,
    members: Map<String, Value>,
    directives: Vec<Value>,
    timestamp: u64,
}

impl Line {
    /// Whether it has none of the values, and the dimensions are its own or would be.
    fn accepts(&self, metrics: &EmbeddedMetrics) -> bool {
        metrics.members.iter().all(|(name, value)| match self.members.get(name) {
            Some(found) => value.is_string() && found == value,
            None => !(value.is_string() && self.is_event),
        })
    }

    fn add(&mut self, metrics: EmbeddedMetrics) {
        self.members.extend(metrics.members);
        self.directives.extend(metrics.metadata.cloud_watch_metrics);
        self.timestamp = metrics.metadata.timestamp;
    }

    fn finish(mut self) -> Option<Value> {
        if !self.directives.is_empty() {
            let metadata = json!({ "Timestamp": self.timestamp, "CloudWatchMetrics": self.directives });
            self.members.insert("_aws".into(), metadata);
        }
        (!self.members.is_empty()).then_some(Value::Object(self.members))
    }
}

impl<S, N> FormatEvent<S, N> for Metrics
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Map::new();
        event.record(&mut Fields(&mut line));
        line.insert("timestamp".into(), format!("{:.3}", Timestamp::now()).into());
        line.insert("level".into(), metadata.level().as_str().into());
        // The collector logs too, while it is locked.
        if !metadata.target().starts_with(TARGET) {
            line.insert("target".into(), metadata.target().into());
            return writeln!(writer, "{}", Value::Object(line));
        }
        self.lines(line).iter().try_for_each(|line| writeln!(writer, "{line}"))
    }
}

/// An event's fields as JSON.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        let name = field.name().strip_prefix("r#").unwrap_or(field.name());
        self.0.insert(name.to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("{value:?}"));
    }
}
