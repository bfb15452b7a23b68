"""The coverage map in Chromium with the network blocked: every layer shows, toggles, answers the mouse and the search."""

from __future__ import annotations

from pathlib import Path

import pytest
from factories.coverage import coverage_content
from playwright.sync_api import Page

from gridsvc.maps.coverage import write_coverage_map

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def map_file(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("map") / "coverage.html"
    write_coverage_map(coverage_content(), out)
    return out


@pytest.fixture
def opened(map_file, open_map):
    """The page, opened offline."""
    return open_map(map_file)


def drawn(page: Page) -> set[str]:
    page.wait_for_timeout(150)
    return set((page.get_attribute("html", "data-drawn") or "").split())


def distinct_colours(page: Page) -> int:
    """Return how many colours the canvas of the map holds."""
    return page.evaluate(
        """() => { const c = document.querySelector('canvas.leaflet-zoom-animated'), seen = new Set();
        const d = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer);
        d.forEach(v => seen.add(v)); return seen.size; }"""
    )


def test_the_first_view_shows_the_merged_net_and_asks_nothing_of_the_network(opened):
    assert drawn(opened) == {"streets", "grids_unified", "communities", "street_offices", "districts"}
    assert distinct_colours(opened) > 20
    assert opened.faults == []
    assert [url for url in opened.asked if not url.startswith(("file:", "data:"))] == []


def test_every_layer_can_be_switched_off_and_on(opened):
    boxes = opened.locator(".leaflet-control-layers-overlays input")
    assert boxes.count() == 9

    for i in range(boxes.count()):
        if boxes.nth(i).is_checked():
            boxes.nth(i).uncheck()
    assert drawn(opened) == set()
    assert distinct_colours(opened) == 1
    for i in range(boxes.count()):
        boxes.nth(i).check()
    assert len(drawn(opened)) == 9
    assert opened.locator(".gs-group").count() == 4
    assert opened.faults == []


def test_search_by_grid_code_finds_and_shows_the_grid(opened):
    opened.fill("#gs-search", "110101001002003")
    assert opened.locator("#gs-found li").first.inner_text().startswith("110101001002003")

    opened.press("#gs-search", "Enter")

    panel = opened.locator("#gs-panel")
    panel.wait_for(state="visible")
    assert "110101001002003" in panel.inner_text()
    assert "第2社区" in panel.inner_text()
    opened.fill("#gs-search", "没有的")
    assert "没有找到" in opened.locator("#gs-found").inner_text()


def test_the_mouse_tells_who_answers_in_every_network(opened):
    opened.mouse.move(700, 400)
    opened.mouse.move(705, 405)

    tip = opened.locator(".gs-tip")
    tip.wait_for(state="visible")
    assert "统一网格" in tip.inner_text()
    opened.mouse.click(705, 405)
    text = opened.locator("#gs-panel").inner_text()
    for name in ("统一网格", "治安网格", "治理网格", "单元网格", "社区", "400 户"):
        assert name in text
    opened.click(".gs-close")
    assert opened.locator("#gs-panel").is_hidden()
    assert opened.faults == []


def test_the_map_speaks_english_when_asked(opened):
    assert "图例" in opened.locator("#gs-legend").inner_text()

    opened.click("#gs-language")

    assert "Legend" in opened.locator("#gs-legend").inner_text()
    assert "图例" not in opened.locator("#gs-legend").inner_text()
    switch = opened.locator(".leaflet-control-layers-overlays").inner_text()
    assert "Unit grids" in switch
    assert "单元网格" not in switch
    assert opened.faults == []


def test_all_sources_open_from_the_attribution(opened):
    assert "OpenStreetMap" in opened.locator(".leaflet-control-attribution").inner_text()
    assert opened.locator("#gs-sources").is_hidden()

    opened.click("#gs-sources-switch")

    assert "ODbL" in opened.locator("#gs-sources").inner_text()


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (1366, 629)], ids=["whole screen", "with browser bars"])
def test_boxes_neither_cover_each_other_nor_leave_a_laptop_screen(opened, width, height):
    opened.set_viewport_size({"width": width, "height": height})
    opened.wait_for_timeout(200)
    head, legend, scale = (
        opened.locator(name).bounding_box() for name in ("#gs-head", "#gs-legend", ".leaflet-control-scale")
    )

    assert head["y"] + head["height"] <= legend["y"]
    assert legend["y"] + legend["height"] <= scale["y"]
    assert opened.evaluate("(e => e.scrollHeight <= e.clientHeight)(document.getElementById('gs-legend'))")
