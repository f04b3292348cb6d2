"""One event in full, and sending it again."""

import json
import re
import subprocess

import pytest
from playwright.sync_api import expect
from stack import EXAMPLE, ROOT, event, person


@pytest.fixture(scope="module")
def joined(dev):
    """An event with large numbers and two secrets in it, sent twice."""
    body = event("participant_joined", 1_772_733_600, "standup", **person("ada", "Ada", version=9007199254740993))
    dev.livekit(body)
    return dev.livekit(body)


@pytest.fixture
def panel(visit, joined):
    page = visit().open(f"/#/events?event=livekit/{joined}")
    panel = page.get_by_label("Details")
    expect(panel.get_by_role("heading", level=2)).to_have_text("live.participant.joined")
    return panel


def fact(panel, title, name):
    section = panel.locator("section", has=panel.page.get_by_role("heading", name=title, exact=True))
    return section.locator(f"dt:text-is('{name}') + dd")


def test_times_and_lags(panel):
    expect(fact(panel, "Times", "occurred")).to_contain_text("2026-03-05 18:00:00.000")
    expect(fact(panel, "Times", "occurred")).to_contain_text("provider's clock")
    for name in ["received", "stored", "published"]:
        expect(fact(panel, "Times", name)).to_contain_text("+")
        expect(fact(panel, "Times", name).locator("time")).to_be_visible()


def test_verification_and_dedupe(panel):
    expect(fact(panel, "Verification", "assurance")).to_contain_text("signed")
    expect(fact(panel, "Verification", "scheme")).to_contain_text("HS256")
    expect(fact(panel, "Verification", "key")).to_have_text("APIdevelopment")
    expect(fact(panel, "Dedupe", "decision")).to_have_text(re.compile("^new: no item had this key.*1 duplicate since$"))
    expect(fact(panel, "Dedupe", "basis")).to_contain_text("provider-id")
    expect(fact(panel, "Dedupe", "key")).to_contain_text("livekit#EV_participant_joined")
    expect(panel.locator(".deliveries li")).to_have_count(2)


def test_normalized_stands_beside_the_providers_own_json(panel):
    normalized, raw = panel.get_by_label("Normalized JSON"), panel.get_by_label("livekit's JSON JSON")
    assert json.loads(normalized.inner_text())["data"]["participant"]["name"] == "Ada"
    assert "raw" not in json.loads(normalized.inner_text())["data"]
    assert json.loads(raw.inner_text())["event"] == "participant_joined"
    assert "9007199254740993" in raw.inner_text(), "no digit is lost"
    left, right = normalized.bounding_box(), raw.bounding_box()
    assert left["x"] + left["width"] <= right["x"], "they stand side by side"


def test_secrets_are_struck_out_wherever_an_event_is_shown_or_copied(panel):
    assert '"turnPassword": "[redacted]"' in panel.get_by_label("livekit's JSON JSON").inner_text()
    for form in ["curl", "sam", "fixture"]:
        assert "turn-secret" not in copied(panel, form)
    assert "turn-secret" not in panel.page.content()


def published(panel):
    """Waits for the event to be published: until then the panel may be drawn again, and "Copied" with it."""
    expect(fact(panel, "Times", "published").locator("time")).to_be_visible()


def copied(panel, form):
    """What a button puts on the clipboard."""
    panel.locator(f"[data-form={form}]").click()
    expect(panel.locator(f"[data-form={form}]")).to_have_text("Copied")
    text = panel.page.evaluate("() => navigator.clipboard.readText()")
    assert text == panel.locator(".script").inner_text()
    return text


def test_the_curl_command_is_taken(panel, dev, joined):
    done = subprocess.run(["bash", "-c", copied(panel, "curl")], capture_output=True, text=True)
    assert json.loads(done.stdout) == {"status": "duplicate", "id": joined}, done.stderr
    expect(fact(panel, "Dedupe", "decision")).to_contain_text("2 duplicates since")


def test_the_curl_command_of_every_provider_is_taken_and_shows_no_standing_secret(visit, dev):
    for provider, kind in {"100ms": "peer.join.success", "videosdk": "session-started", EXAMPLE: "room_started"}.items():
        sent = dev.send(provider, kind, "--room", "it's \"quoted\" $(here) \u202e").split()
        page = visit().open(f"/#/events?event={provider}/{sent[-1]}")
        panel = page.get_by_label("Details")
        published(panel)
        command = copied(panel, "curl")
        assert "\u202e" not in command
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        assert json.loads(done.stdout)["status"] == "duplicate", (provider, command, done.stdout, done.stderr)
        assert dev.keys["100ms"]["headers"][0]["values"][0] not in command


def test_the_sam_event_is_for_the_function_and_the_keys_in_events(panel):
    envelope = json.loads(copied(panel, "sam"))
    checked_in = json.loads((ROOT / "events/livekit/participant.json").read_text())
    assert envelope.keys() == checked_in.keys()
    assert envelope["routeKey"] == "POST /webhooks/livekit"
    assert json.loads(envelope["body"])["event"] == "participant_joined"
    expect(panel.locator(".said")).to_contain_text("sam local invoke LivekitFunction")


def test_the_fixture_is_one(panel, tmp_path):
    script, command = copied(panel, "fixture").rsplit("UPDATE_EXPECT=1 ", 1)
    subprocess.run(["bash", "-ec", script], cwd=tmp_path, check=True)
    [folder] = (tmp_path / "tests/fixtures/livekit/ok").iterdir()
    context = json.loads((folder / "context.json").read_text())
    assert context["keys"] == json.loads((ROOT / "events/keys.json").read_text())["livekit"]
    assert (folder / "request.http").read_text().startswith("POST /webhooks/livekit HTTP/1.1\n")
    assert command.startswith("cargo test -p livehooks-tests --test conformance")


def test_an_event_that_is_not_there_is_said_so(browser, dev):
    from conftest import Visit
    visit = Visit(browser, dev.url)
    page = visit.open("/#/events?event=livekit/nobody")
    expect(page.get_by_label("Details")).to_contain_text("The table holds no event of this provider with this id.")
    assert [trouble for trouble in visit.troubles if "404" not in trouble] == []
    visit.troubles.clear()
    visit.end()


def test_a_body_that_is_no_json_is_shown_in_base64(visit, dev):
    from signing import ApiKey, Delivery, body_hash_token
    name, secret = next(iter(dev.keys["livekit"]["keys"].items()))
    body = b"\x00\xff no json"
    sent = dev.post(Delivery("livekit", "/webhooks/livekit", {"Authorization": body_hash_token(body, ApiKey(name, secret), None)}, body))
    page = visit().open(f"/#/events?event=livekit/{sent['id']}")
    panel = page.get_by_label("Details")
    expect(panel.get_by_label("Body in base64")).to_have_text("AP8gbm8ganNvbg==")
    published(panel)
    done = subprocess.run(["bash", "-c", copied(panel, "curl")], capture_output=True, text=True)
    assert json.loads(done.stdout)["status"] == "duplicate", done.stderr
