//! Draws a timeline as text: a time axis, and a bar per lane.

use std::collections::HashMap;

use anstyle::Style;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use unicode_width::UnicodeWidthStr;

use crate::terminal::{BOLD, CYAN, DIM, GREEN, RED, YELLOW, column, length, local, safe, styled};
use crate::timeline::{Lane, LaneKind, Marker, Span, Timeline};

/// One column of a lane, by increasing priority.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Empty,
    Unknown,
    Running,
    /// Something else happened.
    Note,
    Start,
    End,
    /// Starts and ends within the column.
    Moment,
    /// Ends and starts again within the column.
    Turn,
    Ready,
    Open,
    Gap,
    /// Earlier than the axis.
    Before,
    /// Later than the axis.
    After,
    Failure,
}

/// The lines of a timeline, `width` columns wide, with color.
pub(super) fn draw(timeline: &Timeline, width: usize) -> Vec<String> {
    let axis = Axis::new(timeline, width);
    let mut lines = heading(timeline, width);
    lines.push(styled(DIM, axis.ticks()));
    for kind in [
        LaneKind::Session,
        LaneKind::Participant,
        LaneKind::Recording,
        LaneKind::Stream,
        LaneKind::Ingress,
        LaneKind::Transcription,
    ] {
        let lanes: Vec<&Lane> = timeline.lanes.iter().filter(|lane| lane.kind == kind).collect();
        for (index, (lane, label)) in lanes.iter().zip(axis.labels(&lanes)).enumerate() {
            lines.extend(axis.lane(index == 0, &label, lane));
        }
    }
    let markers = timeline.lanes.iter().flat_map(|lane| &lane.markers).chain(&timeline.markers);
    let mut failures: Vec<&Marker> = markers.filter(|marker| marker.is_failure).collect();
    failures.sort_by_key(|marker| marker.time);
    lines.extend(failures.into_iter().map(|marker| failure(marker, width)));
    let remark = |text: String| styled(YELLOW, column(&text, width).trim_end());
    let is_gap = |span: &&Span| span.started_by.is_none() || (span.ended_by.is_none() && !span.is_running());
    match timeline.lanes.iter().flat_map(|lane| &lane.spans).filter(is_gap).count() {
        0 => {}
        1 => lines.push(remark("? one start or end was never received".into())),
        gaps => lines.push(remark(format!("? {gaps} starts or ends were never received"))),
    }
    match timeline.outside {
        0 => {}
        1 => lines.push(remark("« one time lies outside: its clock is months off".into())),
        times => lines.push(remark(format!("« {times} times lie outside: their clocks are months off"))),
    }
    lines
}

fn heading(timeline: &Timeline, width: usize) -> Vec<String> {
    let zone = timeline.from.to_zoned(TimeZone::system()).strftime("%Z").to_string();
    let days = [timeline.from, timeline.to].map(|time| local(time, "%Y-%m-%d"));
    let days = if days[0] == days[1] { days[0].clone() } else { format!("{} to {}", days[0], days[1]) };
    let room = safe(timeline.room.as_deref().unwrap_or("(no room)"), 40);
    let more = format!("{}  {days} {zone}  {} events", timeline.provider, timeline.events);
    if room.width() + 2 + more.width() <= width {
        return vec![format!("{}  {}", styled(BOLD, room), styled(DIM, more))];
    }
    [(BOLD, room), (DIM, more)].map(|(style, text)| styled(style, fit(&text, width))).into()
}

/// The text, cut to a width.
fn fit(text: &str, width: usize) -> String {
    column(text, width).trim_end().to_owned()
}

