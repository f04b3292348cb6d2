//! A provider's keys, held in memory: re-read when old, and when a verification fails.

use std::sync::Arc;

use aws_sdk_secretsmanager::Client;
use jiff::{SignedDuration, Timestamp};
use livehooks_core::Keys;
use tokio::sync::Mutex;
use tracing::{error, warn};

use crate::Fault;
use crate::config::KeySource;
use crate::fault::describe;

/// A key that was added to the secret is known after this time at the latest, without any delivery failing.
const MAX_AGE: SignedDuration = SignedDuration::from_mins(5);
/// Forged deliveries must not turn into a stream of calls to Secrets Manager.
const REFRESH_INTERVAL: SignedDuration = SignedDuration::from_secs(30);

/// The keys of one provider.
pub struct KeyRing<K> {
    source: KeySource,
    client: Client,
    state: Mutex<State<K>>,
}

struct State<K> {
    keys: Option<Arc<K>>,
    read_at: Timestamp,
    /// Why the latest reading failed, if it did: then the keys may not be the newest.
    failure: Option<Fault>,
}

impl<K: Keys> KeyRing<K> {
    /// A ring that has read nothing yet.
    pub fn new(source: KeySource, client: Client) -> Self {
        Self {
            source,
            client,
            state: Mutex::new(State { keys: None, read_at: Timestamp::MIN, failure: None }),
        }
    }

    /// The keys, read again where they are older than five minutes. Where they cannot be read again the
    /// old ones serve on, loudly.
    ///
    /// # Errors
    /// A [`Fault`] where there are no keys at all: nothing is ever accepted or refused without.
    pub async fn current(&self, now: Timestamp) -> Result<Arc<K>, Fault> {
        let mut state = self.state.lock().await;
        match &state.keys {
            Some(keys) if now.duration_since(state.read_at) < MAX_AGE => Ok(keys.clone()),
            Some(keys) => {
                let old = keys.clone();
                Ok(self.read(&mut state, now).await.unwrap_or(old))
            }
            None => self.read(&mut state, now).await,
        }
    }

    /// Keys that are newer than the ones with which a verification has just failed, where there may be
    /// any: at most one attempt in 30 s.
    ///
    /// # Errors
    /// A [`Fault`] where the newest keys could not be read: then nobody can say that a delivery is forged.
    pub async fn newer(&self, now: Timestamp) -> Result<Option<Arc<K>>, Fault> {
        let mut state = self.state.lock().await;
        if matches!(self.source, KeySource::Inline(_)) {
            return Ok(None);
        }
        if now.duration_since(state.read_at) < REFRESH_INTERVAL {
            return state.failure.clone().map_or(Ok(None), Err);
        }
        self.read(&mut state, now).await.map(Some)
    }

    async fn read(&self, state: &mut State<K>, now: Timestamp) -> Result<Arc<K>, Fault> {
        // A failed attempt counts as well: the next one has to wait its turn. So does one that the caller gives up.
        state.read_at = now;
        state.failure = Some(self.unavailable("no answer in time"));
        let read = async {
            let json = self.fetch().await?;
            self.parse(&json).map(Arc::new)
        };
        let read = read.await.inspect_err(|fault| error!(fault = fault.code(), "{fault}"));
        state.failure = read.as_ref().err().cloned();
        let keys = read?;
        if let Some(weakness) = keys.weakness() {
            warn!(from = ?self.source, "{weakness}");
        }
        state.keys = Some(keys.clone());
        Ok(keys)
    }

    async fn fetch(&self) -> Result<String, Fault> {
        let id = match &self.source {
            KeySource::Inline(json) => return Ok(json.clone()),
            KeySource::SecretsManager(id) => id,
        };
        let answer = self.client.get_secret_value().secret_id(id).send().await;
        let answer = answer.map_err(|error| self.unavailable(describe(&error)))?;
        answer.secret_string.ok_or_else(|| self.unavailable("a secret without text"))
    }

    /// The fault of keys that cannot be read.
    pub(crate) fn unavailable(&self, why: impl Into<String>) -> Fault {
        Fault::KeysUnavailable { from: format!("{:?}", self.source), why: why.into() }
    }

    fn parse(&self, json: &str) -> Result<K, Fault> {
        // serde_json's own messages quote what they stumble over: only the place is told.
        let value = serde_json::from_str(json)
            .map_err(|e| format!("expected JSON, found none at line {} column {}", e.line(), e.column()));
        let keys = value.and_then(|value| K::from_json(&value).map_err(|error| error.to_string()));
        keys.map_err(|why| Fault::KeysInvalid {
            from: format!("{:?}", self.source),
            why,
            remedy: self.remedy(),
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
