"""What holds for the whole page: its policy, hostile payloads, the keyboard, widths and colours."""

import http.client
import re
import urllib.error
import urllib.request
from urllib.parse import quote, urlencode, urlsplit

import pytest
from playwright.sync_api import expect
from stack import START, egress, event, person

HOSTILE = {
    "markup": '<img src=x onerror="document.title=1"><script>document.title=1</script>',
    "end of script": "</script><svg onload=alert(1)>",
    "right to left": "\u202egnp.exe\u2066\u200b",
    "controls": "a\u0000\u0007\u001b[2Jb\u0085c\ufeff\uffff",
    "link": "javascript:document.title=1",
    "quotes": "\"';--`${1}'",
    "slashes": "../../a/b?c#d&e=%2F%zz",
    "long": "w" * 10_000,
    "long with spaces": "word " * 2_000,
    "astral": "👩‍👩‍👧𝕏" * 200,
}


UNSEEN = re.compile("[\u202a-\u202e\u2066-\u2069\u200b\u0085\u001b\ufeff]")


@pytest.fixture(scope="module")
def hostile(dev):
    """Each text as room, participant, names and message; returns the ids."""
    ids = {}
    for name, text in HOSTILE.items():
        dev.livekit(event("participant_joined", START, text, **person(text, text)))
        failed = event("egress_ended", START + 60, text, **egress(1, "EGRESS_FAILED", error=text))
        failed["event"] = "egress_ended"
        ids[name] = dev.livekit(failed)
    dev.livekit({"event": HOSTILE["markup"], "id": "EV_unknown", "createdAt": str(START)})
    return ids


def test_the_files_come_with_a_strict_policy(dev):
    for path, kind in {"/": "text/html", "/page/app.js": "text/javascript", "/page/style.css": "text/css", "/page/icon.svg": "image/svg+xml"}.items():
        with urllib.request.urlopen(dev.url + path) as answer:
            assert answer.headers["content-type"].startswith(kind)
            policy = answer.headers["content-security-policy"].split("; ")
            assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy)
            assert "unsafe" not in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/api/live", "/api/event?provider=livekit&id=x", "/api/timeline?provider=x&room=x", "/api/again?provider=x&id=x&form=curl"])
def test_a_name_that_was_made_point_here_is_rejected(dev, path):
    connection = http.client.HTTPConnection(urlsplit(dev.url).netloc)
    connection.request("GET", path, headers={"Host": "evil.example:3000"})
    assert connection.getresponse().status == 403


def test_no_other_page_may_read_it(dev):
    request = urllib.request.Request(dev.url + "/api/events", headers={"Origin": "https://evil.example"})
    with pytest.raises(urllib.error.HTTPError) as rejected:
        urllib.request.urlopen(request)
    assert rejected.value.status == 403
    assert rejected.value.headers["access-control-allow-origin"] is None


def test_hostile_texts_are_texts_in_the_list(visit, hostile):
    page = visit().open()
    expect(page.locator(".row")).to_have_count(21)
    assert page.locator(".row img, .row script, .row svg, .row a").count() == 0
    shown = "\n".join(page.locator(".row .room").all_text_contents())
    assert HOSTILE["markup"] in shown and HOSTILE["end of script"] in shown
    assert "\\u{202e}gnp.exe" in shown and "\\u{1b}[2J" in shown
    assert not UNSEEN.search(page.locator("body").inner_text())
    expect(page).to_have_title("Events · livehooks")
    heights = page.locator(".row").evaluate_all("(all) => [...new Set(all.map((one) => one.offsetHeight))]")
    assert len(heights) == 1, "no text makes its row higher"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_are_texts_everywhere(visit, hostile, name):
    visitor = visit()
    page = visitor.open(f"/#/events?{urlencode({'event': 'livekit/' + hostile[name]})}")
    panel = page.get_by_label("Details")
    expect(panel.get_by_role("heading", level=2)).to_have_text("live.recording.failed")
    assert panel.locator("img, script, svg, iframe").count() == 0
    assert panel.locator("a").evaluate_all("(all) => all.filter((a) => !a.getAttribute('href').startsWith('#/')).length") == 0
    assert fits(page)
    link = panel.locator(".line a")
    link.click()
    expect(page.locator("svg.timeline")).to_be_visible()
    expect(page.locator(".timeline .group").filter(has_text="Participants")).to_be_visible()
    assert page.locator("svg.timeline :is(script, image, a, foreignObject)").count() == 0
    page.locator(".span, .marker").first.hover()
    assert fits(page)
    expect(page).to_have_title(re.compile("livehooks$"))
    assert not UNSEEN.search(page.locator("body").inner_text())


def fits(page):
    return page.evaluate("() => document.documentElement.scrollWidth <= innerWidth && document.body.scrollWidth <= innerWidth")


