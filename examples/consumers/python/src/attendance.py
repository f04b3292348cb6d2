"""Minutes per participant and session, from the facts of one room. The rules are in ../../README.md.

Pure: the order of the facts and duplicates make no difference, and no clock is read.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from livehooks_event import Event

FACT_TYPES = {
    "live.session.started", "live.session.ended",
    "live.participant.joined", "live.participant.left",
}
SECOND = 1_000_000  # times are microseconds since 1970
REPEAT = 120 * SECOND
HUNDREDTH_OF_A_MINUTE = 600_000


@dataclass
class Row:
    session: str | None
    participant: str
    name: str | None
    minutes: float
    present: bool


@dataclass
class Fact:
    """What an event says: somebody joined or left, or a session started or ended."""

    lane: tuple[str, str | None]  # ("participant" or "session", its id)
    connection: str | None
    has_sid: bool
    session: str | None
    time: int
    is_start: bool
    started_at: int | None
    ended_at: int | None
    name: str | None


@dataclass
class Stay:
    connection: str | None
    session: str | None
    start: int | None
    left: int | None = None
    presumed_end: int | None = None

    @property
    def end(self) -> int | None:
        return self.presumed_end if self.left is None else self.left


def attendance(events: Iterable[Event]) -> list[Row]:
    facts = [fact for event in in_order(events) if (fact := read(event))]
    lanes = stays(facts)
    ends = session_ends(facts, lanes)
    names = {fact.lane: fact.name for fact in facts if fact.name}
    rows = defaultdict(list)
    for (kind, participant), lane in lanes.items():
        for stay in lane if kind == "participant" else []:
            if stay.end is None and stay.session in ends:  # rule 6
                stay.presumed_end = max(stay.start, ends[stay.session])
            rows[stay.session, participant].append(stay)
    return [
        Row(session, participant, names.get(("participant", participant)), minutes(of_row),
            present=any(stay.end is None for stay in of_row))
        for (session, participant), of_row in sorted(rows.items(), key=lambda row: (row[0][0] or "", row[0][1]))
    ]


def in_order(events: Iterable[Event]) -> list[Event]:
    """Rule 1."""
    unique = {(event.source, event.id): event for event in events if event.type in FACT_TYPES}.values()
    whole_seconds = {micros(event.time) // SECOND for event in unique if micros(event.time) % SECOND == 0}

    def key(event: Event) -> tuple:
        time, recorded = micros(event.time), micros(event.recordedtime)
        second = time // SECOND
        return second, *((recorded, time) if second in whole_seconds else (time, recorded)), event.source, event.id

    return sorted(unique, key=key)


def read(event: Event) -> Fact | None:
    """Rule 2."""
    session, participant = event.data.session, event.data.participant
    session_id = session and session.id
    has_sid = bool(participant and participant.sid)
    time, is_start = micros(event.time), event.type in ("live.session.started", "live.participant.joined")
    if event.type.startswith("live.session."):
        if not session_id:
            return None
        return Fact(("session", session_id), session_id, has_sid, session_id, time, is_start,
                    micros(session.started_at), micros(session.ended_at), None)
    if not participant:
        return None
    who = participant.user_id or participant.id or participant.sid
    return Fact(("participant", who), participant.sid or participant.id, has_sid, session_id, time, is_start,
                micros(participant.joined_at), micros(participant.left_at), participant.name)


def stays(facts: list[Fact]) -> dict[tuple[str, str], list[Stay]]:
    """Rule 3. The stay of a session is the time from its start to its end."""
    lanes = defaultdict(list)
    for fact in facts:
        if fact.lane[1] is not None:
            (join if fact.is_start else leave)(lanes[fact.lane], fact)
    return lanes


def join(lane: list[Stay], fact: Fact) -> None:
    if stay := open_stay(lane, fact):
        if fact.has_sid or fact.time - stay.start <= REPEAT:
            return
        stay.presumed_end = fact.time
    lane.append(Stay(fact.connection, fact.session, fact.time))


def leave(lane: list[Stay], fact: Fact) -> None:
    if stay := open_stay(lane, fact):
        stay.left = max(stay.start, fact.time)
        return
    same = [stay.left for stay in lane if stay.connection == fact.connection and stay.left is not None]
    if any(fact.time - left <= REPEAT for left in same):
        return
    start = fact.started_at if fact.started_at is not None and fact.started_at <= fact.time else None
    left = fact.ended_at if fact.ended_at is not None and fact.ended_at <= fact.time else fact.time
    lane.append(Stay(fact.connection, fact.session, start, left))


def open_stay(lane: list[Stay], fact: Fact) -> Stay | None:
    """Rule 4."""
    latest_first = [stay for stay in reversed(lane) if stay.end is None]
    in_session = [stay for stay in latest_first if None in (stay.session, fact.session) or stay.session == fact.session]
    for stay in latest_first if fact.has_sid else in_session:
        if fact.connection is not None and stay.connection == fact.connection:
            return stay
    return next((stay for stay in in_session if None in (stay.connection, fact.connection)), None)


def session_ends(facts: list[Fact], lanes: dict[tuple[str, str], list[Stay]]) -> dict[str, int]:
    """Rule 5."""
    first, last = {}, {}
    for fact in facts:
        if fact.is_start and fact.session:
            first[fact.session] = min(first.get(fact.session, fact.time), fact.time)
            last[fact.session] = max(last.get(fact.session, fact.time), fact.time)
    ends = {}
    for session in last:
        if newer := [time for time in first.values() if time > last[session]]:
            ends[session] = min(newer)
    for (kind, session), lane in lanes.items():
        if kind == "session":
            ends |= {session: stay.left for stay in lane if stay.left is not None}
    return ends


def minutes(of_row: list[Stay]) -> float:
    """Rule 7."""
    length, until = 0, 0
    known = [(stay.start, stay.end) for stay in of_row if stay.start is not None and stay.end is not None]
    for start, end in sorted(known):
        length += max(0, end - max(start, until))
        until = max(until, end)
    return length // HUNDREDTH_OF_A_MINUTE / 100


def micros(time: datetime | None) -> int | None:
    return None if time is None else (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
