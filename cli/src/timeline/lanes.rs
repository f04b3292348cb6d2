//! Builds lanes from events in order.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use livehooks_event::Event;

use super::about::{About, Step, about};
use super::sessions::Sessions;
use super::{Lane, LaneKind, Marker, Span};

/// A second start of the same thing within this time is a repeat; later it means that the end was lost.
const REPEAT: SignedDuration = SignedDuration::from_secs(120);

#[derive(Default)]
struct Builder {
    lanes: Vec<Lane>,
    index: HashMap<(LaneKind, String), usize>,
    /// Each span's instance, and whether it was only prepared.
    notes: Vec<Vec<(Option<String>, bool)>>,
    markers: Vec<Marker>,
}

/// The lanes of one room, and the markers that belong to none.
pub(super) fn build(events: &[&Event]) -> (Vec<Lane>, Vec<Marker>) {
    let mut builder = Builder::default();
    let mut sessions = Sessions::default();
    for event in events {
        let Some(about) = about(event) else {
            builder.mark(None, event);
            continue;
        };
        if matches!(about.step, Step::Prepare | Step::Start)
            && let Some(session) = event.session_id()
        {
            sessions.started(session, event.time);
        }
        builder.add(event, about);
    }
    let Builder { mut lanes, markers, .. } = builder;
    presume_ends(&mut lanes, &sessions);
    lanes.sort_by_key(|lane| (lane.kind, lane.spans.first().map(|span| (span.from, span.to))));
    (lanes, markers)
}

impl Builder {
    fn add(&mut self, event: &Event, about: About) {
        let Some(key) = about.key.clone() else { return self.mark(None, event) };
        // A failed join or a role change alone does not make a lane.
        if matches!(about.step, Step::Note) && !self.index.contains_key(&(about.kind, key.clone())) {
            return self.mark(None, event);
        }
        let lane = self.lane(event, &about, key);
        if let Some(label) = about.label.clone() {
            self.lanes[lane].label = label;
        }
        match about.step {
            Step::Prepare | Step::Start => self.start(lane, event, &about),
            Step::End | Step::Fail => self.end(lane, event, &about),
            Step::Ready => {
                if self.open(lane, &about, event).is_some() {
                    self.end(lane, event, &about);
                }
            }
            Step::Note => {}
        }
        if matches!(about.step, Step::Ready | Step::Fail | Step::Note) {
            self.mark(Some(lane), event);
        }
    }

    fn lane(&mut self, event: &Event, about: &About, key: String) -> usize {
        if let Some(lane) = self.index.get(&(about.kind, key.clone())) {
            return *lane;
        }
        // A person who is not known by this id is somebody else.
        let is_person = about.kind == LaneKind::Participant;
        if let Some(lane) = self.only_lane(event, about).filter(|_| !is_person) {
            return lane;
        }
        let lane = self.lanes.len();
        self.index.insert((about.kind, key.clone()), lane);
        self.notes.push(Vec::new());
        self.lanes.push(Lane {
            kind: about.kind,
            label: if is_person || about.instance.is_some() { key.clone() } else { "room".into() },
            key,
            spans: Vec::new(),
            markers: Vec::new(),
        });
        lane
    }

    /// The lane of an event that names it otherwise than its start did, if only one can be meant. A recording's file may
    /// have its own id. An end may lack the id or the session that the start named, or have an id that the start lacked.
    fn only_lane(&self, event: &Event, about: &About) -> Option<usize> {
        let is_about = |at: &usize| {
            let (lane, notes) = (&self.lanes[*at], &self.notes[*at]);
            let mut spans = lane.spans.iter().zip(notes);
            lane.kind == about.kind
                && lane.label == about.label.as_deref().unwrap_or(&lane.label)
                && spans.any(|(span, (instance, _))| match about.step {
                    Step::Ready => is_of_session(span, event),
                    Step::End | Step::Fail => {
                        let is_unnamed = instance.is_none() || about.instance.is_none();
                        is_unnamed && span.is_running() && is_of_session(span, event)
                    }
                    Step::Prepare | Step::Start | Step::Note => false,
                })
        };
        let mut lanes = (0..self.lanes.len()).filter(is_about);
        lanes.next().filter(|_| lanes.next().is_none())
    }

    /// The open span that the event is about: the same instance's, or the session's latest.
    fn open(&self, lane: usize, about: &About, event: &Event) -> Option<usize> {
        let spans = self.lanes[lane].spans.iter().enumerate();
        let open: Vec<(usize, &Span)> = spans.filter(|(_, span)| span.is_running()).collect();
        let is_same = |at: usize| about.instance.is_some() && self.notes[lane][at].0 == about.instance;
        // A participant with the same id in the next session starts a new span; a recording continues.
        let is_unique = about.kind != LaneKind::Participant || has_sid(event);
        let mut latest = open.iter().rev().filter(|(_, span)| is_of_session(span, event));
        let is_meant = |at, span| is_same(at) && (is_unique || is_of_session(span, event));
        let same = open.iter().rev().find(|(at, span)| is_meant(*at, span));
        let unknown = |at: usize| about.instance.is_none() || self.notes[lane][at].0.is_none();
        same.or_else(|| latest.find(|(at, _)| unknown(*at))).map(|(at, _)| *at)
    }

