//! Settings from the environment. An error names every missing or invalid setting.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use jiff::SignedDuration;

/// The largest accepted body; no provider's bodies come close.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// How long ingest may take to read keys and write to the table. After that the delivery goes to the fallback queue,
/// within [`FALLBACK_DEADLINE`]. Together that is 2.4 s: some senders have no timeout, and the room's next events wait
/// behind this one.
pub const INGEST_DEADLINE: Duration = Duration::from_millis(1_600);

/// How long the fallback queue may take to accept a delivery.
pub const FALLBACK_DEADLINE: Duration = Duration::from_millis(800);

/// How long recover may take for one delivery: a batch of ten must fit into the function's 30 s.
pub const RECOVER_DEADLINE: Duration = Duration::from_millis(2_400);

/// The settings of an ingest function.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// `TABLE_NAME`.
    pub table: String,
    /// `PROVIDER_SECRET_ID` (a secret in Secrets Manager) or `PROVIDER_SECRET` (the JSON itself).
    pub keys: KeySource,
    /// `RETENTION_DAYS`, by default 90, at least 35: 100ms can replay events that are 30 days old.
    pub retention: SignedDuration,
    /// How long reading keys and writing may take together; not from the environment.
    pub deadline: Duration,
    /// The queue for deliveries that cannot be stored now. Without it the sender has to retry.
    pub fallback: Option<FallbackConfig>,
}

/// The fallback queue.
#[derive(Clone, Debug)]
pub struct FallbackConfig {
    /// `FALLBACK_QUEUE_URL`.
    pub queue_url: String,
    /// How long it may take to accept a delivery; not from the environment.
    pub deadline: Duration,
}

/// The settings of the function that recovers queued deliveries.
#[derive(Clone, Debug)]
pub struct RecoverConfig {
    /// `TABLE_NAME`.
    pub table: String,
    /// `PROVIDER_SECRET_ID_<NAME>` or `PROVIDER_SECRET_<NAME>` of each provider; the name is in upper case.
    pub keys: BTreeMap<String, KeySource>,
    /// `RETENTION_DAYS`, as for ingest.
    pub retention: SignedDuration,
    /// `DEAD_LETTER_QUEUE_URL`, for rejected deliveries that other keys might accept.
    pub dead_letter_queue_url: String,
    /// How long one delivery may take; not from the environment.
    pub deadline: Duration,
}

/// Where a provider's keys are.
#[derive(Clone)]
pub enum KeySource {
    /// In the environment.
    Inline(String),
    /// In Secrets Manager, by name or ARN.
    SecretsManager(String),
}

impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("PROVIDER_SECRET"),
            Self::SecretsManager(id) => write!(f, "secret {id}"),
        }
    }
}

/// The settings of the notifier.
#[derive(Clone, Debug)]
pub struct NotifyConfig {
    /// `TABLE_NAME`, for the `dataref` of events that are published without their raw part.
    pub table: String,
    /// `TOPIC_ARN`.
    pub topic_arn: String,
    /// `QUARANTINE_QUEUE_URL`, for records that SNS will never accept.
    pub quarantine_queue_url: String,
    /// How many batches are published concurrently; not from the environment. One at a time would keep the order of
    /// the stream, but a standard topic does not keep it anyway.
    pub batches_at_once: usize,
}

/// All missing and invalid settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the function's environment is incomplete or invalid:{0}")]
pub struct ConfigError(String);

/// PublishBatch takes about 20 ms, and a full shard's 1,000 records per second make 100 batches.
const BATCHES_AT_ONCE: usize = 8;
const RETENTION_DAYS: i64 = 90;
const RETENTION_DAYS_MIN: i64 = 35;

impl IngestConfig {
    /// Reads the settings through `lookup`, which is `std::env::var` in a function.
    ///
    /// # Errors
    /// Names every missing or invalid setting.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut settings = Settings::new(lookup);
        let table = settings.required("TABLE_NAME", "the name of the events table");
        let keys = settings.keys("").unwrap_or_else(|| {
            settings.invalid("PROVIDER_SECRET_ID or PROVIDER_SECRET", "the provider's keys", "neither");
            KeySource::Inline(String::new())
        });
        let retention = settings.retention();
        let fallback = settings.optional("FALLBACK_QUEUE_URL");
        let fallback = fallback.map(|queue_url| FallbackConfig { queue_url, deadline: FALLBACK_DEADLINE });
        settings.finish(Self { table, keys, retention, deadline: INGEST_DEADLINE, fallback })
    }
}

impl RecoverConfig {
    /// Reads the settings through `lookup`, which is `std::env::var` in a function. Reads the keys of those
    /// `providers` that have any.
    ///
    /// # Errors
    /// Names every missing or invalid setting.
    pub fn read(providers: &[&str], lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut settings = Settings::new(lookup);
        let table = settings.required("TABLE_NAME", "the name of the events table");
        let dead_letter_queue_url = settings.required("DEAD_LETTER_QUEUE_URL", "the URL of an SQS queue");
        let mut keys = BTreeMap::new();
        for provider in providers {
            let suffix = format!("_{}", provider.to_ascii_uppercase());
            if let Some(source) = settings.keys(&suffix) {
                keys.insert((*provider).to_owned(), source);
            }
        }
        if keys.is_empty() {
            settings.invalid("PROVIDER_SECRET_ID_<NAME>", "the keys of at least one provider", "none");
        }
        let retention = settings.retention();
        settings.finish(Self { table, keys, retention, dead_letter_queue_url, deadline: RECOVER_DEADLINE })
    }
}

