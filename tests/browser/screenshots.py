"""Writes the README's screenshots: `tests/browser/run screenshots.py`."""

from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import expect
from stack import EXAMPLE, ROOT, meeting

FOLDER = ROOT / "docs/screenshots"
ROOM = "friday-standup"
# The room of the README's first picture.
SIMULATED = "standup"


@pytest.fixture(scope="module")
def chosen(dev):
    """Sends the events for the screenshots, and returns the id of the event to open."""
    FOLDER.mkdir(exist_ok=True)
    dev.simulate("livekit", "--room", SIMULATED, "--seed", "7")
    dev.send("all", "--room", "daily")
    for body in meeting(ROOM):
        dev.livekit(body)
    dev.send(EXAMPLE, "participant_joined", "--room", "daily", "--duplicate")
    dev.forge(EXAMPLE, "room_started")
    dev.send("videosdk", "participant-joined", "--room", "town-hall")
    sent = dev.send("livekit", "participant_joined", "--room", "daily", "--participant", "zoe", "--duplicate")
    dev.send("100ms", "peer.join.success", "--room", "town-hall")
    return sent.split()[-1]


def shot(page, name):
    expect(page.locator("#status")).to_have_text("live")
    file = FOLDER / f"{name}.png"
    picture = Image.open(BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    # Keep rare but important colors: red, amber.
    picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(file, optimize=True)
    assert file.stat().st_size < 150_000


@pytest.mark.parametrize("name, scheme", [("event", "light"), ("dark", "dark")])
def test_event(visit, chosen, name, scheme):
    page = visit(color_scheme=scheme).open(f"/#/events?event=livekit/{chosen}")
    expect(page.get_by_label("Details").get_by_role("heading", level=2)).to_be_visible()
    shot(page, name)


@pytest.mark.parametrize("name, scheme", [("list", "light"), ("list-dark", "dark")])
def test_list(visit, chosen, name, scheme):
    page = visit(color_scheme=scheme).open()
    expect(page.locator(".row").first).to_be_visible()
    shot(page, name)


def test_timeline(visit, chosen):
    page = visit(viewport={"width": 1280, "height": 640}).open(f"/#/room?provider=livekit&room={SIMULATED}")
    page.locator(".span").nth(3).hover()
    shot(page, "timeline")


def test_phone(visit, chosen):
    page = visit(viewport={"width": 375, "height": 667}).open(f"/#/room?provider=livekit&room={ROOM}")
    expect(page.locator("svg.timeline")).to_be_visible()
    shot(page, "phone")