fn failure(marker: &Marker, width: usize) -> String {
    let label = marker.label.as_deref().map_or(String::new(), |label| format!(": {label}"));
    let text = format!("{} {}{label}", local(marker.time, "%H:%M:%S"), marker.r#type);
    styled(RED, format!("✗ {}", fit(&text, width.saturating_sub(2))))
}

struct Axis {
    from: Timestamp,
    to: Timestamp,
    width: usize,
    label: usize,
    bar: usize,
    /// Whether a lane's bar has its own line.
    is_folded: bool,
}

const KIND: usize = 14;
const NOTE: usize = 16;
/// A narrower terminal has no room for label, bar and note on one line.
const FOLDED_BELOW: usize = 60;

impl Axis {
    fn new(timeline: &Timeline, width: usize) -> Self {
        let is_folded = width < FOLDED_BELOW;
        let (label, bar) = if is_folded {
            (width.saturating_sub(KIND), width)
        } else {
            let label = ((width - KIND - NOTE) / 4).clamp(8, 24);
            (label, width.saturating_sub(KIND + label + NOTE + 2))
        };
        // A single moment is drawn as one minute.
        let to = match timeline.to.duration_since(timeline.from) < SignedDuration::from_secs(1) {
            true => timeline.to.checked_add(SignedDuration::from_mins(1)).unwrap_or(timeline.to),
            false => timeline.to,
        };
        Self { from: timeline.from, to, width, label, bar: bar.max(10), is_folded }
    }

    fn column(&self, time: Timestamp) -> usize {
        let seconds = |time: Timestamp| time.duration_since(self.from).as_secs_f64();
        let part = seconds(time) / seconds(self.to).max(f64::MIN_POSITIVE);
        let last = self.bar - 1;
        ((part * last as f64).round().clamp(0.0, last as f64)) as usize
    }

    /// The cell for a time outside the axis.
    fn outside(&self, time: Option<Timestamp>) -> Option<Cell> {
        match time? {
            time if time < self.from => Some(Cell::Before),
            time if time > self.to => Some(Cell::After),
            _ => None,
        }
    }

    /// Round times along the axis, as many as fit.
    fn ticks(&self) -> String {
        let span = self.to.duration_since(self.from).as_secs().max(1);
        let (format, wide) = match span {
            0..600 => ("%H:%M:%S", 10),
            600..172_800 => ("%H:%M", 8),
            _ => ("%m-%d %H:%M", 13),
        };
        let most = (self.bar / wide).max(1) as i64;
        const STEPS: [i64; 20] = [
            1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400,
            172_800, 604_800,
        ];
        let step = STEPS.into_iter().find(|step| span / step <= most).unwrap_or(span);
        let mut drawn = vec![' '; self.bar];
        let mut free_from = 0;
        let offset = i64::from(TimeZone::system().to_offset(self.from).seconds());
        let first = (self.from.as_second() + offset).div_euclid(step) * step - offset;
        for tick in (0..=span / step + 1).map(|count| first + count * step) {
            let Ok(time) = Timestamp::from_second(tick) else { continue };
            let text: Vec<char> = local(time, format).chars().collect();
            let at = self.column(time);
            let is_inside = time >= self.from && time <= self.to;
            if is_inside && at >= free_from && at + text.len() <= self.bar {
                free_from = at + text.len() + 2;
                drawn[at..at + text.len()].copy_from_slice(&text);
            }
        }
        let drawn: String = drawn.into_iter().collect();
        let indent = if self.is_folded { 0 } else { KIND + self.label + 1 };
        format!("{}{}", " ".repeat(indent), drawn.trim_end())
    }

    /// What to call each lane of a kind. Equal labels get their id, or the time, or a number.
    fn labels(&self, lanes: &[&Lane]) -> Vec<String> {
        let mut groups: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, lane) in lanes.iter().enumerate() {
            groups.entry(fit(&lane.label, self.label)).or_default().push(index);
        }
        let mut labels = vec![String::new(); lanes.len()];
        for (label, group) in groups {
            let with = |suffix: &dyn Fn(usize) -> String| -> Option<Vec<String>> {
                let more = group.iter().map(|index| suffix(*index));
                let more: Vec<String> = more.map(|suffix| safe(&suffix, 60)).collect();
                let is_unique = more.iter().enumerate().all(|(at, one)| !more[..at].contains(one));
                let longest = more.iter().map(|suffix| suffix.width()).max()?;
                let left = self
                    .label
                    .checked_sub(longest + 1)
                    .filter(|left| is_unique && *left >= label.width().min(3))?;
                Some(more.iter().map(|suffix| format!("{} {suffix}", fit(&label, left))).collect())
            };
            let key = |index: usize| lanes[index].key.clone();
            let time = |index: usize| {
                let times = lanes[index].spans.iter().filter_map(|span| span.from.or(span.to));
                let time = times.chain(lanes[index].markers.iter().map(|marker| marker.time)).next();
                time.map_or(String::new(), |time| local(time, "%H:%M:%S"))
            };
            let is_whole = lanes[group[0]].label.width() <= self.label;
            let number = |index: usize| format!("#{}", group.iter().filter(|other| **other <= index).count());
            let named = match group.len() {
                1 => vec![label.clone()],
                _ => with(&key)
                    .filter(|_| is_whole)
                    .or_else(|| with(&time))
                    .or_else(|| with(&number))
                    .unwrap_or_else(|| vec![label.clone(); group.len()]),
            };
            for (index, name) in group.iter().zip(named) {
                labels[*index] = name;
            }
        }
        labels
    }

    /// One line, or two if the terminal is narrow.
    fn lane(&self, is_first: bool, label: &str, lane: &Lane) -> Vec<String> {
        let mut cells = vec![Cell::Empty; self.bar];
        for span in &lane.spans {
            self.span(span, &mut cells);
        }
        for marker in &lane.markers {
            let cell = match marker.is_failure {
                true => Cell::Failure,
                false if marker.r#type.ends_with(".ready") => Cell::Ready,
                false => Cell::Note,
            };
            put(&mut cells, self.column(marker.time), self.outside(Some(marker.time)).unwrap_or(cell));
        }
        let bar: String = runs(&cells).iter().map(|(cell, count)| shown(*cell, *count, lane.kind)).collect();
        let (note, style) = note(lane);
        let kind = lane.kind.as_str();
        let left = self.width.saturating_sub(note.width() + 2);
        let note = if note.is_empty() { note } else { styled(style, note) };
        if self.is_folded {
            let name = fit(&format!("{kind} {label}"), left);
            return vec![format!("{name}  {note}").trim_end().to_owned(), bar.trim_end().to_owned()];
        }
        let kind = if is_first { kind } else { "" };
        let drawn = format!("{}{} {bar} {note}", column(kind, KIND), column(label, self.label));
        vec![drawn.trim_end().to_owned()]
    }

    fn span(&self, span: &Span, cells: &mut [Cell]) {
        let to = span.to.or(span.presumed_end);
        let start = self.column(span.from.unwrap_or(self.from));
        let end = self.column(to.unwrap_or(self.to)).max(start);
        let is_known = span.from.is_some() && (span.to.is_some() || span.is_running());
        let within = if is_known { Cell::Running } else { Cell::Unknown };
        for cell in &mut cells[start..=end] {
            *cell = (*cell).max(within);
        }
        let first = match (self.outside(span.from), span.started_by.is_some()) {
            (Some(outside), _) => outside,
            (None, true) => Cell::Start,
            (None, false) => Cell::Gap,
        };
        let last = match (self.outside(to), span.failed, span.ended_by.is_some()) {
            (_, true, _) => Cell::Failure,
            (Some(outside), ..) => outside,
            (None, false, true) => Cell::End,
            (None, false, false) if span.is_running() => Cell::Open,
            (None, false, false) => Cell::Gap,
        };
        if start == end {
            let both = if (first, last) == (Cell::Start, Cell::End) { Cell::Moment } else { first.max(last) };
            return put(cells, start, both);
        }
        put(cells, start, first);
        put(cells, end, last);
    }
}

