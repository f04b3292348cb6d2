//! Minutes per participant and session, from the facts of one room. The rules are in ../../README.md.
//!
//! Pure: the order of the facts and duplicates make no difference, and no clock is read.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use livehooks_event::{Event, EventType};
use serde::{Deserialize, Serialize};

const SECOND: i64 = 1_000_000; // times are microseconds since 1970
const REPEAT: i64 = 120 * SECOND;
const HUNDREDTH_OF_A_MINUTE: i64 = 600_000;

/// The attendance of one participant in one session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub session: Option<String>,
    pub participant: String,
    pub name: Option<String>,
    pub minutes: f64,
    pub present: bool,
}

/// What an event says: somebody joined or left, or a session started or ended.
struct Fact<'a> {
    /// Whether it is about a session, and the id of the session or the participant.
    lane: (bool, Option<&'a str>),
    connection: Option<&'a str>,
    has_sid: bool,
    session: Option<&'a str>,
    time: i64,
    is_start: bool,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    name: Option<&'a str>,
}

struct Stay<'a> {
    connection: Option<&'a str>,
    session: Option<&'a str>,
    start: Option<i64>,
    left: Option<i64>,
    presumed_end: Option<i64>,
}

type Lanes<'a> = BTreeMap<(bool, &'a str), Vec<Stay<'a>>>;

/// Whether the event is used.
pub fn is_fact(event: &Event) -> bool {
    use EventType::{ParticipantJoined, ParticipantLeft, SessionEnded, SessionStarted};
    matches!(event.r#type, SessionStarted | SessionEnded | ParticipantJoined | ParticipantLeft)
}

/// The attendance of all sessions, by session and participant.
pub fn attendance(events: &[Event]) -> Vec<Row> {
    let events = in_order(events);
    let facts: Vec<Fact<'_>> = events.iter().filter_map(|event| read(event)).collect();
    let mut lanes = stays(&facts);
    let ends = session_ends(&facts, &lanes);
    let names: HashMap<_, _> = facts.iter().filter_map(|fact| Some((fact.lane.1?, fact.name?))).collect();
    let mut rows: BTreeMap<_, Vec<&Stay<'_>>> = BTreeMap::new();
    for ((_, participant), lane) in lanes.iter_mut().filter(|((is_session, _), _)| !is_session) {
        for stay in lane {
            let session_end = stay.session.and_then(|session| ends.get(session));
            if let (None, Some(end)) = (stay.end(), session_end) {
                stay.presumed_end = stay.start.max(Some(*end)); // rule 6
            }
            rows.entry((stay.session, *participant)).or_default().push(stay);
        }
    }
    let row = |((session, participant), of_row): ((Option<&str>, &str), Vec<&Stay<'_>>)| Row {
        session: session.map(str::to_owned),
        participant: participant.to_owned(),
        name: names.get(participant).map(|name| (*name).to_owned()),
        minutes: minutes(&of_row),
        present: of_row.iter().any(|stay| stay.end().is_none()),
    };
    rows.into_iter().map(row).collect()
}

/// Rule 1.
fn in_order(events: &[Event]) -> Vec<&Event> {
    let facts = events.iter().filter(|event| is_fact(event));
    let unique: HashMap<_, _> = facts.map(|event| ((&event.source, &event.id), event)).collect();
    let mut unique: Vec<&Event> = unique.into_values().collect();
    let times = unique.iter().map(|event| micros(event.time));
    let whole_seconds: HashSet<i64> =
        times.filter(|time| time % SECOND == 0).map(|time| time / SECOND).collect();
    unique.sort_by_key(|event| {
        let (time, recorded) = (micros(event.time), micros(event.recordedtime));
        let second = time / SECOND;
        let order = if whole_seconds.contains(&second) { (recorded, time) } else { (time, recorded) };
        (second, order, &event.source, &event.id)
    });
    unique
}

/// Rule 2.
fn read(event: &Event) -> Option<Fact<'_>> {
    let (session, participant) = (event.data.session.as_ref(), event.data.participant.as_ref());
    let fact = Fact {
        lane: (true, event.session_id()),
        connection: event.session_id(),
        has_sid: participant.is_some_and(|participant| participant.sid.is_some()),
        session: event.session_id(),
        time: micros(event.time),
        is_start: matches!(event.r#type, EventType::SessionStarted | EventType::ParticipantJoined),
        started_at: session.and_then(|session| session.started_at).map(micros),
        ended_at: session.and_then(|session| session.ended_at).map(micros),
        name: None,
    };
    if matches!(event.r#type, EventType::SessionStarted | EventType::SessionEnded) {
        return fact.session.is_some().then_some(fact);
    }
    let participant = participant?;
    let (sid, id) = (participant.sid.as_deref(), participant.id.as_deref());
    Some(Fact {
        lane: (false, participant.user_id.as_deref().or(id).or(sid)),
        connection: sid.or(id),
        started_at: participant.joined_at.map(micros),
        ended_at: participant.left_at.map(micros),
        name: participant.name.as_deref(),
        ..fact
    })
}

/// Rule 3. The stay of a session is the time from its start to its end.
fn stays<'a>(facts: &[Fact<'a>]) -> Lanes<'a> {
    let mut lanes = Lanes::new();
    for fact in facts {
        let (is_session, Some(id)) = fact.lane else { continue };
        let lane = lanes.entry((is_session, id)).or_default();
        if fact.is_start { join(lane, fact) } else { leave(lane, fact) }
    }
    lanes
}

