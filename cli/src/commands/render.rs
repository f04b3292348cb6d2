//! Draws a timeline as text: a time axis, and a bar per span.

use anstyle::Style;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::terminal::{BOLD, CYAN, DIM, GREEN, RED, YELLOW, column, length, local, safe, styled};
use crate::timeline::{Lane, LaneKind, Marker, Span, Timeline};

/// One column of a lane, by increasing priority.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Empty,
    Unknown,
    Running,
    Start,
    End,
    Ready,
    Gap,
    Failure,
}

/// The lines of a timeline, `width` columns wide, with color.
pub(super) fn draw(timeline: &Timeline, width: usize) -> Vec<String> {
    let axis = Axis::new(timeline, width);
    let mut lines = vec![heading(timeline), styled(DIM, axis.ticks())];
    for kind in [
        LaneKind::Session,
        LaneKind::Participant,
        LaneKind::Recording,
        LaneKind::Stream,
        LaneKind::Ingress,
        LaneKind::Transcription,
    ] {
        let lanes = timeline.lanes.iter().filter(|lane| lane.kind == kind);
        for (index, lane) in lanes.enumerate() {
            let name = if index == 0 { kind.as_str() } else { "" };
            lines.push(axis.lane(name, lane));
        }
    }
    let markers = timeline.lanes.iter().flat_map(|lane| &lane.markers).chain(&timeline.markers);
    let mut failures: Vec<&Marker> = markers.filter(|marker| marker.is_failure).collect();
    failures.sort_by_key(|marker| marker.time);
    lines.extend(failures.into_iter().map(|marker| failure(marker, width)));
    let gaps = timeline.lanes.iter().flat_map(|lane| &lane.spans);
    let gaps =
        gaps.filter(|span| span.started_by.is_none() || (span.ended_by.is_none() && !span.is_running()));
    match gaps.count() {
        0 => {}
        1 => lines.push(styled(YELLOW, "? one start or end was never received")),
        gaps => lines.push(styled(YELLOW, format!("? {gaps} starts or ends were never received"))),
    }
    lines
}

fn heading(timeline: &Timeline) -> String {
    let zone = timeline.from.to_zoned(TimeZone::system()).strftime("%Z").to_string();
    let days = [timeline.from, timeline.to].map(|time| local(time, "%Y-%m-%d"));
    let days = if days[0] == days[1] { days[0].clone() } else { format!("{} to {}", days[0], days[1]) };
    format!(
        "{}  {}",
        styled(BOLD, safe(timeline.room.as_deref().unwrap_or("(no room)"), 40)),
        styled(DIM, format!("{}  {days} {zone}  {} events", timeline.provider, timeline.events))
    )
}

fn failure(marker: &Marker, width: usize) -> String {
    let label = marker.label.as_deref().map_or(String::new(), |label| format!(": {label}"));
    let text = format!("{} {}{label}", local(marker.time, "%H:%M:%S"), marker.r#type);
    styled(RED, format!("✗ {}", column(&text, width.saturating_sub(2)).trim_end()))
}

struct Axis {
    from: Timestamp,
    to: Timestamp,
    label: usize,
    bar: usize,
}

const KIND: usize = 14;
const NOTE: usize = 16;

impl Axis {
    fn new(timeline: &Timeline, width: usize) -> Self {
        let label = ((width - KIND - NOTE) / 4).clamp(8, 24);
        let bar = width.saturating_sub(KIND + label + NOTE + 2).max(10);
        // A single moment is drawn as one minute.
        let to = match timeline.to.duration_since(timeline.from) < SignedDuration::from_secs(1) {
            true => timeline.to.checked_add(SignedDuration::from_mins(1)).unwrap_or(timeline.to),
            false => timeline.to,
        };
        Self { from: timeline.from, to, label, bar }
    }

    fn column(&self, time: Timestamp) -> usize {
        let seconds = |time: Timestamp| time.duration_since(self.from).as_secs_f64();
        let part = seconds(time) / seconds(self.to).max(f64::MIN_POSITIVE);
        let last = self.bar - 1;
        ((part * last as f64).round().clamp(0.0, last as f64)) as usize
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
        format!("{}{}", " ".repeat(KIND + self.label + 1), drawn.trim_end())
    }

    fn lane(&self, kind: &str, lane: &Lane) -> String {
        let mut cells = vec![Cell::Empty; self.bar];
        for span in &lane.spans {
            self.span(span, &mut cells);
        }
        for marker in &lane.markers {
            let cell = if marker.is_failure { Cell::Failure } else { Cell::Ready };
            let at = self.column(marker.time);
            cells[at] = cells[at].max(cell);
        }
        let bar: String = runs(&cells).iter().map(|(cell, count)| shown(*cell, *count, lane.kind)).collect();
        let note = self.note(lane);
        let drawn = format!("{}{} {bar} {note}", column(kind, KIND), column(&lane.label, self.label));
        drawn.trim_end().to_owned()
    }

    fn span(&self, span: &Span, cells: &mut [Cell]) {
        let end = span.to.or(span.presumed_end);
        let start = self.column(span.from.unwrap_or(self.from));
        let end = self.column(end.unwrap_or(self.to)).max(start);
        let is_known = span.from.is_some() && (span.to.is_some() || span.is_running());
        let within = if is_known { Cell::Running } else { Cell::Unknown };
        for cell in &mut cells[start..=end] {
            *cell = (*cell).max(within);
        }
        let first = if span.started_by.is_some() { Cell::Start } else { Cell::Gap };
        let last = match (span.failed, span.ended_by.is_some()) {
            (true, _) => Cell::Failure,
            (false, true) => Cell::End,
            (false, false) => Cell::Gap,
        };
        cells[start] = cells[start].max(first);
        cells[end] = cells[end].max(last);
    }

    /// The number of spans and their total length, or "open".
    fn note(&self, lane: &Lane) -> String {
        let total = lane.known_length();
        let is_open = lane.spans.iter().any(Span::is_running);
        match (lane.spans.len(), is_open) {
            (0, _) => String::new(),
            (_, true) => styled(YELLOW, "open"),
            (1, false) if total.is_zero() => String::new(),
            (1, false) => length(total),
            (count, false) => format!("{count}×, {}", length(total)),
        }
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
        Cell::Start => (color, "┣"),
        Cell::End => (color, "┫"),
        Cell::Ready => (color, "◆"),
        Cell::Gap => (YELLOW, "?"),
        Cell::Failure => (RED, "✗"),
    };
    styled(style, sign.repeat(count))
}