/// Adds what happens in a column to what another span has there.
fn put(cells: &mut [Cell], at: usize, new: Cell) {
    let is_end = |cell| matches!(cell, Cell::Start | Cell::End | Cell::Moment);
    let is_turn = is_end(cells[at]) && is_end(new) && (cells[at] != new || new == Cell::Moment);
    cells[at] = if is_turn { Cell::Turn } else { cells[at].max(new) };
}

/// The number of spans and their total length, or "open".
fn note(lane: &Lane) -> (String, Style) {
    let total = lane.known_length();
    let is_open = lane.spans.iter().any(Span::is_running);
    match (lane.spans.len(), is_open) {
        (0, _) => (String::new(), DIM),
        (_, true) => ("open".into(), YELLOW),
        (1, false) if total.is_zero() => (String::new(), DIM),
        (1, false) => (length(total), Style::new()),
        (count, false) => (format!("{count}×, {}", length(total)), Style::new()),
    }
}

fn runs(cells: &[Cell]) -> Vec<(Cell, usize)> {
    let mut runs: Vec<(Cell, usize)> = Vec::new();
    for cell in cells {
        match runs.last_mut() {
            Some((last, count)) if last == cell => *count += 1,
            _ => runs.push((*cell, 1)),
        }
    }
    runs
}

