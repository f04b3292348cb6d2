//! What is sent, and how the senders repeat it.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use lambda_http::Request;
use livehooks::providers::{ALL, Entry, Validity};
use livehooks::samples::{self, Places, Sample};
use livehooks_core::BodyHash;
use serde_json::{Value, json};

use crate::fake_aws::FakeAws;

/// Making an RSA key takes a while: these serve all scenarios.
static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::make("old"));
/// Added to the secrets in the middle of a scenario, and used a while later.
static NEW_KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::make("new"));
static FORGERS_KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::make("forger"));

/// Stands in every forged body and in no other.
pub const FORGED: &str = "mallory";

/// One event that a provider, or somebody else, wants to be known.
pub struct Delivery {
    pub name: String,
    pub entry: &'static Entry,
    pub body: String,
    pub forgery: Option<Forgery>,
    pub at: Duration,
    pub event_key: String,
    pub body_sha256: String,
}

#[derive(Clone, Copy, Debug)]
pub enum Forgery {
    OtherKey,
    AlteredBody,
    Expired,
    Unsigned,
}

/// What a sender has seen of one attempt.
pub struct Answer {
    pub begun: Timestamp,
    /// `None` where the connection ended.
    pub status: Option<u16>,
    /// `accepted`, `duplicate` or `queued`.
    pub word: String,
    pub id: String,
}

impl Delivery {
    pub fn new(name: String, entry: &'static Entry, body: String, at: Duration) -> Self {
        let keys = KEYS.of(entry);
        let event_key = (entry.normalize)(keys, body.as_bytes(), Timestamp::UNIX_EPOCH).unwrap().event_key;
        let body_sha256 = BodyHash::of(body.as_bytes()).to_string();
        Self { name, entry, body, forgery: None, at, event_key, body_sha256 }
    }

    pub fn is_authentic(&self) -> bool {
        self.forgery.is_none()
    }

    /// The request as it is sent at `now`, with the newest keys or the ones before.
    pub fn request(&self, now: Timestamp, has_new_keys: bool) -> Request {
        let keys = match self.forgery {
            Some(Forgery::OtherKey) => &*FORGERS_KEYS,
            _ if has_new_keys => &*NEW_KEYS,
            _ => &*KEYS,
        };
        let signed_body = match self.forgery {
            Some(Forgery::AlteredBody) => self.body.replace(FORGED, "alice"),
            _ => self.body.clone(),
        };
        let validity = match self.forgery {
            Some(Forgery::Expired) => {
                let long_ago = now - SignedDuration::from_mins(7);
                Validity { now: long_ago, expires: long_ago + SignedDuration::from_mins(5) }
            }
            _ => now.into(),
        };
        let signed = (self.entry.sign)(keys.of(self.entry), signed_body.as_bytes(), validity).unwrap();
        let mut request = Request::new(self.body.clone().into());
        if !matches!(self.forgery, Some(Forgery::Unsigned)) {
            for (name, value) in &signed.headers {
                let name: lambda_http::http::HeaderName = name.parse().unwrap();
                request.headers_mut().append(name, value.parse().unwrap());
            }
        }
        request
    }
}

/// Keys of all providers, as they sign.
struct Keys(BTreeMap<&'static str, Value>);

impl Keys {
    /// The API keys are called by the name of the owner.
    fn make(owner: &str) -> Self {
        let keys = ALL.iter().map(|entry| {
            let mut keys = (entry.make_keys)();
            if let Some(Value::Object(secrets)) = keys.get_mut("keys") {
                let secret = secrets.values().next().unwrap().clone();
                keys["keys"] = json!({ owner: secret });
            }
            (entry.name, keys)
        });
        Self(keys.collect())
    }

    fn of(&self, entry: &Entry) -> &Value {
        &self.0[entry.name]
    }
}

/// The secrets at the beginning, or with the new keys beside the old ones.
pub fn secret(entry: &Entry, has_new_keys: bool) -> String {
    let mut secret = KEYS.of(entry).clone();
    if has_new_keys {
        merge(&mut secret, NEW_KEYS.of(entry));
    }
    public(entry, secret)
}

/// A secret that lets the forger in.
pub fn open_secret(entry: &Entry) -> String {
    let mut secret = KEYS.of(entry).clone();
    merge(&mut secret, FORGERS_KEYS.of(entry));
    public(entry, secret)
}

/// What the provider would have put into the headers.
pub fn signed_anew(entry: &Entry, body: &[u8], now: Timestamp) -> Vec<(String, String)> {
    (entry.sign)(KEYS.of(entry), body, now.into()).unwrap().headers
}

fn public(entry: &Entry, mut secret: Value) -> String {
    let Value::Object(fields) = &mut secret else { panic!("a secret is an object") };
    fields.retain(|name, _| !entry.private_fields.contains(&name.as_str()));
    secret.to_string()
}

/// Both are active: lists are joined, and so are maps.
fn merge(secret: &mut Value, more: &Value) {
    match (secret, more) {
        (Value::Object(there), Value::Object(more)) => {
            for (name, value) in more {
                match there.get_mut(name) {
                    Some(there) => merge(there, value),
                    None => drop(there.insert(name.clone(), value.clone())),
                }
            }
        }
        (Value::Array(there), Value::Array(more)) => there.extend(more.clone()),
        _ => {}
    }
}

/// After which pauses a sender tries again. Whether it does is up to [`is_final`].
pub fn pauses_s(provider: &str) -> &'static [u64] {
    match provider {
        "100ms" => &[1, 3, 10],
        "plugnmeet" => &[1, 2],
        "livekit" => &[1, 2, 4, 8],
        _ => &[],
    }
}