fn join<'a>(lane: &mut Vec<Stay<'a>>, fact: &Fact<'a>) {
    if let Some(stay) = open_stay(lane, fact) {
        if fact.has_sid || stay.start.is_some_and(|start| fact.time - start <= REPEAT) {
            return;
        }
        stay.presumed_end = Some(fact.time);
    }
    lane.push(Stay { start: Some(fact.time), ..Stay::of(fact) });
}

fn leave<'a>(lane: &mut Vec<Stay<'a>>, fact: &Fact<'a>) {
    if let Some(stay) = open_stay(lane, fact) {
        stay.left = stay.start.max(Some(fact.time));
        return;
    }
    let same = lane.iter().filter(|stay| stay.connection == fact.connection);
    if same.filter_map(|stay| stay.left).any(|left| fact.time - left <= REPEAT) {
        return;
    }
    let known = |time: &i64| *time <= fact.time;
    let left = fact.ended_at.filter(known).unwrap_or(fact.time);
    lane.push(Stay { start: fact.started_at.filter(known), left: Some(left), ..Stay::of(fact) });
}

/// Rule 4.
fn open_stay<'s, 'a>(lane: &'s mut [Stay<'a>], fact: &Fact<'a>) -> Option<&'s mut Stay<'a>> {
    let differ = |a: Option<&str>, b: Option<&str>| a.is_some() && b.is_some() && a != b;
    let find = |matches: &dyn Fn(&Stay<'_>) -> bool| {
        lane.iter().rposition(|stay| stay.end().is_none() && matches(stay))
    };
    let in_session = |stay: &Stay<'_>| !differ(stay.session, fact.session);
    let is_same = |stay: &Stay<'_>| fact.connection.is_some() && stay.connection == fact.connection;
    let is_unknown = |stay: &Stay<'_>| fact.connection.is_none() || stay.connection.is_none();
    let same = find(&|stay| is_same(stay) && (fact.has_sid || in_session(stay)));
    let at = same.or_else(|| find(&|stay| is_unknown(stay) && in_session(stay)))?;
    lane.get_mut(at)
}

/// Rule 5.
fn session_ends<'a>(facts: &[Fact<'a>], lanes: &Lanes<'a>) -> HashMap<&'a str, i64> {
    let mut started: HashMap<&str, (i64, i64)> = HashMap::new();
    for (session, time) in
        facts.iter().filter(|fact| fact.is_start).filter_map(|fact| Some((fact.session?, fact.time)))
    {
        let (first, last) = started.entry(session).or_insert((time, time));
        (*first, *last) = ((*first).min(time), (*last).max(time));
    }
    let newer =
        |last: i64| started.values().map(|(first, _)| *first).filter(move |first| *first > last).min();
    let mut ends: HashMap<&str, i64> =
        started.iter().filter_map(|(session, (_, last))| Some((*session, newer(*last)?))).collect();
    for ((_, session), lane) in lanes.iter().filter(|((is_session, _), _)| *is_session) {
        ends.extend(lane.iter().filter_map(|stay| Some((*session, stay.left?))));
    }
    ends
}

/// Rule 7.
fn minutes(of_row: &[&Stay<'_>]) -> f64 {
    let mut known: Vec<_> = of_row.iter().filter_map(|stay| Some((stay.start?, stay.end()?))).collect();
    known.sort_unstable();
    let (mut length, mut until) = (0, 0);
    for (start, end) in known {
        length += (end - start.max(until)).max(0);
        until = until.max(end);
    }
    (length / HUNDREDTH_OF_A_MINUTE) as f64 / 100.0
}

impl<'a> Stay<'a> {
    fn of(fact: &Fact<'a>) -> Self {
        Self {
            connection: fact.connection,
            session: fact.session,
            start: None,
            left: None,
            presumed_end: None,
        }
    }

    fn end(&self) -> Option<i64> {
        self.left.or(self.presumed_end)
    }
}

fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}