fn shown(cell: Cell, count: usize, kind: LaneKind) -> String {
    let color: Style = match kind {
        LaneKind::Session => BOLD,
        LaneKind::Participant => GREEN,
        _ => CYAN,
    };
    let (style, sign) = match cell {
        Cell::Empty => return " ".repeat(count),
        Cell::Unknown => (DIM, "╌"),
        Cell::Running => (color, "━"),
        Cell::Note => (color, "•"),
        Cell::Start => (color, "┣"),
        Cell::End => (color, "┫"),
        Cell::Moment => (color, "┃"),
        Cell::Turn => (color, "╋"),
        Cell::Ready => (color, "◆"),
        Cell::Open => (YELLOW, "▸"),
        Cell::Gap => (YELLOW, "?"),
        Cell::Before => (YELLOW, "«"),
        Cell::After => (YELLOW, "»"),
        Cell::Failure => (RED, "✗"),
    };
    styled(style, sign.repeat(count))
}

#[cfg(test)]
mod tests {
    use livehooks_event::Event;
    use serde_json::{Value, json};
    use unicode_width::UnicodeWidthStr;

    use super::*;

    fn event(second: i64, kind: &str, mut data: Value) -> Event {
        let time = Timestamp::from_second(1_761_815_000 + second).unwrap();
        data["session"] = json!({ "id": "s1" });
        serde_json::from_value(json!({
            "specversion": "1.0", "id": format!("{kind}@{second}"), "source": "/livehooks/p",
            "type": format!("live.{kind}"), "subject": "standup", "time": time, "recordedtime": time,
            "timebasis": "provider", "provider": "p", "assurance": "signed", "dedupebasis": "provider-id",
            "datacontenttype": "application/json", "data": data,
        }))
        .unwrap()
    }

    fn person(id: &str, name: &str) -> Value {
        json!({ "participant": { "id": id, "name": name } })
    }

    /// The lines of the events' timeline, without color.
    fn drawn(events: &[Event], width: usize) -> Vec<String> {
        let lines = draw(&Timeline::of_rooms(events)[0], width);
        let lines: Vec<String> =
            lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        for line in &lines {
            assert!(line.width() <= width, "{} columns of {width}: {line}", line.width());
        }
        lines
    }

