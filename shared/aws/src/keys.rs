//! A provider's keys, cached in memory. They are read again when they are old, and when verification fails.

use std::sync::Arc;

use aws_sdk_secretsmanager::Client;
use jiff::{SignedDuration, Timestamp};
use livehooks_core::Keys;
use metrics::counter;
use tokio::sync::Mutex;
use tracing::{error, warn};

use crate::Fault;
use crate::config::KeySource;
use crate::fault::describe;

/// A key that is added to the secret is picked up within this time, even if no delivery fails.
const MAX_AGE: SignedDuration = SignedDuration::from_mins(5);
/// Limits how often forged deliveries can cause calls to Secrets Manager.
const REFRESH_INTERVAL: SignedDuration = SignedDuration::from_secs(30);

/// The delay after a failed read; doubles with each further failure, up to the maximum.
const RETRY_DELAY: SignedDuration = SignedDuration::from_secs(5);
const RETRY_DELAY_MAX: SignedDuration = SignedDuration::from_secs(30);

/// The keys of one provider.
pub struct KeyRing<K> {
    provider: &'static str,
    source: KeySource,
    client: Client,
    state: Mutex<State<K>>,
}

struct State<K> {
    keys: Option<Arc<K>>,
    read_at: Timestamp,
    /// The latest read, if it failed: the keys may be out of date.
    failure: Option<Failure>,
}

struct Failure {
    fault: Fault,
    retry_delay: SignedDuration,
}

impl<K: Keys> KeyRing<K> {
    /// An empty ring, which reads the keys on first use. `provider` is for the log and the metrics.
    pub fn new(provider: &'static str, source: KeySource, client: Client) -> Self {
        Self {
            provider,
            source,
            client,
            state: Mutex::new(State { keys: None, read_at: Timestamp::MIN, failure: None }),
        }
    }

    /// Whether keys, current or not, are available without a call.
    pub fn are_available(&self) -> bool {
        match self.source {
            KeySource::Inline(_) => true,
            // The lock is held while they are read.
            KeySource::SecretsManager(_) => self.state.try_lock().is_ok_and(|state| state.keys.is_some()),
        }
    }

    /// The keys, read again if they are older than five minutes. If reading fails, the cached keys stay in use, and the
    /// failure is logged.
    ///
    /// # Errors
    /// A [`Fault`] if there are no keys: nothing is ever accepted without keys.
    pub async fn current(&self, now: Timestamp) -> Result<Arc<K>, Fault> {
        let mut state = self.state.lock().await;
        match &state.keys {
            Some(keys) if now.duration_since(state.read_at) < MAX_AGE => Ok(keys.clone()),
            Some(keys) => {
                let old = keys.clone();
                Ok(self.read(&mut state, now).await.unwrap_or(old))
            }
            None => match state.remembered_failure(now) {
                Some(fault) => Err(fault),
                None => self.read(&mut state, now).await,
            },
        }
    }

    /// Newer keys than those with which verification just failed, if there may be any. Reads at most once in 30 s.
    ///
    /// # Errors
    /// A [`Fault`] if the current keys could not be read: then a failed verification does not prove a forgery.
    pub async fn newer(&self, now: Timestamp) -> Result<Option<Arc<K>>, Fault> {
        let mut state = self.state.lock().await;
        if matches!(self.source, KeySource::Inline(_)) {
            return Ok(None);
        }
        if let Some(fault) = state.remembered_failure(now) {
            return Err(fault);
        }
        if state.failure.is_none() && now.duration_since(state.read_at) < REFRESH_INTERVAL {
            return Ok(None);
        }
        self.read(&mut state, now).await.map(Some)
    }

    async fn read(&self, state: &mut State<K>, now: Timestamp) -> Result<Arc<K>, Fault> {
        state.read_at = now;
        let doubled = |failure: &Failure| (failure.retry_delay * 2).min(RETRY_DELAY_MAX);
        let retry_delay = state.failure.as_ref().map_or(RETRY_DELAY, doubled);
        // If the caller cancels this read, it counts as failed.
        state.failure = Some(Failure { fault: self.unavailable("no response in time"), retry_delay });
        let had_keys = state.keys.is_some();
        match self.fetch().await.and_then(|json| self.parse(&json, had_keys)) {
            Ok(keys) => {
                let keys = Arc::new(keys);
                (state.keys, state.failure) = (Some(keys.clone()), None);
                self.report_weakness(&keys);
                Ok(keys)
            }
            Err(fault) => {
                error!(provider = self.provider, fault = fault.code(), "{fault}");
                state.failure = Some(Failure { fault: fault.clone(), retry_delay });
                Err(fault)
            }
        }
    }

    /// Weak keys in the environment are for local development: they are logged, but not counted.
    fn report_weakness(&self, keys: &K) {
        match (keys.weakness(), &self.source) {
            (Some(weakness), KeySource::SecretsManager(_)) => {
                counter!("KeysWeak", "provider" => self.provider).increment(1);
                error!(provider = self.provider, from = ?self.source, "{weakness}");
            }
            (Some(weakness), KeySource::Inline(_)) => warn!(provider = self.provider, "{weakness}"),
            (None, _) => {}
        }
    }

    async fn fetch(&self) -> Result<String, Fault> {
        let id = match &self.source {
            KeySource::Inline(json) => return Ok(json.clone()),
            KeySource::SecretsManager(id) => id,
        };
        let answer = self.client.get_secret_value().secret_id(id).send().await;
        let answer = answer.map_err(|error| self.unavailable(describe(&error)))?;
        answer.secret_string.ok_or_else(|| self.unavailable("the secret has no SecretString"))
    }

    /// The fault of keys that cannot be read.
    pub(crate) fn unavailable(&self, why: impl Into<String>) -> Fault {
        Fault::KeysUnavailable { from: format!("{:?}", self.source), why: why.into() }
    }

    /// If a placeholder replaces keys, that is a mistake: deliveries are queued until it is corrected.
    fn parse(&self, json: &str, had_keys: bool) -> Result<K, Fault> {
        let (from, remedy) = (format!("{:?}", self.source), self.remedy());
        let value = match serde_json::from_str(json) {
            Ok(value) => value,
            Err(error) => {
                // serde_json's messages quote the input, so only the position is reported.
                let (line, column) = (error.line(), error.column());
                let why = format!("expected JSON, found none at line {line} column {column}");
                return Err(Fault::KeysInvalid { from, why, remedy });
            }
        };
        K::from_json(&value).map_err(|error| match error.is_placeholder && !had_keys {
            true => Fault::KeysNotSet { from, why: error.to_string(), remedy },
            false => Fault::KeysInvalid { from, why: error.to_string(), remedy },
        })
    }

    fn remedy(&self) -> String {
        match &self.source {
            KeySource::Inline(_) => format!("PROVIDER_SECRET='{}'", K::SHAPE),
            KeySource::SecretsManager(id) => {
                format!("aws secretsmanager put-secret-value --secret-id {id} --secret-string '{}'", K::SHAPE)
            }
        }
    }
}

impl<K> State<K> {
    /// Why the latest read failed, until the next attempt is due.
    fn remembered_failure(&self, now: Timestamp) -> Option<Fault> {
        let failure = self.failure.as_ref()?;
        (now.duration_since(self.read_at) < failure.retry_delay).then(|| failure.fault.clone())
    }
}
