"""The three consumers agree with each other and with `livehooks timeline`."""

import json
import random

import pytest
from consumer import CONSUMERS, FEEDS, Consumer
from meetings import ROOT, deliveries, dev, notifications, shown, simulate  # noqa: F401

PROVIDERS = json.loads((ROOT / "schema/event.schema.json").read_text())["$defs"]["Provider"]["enum"]
# One room has two meetings at the same time.
ROOMS = ["monday", "tuesday", "tuesday"]
DEFAULTS = json.loads((CONSUMERS / "cases.json").read_text())["defaults"]


@pytest.fixture(scope="module")
def consumers(dev):
    dynamodb = dev.banner["dynamodb"].split()[0]
    consumers = {name: Consumer(name, dynamodb) for name in FEEDS}
    yield consumers
    for consumer in consumers.values():
        consumer.stop()


def test_on_simulated_meetings_of_every_provider(dev, consumers):
    for seed, room in enumerate(ROOMS):
        simulate(dev, "all", room, seed)
    published = notifications(dev)
    rooms = sorted({(one["message"]["provider"], one["message"]["subject"]) for one in published if "subject" in one["message"]})
    unreadable = ["not JSON", "[]", "{}", '{"type": "live.participant.joined"}']
    time = "2026-03-05T18:00:00Z"
    newer = [json.dumps(DEFAULTS | {"id": id, "type": type, "time": time, "recordedtime": time, "gravity": 1, "data": data})
             for id, type, data in [("1", "live.participant.levitated", {"levitation": {"height_m": 2}}),
                                    ("2", "live.participant.joined", {"participant": {"id": "ann", "shoes": "red"}})]]
    for name, consumer in consumers.items():
        wanted = [json.dumps(one["message"]) for one in published if one["attributes"]["type"] in consumer.policy["type"]]
        assert sorted(consumer.collect(deliveries(wanted + newer, seed=7) + unreadable)) == sorted(unreadable), name
        # Everything again, one copy each, in another order.
        assert consumer.collect(deliveries(wanted, seed=8, copies_max=1)) == [], name
        assert consumer.attendance("livekit", "standup") == [
            {"session": None, "participant": "ann", "name": None, "minutes": 0, "present": True}]
    present, total = 0, 0
    for provider, room in rooms:
        first, *others = [consumer.attendance(provider, room) for consumer in consumers.values()]
        assert others == [first, first], (provider, room)
        found = {(row["session"], row["participant"]): (row["minutes"], row["present"]) for row in first}
        assert found == shown(dev, provider, room), (provider, room)
        present += sum(is_present for _, is_present in found.values())
        total += len(found)
        print(f"{provider:12} {len(found)} participants, {sum(minutes for minutes, _ in found.values()):8.2f} minutes")
    assert {provider for provider, _ in rooms} == {*PROVIDERS}
    assert total > 100 and present > 0


def test_on_random_events(consumers):
    chance = random.Random(1)
    for _ in range(500):
        meeting = [random_event(chance, index) for index in range(chance.randint(1, 16))]
        first, *others = [consumer.call("attendance", chance.sample(meeting, len(meeting)) + chance.choices(meeting, k=3))
                          for consumer in consumers.values()]
        assert others == [first, first], meeting


def random_event(chance: random.Random, index: int) -> dict:
    time = lambda: f"2026-03-05T18:0{chance.randint(0, 9)}:{chance.randint(0, 2):02}{chance.choice(['', '.5', '.250001'])}Z"  # noqa: E731
    some = lambda *values: chance.choice(values + (None,))  # noqa: E731
    kind = chance.choice(["session.started", "session.ended", "participant.joined", "participant.left"])
    data = {
        "session": {"id": some("s1", "s2"), "started_at": some(time()), "ended_at": some(time())},
        "participant": {"id": some("a", "b"), "sid": some("a", "c"), "user_id": some("a"), "name": some("A", "B"),
                        "joined_at": some(time()), "left_at": some(time())},
    }
    known = {name: {key: value for key, value in part.items() if value} for name, part in data.items()}
    return {**DEFAULTS, "id": str(index), "type": f"live.{kind}", "time": time(), "recordedtime": time(),
            "data": {name: part for name, part in known.items() if part and chance.random() < 0.9}}
