//! An operator who rotates keys, makes mistakes and fixes them.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use livehooks_signing::ProviderInfo;
use serde_json::{Value, json};

use crate::fake_aws::START;
use crate::keys;

/// The shortest time between two reads of the keys. Until then an instance may still use the keys from before a fix.
const KEYS_REFRESH: Duration = Duration::from_secs(33);

pub struct Operator {
    /// When keys are added.
    added_at: Duration,
    mistakes: Vec<Mistake>,
    /// When dead letters are redriven before anything is fixed.
    pub early_redrives: Vec<Duration>,
}

struct Mistake {
    provider: &'static str,
    kind: Kind,
    when: Range<Duration>,
}

/// What is wrong with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Each key has a trailing space.
    TrailingSpace,
    /// The keys of another account.
    OtherAccount,
    /// Only the new keys, while senders and queued deliveries still use the old ones.
    ReplacedTooEarly,
    /// The template's placeholder.
    Placeholder,
    /// Not JSON.
    Unreadable,
    /// The role may not read the secret.
    Denied,
}

const KINDS: [Kind; 6] = [
    Kind::TrailingSpace,
    Kind::OtherAccount,
    Kind::ReplacedTooEarly,
    Kind::Placeholder,
    Kind::Unreadable,
    Kind::Denied,
];

impl Operator {
    /// Draws mistakes in the secrets of some of these providers.
    pub fn of(rng: &mut Rng, mut providers: Vec<&'static str>) -> Self {
        let added_at = Duration::from_millis(rng.u64(..600_000));
        let mut mistakes = Vec::new();
        for _ in 0..[0, 0, 1, 1, 2][rng.usize(..5)].min(providers.len()) {
            let provider = providers.swap_remove(rng.usize(..providers.len()));
            let is_from_the_start = rng.u8(..4) == 0;
            let mut start = Duration::from_millis(if is_from_the_start { 0 } else { rng.u64(..25_000) });
            // The attempted fix may be the next mistake.
            for number in 0..rng.usize(1..4) {
                let kind = match is_from_the_start && number == 0 {
                    true if provider != "100ms" => Kind::Placeholder,
                    _ => KINDS[rng.usize(..KINDS.len())],
                };
                let end = start + Duration::from_millis(rng.u64(1_000..200_000));
                mistakes.push(Mistake { provider, kind, when: start..end });
                start = end;
            }
        }
        let redrives = (0..rng.usize(..3)).map(|_| Duration::from_millis(rng.u64(..600_000)));
        Self { added_at, mistakes, early_redrives: redrives.collect() }
    }

    /// Whether senders sign with the new keys. They wait until every function has read them.
    pub fn uses_new_keys(&self, at: Duration) -> bool {
        at >= self.added_at + Duration::from_secs(301)
    }

    /// When the last mistake is fixed.
    pub fn fixed_at(&self) -> Duration {
        self.mistakes.iter().map(|mistake| mistake.when.end).max().unwrap_or_default()
    }

    /// The secret at this time, or `None` if it may not be read.
    pub fn secret(&self, entry: &ProviderInfo, at: Duration) -> Option<String> {
        let has_new_keys = at >= self.added_at;
        let mistake = self.of_provider(entry.name).find(|mistake| mistake.when.contains(&at));
        match mistake.map(|mistake| mistake.kind) {
            None => Some(keys::secret(entry, has_new_keys)),
            Some(Kind::TrailingSpace) => Some(with_spaces(&keys::secret(entry, has_new_keys))),
            Some(Kind::OtherAccount) => Some(keys::secret_of_another_account(entry)),
            Some(Kind::ReplacedTooEarly) => Some(keys::new_secret(entry)),
            Some(Kind::Placeholder) => Some(placeholder(entry)),
            Some(Kind::Unreadable) => Some("{\"keys\": ".into()),
            Some(Kind::Denied) => None,
        }
    }

    /// Whether wrong keys may have rejected an authentic delivery between these times.
    pub fn may_reject(&self, provider: &str, sent: Timestamp, answered: Timestamp) -> bool {
        self.of_provider(provider).any(|mistake| {
            let rejects =
                matches!(mistake.kind, Kind::TrailingSpace | Kind::OtherAccount | Kind::ReplacedTooEarly);
            rejects && time(mistake.when.start) <= answered && sent <= time(mistake.when.end + KEYS_REFRESH)
        })
    }

    /// Whether no keys had been set by then.
    pub fn has_set_no_keys(&self, provider: &str, at: Timestamp) -> bool {
        self.of_provider(provider).any(|mistake| {
            mistake.kind == Kind::Placeholder && mistake.when.start.is_zero() && at < time(mistake.when.end)
        })
    }

    fn of_provider(&self, provider: &str) -> impl Iterator<Item = &Mistake> {
        self.mistakes.iter().filter(move |mistake| mistake.provider == provider)
    }
}

/// The initial secret in template.yaml.
pub fn placeholder(entry: &ProviderInfo) -> String {
    let mut secret: Value = serde_json::from_str(&keys::secret(entry, false)).unwrap();
    for field in secret.as_object_mut().unwrap().values_mut() {
        *field = if field.is_array() { json!([]) } else { json!({}) };
    }
    secret.to_string()
}

/// Spaces do not invalidate a PEM key.
fn with_spaces(secret: &str) -> String {
    fn append(value: &mut Value) {
        match value {
            Value::String(string) => string.push(' '),
            Value::Array(values) => values.iter_mut().for_each(append),
            Value::Object(fields) => {
                fields.iter_mut().filter(|(name, _)| *name != "name").for_each(|(_, value)| append(value));
            }
            _ => {}
        }
    }
    let mut secret = serde_json::from_str(secret).unwrap();
    append(&mut secret);
    secret.to_string()
}

fn time(elapsed: Duration) -> Timestamp {
    START + SignedDuration::try_from(elapsed).unwrap()
}

impl std::fmt::Display for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "new keys from {:.1} s", self.added_at.as_secs_f64())?;
        for Mistake { provider, kind, when } in &self.mistakes {
            let (start, end) = (when.start.as_secs_f64(), when.end.as_secs_f64());
            writeln!(f, "the secret of {provider} is wrong from {start:.1} s to {end:.1} s: {kind:?}")?;
        }
        Ok(())
    }
}
