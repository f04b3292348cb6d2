"""Simulated meetings on the local stack, and the attendance that `livehooks timeline` shows of them."""

import importlib.util
import json
import os
import random
import subprocess
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIVEHOOKS = os.environ["LIVEHOOKS"]

spec = importlib.util.spec_from_file_location("local_stack", ROOT / "tests/browser/stack.py")
local_stack = importlib.util.module_from_spec(spec)
spec.loader.exec_module(local_stack)
Dev = local_stack.Dev


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    dev = Dev(tmp_path_factory.mktemp("stack"))
    yield dev
    dev.stop()


def simulate(dev: Dev, provider: str, room: str, seed: int) -> None:
    """A meeting of this provider, or of `all`."""
    run = subprocess.run(
        [LIVEHOOKS, "simulate", provider, "--room", room, "--seed", str(seed), "--participants", "8",
         "--duplicates", "20", "--reorder", "20", "--lose-ends", "20", "--url", dev.url, "--keys", dev.banner["keys"]],
        cwd=dev.folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def notifications(dev: Dev) -> list[dict]:
    """All notifications, once every stored event is published: `message` and `attributes` of each."""
    stored = len(get(f"{dev.url}/api/events?limit=10000"))
    deadline = time.monotonic() + 60
    while True:
        with urllib.request.urlopen(f"{dev.url}/api/announcements?replay=all&follow=false", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        found = [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]
        if len(found) >= stored:
            return found
        assert time.monotonic() < deadline, f"{len(found)} of {stored} events were published"
        time.sleep(0.2)


def get(url: str):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


def deliveries(messages: list[str], seed: int, copies_max: int = 3) -> list[str]:
    """The messages as SQS may deliver them: in any order, and more than once."""
    chance = random.Random(seed)
    delivered = [message for message in messages for _ in range(chance.randint(1, copies_max))]
    chance.shuffle(delivered)
    return delivered


def shown(dev: Dev, provider: str, room: str) -> dict:
    """Minutes, and who is present, by session and participant, as `livehooks timeline --json` shows them."""
    run = subprocess.run([LIVEHOOKS, "timeline", room, "--provider", provider, "--json"],
                         cwd=dev.folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    stays: dict = {}
    for lane in json.loads(run.stdout)["lanes"]:
        if lane["kind"] == "participant":
            for span in lane["spans"]:
                stays.setdefault((span["session"], lane["key"]), []).append((span["from"], span["to"] or span["presumed_end"]))
    return {key: (minutes(times), any(end is None for _, end in times)) for key, times in stays.items()}


def minutes(times: list[tuple]) -> float:
    length = until = 0
    for start, end in sorted((micros(start), micros(end)) for start, end in times if start and end):
        length += max(0, end - max(start, until))
        until = max(until, end)
    return length // 600_000 / 100


def micros(time: str) -> int:
    seconds, _, fraction = time.removesuffix("Z").partition(".")
    whole = datetime.fromisoformat(seconds).replace(tzinfo=UTC).timestamp()
    return int(whole) * 1_000_000 + int(f"{fraction:0<6}"[:6])