    fn line<'a>(lines: &'a [String], part: &str) -> &'a str {
        lines.iter().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part} is not in {lines:#?}"))
    }

    #[test]
    fn what_is_open_and_what_never_ended_have_different_signs() {
        let events = [
            event(0, "session.started", json!({})),
            event(10, "participant.joined", person("ann", "Ann")),
            event(50, "session.ended", json!({})),
            event(60, "recording.started", json!({ "recording": { "id": "EG" }, "session": null })),
        ];
        let mut events = events.to_vec();
        events[3].data.session = None;
        events.push(event(100, "ingress.failed", json!({ "ingress": { "id": "IN" } })));
        let lines = drawn(&events, 100);
        assert!(line(&lines, "Ann").contains('?'), "{lines:#?}");
        let open = line(&lines, "recording");
        assert!(open.contains("━▸ open") && !open.contains('?'), "{lines:#?}");
        assert!(lines.contains(&"? one start or end was never received".to_owned()), "{lines:#?}");
    }

    #[test]
    fn a_short_gap_is_visible() {
        let mut events = Vec::new();
        for (from, to) in [(0, 1_800), (1_805, 3_600)] {
            events.push(event(from, "participant.joined", person("ann", "Ann")));
            events.push(event(to, "participant.left", person("ann", "Ann")));
        }
        let lines = drawn(&events, 100);
        assert!(line(&lines, "Ann").contains("━╋━"), "{lines:#?}");
    }

    #[test]
    fn equal_labels_are_told_apart() {
        let recording = |id: &str| json!({ "recording": { "id": id, "scope": "room" } });
        let events = [
            event(0, "participant.joined", person("guest-1", "Guest")),
            event(1, "participant.joined", person("guest-2", "Guest")),
            event(2, "recording.started", recording("EG_very_long_id_0001")),
            event(80, "recording.started", recording("EG_very_long_id_0002")),
            event(99, "participant.joined", person("bob", "Bob")),
        ];
        for width in [60, 80, 200] {
            let lines = drawn(&events, width);
            let kinds = |kind: &str| lines.iter().position(|line| line.starts_with(kind)).unwrap();
            for start in [kinds("participant"), kinds("recording")] {
                let label = |line: &str| {
                    line.chars().skip(KIND).take(24).take_while(|c| *c != '┣').collect::<String>()
                };
                assert_ne!(label(&lines[start]).trim(), label(&lines[start + 1]).trim(), "{lines:#?}");
            }
            line(&lines, "Gu");
            line(&lines, "Bob  ");
        }
        line(&drawn(&events, 200), "Guest guest-1");
    }

    #[test]
    fn a_time_outside_the_axis_is_marked() {
        let mut early = event(-365 * 86_400, "participant.joined", person("ann", "Ann"));
        early.recordedtime = Timestamp::from_second(1_761_815_010).unwrap();
        let events = [
            early,
            event(0, "participant.joined", person("bob", "Bob")),
            event(60, "session.ended", json!({})),
        ];
        let lines = drawn(&events, 100);
        assert!(line(&lines, "Ann").contains('«'), "{lines:#?}");
        line(&lines, "« one time lies outside: its clock is months off");
    }

    #[test]
    fn a_narrow_terminal_folds_each_lane() {
        let name = "Participant with a long name";
        let events = [
            event(0, "participant.joined", person("ann", name)),
            event(
                700,
                "recording.failed",
                json!({ "recording": { "id": "EG" }, "error": { "message": "x".repeat(90) } }),
            ),
            event(3_600, "participant.left", person("ann", name)),
        ];
        let lines = drawn(&events, 36);
        let at = lines.iter().position(|line| line.starts_with("participant Participant with")).unwrap();
        assert!(lines[at + 1].trim_start().starts_with('┣') && lines[at + 1].width() > 25, "{lines:#?}");
    }

    #[test]
    fn an_emoji_family_stays_whole() {
        let family = "👩‍👩‍👧";
        let lines = drawn(&[event(0, "participant.joined", person("ann", &format!("Ann {family}")))], 100);
        line(&lines, &format!("Ann {family} "));
        for width in 61..100 {
            let lines = drawn(&[event(0, "participant.joined", person("ann", &family.repeat(9)))], width);
            let shown = line(&lines, "participant");
            assert_eq!(shown.matches('\u{200d}').count(), 2 * shown.matches(family).count(), "{shown}");
        }
    }
}
