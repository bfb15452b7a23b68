"""Chromium for a file of tests, and map files opened in it with the network blocked."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def chromium():
    """The browser, started once for a file; every page has a context of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_map(chromium):
    """Open a map file offline, drawn; what it asked for and what went wrong is kept with the page."""
    contexts = []

    def opened(path: Path, width: int = 1280, height: int = 800):
        contexts.append(chromium.new_context(viewport={"width": width, "height": height}, offline=True))
        page = contexts[-1].new_page()
        page.faults, page.asked = [], []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("console", lambda message: page.faults.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_function("document.documentElement.getAttribute('data-drawn') !== null")
        return page

    yield opened
    for context in contexts:
        context.close()
