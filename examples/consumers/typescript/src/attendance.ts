/**
 * Minutes per participant and session, from the facts of one room. The rules are in ../../README.md.
 *
 * Pure: the order of the facts and duplicates make no difference, and no clock is read.
 */
import type { Event } from './livehooks-event.js';

export const FACT_TYPES = [
  'live.session.started', 'live.session.ended',
  'live.participant.joined', 'live.participant.left',
];
const SECOND = 1_000_000; // times are microseconds since 1970
const REPEAT = 120 * SECOND;
const HUNDREDTH_OF_A_MINUTE = 600_000;

export interface Row {
  session: string | null;
  participant: string;
  name: string | null;
  minutes: number;
  present: boolean;
}

/** What an event says: somebody joined or left, or a session started or ended. */
interface Fact {
  kind: 'participant' | 'session';
  who?: string;
  connection?: string;
  hasSid: boolean;
  session?: string;
  time: number;
  isStart: boolean;
  startedAt?: number;
  endedAt?: number;
  name?: string;
}

interface Stay {
  connection?: string;
  session?: string;
  start?: number;
  left?: number;
  presumedEnd?: number;
}

const end = (stay: Stay) => stay.left ?? stay.presumedEnd;

export function attendance(events: Event[]): Row[] {
  const facts = inOrder(events).map(read).filter((fact) => fact !== undefined);
  const participants = stays(facts.filter((fact) => fact.kind === 'participant'));
  const ends = sessionEnds(facts);
  const names = new Map(facts.filter((fact) => fact.name).map((fact) => [fact.who, fact.name]));
  const rows: Row[] = [];
  for (const [participant, lane] of participants) {
    for (const stay of lane) {
      const sessionEnd = ends.get(stay.session ?? '');
      if (end(stay) === undefined && sessionEnd !== undefined) { // rule 6
        stay.presumedEnd = Math.max(stay.start!, sessionEnd);
      }
    }
    for (const session of new Set(lane.map((stay) => stay.session))) {
      const ofRow = lane.filter((stay) => stay.session === session);
      rows.push({
        session: session ?? null,
        participant,
        name: names.get(participant) ?? null,
        minutes: minutes(ofRow),
        present: ofRow.some((stay) => end(stay) === undefined),
      });
    }
  }
  return rows.sort((a, b) => compare([a.session ?? '', a.participant], [b.session ?? '', b.participant]));
}

/** Rule 1. */
function inOrder(events: Event[]): Event[] {
  const facts = events.filter((event) => FACT_TYPES.includes(event.type));
  const unique = [...new Map(facts.map((event) => [`${event.source} ${event.id}`, event])).values()];
  const times = unique.map((event) => micros(event.time));
  const wholeSeconds = new Set(times.filter((time) => time % SECOND === 0).map((time) => time / SECOND));
  const key = (event: Event) => {
    const [time, recorded] = [micros(event.time), micros(event.recordedtime)];
    const second = Math.floor(time / SECOND);
    const order = wholeSeconds.has(second) ? [recorded, time] : [time, recorded];
    return [second, ...order, event.source, event.id];
  };
  return unique.sort((a, b) => compare(key(a), key(b)));
}

/** Rule 2. */
function read(event: Event): Fact | undefined {
  const { session, participant } = event.data;
  const fact = {
    hasSid: participant?.sid !== undefined,
    session: session?.id,
    time: micros(event.time),
    isStart: event.type === 'live.session.started' || event.type === 'live.participant.joined',
  };
  if (event.type.startsWith('live.session.')) {
    return session?.id === undefined ? undefined : {
      ...fact, kind: 'session', who: session.id, connection: session.id,
      startedAt: optional(session.started_at), endedAt: optional(session.ended_at),
    };
  }
  return participant && {
    ...fact, kind: 'participant', name: participant.name,
    who: participant.user_id ?? participant.id ?? participant.sid,
    connection: participant.sid ?? participant.id,
    startedAt: optional(participant.joined_at), endedAt: optional(participant.left_at),
  };
}

