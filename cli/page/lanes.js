// Computes what a timeline needs before drawing: groups, rows, ticks and descriptions.

import { clock, plain, span as length } from "./dom.js";

const TITLES = {
  session: "Sessions", participant: "Participants", recording: "Recordings", stream: "Streams",
  ingress: "Ingress", transcription: "Transcriptions", room: "Room",
};
const [SECOND, MINUTE, HOUR, DAY] = [1000, 60_000, 3_600_000, 86_400_000];
const STEPS = [
  10, 20, 50, 100, 200, 500, ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND), ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR), ...[1, 2, 7, 14, 30, 90].map((n) => n * DAY),
];

/** The lanes by kind, and last the markers that belong to no lane. */
export function groups(model) {
  const kinds = [...new Set(model.lanes.map((lane) => lane.kind))];
  const found = kinds.map((kind) => ({ kind, title: TITLES[kind] ?? kind, lanes: named(model.lanes.filter((lane) => lane.kind === kind)) }));
  if (model.markers.length) {
    found.push({ kind: "room", title: TITLES.room, lanes: [{ kind: "room", key: "room", label: "other events", spans: [], markers: model.markers }] });
  }
  return found;
}

/** The lanes; those with equal labels get the end of their id, too. */
function named(lanes) {
  const isShared = (lane) => lane.label !== lane.key && lanes.filter((other) => other.label === lane.label).length > 1;
  return lanes.map((lane) => ({ ...lane, suffix: isShared(lane) ? lane.key : undefined }));
}

/** A lane's label, at most `max` characters long. */
export function labelOf({ label, suffix }, max) {
  if (suffix === undefined) return plain(label, max);
  if (label.length + 1 + suffix.length <= max) return `${plain(label)} ${plain(suffix)}`;
  const tail = plain(`…${suffix.slice(-6)}`);
  return `${plain(label, Math.max(max - tail.length - 2, 3))} ${tail}`;
}

/** The start and end at which a span is drawn, in milliseconds, and which of them are known. */
export function stretch(span, whole) {
  const [from, to] = [span.from && Date.parse(span.from), span.to && Date.parse(span.to)];
  const presumed = span.presumed_end && Date.parse(span.presumed_end);
  const inside = (time) => Math.min(Math.max(time, whole[0]), whole[1]);
  const end = to ?? presumed;
  return {
    from: inside(from ?? whole[0]),
    to: inside(end ?? whole[1]),
    // The time is shown at the edge of the axis, because its clock is months off.
    isStartOutside: Boolean(from) && inside(from) !== from,
    isEndOutside: Boolean(end) && inside(end) !== end,
    isStartKnown: Boolean(from && span.started_by),
    isEndKnown: Boolean(to && span.ended_by),
    isRunning: !to && !presumed,
  };
}

/** Assigns overlapping spans to rows. Returns each span's row and the number of rows. */
export function rowsOf(lane, whole) {
  const ends = [];
  const of = lane.spans.map((span) => {
    const { from, to } = stretch(span, whole);
    let row = ends.findIndex((end) => end <= from);
    if (row < 0) row = ends.length;
    ends[row] = to;
    return row;
  });
  return { of, rows: Math.max(1, ends.length) };
}

/** The times on the axis, at least `pixels` apart. */
export function ticks({ from, to, left, right }, pixels) {
  const step = STEPS.find((step) => (step / (to - from)) * (right - left) >= pixels) ?? STEPS.at(-1);
  const zone = -new Date(from).getTimezoneOffset() * MINUTE;
  const found = [];
  let day;
  for (let time = Math.ceil((from + zone) / step) * step - zone; time <= to; time += step) {
    const text = clock(time, true);
    const isNewDay = day !== text.slice(0, 10);
    day = text.slice(0, 10);
    const date = text.slice(5, 10);
    if (step >= DAY) found.push({ time, text: date });
    else found.push({ time, day: isNewDay ? date : undefined, text: text.slice(11, step >= MINUTE ? 16 : step >= SECOND ? 19 : 23) });
  }
  return found;
}

/** Describes a span: a title, then lines. */
export function describeSpan(lane, span) {
  const at = (time) => clock(time, true);
  const said = { start: span.from ? at(span.from) : "unknown", end: span.to ? at(span.to) : "unknown" };
  const lines = [plain(`${lane.kind} ${lane.label}`, 120), `${said.start} → ${said.end}`];
  if (span.from && span.to) lines.push(length(Date.parse(span.to) - Date.parse(span.from)));
  if (span.failed) lines.push("ended with a failure");
  if (!span.started_by) lines.push("the start event was never received");
  if (!span.ended_by) {
    if (span.presumed_end) lines.push(`the end event was never received; ended by ${at(span.presumed_end)}`);
    else lines.push("open: no end event received");
  }
  return lines;
}

/** Describes a marker. */
export function describeMarker(lane, marker) {
  const lines = [marker.type, clock(marker.time, true)];
  if (lane.kind !== "room") lines.push(plain(`${lane.kind} ${lane.label}`, 120));
  if (marker.label) lines.push(plain(marker.label, 200));
  return lines;
}