    fn start(&mut self, lane: usize, event: &Event, about: &About) {
        let is_prepared = about.step == Step::Prepare;
        // A recording has its id once. If its preparation is dated later than its start, the two are by different clocks.
        let is_late = is_prepared && about.kind == LaneKind::Recording && about.instance.is_some();
        if is_late && !self.lanes[lane].spans.is_empty() {
            return;
        }
        if let Some(at) = self.open(lane, about, event) {
            let span = &mut self.lanes[lane].spans[at];
            let was_prepared = self.notes[lane][at].1;
            let started = span.from.unwrap_or(event.time);
            if was_prepared && !is_prepared {
                (span.from, span.started_by) = (Some(event.time), Some(event.id.clone()));
                self.notes[lane][at].1 = false;
                return;
            }
            if is_prepared || has_sid(event) || event.time.duration_since(started) <= REPEAT {
                return;
            }
            span.presumed_end = Some(event.time);
        }
        self.lanes[lane].spans.push(Span {
            from: Some(event.time),
            to: None,
            started_by: Some(event.id.clone()),
            ended_by: None,
            failed: false,
            presumed_end: None,
            session: event.session_id().map(str::to_owned),
        });
        self.notes[lane].push((about.instance.clone(), is_prepared));
    }

    fn end(&mut self, lane: usize, event: &Event, about: &About) {
        let failed = about.step == Step::Fail;
        if let Some(at) = self.open(lane, about, event) {
            let span = &mut self.lanes[lane].spans[at];
            // In whole seconds, the end may precede the start.
            let to = span.from.map_or(event.time, |from| from.max(event.time));
            (span.to, span.ended_by, span.failed) = (Some(to), Some(event.id.clone()), failed);
            return;
        }
        // Ignore a repeated end, the end of a failed span, and a failure without a start.
        let ended = self.lanes[lane].spans.iter().zip(&self.notes[lane]);
        let is_repeat = ended.rev().any(|(span, (instance, _))| {
            *instance == about.instance
                && span.to.is_some_and(|to| event.time.duration_since(to) <= REPEAT || span.failed)
        });
        if is_repeat || failed {
            return;
        }
        let before = |time: &Timestamp| *time <= event.time;
        self.lanes[lane].spans.push(Span {
            from: about.started_at.filter(before),
            to: Some(about.ended_at.filter(before).unwrap_or(event.time)),
            started_by: None,
            ended_by: Some(event.id.clone()),
            failed: false,
            presumed_end: None,
            session: event.session_id().map(str::to_owned),
        });
        self.notes[lane].push((about.instance.clone(), false));
    }

    fn mark(&mut self, lane: Option<usize>, event: &Event) {
        let error = event.data.error.as_ref();
        let label = error.and_then(|error| {
            [&error.message, &error.r#type, &error.code].into_iter().flatten().next().cloned()
        });
        let marker = Marker {
            time: event.time,
            r#type: event.r#type.to_string(),
            is_failure: event.r#type.as_str().ends_with("failed"),
            label,
            event: event.id.clone(),
        };
        match lane {
            Some(lane) => self.lanes[lane].markers.push(marker),
            None => self.markers.push(marker),
        }
    }
}

/// Whether the event may be of the span's session.
fn is_of_session(span: &Span, event: &Event) -> bool {
    !matches!((span.session.as_deref(), event.session_id()), (Some(one), Some(other)) if one != other)
}

fn has_sid(event: &Event) -> bool {
    event.data.participant.as_ref().is_some_and(|known| known.sid.is_some())
}

/// When a session ends, its participants, recordings and streams end too. It has ended when a newer one has begun.
fn presume_ends(lanes: &mut [Lane], sessions: &Sessions) {
    let of_sessions = lanes.iter().filter(|lane| lane.kind == LaneKind::Session);
    let ended: HashMap<String, Timestamp> = of_sessions
        .flat_map(|lane| lane.spans.iter().filter_map(|span| Some((span.session.clone()?, span.to?))))
        .collect();
    let replaced = sessions.replaced();
    for lane in lanes.iter_mut() {
        let ended = (lane.kind != LaneKind::Session).then_some(&ended);
        for span in lane.spans.iter_mut().filter(|span| span.is_running()) {
            let Some(session) = &span.session else { continue };
            let end = ended.and_then(|ended| ended.get(session));
            let end = end.or_else(|| replaced.get(session.as_str())).copied();
            span.presumed_end = end.map(|end| span.from.map_or(end, |from| from.max(end)));
        }
        lane.spans.sort_by_key(|span| span.from.or(span.to));
    }
}