impl NotifyConfig {
    /// Reads the settings through `lookup`, which is `std::env::var` in a function.
    ///
    /// # Errors
    /// Names every missing setting.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut settings = Settings::new(lookup);
        let config = Self {
            table: settings.required("TABLE_NAME", "the name of the events table"),
            topic_arn: settings.required("TOPIC_ARN", "the ARN of the SNS topic"),
            quarantine_queue_url: settings.required("QUARANTINE_QUEUE_URL", "the URL of an SQS queue"),
            batches_at_once: BATCHES_AT_ONCE,
        };
        settings.finish(config)
    }
}

/// The variable, if it is set and valid Unicode.
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

struct Settings<L> {
    lookup: L,
    problems: String,
}

impl<L: Fn(&str) -> Option<String>> Settings<L> {
    fn new(lookup: L) -> Self {
        Self { lookup, problems: String::new() }
    }

    fn optional(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.trim().is_empty())
    }

    fn required(&mut self, name: &str, expected: &str) -> String {
        let value = self.optional(name);
        if value.is_none() {
            self.invalid(name, expected, "nothing");
        }
        value.unwrap_or_default()
    }

    /// The keys in the variables with this suffix, if there are any.
    fn keys(&mut self, suffix: &str) -> Option<KeySource> {
        let (id, json) = (format!("PROVIDER_SECRET_ID{suffix}"), format!("PROVIDER_SECRET{suffix}"));
        match (self.optional(&id), self.optional(&json)) {
            (Some(id), None) => Some(KeySource::SecretsManager(id)),
            (None, Some(json)) => Some(KeySource::Inline(json)),
            (None, None) => None,
            (Some(_), Some(keys)) => {
                self.invalid(&format!("{id} or {json}"), "one of the two", "both");
                Some(KeySource::Inline(keys))
            }
        }
    }

    fn retention(&mut self) -> SignedDuration {
        let days = self.optional("RETENTION_DAYS");
        let parsed = days.as_deref().map_or(Ok(RETENTION_DAYS), str::parse);
        let days = match parsed {
            Ok(days) if (RETENTION_DAYS_MIN..=36_500).contains(&days) => days,
            _ => {
                let expected = format!("a number of days, at least {RETENTION_DAYS_MIN}");
                self.invalid("RETENTION_DAYS", &expected, &format!("{:?}", days.unwrap_or_default()));
                RETENTION_DAYS
            }
        };
        SignedDuration::from_hours(24 * days)
    }

    fn invalid(&mut self, name: &str, expected: &str, found: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.problems, "\n  {name}: expected {expected}, found {found}");
    }

    fn finish<T>(self, config: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() { Ok(config) } else { Err(ConfigError(self.problems)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_setting_is_named_at_once() {
        let error = NotifyConfig::read(|_| None).unwrap_err().to_string();
        for name in ["TABLE_NAME", "TOPIC_ARN", "QUARANTINE_QUEUE_URL"] {
            assert!(error.contains(name), "{name} is not in: {error}");
        }
        let days = |name: &str| (name == "RETENTION_DAYS").then(|| "7".to_owned());
        let error = IngestConfig::read(days).unwrap_err().to_string();
        assert_eq!(
            error,
            "the function's environment is incomplete or invalid:\
             \n  TABLE_NAME: expected the name of the events table, found nothing\
             \n  PROVIDER_SECRET_ID or PROVIDER_SECRET: expected the provider's keys, found neither\
             \n  RETENTION_DAYS: expected a number of days, at least 35, found \"7\""
        );
    }

    #[test]
    fn debug_output_hides_an_inline_secret() {
        let secret = |name: &str| Some(if name == "PROVIDER_SECRET_ID" { "" } else { "35" }.to_owned());
        let config = IngestConfig::read(secret).unwrap();
        assert_eq!(format!("{:?}", config.keys), "PROVIDER_SECRET");
    }

    #[test]
    fn recover_has_the_keys_of_the_enabled_providers() {
        let lookup = |name: &str| match name {
            "TABLE_NAME" => Some("Events".to_owned()),
            "DEAD_LETTER_QUEUE_URL" => Some("https://queue".to_owned()),
            "PROVIDER_SECRET_ID_100MS" => Some("id".to_owned()),
            "PROVIDER_SECRET_LIVEKIT" => Some("{}".to_owned()),
            _ => None,
        };
        let providers = ["100ms", "videosdk", "livekit"];
        let config = RecoverConfig::read(&providers, lookup).unwrap();
        assert_eq!(config.keys.keys().collect::<Vec<_>>(), ["100ms", "livekit"]);
        assert_eq!(format!("{:?}", config.keys["100ms"]), "secret id");
        let error = RecoverConfig::read(&providers, |_| None).unwrap_err().to_string();
        assert!(error.contains("PROVIDER_SECRET_ID_<NAME>: expected the keys of at least one"), "{error}");
        assert!(error.contains("DEAD_LETTER_QUEUE_URL: expected the URL of an SQS queue"), "{error}");
    }
}
