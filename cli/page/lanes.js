// What can be computed of a timeline without drawing: groups, rows, ticks and words.

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

/** The lanes by kind, and what belongs to none of them as the last. */
export function groups(model) {
  const kinds = [...new Set(model.lanes.map((lane) => lane.kind))];
  const found = kinds.map((kind) => ({ kind, title: TITLES[kind] ?? kind, lanes: model.lanes.filter((lane) => lane.kind === kind) }));
  if (model.markers.length) {
    found.push({ kind: "room", title: TITLES.room, lanes: [{ kind: "room", key: "room", label: "other events", spans: [], markers: model.markers }] });
  }
  return found;
}

/** From when to when a span is drawn, in milliseconds, and which of its ends are known. */
export function stretch(span, whole) {
  const [from, to] = [span.from && Date.parse(span.from), span.to && Date.parse(span.to)];
  const presumed = span.presumed_end && Date.parse(span.presumed_end);
  return {
    from: from ?? Math.min(whole[0], to ?? whole[0]),
    to: to ?? presumed ?? whole[1],
    isStartKnown: Boolean(from && span.started_by),
    isEndKnown: Boolean(to && span.ended_by),
    isRunning: !to && !presumed,
  };
}

/** Puts stays that overlap under each other: which row each is in, and how many there are. */
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

/** The times to be written on the axis, at least `pixels` apart. */
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

/** A span in words: a title, then lines. */
export function describeSpan(lane, span) {
  const at = (time) => clock(time, true);
  const said = { start: span.from ? at(span.from) : "not known", end: span.to ? at(span.to) : "not known" };
  const lines = [plain(`${lane.kind} ${lane.label}`, 120), `${said.start} → ${said.end}`];
  if (span.from && span.to) lines.push(length(Date.parse(span.to) - Date.parse(span.from)));
  if (span.failed) lines.push("ended by failing");
  if (!span.started_by) lines.push("the event of its start was never received");
  if (!span.ended_by) {
    if (span.presumed_end) lines.push(`the event of its end was never received; over by ${at(span.presumed_end)}`);
    else lines.push("open: no event says that it has ended");
  }
  return lines;
}

/** A marker in words. */
export function describeMarker(lane, marker) {
  const lines = [marker.type, clock(marker.time, true)];
  if (lane.kind !== "room") lines.push(plain(`${lane.kind} ${lane.label}`, 120));
  if (marker.label) lines.push(plain(marker.label, 200));
  return lines;
}
