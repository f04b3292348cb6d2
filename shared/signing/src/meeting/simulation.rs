//! A planned meeting as the deliveries of one provider.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use livehooks_core::EventType;
use serde_json::Value;
use uuid::{Builder, Uuid};

use super::{Person, Plan, Step};
use crate::{ProviderInfo, Sample, SampleValues, SignError};

/// When a meeting's steps happen.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// When the meeting starts.
    start: Timestamp,
    /// How many times faster than life it runs.
    speed: f64,
}

impl Clock {
    /// A meeting that starts at this time, and runs this many times faster than life.
    pub fn from(start: Timestamp, speed: f64) -> Self {
        Self { start, speed }
    }

    /// A meeting at the speed of life, whose last step is at this time.
    pub fn until(end: Timestamp, plan: &Plan) -> Self {
        let last = plan.steps.last().map_or(0, |step| step.at_s);
        Self { start: end - SignedDuration::from_secs(last), speed: 1.0 }
    }

    fn at(&self, seconds: i64) -> Timestamp {
        let offset = SignedDuration::try_from_secs_f64(seconds as f64 / self.speed);
        self.start.saturating_add(offset.unwrap_or(SignedDuration::MAX)).unwrap_or(self.start)
    }
}

/// One delivery of a simulated meeting.
#[derive(Clone, Debug)]
pub struct SimulatedDelivery {
    /// Who sends it.
    pub provider: &'static ProviderInfo,
    /// The sample's name.
    pub name: &'static str,
    /// What it reports.
    pub step: Step,
    /// The body. It is signed when it is sent: see [`ProviderInfo::sign`].
    pub body: String,
    /// When to send it. Without faults, this is when it happened.
    pub due: Timestamp,
    /// Whether the body says when it happened. Otherwise the event has the time of its receipt.
    pub has_time: bool,
}

/// A meeting as one provider reports it.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// The deliveries, by time.
    pub deliveries: Vec<SimulatedDelivery>,
    /// The room's id in events, which may be longer than the one asked for.
    pub room: String,
}

impl Simulation {
    /// Fills in the provider's samples. Steps that the provider does not report are left out.
    ///
    /// # Errors
    /// If the keys cannot sign.
    pub fn of(
        provider: &'static ProviderInfo,
        keys: &Value,
        plan: &Plan,
        room: &str,
        clock: Clock,
    ) -> Result<Self, SignError> {
        let types = Types::of(provider, keys, clock.start)?;
        let knows_people = types.sample(EventType::ParticipantJoined, true).is_some();
        let session = plan.steps.iter().find(|step| step.kind == EventType::SessionStarted);
        let session_started = clock.at(session.map_or(0, |step| step.at_s));
        let mut ids = Ids::of(plan.seed, clock.start);
        let session = ids.next().simple().to_string()[..24].to_owned();
        let [stays, resources] = [|step: &Step| step.stay, |step: &Step| step.resource]
            .map(|number| plan.steps.iter().map(number).max().unwrap_or(0));
        let stays: Vec<Uuid> = (0..=stays).map(|_| ids.next()).collect();
        let resources: Vec<Uuid> = (0..=resources).map(|_| ids.next()).collect();
        let host = Person { id: "host".into(), name: "Host".into() };
        let mut simulation = Self { deliveries: Vec::new(), room: room.into() };
        for step in &plan.steps {
            // Also for a step that is left out, so that all providers have the same ids.
            let id = ids.next().to_string();
            // Where people send their video themselves, no encoder does.
            let is_ingress = matches!(step.kind, EventType::IngressStarted | EventType::IngressEnded);
            if knows_people && is_ingress {
                continue;
            }
            let Some((sample, has_time)) = types.sample(step.kind, step.person.is_some()) else { continue };
            let person = plan.people.get(step.person.unwrap_or(0)).unwrap_or(&host);
            let now = clock.at(step.at_s);
            let body = sample.body(&SampleValues {
                room: room.into(),
                participant: person.id.clone(),
                name: person.name.clone(),
                connection: stays[step.stay],
                session: session.clone(),
                resource: resources[step.resource],
                id,
                now,
                started: clock.at(step.began_at_s),
                session_started,
            });
            if simulation.deliveries.is_empty() {
                let event = event(provider, keys, &body, now)?;
                event["subject"].as_str().unwrap_or(room).clone_into(&mut simulation.room);
            }
            simulation.deliveries.push(SimulatedDelivery {
                provider,
                name: sample.name,
                step: *step,
                body,
                due: now,
                has_time,
            });
        }
        Ok(simulation)
    }
}

/// A provider's samples, with the events that they become.
struct Types(Vec<(Sample<'static>, Value)>);

impl Types {
    fn of(provider: &ProviderInfo, keys: &Value, now: Timestamp) -> Result<Self, SignError> {
        let values = SampleValues { participant: PARTICIPANT.into(), ..SampleValues::of("id", now) };
        let samples = provider.samples().into_iter();
        let with_events = samples.map(|sample| {
            let event = event(provider, keys, &sample.body(&values), now)?;
            Ok((sample, event))
        });
        with_events.collect::<Result<_, _>>().map(Self)
    }

    /// The first sample of this type that reports what a plan means: a participant who is named, a recording of the room
    /// that has a file. And whether its body has a time.
    fn sample(&self, kind: EventType, has_person: bool) -> Option<(&Sample<'static>, bool)> {
        let fits = |sample: &Sample<'_>, event: &Value| {
            let person = &event["data"]["participant"];
            let names_person = [&person["user_id"], &person["id"]].iter().any(|id| **id == PARTICIPANT);
            let scope = event["data"]["recording"]["scope"].as_str().unwrap_or("room");
            (!has_person || names_person) && scope == "room" && !sample.name.ends_with("+nofile")
        };
        let found =
            self.0.iter().find(|(sample, event)| event["type"] == kind.as_str() && fits(sample, event));
        found.map(|(sample, event)| (sample, event["timebasis"] == "provider"))
    }
}

const PARTICIPANT: &str = "a-participant";

/// The event that a body becomes.
fn event(provider: &ProviderInfo, keys: &Value, body: &str, now: Timestamp) -> Result<Value, SignError> {
    Ok(serde_json::from_str(&(provider.normalize)(keys, body.as_bytes(), now)?.json)?)
}

/// Ids that the seed and the start of a meeting determine.
struct Ids(Rng);

impl Ids {
    fn of(seed: u64, start: Timestamp) -> Self {
        Self(Rng::with_seed(seed ^ (start.as_millisecond() as u64).rotate_left(20)))
    }

    fn next(&mut self) -> Uuid {
        Builder::from_random_bytes(self.0.u128(..).to_be_bytes()).into_uuid()
    }
}
