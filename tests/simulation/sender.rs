//! The deliveries of a scenario, authentic and forged.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};
use livehooks_signing::{PROVIDERS, ProviderInfo, Sample, SampleValues, Validity};

use crate::{fake_aws, keys};

/// Occurs in every forged body and in no other.
pub const FORGED: &str = "mallory";

/// An event that a provider or a forger sends.
pub struct Delivery {
    pub name: String,
    pub entry: &'static ProviderInfo,
    pub body: String,
    pub forgery: Option<Forgery>,
    /// Whether it is a forgery that no keys would accept.
    pub matches_no_key: bool,
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

/// One attempt, as its sender sees it.
pub struct Attempt {
    /// When API Gateway received it.
    pub sent_at: Timestamp,
    pub answered_at: Timestamp,
    /// The process that handled it, if any.
    pub process: Option<String>,
    /// `None` if the connection ended.
    pub status: Option<u16>,
    /// `accepted`, `duplicate` or `queued`.
    pub word: String,
    pub id: String,
}

impl Delivery {
    pub fn new(name: String, entry: &'static ProviderInfo, body: String, at: Duration) -> Self {
        let keys = keys::OLD.of(entry);
        let normalized = (entry.normalize)(keys, body.as_bytes(), Timestamp::UNIX_EPOCH).unwrap();
        let (event_key, body_sha256) = (normalized.event_key, normalized.body_sha256);
        Self { name, entry, body, forgery: None, matches_no_key: false, at, event_key, body_sha256 }
    }

    /// The same delivery as a forgery.
    fn forged(self, forgery: Forgery) -> Self {
        let forged = Self { forgery: Some(forgery), ..self };
        let now = fake_aws::START + SignedDuration::try_from(forged.at).unwrap();
        let request = forged.request(now, false);
        let body = request.body().as_ref();
        let delivery = livehooks_core::Delivery { headers: request.headers(), url_token: None, body };
        let matches_no_key = (forged.entry.precheck)(&delivery, now).is_err();
        Self { matches_no_key, ..forged }
    }

    pub fn is_authentic(&self) -> bool {
        self.forgery.is_none()
    }

    /// The request, signed at `now` with the new or the old keys.
    pub fn request(&self, now: Timestamp, has_new_keys: bool) -> Request {
        let keys = match self.forgery {
            Some(Forgery::OtherKey) => &*keys::FORGERS,
            _ if has_new_keys => &*keys::NEW,
            _ => &*keys::OLD,
        };
        let signed_body = match self.forgery {
            Some(Forgery::AlteredBody) => self.body.replace(FORGED, "alice"),
            _ => self.body.clone(),
        };
        let validity = match self.forgery {
            Some(Forgery::Expired) => {
                let long_ago = now - self.entry.lifetime.clock_off();
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

/// The request as API Gateway forwards it, received at `time`.
pub fn stamped(request: &Request, time: Timestamp) -> Request {
    let mut context = ApiGatewayV2httpRequestContext::default();
    context.time_epoch = time.as_millisecond();
    request.clone().with_request_context(RequestContext::ApiGatewayV2(context))
}

/// Draws the deliveries of one scenario: events of all providers, and forgeries.
pub fn deliveries(rng: &mut Rng) -> Vec<Arc<Delivery>> {
    let horizon_ms = if rng.u8(..4) == 0 { 1_200_000 } else { 30_000 };
    let mut deliveries = Vec::new();
    for number in 0..rng.usize(2..6) {
        let entry = &PROVIDERS[rng.usize(..PROVIDERS.len())];
        let samples = &SAMPLES[entry.name];
        let sample = &samples[rng.usize(..samples.len())];
        let mut at = Duration::from_millis(rng.u64(..horizon_ms));
        let id = format!("id-{number}");
        let values = |participant: &str, id: &str, now| values(participant, number, id, now);
        // VideoSDK's events have no id: send a sequence of equal ones.
        let repeats = if entry.name == "videosdk" { rng.usize(1..5) } else { 1 };
        for repeat in 0..repeats {
            let body = if repeats == 1 { sample } else { presence(samples, repeat) };
            let body = body.body(&values("alice", &id, at));
            let name = format!("{} {number}.{repeat}", entry.name);
            deliveries.push(Arc::new(Delivery::new(name, entry, body, at)));
            let longest_ms = if rng.bool() { 20_000 } else { 300_000 };
            at += Duration::from_millis(rng.u64(10..longest_ms));
        }
        let forgeries = match rng.u8(..12) {
            // A flood.
            0 => 12,
            1..=4 => 1,
            _ => 0,
        };
        let begin_ms = rng.u64(..horizon_ms);
        for forged in 0..forgeries {
            let forgeries = [Forgery::OtherKey, Forgery::AlteredBody, Forgery::Expired, Forgery::Unsigned];
            let forgery = match forgeries[rng.usize(..4)] {
                Forgery::Expired if !entry.lifetime.is_limited() => Forgery::Unsigned,
                Forgery::AlteredBody if !keys::covers_body(entry) => Forgery::OtherKey,
                forgery => forgery,
            };
            // With the authentic event's id, before or after it.
            let body = sample.body(&values(FORGED, &id, at));
            let body = body.replacen('{', &format!("{{\"by\":\"{FORGED}\",\"number\":{forged},"), 1);
            let at = Duration::from_millis(begin_ms + rng.u64(..5_000));
            let name = format!("{} {number} forged {forged} ({forgery:?})", entry.name);
            let delivery = Delivery::new(name, entry, body, at);
            deliveries.push(Arc::new(delivery.forged(forgery)));
        }
    }
    deliveries
}

static SAMPLES: LazyLock<BTreeMap<&str, Vec<Sample<'static>>>> =
    LazyLock::new(|| PROVIDERS.iter().map(|entry| (entry.name, entry.samples())).collect());

/// Alternates between joining and leaving.
fn presence<'a>(samples: &'a [Sample<'static>], repeat: usize) -> &'a Sample<'static> {
    let name = ["participant-joined", "participant-left"][repeat % 2];
    samples.iter().find(|sample| sample.name == name).unwrap()
}

fn values(participant: &str, number: usize, id: &str, at: Duration) -> SampleValues {
    SampleValues {
        room: format!("room-{number}"),
        participant: participant.to_owned(),
        session: format!("session-{number}"),
        ..SampleValues::of(id, fake_aws::START + SignedDuration::try_from(at).unwrap())
    }
}
