"""The room's timeline."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from playwright.sync_api import expect
from stack import START, meeting

ROOM = "friday standup/α"
ADDRESS = "/#/room?provider=livekit&room=friday+standup%2F%CE%B1"


@pytest.fixture(scope="module", autouse=True)
def sent(dev):
    for body in meeting(ROOM):
        dev.livekit(body)


@pytest.fixture
def page(visit):
    page = visit().open(ADDRESS)
    expect(page.locator("svg.timeline")).to_be_visible()
    return page


def span(page, words):
    return page.locator(".span[aria-label*='" + words + "']")


def test_the_rooms_are_those_of_the_command(visit, dev):
    import json
    import subprocess

    from stack import LIVEHOOKS, event, person
    dev.livekit(event("participant_joined", START, "present", **person("one")))
    dev.livekit({"event": "unknown_to_us", "id": "EV_roomless", "createdAt": str(START)})
    listed = subprocess.run([LIVEHOOKS, "rooms", "--json"], cwd=dev.folder, capture_output=True, text=True, check=True)
    rooms = [json.loads(line) for line in listed.stdout.splitlines()]
    page = visit().open("/#/rooms")
    expect(page.locator(".rooms tbody tr")).to_have_count(len(rooms))
    expect(page.get_by_text("Computed from the events received in the last 24 hours.")).to_be_visible()
    cells = lambda row: [cell.strip() for cell in row.locator("td").all_text_contents()]  # noqa: E731
    shown = {tuple(cells(row)[:2]): cells(row)[4:] for row in page.locator(".rooms tbody tr").all()}
    assert shown == {
        (room["room"] or "(no room)", room["provider"]): [
            str(room["events"]), f"{room['present']} of {room['participants']}",
            f"{room['open_recordings']} of {room['recordings']}", str(room["failures"] or "")]
        for room in rooms}
    roomless = page.locator(".rooms tr", has_text="(no room)")
    expect(roomless).to_have_count(1)
    expect(roomless.locator("a")).to_have_count(0)
    dev.livekit(event("participant_joined", START + 1, "present", **person("two")))
    expect(page.locator(".rooms tr", has_text="present").locator("td.present")).to_have_text("2 of 2")


def test_a_room_is_found_by_its_name(visit):
    page = visit().open("/#/rooms")
    page.get_by_role("link", name=ROOM).click()
    expect(page.get_by_role("heading", level=2)).to_contain_text(ROOM)
    expect(page.locator("svg.timeline")).to_be_visible()


def test_everything_that_lasts_has_a_lane(page):
    assert page.locator(".timeline .group").all_text_contents() == [
        "Sessions", "Participants5", "Recordings", "Streams2", "Ingress", "Room"]
    labels = page.locator(".timeline .label").evaluate_all("(all) => all.map((one) => one.lastChild.textContent)")
    assert labels[1:6] == ["Eve", "Ada Lovelace", "Ben Okri", "Chidi Anagonye", "Zoë <b>"]
    expect(span(page, "participant Ben Okri")).to_have_count(2)
    expect(span(page, "participant Ada Lovelace")).to_have_count(1)


def test_bars_are_to_scale(page):
    expect(span(page, "participant Ben Okri")).to_have_count(2)
    hour = span(page, "session").locator("rect").bounding_box()
    stays = [stay.locator("rect").bounding_box() for stay in span(page, "participant Ben Okri").all()]
    per_minute = hour["width"] / 60
    assert abs(stays[0]["x"] - hour["x"] - 0.9 * per_minute) < 2
    assert abs(stays[0]["width"] - 11.1 * per_minute) < 2
    assert abs(stays[1]["x"] - hour["x"] - 14.5 * per_minute) < 2


def test_gaps_failures_and_open_spans_look_different(page):
    expect(span(page, "participant Zoë")).to_have_class(re.compile("endless"))
    expect(span(page, "participant Eve")).to_have_class(re.compile("startless"))
    expect(span(page, "participant Ada")).not_to_have_class(re.compile("endless|startless"))
    expect(page.locator(".span.failed")).to_have_count(1)
    expect(page.locator(".marker.failure")).to_have_count(2)


def test_hovering_and_the_keyboard_show_details(page):
    tip = page.get_by_role("tooltip")
    span(page, "participant Zoë").hover()
    expect(tip).to_contain_text("participant Zoë <b>")
    expect(tip).to_contain_text("the end event was never received; ended by 2026-03-05 19:00:00.000")
    page.locator(".marker.failure").first.focus()
    expect(tip).to_contain_text("rtmp: connection refused")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Details").get_by_role("heading", level=2)).to_have_text("live.stream.failed")


def test_zoom_is_kept_in_the_address(page, visit):
    failed = page.locator(".span.failed rect")
    expect(failed).to_be_visible()
    before = failed.bounding_box()["width"]
    page.get_by_role("button", name="Zoom in (+)").click()
    assert failed.bounding_box()["width"] > before * 1.3
    expect(page).to_have_url(re.compile(r"from=\d+&to=\d+"))
    once = page.url
    page.keyboard.press("+")
    expect(page).not_to_have_url(once)
    shared = visit().open("/" + page.url.split("/", 3)[3])
    expect(shared.locator("svg.timeline")).to_be_visible()
    assert ticks(shared) == ticks(page)
    page.keyboard.press("ArrowRight")
    assert ticks(shared) != ticks(page)
    page.keyboard.press("-")
    page.keyboard.press("0")
    expect(page).not_to_have_url(re.compile("from="))
    assert abs(failed.bounding_box()["width"] - before) < 1


def ticks(page):
    return page.locator(".timeline .axis text").all_text_contents()


def test_wheel_and_drag(page):
    box = page.locator("svg.timeline").bounding_box()
    before = ticks(page)
    page.mouse.move(box["x"] + 700, box["y"] + 200)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    page.wait_for_timeout(50)
    zoomed = ticks(page)
    assert zoomed != before
    page.mouse.move(box["x"] + 700, box["y"] + 430)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 430)
    page.mouse.up()
    assert ticks(page) != zoomed


def test_a_deep_link_shows_a_period(visit):
    page = visit().open(f"{ADDRESS}&from={(START + 600) * 1000}&to={(START + 960) * 1000}")
    expect(page.locator("svg.timeline")).to_be_visible()
    assert ticks(page)[-1] == "18:16"
    expect(span(page, "participant Ben Okri")).to_have_count(2)
    expect(page.locator(".marker.failure")).to_have_count(0)


def test_the_timeline_grows_with_new_events(page, dev):
    from stack import event, person
    dev.livekit(event("participant_joined", START + 1800, ROOM, **person("late", "Late Comer")))
    expect(span(page, "participant Late Comer")).to_have_count(1)


def test_the_export_is_a_standalone_svg(page, tmp_path):
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as SVG").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.name == "friday-standup-.svg"
    root = ElementTree.parse(file).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    text = Path(file).read_text()
    assert "Zoë &lt;b&gt;" in text and "var(" not in text and "<script" not in text and "class=" not in text
    [bar] = [part for part in root.iter("{http://www.w3.org/2000/svg}rect") if part.get("stroke-dasharray") == "4px, 3px"][:1]
    assert bar.get("fill").startswith("rgb(")


def test_equal_names_are_told_apart_and_wrong_clocks_do_not_stretch_the_axis(visit, dev):
    from time import time

    from stack import event, person
    now = time()
    for at, who, name in [(now - 60, "guest-0001", "Guest"), (now - 50, "guest-0002", "Guest"), (now, "bob", "Bob"), (now - 365 * 86_400, "late", "A year ago")]:
        dev.livekit(event("participant_joined", at, "guests", **person(who, name)))
    page = visit().open("/#/room?provider=livekit&room=guests")
    labels = page.locator(".timeline .label")
    expect(labels).to_have_count(4)
    shown = labels.evaluate_all("(all) => all.map((one) => one.lastChild.textContent)")
    assert shown[1:] == ["Guest guest-0001", "Guest guest-0002", "Bob"]
    expect(page.get_by_text("One time lies outside: its clock is months off.")).to_be_visible()
    expect(span(page, "participant A year ago").locator(".outside")).to_have_text("«")
    guest = span(page, "participant Guest").first.locator("rect").bounding_box()
    assert guest["width"] > 200, "the last minute fills the axis"


def test_an_unknown_room_is_reported(browser, dev):
    from conftest import Visit
    visit = Visit(browser, dev.url)
    page = visit.open("/#/room?provider=livekit&room=nowhere")
    expect(page.get_by_text("The table holds no event of this room.")).to_be_visible()
    visit.troubles.clear()
    visit.end()