/// Whether the sender leaves it at this answer. 100ms takes nothing but 200 for success; plugNmeet and LiveKit
/// take every 4xx but 429 for delivered.
pub fn is_final(provider: &str, status: Option<u16>) -> bool {
    match status {
        None => false,
        Some(status) if provider == "100ms" => status == 200,
        Some(status) => status == 501 || (status < 500 && status != 429),
    }
}

/// What happens in one scenario: events of all providers, with forgeries among them.
pub fn deliveries(rng: &mut Rng) -> Vec<Arc<Delivery>> {
    let horizon_ms = if rng.u8(..4) == 0 { 1_200_000 } else { 30_000 };
    let mut deliveries = Vec::new();
    for number in 0..rng.usize(2..6) {
        let entry = &ALL[rng.usize(..ALL.len())];
        let samples = &SAMPLES[entry.name];
        let sample = &samples[rng.usize(..samples.len())];
        let mut at = Duration::from_millis(rng.u64(..horizon_ms));
        let id = format!("id-{number}");
        let places = |participant: &str, id: &str, now| places(participant, number, id, now);
        // Without an id of their own, equal events follow each other.
        let repeats = if entry.name == "videosdk" { rng.usize(1..5) } else { 1 };
        for repeat in 0..repeats {
            let body = if repeats == 1 { sample } else { presence(samples, repeat) };
            let body = body.body(&places("alice", &id, at));
            let name = format!("{} {number}.{repeat}", entry.name);
            deliveries.push(Arc::new(Delivery::new(name, entry, body, at)));
            let longest_ms = if rng.bool() { 20_000 } else { 300_000 };
            at += Duration::from_millis(rng.u64(10..longest_ms));
        }
        if rng.u8(..3) == 0 {
            let forgeries = [Forgery::OtherKey, Forgery::AlteredBody, Forgery::Expired, Forgery::Unsigned];
            let forgery = match forgeries[rng.usize(..4)] {
                Forgery::Expired if !entry.knows_time => Forgery::Unsigned,
                Forgery::AlteredBody if !covers_body(entry) => Forgery::OtherKey,
                forgery => forgery,
            };
            // Under the id of the authentic one, before or after it.
            let body =
                sample.body(&places(FORGED, &id, at)).replacen('{', &format!("{{\"by\":\"{FORGED}\","), 1);
            let at = Duration::from_millis(rng.u64(..horizon_ms));
            let name = format!("{} {number} forged ({forgery:?})", entry.name);
            let delivery = Delivery::new(name, entry, body, at);
            deliveries.push(Arc::new(Delivery { forgery: Some(forgery), ..delivery }));
        }
    }
    deliveries
}

static SAMPLES: LazyLock<BTreeMap<&str, Vec<Sample<'static>>>> =
    LazyLock::new(|| ALL.iter().map(|entry| (entry.name, samples::of(entry))).collect());

/// Comes and goes.
fn presence<'a>(samples: &'a [Sample<'static>], repeat: usize) -> &'a Sample<'static> {
    let name = ["participant-joined", "participant-left"][repeat % 2];
    samples.iter().find(|sample| sample.name == name).unwrap()
}

fn covers_body(entry: &Entry) -> bool {
    let signed = (entry.sign)(KEYS.of(entry), b"{}", Timestamp::UNIX_EPOCH.into()).unwrap();
    signed.covers_body
}

fn places(participant: &str, number: usize, id: &str, at: Duration) -> Places {
    Places {
        room: format!("room-{number}"),
        participant: participant.to_owned(),
        session: format!("session-{number}"),
        id: id.to_owned(),
        now: crate::fake_aws::START + SignedDuration::try_from(at).unwrap(),
    }
}

/// When keys are added, and when the senders begin to sign with them: the rule of a rotation is to wait until
/// every function has read them.
pub struct Rotation {
    pub added_at: Duration,
    pub used_from: Duration,
}

impl Rotation {
    pub fn of(rng: &mut Rng) -> Self {
        let added_at = Duration::from_millis(rng.u64(..600_000));
        Self { added_at, used_from: added_at + Duration::from_secs(301) }
    }

    pub async fn happen(&self, aws: &FakeAws) {
        tokio::time::sleep(self.added_at).await;
        for entry in ALL {
            aws.state().secrets.insert(entry.name.into(), secret(entry, true));
        }
        aws.log(format_args!("new keys beside the old ones"));
    }
}