/** Rule 3. The stay of a session is the time from its start to its end. */
function stays(facts: Fact[]): Map<string, Stay[]> {
  const lanes = new Map<string, Stay[]>();
  for (const fact of facts) {
    if (fact.who === undefined) continue;
    const lane = lanes.get(fact.who) ?? [];
    lanes.set(fact.who, lane);
    (fact.isStart ? join : leave)(lane, fact);
  }
  return lanes;
}

function join(lane: Stay[], fact: Fact): void {
  const stay = openStay(lane, fact);
  if (stay) {
    if (fact.hasSid || fact.time - stay.start! <= REPEAT) return;
    stay.presumedEnd = fact.time;
  }
  lane.push({ connection: fact.connection, session: fact.session, start: fact.time });
}

function leave(lane: Stay[], fact: Fact): void {
  const stay = openStay(lane, fact);
  if (stay) {
    stay.left = Math.max(stay.start!, fact.time);
    return;
  }
  const isSame = (stay: Stay) => stay.connection === fact.connection && stay.left !== undefined;
  if (lane.some((stay) => isSame(stay) && fact.time - stay.left! <= REPEAT)) return;
  const known = (time?: number) => (time !== undefined && time <= fact.time ? time : undefined);
  const [start, left] = [known(fact.startedAt), known(fact.endedAt) ?? fact.time];
  lane.push({ connection: fact.connection, session: fact.session, start, left });
}

/** Rule 4. */
function openStay(lane: Stay[], fact: Fact): Stay | undefined {
  const latestFirst = lane.filter((stay) => end(stay) === undefined).reverse();
  const differ = (a?: string, b?: string) => a !== undefined && b !== undefined && a !== b;
  const inSession = latestFirst.filter((stay) => !differ(stay.session, fact.session));
  const isSame = (stay: Stay) => fact.connection !== undefined && stay.connection === fact.connection;
  return (fact.hasSid ? latestFirst : inSession).find(isSame)
    ?? inSession.find((stay) => stay.connection === undefined || fact.connection === undefined);
}

/** Rule 5. */
function sessionEnds(facts: Fact[]): Map<string, number> {
  const [first, last] = [new Map<string, number>(), new Map<string, number>()];
  for (const { isStart, session, time } of facts) {
    if (!isStart || session === undefined) continue;
    first.set(session, Math.min(first.get(session) ?? time, time));
    last.set(session, Math.max(last.get(session) ?? time, time));
  }
  const ends = new Map<string, number>();
  for (const [session, time] of last) {
    const newer = [...first.values()].filter((start) => start > time);
    if (newer.length > 0) ends.set(session, Math.min(...newer));
  }
  for (const [session, lane] of stays(facts.filter((fact) => fact.kind === 'session'))) {
    const left = lane.map((stay) => stay.left).filter((left) => left !== undefined).at(-1);
    if (left !== undefined) ends.set(session, left);
  }
  return ends;
}

/** Rule 7. */
function minutes(ofRow: Stay[]): number {
  const known = ofRow.filter((stay) => stay.start !== undefined && end(stay) !== undefined);
  let [length, until] = [0, 0];
  for (const stay of known.sort((a, b) => a.start! - b.start!)) {
    length += Math.max(0, end(stay)! - Math.max(stay.start!, until));
    until = Math.max(until, end(stay)!);
  }
  return Math.floor(length / HUNDREDTH_OF_A_MINUTE) / 100;
}

const optional = (time?: string) => (time === undefined ? undefined : micros(time));

/** A Date has milliseconds only. */
function micros(time: string): number {
  const [seconds, fraction = ''] = time.replace('Z', '').split('.');
  return Date.parse(`${seconds}Z`) * 1000 + Number(fraction.padEnd(6, '0').slice(0, 6));
}

function compare(a: (string | number)[], b: (string | number)[]): number {
  const at = a.findIndex((value, index) => value !== b[index]);
  return at < 0 ? 0 : a[at]! < b[at]! ? -1 : 1;
}