@pytest.mark.parametrize("view", ["/#/events", "/#/rooms", "/#/room?provider=livekit&room=" + quote(HOSTILE["markup"]), "detail"])
def test_at_phone_width_nothing_scrolls_sideways(visit, hostile, view):
    path = f"/#/events?{urlencode({'event': 'livekit/' + hostile['long']})}" if view == "detail" else view
    page = visit(viewport={"width": 375, "height": 667}, has_touch=True, is_mobile=True).open(path)
    expect(page.locator("#detail h2" if view == "detail" else ".row, td, svg.timeline").first).to_be_visible()
    assert fits(page)
    wide = "(all) => all.filter((one) => one.getBoundingClientRect().right > innerWidth + 0.5 && getComputedStyle(one).visibility === 'visible').map((one) => one.outerHTML.slice(0, 200))"
    assert page.locator("header *, .filters *, .row, .toolbar *, #detail > *, .legend *").evaluate_all(wide) == []
    if view == "detail":
        page.get_by_role("link", name="Close").click()
        expect(page.locator(".row").first).to_be_visible()


def test_the_keyboard_is_enough(visit, hostile):
    page = visit().open()
    expect(page.locator(".row")).to_have_count(21)
    page.keyboard.press("j")
    expect(page.locator(".row[aria-selected=true]")).to_have_attribute("aria-rowindex", "1")
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".row[aria-selected=true]")).to_have_attribute("aria-rowindex", "3")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    panel = page.get_by_label("Details")
    expect(panel.get_by_role("heading", level=2)).to_have_text("live.recording.failed")
    first = page.url
    page.keyboard.press("j")
    expect(panel.get_by_role("heading", level=2)).to_have_text("live.participant.joined")
    assert page.url != first
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(page.get_by_role("grid")).to_be_focused()
    page.keyboard.press("G")
    expect(page.locator(".row[aria-selected=true]")).to_have_attribute("aria-rowindex", "21")
    page.keyboard.press("/")
    expect(page.get_by_label("Find in events")).to_be_focused()
    page.keyboard.type("jjj")
    expect(page.get_by_text("Nothing here is taken by these filters.")).to_be_visible()
    page.get_by_label("Find in events").fill("")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    for _ in range(7):
        page.keyboard.press("j")
    page.keyboard.press("t")
    expect(page.locator("svg.timeline")).to_be_visible()
    page.keyboard.press("e")
    expect(page.get_by_role("grid")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_what_is_being_read_stays_while_events_arrive(visit, hostile, dev):
    page = visit(viewport={"width": 1280, "height": 400}).open()
    expect(page.locator(".row").first).to_be_visible()
    grid = page.get_by_role("grid")
    grid.evaluate("(grid) => { grid.scrollTop = 140; }")
    seen = "(grid) => { const top = grid.getBoundingClientRect().top; return [...grid.querySelectorAll('.row')].find((row) => row.getBoundingClientRect().top >= top - 1).dataset.n; }"
    before = grid.evaluate(seen)
    for n in range(3):
        dev.livekit(event("participant_joined", START + n, "news", **person(f"late-{n}")))
    expect(page.get_by_role("button", name="3 new")).to_be_visible()
    assert grid.evaluate(seen) == before
    page.get_by_role("button", name="3 new").click()
    expect(page.locator(".row").first.locator(".room")).to_have_text("news")
    expect(page.get_by_role("button", name="3 new")).to_be_hidden()


def test_what_has_the_focus_can_be_seen_and_is_named(visit, hostile):
    page = visit().open(f"/#/events?{urlencode({'event': 'livekit/' + hostile['markup']})}")
    expect(page.get_by_label("Details").get_by_role("heading", level=2)).to_be_visible()
    for _ in range(24):
        page.keyboard.press("Tab")
        outline, name = page.evaluate("""() => {
            const one = document.activeElement;
            return [one === document.body ? 'body' : getComputedStyle(one).outlineStyle,
                    one.getAttribute('aria-label') || one.textContent.trim() || one.title || one.tagName];
        }""")
        assert outline in ("solid", "auto", "body"), name
        assert name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_have_contrast(visit, hostile, scheme):
    page = visit(color_scheme=scheme).open(f"/#/events?{urlencode({'event': 'livekit/' + hostile['quotes']})}")
    expect(page.get_by_label("Details").get_by_role("heading", level=2)).to_be_visible()
    weak = page.evaluate(CONTRAST)
    assert weak == []
    light = page.evaluate("() => Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]) > 128")
    assert light == (scheme == "light")


# Every text against the nearest background behind it, by the formula of WCAG 2.
CONTRAST = """() => {
    const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (one) => { for (; one; one = one.parentElement) { const c = rgb(getComputedStyle(one).backgroundColor); if (c.length < 4 || c[3] === 1) return c; } return [255, 255, 255]; };
    const weak = new Set();
    for (const one of document.querySelectorAll('body *')) {
        if (![...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()) || !one.checkVisibility()) continue;
        const [a, b] = [light(rgb(getComputedStyle(one).color)), light(behind(one))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) weak.add(`${one.tagName} ${one.className} ${ratio.toFixed(2)}`);
    }
    return [...weak];
}"""
