"""`livehooks inspect --stack`: CloudFormation is stood in for, the table is that of a local stack."""

import re
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import expect
from stack import Inspect, meeting


@pytest.fixture(scope="module")
def inspected(dev):
    for body in meeting("friday"):
        dev.livekit(body)
    inspect = Inspect(dev.banner["dynamodb"].split()[0])
    yield inspect.url
    inspect.stop()


def test_a_deployed_table_is_shown_and_followed(visit, inspected, dev):
    page = visit(inspected).open()
    expect(page.locator(".row")).to_have_count(20)
    expect(page.locator("#about")).to_have_text("meetings · eu-central-1")
    expect(page.get_by_text("Stored events only.")).to_contain_text("sam logs --stack-name meetings --region eu-central-1")
    dev.send("livekit", "room_started", "--room", "news")
    expect(page.locator(".row").first.locator(".room")).to_have_text("news")
    expect(page.locator(".row")).to_have_count(21)


def test_its_rooms_and_events_are_as_those_of_the_local_stack(visit, inspected):
    page = visit(inspected).open("/#/room?provider=livekit&room=friday")
    page.locator(".span.failed").click()
    panel = page.get_by_label("Details")
    expect(panel.get_by_role("heading", level=2)).to_have_text(re.compile(r"live\.stream\.started"))
    expect(panel).to_contain_text("the keys stay in Secrets Manager")
    expect(panel.locator("[data-form=curl]")).to_have_count(0)
    panel.locator("[data-form=sam]").click()
    expect(panel.locator(".said")).to_contain_text("sam local invoke LivekitFunction")


def test_it_only_reads(inspected):
    """Its API has no other method than GET."""
    for path in ["/", "/api/event", "/api/live", "/webhooks/livekit"]:
        with pytest.raises(urllib.error.HTTPError) as answer:
            urllib.request.urlopen(urllib.request.Request(inspected + path, b"{}", method="POST"))
        assert answer.value.code in (404, 405)
