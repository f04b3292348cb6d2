//! What happens in a meeting, and when.

use fastrand::Rng;
use livehooks_core::EventType::{self, *};

/// What to plan.
#[derive(Clone, Copy, Debug)]
pub struct Meeting {
    /// The number of people.
    pub participants: usize,
    /// How long the session lasts, in minutes.
    pub minutes: u32,
    /// The same seed gives the same meeting.
    pub seed: u64,
}

/// A meeting's people and steps.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed that it was planned with.
    pub seed: u64,
    /// The people. The first one is the host.
    pub people: Vec<Person>,
    /// What happens, by time.
    pub steps: Vec<Step>,
}

/// Who takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The application's id.
    pub id: String,
    /// The name.
    pub name: String,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub kind: EventType,
    /// When, in seconds since the meeting's start.
    pub at_s: i64,
    /// When that began which ends or is ready now; otherwise the same as `at_s`.
    pub began_at_s: i64,
    /// Whom it is about, as an index of the people.
    pub person: Option<usize>,
    /// The number of the person's stay, from 0; each time that somebody joins is another one.
    pub stay: usize,
    /// The number of the session, track, recording, stream, ingress or transcription, from 0.
    pub resource: usize,
}

/// When the session starts; before that there is only the room.
const SESSION_S: i64 = 1;

impl Meeting {
    /// Plans the meeting: people join, lose their connection, step out for a while and leave; each stay has a track.
    /// The room is recorded, streamed and transcribed. An encoder sends video into it, for providers that know no people.
    ///
    /// At least one person comes back after a lost connection if there are two, and one after a break if there are four.
    pub fn plan(&self) -> Plan {
        let mut planner = Planner {
            rng: Rng::with_seed(self.seed),
            length: i64::from(self.minutes.max(1)) * 60,
            steps: Vec::new(),
            stays: 0,
            resources: 0,
        };
        planner.room();
        for index in 0..self.participants {
            planner.person(index);
        }
        planner.steps.sort_by_key(|step| step.at_s);
        Plan { seed: self.seed, people: (0..self.participants).map(person).collect(), steps: planner.steps }
    }
}

struct Planner {
    rng: Rng,
    /// The session's length in seconds.
    length: i64,
    steps: Vec<Step>,
    stays: usize,
    resources: usize,
}

impl Planner {
    /// The time when this part of the session has passed.
    fn part(&self, part: f64) -> i64 {
        SESSION_S + (self.length as f64 * part) as i64
    }

    fn between(&mut self, from: f64, to: f64) -> i64 {
        let part = from + (to - from) * self.rng.f64();
        self.part(part)
    }

    /// One thing that lasts. Its steps are in order; the first one begins it.
    fn thing(&mut self, steps: &[(EventType, i64)]) {
        let resource = self.resources;
        self.resources += 1;
        let starts = [SessionStarted, RecordingStarted, StreamStarted, IngressStarted, TranscriptionStarted];
        let began = steps.iter().find(|(kind, _)| starts.contains(kind)).map_or(0, |(_, at)| *at);
        for (kind, at) in steps {
            let (at_s, began_at_s) = (*at, began.min(*at));
            self.steps.push(Step { kind: *kind, at_s, began_at_s, person: None, stay: 0, resource });
        }
    }

    fn room(&mut self) {
        let end = SESSION_S + self.length;
        self.thing(&[
            (RoomCreated, 0),
            (SessionStarted, SESSION_S),
            (SessionEnding, end - 2),
            (SessionEnded, end),
        ]);
        let (start, stop) = (self.between(0.06, 0.12), self.between(0.90, 0.93));
        self.thing(&[
            (RecordingStarting, start),
            (RecordingStarted, start + 2),
            (RecordingStopping, stop),
            (RecordingStopped, stop + 2),
            (RecordingReady, self.part(0.96).max(stop + 3)),
        ]);
        let (start, stop) = (self.between(0.15, 0.25), self.between(0.70, 0.85));
        self.thing(&[
            (StreamStarting, start),
            (StreamStarted, start + 3),
            (StreamStopping, stop),
            (StreamStopped, stop + 2),
        ]);
        self.thing(&[
            (TranscriptionStarted, self.part(0.08)),
            (TranscriptionStopped, self.part(0.94)),
            (TranscriptionReady, self.part(1.02)),
        ]);
        self.thing(&[(IngressStarted, SESSION_S + 1), (IngressEnded, end - 1)]);
    }

    /// Somebody's stays. The host stays from beginning to end.
    fn person(&mut self, index: usize) {
        let end = SESSION_S + self.length - 3;
        let is_late = self.rng.f64() < 0.3;
        let leaves_early = self.rng.f64() < 0.3;
        let joined = match index {
            0 => SESSION_S + 1,
            _ if is_late => self.between(0.10, 0.45),
            _ => self.between(0.01, 0.08),
        };
        let left = match index {
            0 => end,
            _ if leaves_early => self.between(0.65, 0.93),
            _ => self.between(0.97, 1.0).min(end),
        };
        let interruption = self.rng.f64();
        let gone = self.between(0.47, 0.60);
        let back = match index {
            0 => return self.stay(index, joined, left),
            // A lost connection.
            _ if index == 1 || interruption < 0.2 => {
                gone + (self.length / 60).clamp(3, 20) + self.rng.i64(0..5)
            }
            // A break.
            _ if index == 3 || interruption < 0.3 => {
                gone + self.length / 20 + self.rng.i64(0..=self.length / 10)
            }
            _ => return self.stay(index, joined, left),
        };
        self.stay(index, joined, gone);
        self.stay(index, back, left.max(back + self.length / 20).min(end));
    }

    fn stay(&mut self, person: usize, joined: i64, left: i64) {
        let (stay, resource) = (self.stays, self.resources);
        let published = joined + self.rng.i64(2..=6);
        let all = [
            (ParticipantJoined, joined, joined),
            (TrackPublished, published, published),
            (TrackUnpublished, left - 1, published),
            (ParticipantLeft, left, joined),
        ];
        let has_track = published < left - 1;
        let is_track = |kind| matches!(kind, TrackPublished | TrackUnpublished);
        for (kind, at_s, began_at_s) in all.into_iter().filter(|(kind, ..)| has_track || !is_track(*kind)) {
            self.steps.push(Step { kind, at_s, began_at_s, person: Some(person), stay, resource });
        }
        self.stays += 1;
        self.resources += 1;
    }
}

fn person(index: usize) -> Person {
    let name = NAMES[index % NAMES.len()];
    let id = name.to_lowercase();
    match index / NAMES.len() {
        0 => Person { id, name: name.into() },
        round => Person { id: format!("{id}-{}", round + 1), name: format!("{name} {}", round + 1) },
    }
}

const NAMES: [&str; 24] = [
    "Ada", "Ben", "Chidi", "Dana", "Eve", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kemi", "Luca", "Mei",
    "Noor", "Omar", "Priya", "Quinn", "Rosa", "Sven", "Tala", "Uma", "Vera", "Wes", "Yuki",
];
