"""A strict browser: errors, policy violations and third-party requests fail every test."""

import os
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))
from stack import Dev  # noqa: E402

expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["LIVEHOOKS_CHROMIUM"], args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    dev = Dev(tmp_path_factory.mktemp("dev"))
    yield dev
    dev.stop()


class Visit:
    """An inspector page, watched for errors."""

    def __init__(self, browser, url: str, **options):
        self.url = url
        self.context = browser.new_context(
            viewport=options.pop("viewport", {"width": 1280, "height": 800}), timezone_id="UTC",
            permissions=["clipboard-read", "clipboard-write"], **options)
        self.troubles: list[str] = []
        self.requests: list[str] = []
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.on("console", lambda message: self.troubles.append(message.text) if message.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page.add_init_script("""
            addEventListener('securitypolicyviolation', (event) => console.error('policy', event.violatedDirective, event.blockedURI));
            window.longTasks = [];
            new PerformanceObserver((list) => longTasks.push(...list.getEntries().map((task) => task.duration))).observe({ type: 'longtask', buffered: true });
        """)

    def open(self, path: str = "/") -> Page:
        self.page.goto(self.url + path)
        expect(self.page.locator("#status")).to_have_text("live")
        return self.page

    def end(self) -> None:
        self.context.close()
        elsewhere = [url for url in self.requests if not url.startswith((self.url + "/", "blob:" + self.url))]
        assert not elsewhere, f"requests to elsewhere: {elsewhere}"
        assert not self.troubles, "\n".join(self.troubles)


@pytest.fixture
def visit(browser, dev):
    """Opens pages of the local stack: `visit(viewport=…).open('/#/rooms')`."""
    visits: list[Visit] = []

    def start(url: str | None = None, **options) -> Visit:
        visits.append(Visit(browser, url or dev.url, **options))
        return visits[-1]

    yield start
    for one in visits:
        one.end()
