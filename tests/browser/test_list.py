"""The live list: new rows, statuses, filters."""

import re

import pytest
from playwright.sync_api import expect
from stack import EXAMPLE


@pytest.fixture(scope="module", autouse=True)
def sent(dev):
    assert "200 accepted" in dev.send(EXAMPLE, "participant_joined", "--room", "standup", "--duplicate")
    assert "200 accepted" in dev.send("livekit", "egress_ended", "--room", "town hall")
    assert "200 accepted" in dev.send("livekit", "participant_left", "--room", "town hall")
    assert "200 accepted" in dev.send("100ms", "peer.join.success", "--room", "standup")
    assert "401" in dev.forge(EXAMPLE, "room_started")


def rows(page):
    return page.locator(".row")


def test_stored_duplicate_and_rejected_look_different(visit):
    page = visit().open()
    expect(rows(page)).to_have_count(6)
    statuses = [text.strip() for text in rows(page).locator(".what").all_text_contents()]
    assert [text[1:] for text in statuses] == ["rejected", "stored", "stored", "stored", "duplicate", "stored"]
    assert len({text[0] for text in statuses}) == 3, "each status has its own mark, not only a color"
    expect(rows(page).first.locator(".type")).to_have_text("wrong_key")
    expect(rows(page).first.locator(".why")).to_contain_text("found another signature")
    for name, count in {"All": 6, "Stored": 4, "Duplicates": 1, "Rejected": 1}.items():
        expect(page.get_by_role("button", name=f"{name} {count}")).to_be_visible()


def test_a_participant_is_called_by_name(visit):
    page = visit().open("/#/events?provider=livekit&type=live.participant.left")
    expect(rows(page).locator(".participant")).to_have_text("Zoë <b>")
    page.get_by_label("Find in events").fill("user-42")
    expect(rows(page)).to_have_count(1)
    rows(page).first.click()
    expect(page.get_by_label("Details").locator(".line")).to_contain_text("Zoë <b>")


def test_events_appear_as_they_arrive(visit, dev):
    page = visit().open()
    expect(rows(page)).to_have_count(6)
    dev.send("videosdk", "participant-joined", "--room", "late")
    expect(rows(page)).to_have_count(7)
    newest = rows(page).first
    expect(newest.locator(".room")).to_have_text("late")
    expect(newest.locator(".lag")).to_have_text(re.compile(r"^[\d.]+ (ms|s)$"))


def test_filters_by_provider_type_room_and_text(visit):
    page = visit().open()
    page.get_by_label("Every provider").select_option("livekit")
    expect(rows(page)).to_have_count(2)
    page.get_by_label("Every provider").select_option("")
    page.get_by_label("Every type").select_option("live.participant.*")
    expect(rows(page)).to_have_count(5)
    page.get_by_label("Every type").select_option("live.recording.ready")
    expect(rows(page)).to_have_count(1)
    page.get_by_label("Every type").select_option("")
    page.get_by_label("Every room").select_option("standup")
    expect(rows(page)).to_have_count(3)
    page.get_by_label("Every room").select_option("")
    page.get_by_label("Find in events").fill("TOWN egress")
    expect(rows(page)).to_have_count(1)
    page.get_by_label("Find in events").fill("nothing like it")
    expect(page.get_by_text("No events match these filters.")).to_be_visible()
    page.get_by_role("link", name="Show all").click()
    expect(rows(page)).to_have_count(7)


def test_duplicates_and_rejections_can_be_filtered(visit):
    page = visit().open()
    page.get_by_role("button", name="Duplicates").click()
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_role("button", name="Duplicates")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Rejected").click()
    expect(rows(page).locator(".what")).to_have_text(["✕rejected"])


def test_filters_are_in_the_address(visit):
    shared = visit()
    page = shared.open(f"/#/events?provider={EXAMPLE}&became=duplicate&text=standup")
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_label("Find in events")).to_have_value("standup")
    page.reload()
    expect(rows(page)).to_have_count(1)


def test_a_rejection_has_its_reason_and_advice(visit):
    page = visit().open("/#/events?became=rejected")
    rows(page).first.click()
    panel = page.get_by_label("Details")
    expect(panel.get_by_role("heading", level=2)).to_have_text("wrong_key")
    expect(panel).to_contain_text("expected a token signed with the secret of API key")
    expect(panel.locator(".advice")).to_have_text(re.compile("compare the secret of this API key with the provider's"))
    expect(panel).to_contain_text("401, final")


def test_a_page_that_lost_the_server_resumes(visit, dev):
    page = visit().open()
    expect(rows(page)).to_have_count(7)
    page.context.set_offline(True)
    page.context.set_offline(False)
    dev.send("livekit", "room_started", "--room", "afterwards")
    expect(page.locator(".row .room").first).to_have_text("afterwards")
    expect(rows(page)).to_have_count(8)


def test_an_empty_stack_says_what_to_do(visit, tmp_path):
    from stack import Dev
    empty = Dev(tmp_path)
    try:
        page = visit(empty.url).open()
        expect(page.get_by_text(f"cargo livehooks send {EXAMPLE} participant_joined")).to_be_visible()
        page.goto(f"{empty.url}/#/rooms")
        expect(page.get_by_text("No event of the last 24 hours has named a room.")).to_be_visible()
    finally:
        visit_page_left(page)
        empty.stop()


def visit_page_left(page):
    page.goto("about:blank")
