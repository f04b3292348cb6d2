"""10,000 events."""

import json
import urllib.request

import pytest
from playwright.sync_api import expect
from stack import EVENING, Dev, event, person

MANY = 10_000
# On a quiet machine the longest task takes 60 ms. This is for a machine that compiles beside it.
TASK_MS_MAX = 500


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    """A stack that finds 10,000 events in its data folder: one was sent, the others are written like it."""
    folder = tmp_path_factory.mktemp("many")
    before = Dev(folder, "--data", "data")
    before.livekit(event("participant_joined", EVENING, "room 0", **person("user-0")))
    [item] = call(before, "Scan", {"TableName": "Events"})["Items"]
    text = json.loads(item["event"]["S"])
    for first in range(1, MANY, 25):
        puts = []
        for n in range(first, min(first + 25, MANY)):
            second = f"2026-03-05T{18 + n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}"
            text |= {"id": f"EV_{n}", "subject": f"room {n % 50}", "recordedtime": second + "Z"}
            text["data"]["participant"] |= {"id": f"user-{n}"}
            changed = {"event_key": {"S": f"livekit#EV_{n}"}, "event": {"S": json.dumps(text)}, "write_id": {"S": str(n)},
                       "room_key": {"S": f"livekit#room {n % 50}"}, "received_at": {"S": second + ".000000000Z"}}
            puts.append({"PutRequest": {"Item": item | changed}})
        call(before, "BatchWriteItem", {"RequestItems": {"Events": puts}})
    before.stop()
    dev = Dev(folder, "--data", "data")
    yield dev
    dev.stop()


def call(dev, operation, parameters):
    """The embedded DynamoDB, which takes any credentials."""
    headers = {"X-Amz-Target": f"DynamoDB_20120810.{operation}", "Content-Type": "application/x-amz-json-1.0", "Authorization":
               "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=any", "X-Amz-Date": "20260101T000000Z"}
    address = dev.banner["dynamodb"].split()[0]
    with urllib.request.urlopen(urllib.request.Request(address, json.dumps(parameters).encode(), headers)) as answer:
        return json.load(answer)


def test_ten_thousand_events_do_not_stutter(visit):
    visitor = visit()
    page = visitor.open()
    expect(page.get_by_role("button", name="All 10,000")).to_be_visible()
    loaded = page.evaluate("() => performance.getEntriesByName('loaded')[0].startTime")
    loading = page.evaluate("() => longTasks.splice(0)")
    assert page.locator(".row").count() < 100, "only what is in sight is there"

    page.evaluate("""async () => {
        const grid = document.querySelector('[role=grid]');
        for (let step = 0; step < 60; step += 1) {
            grid.scrollTop = (grid.scrollHeight / 60) * step;
            await new Promise(requestAnimationFrame);
        }
    }""")
    scrolling = page.evaluate("() => longTasks.splice(0)")
    page.get_by_label("Find in events").press_sequentially("user-99")
    expect(page.get_by_role("button", name="All 111")).to_be_visible()
    page.get_by_label("Find in events").fill("")
    page.get_by_label("Every room").select_option("room 7")
    expect(page.get_by_role("button", name="All 200")).to_be_visible()
    filtering = page.evaluate("() => longTasks.splice(0)")
    for name, tasks in {"loading": loading, "scrolling": scrolling, "filtering": filtering}.items():
        print(f"{name}: longest task {max(tasks, default=0):.0f} ms, {len(tasks)} over 50 ms")
        assert max(tasks, default=0) < TASK_MS_MAX, name
    print(f"all shown {loaded:.0f} ms after the page was asked for")


def test_what_is_being_read_stays_while_events_arrive(visit, dev):
    page = visit().open()
    expect(page.get_by_role("button", name="All 10,000")).to_be_visible()
    grid = page.get_by_role("grid")
    grid.evaluate("(grid) => { grid.scrollTop = 280; }")
    seen = "(grid) => { const top = grid.getBoundingClientRect().top; return [...grid.querySelectorAll('.row')].find((row) => row.getBoundingClientRect().top >= top - 1).dataset.n; }"
    expect(page.locator(".row[aria-rowindex='11']")).to_be_visible()
    before = grid.evaluate(seen)
    for n in range(3):
        dev.livekit(event("participant_joined", EVENING + MANY + n, "news", **person(f"late-{n}")))
    expect(page.get_by_role("button", name="3 new")).to_be_visible()
    assert grid.evaluate(seen) == before
    page.get_by_role("button", name="3 new").click()
    expect(page.locator(".row").first.locator(".room")).to_have_text("news")
    expect(page.get_by_role("button", name="3 new")).to_be_hidden()
