"""The coverage map in Chromium with the network blocked: every layer shows, toggles, answers the mouse and the search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from factories.coverage import compared_content
from PIL import Image
from playwright.sync_api import Page

from gridsvc.maps.coverage import write_coverage_map

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def map_file(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("map") / "coverage.html"
    write_coverage_map(compared_content(), out)
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
    compared = {"network_differences", "network_conflicts", "network_unowned", "network_double"}
    assert drawn(opened) == {"streets", "grids_unified", "communities", "street_offices", "districts"} | compared
    assert distinct_colours(opened) > 20
    assert opened.faults == []
    assert [url for url in opened.asked if not url.startswith(("file:", "data:"))] == []


def test_every_layer_can_be_switched_off_and_on(opened):
    boxes = opened.locator(".leaflet-control-layers-overlays input")
    assert boxes.count() == 13

    for i in range(boxes.count()):
        if boxes.nth(i).is_checked():
            boxes.nth(i).uncheck()
    assert drawn(opened) == set()
    assert distinct_colours(opened) == 1
    for i in range(boxes.count()):
        boxes.nth(i).check()
    assert len(drawn(opened)) == 13
    assert opened.locator(".gs-group").count() == 5
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
    assert height < 700 or opened.evaluate(
        "(e => e.scrollHeight <= e.clientHeight)(document.getElementById('gs-legend'))"
    )


def click_at(page: Page, lon: float, lat: float) -> str:
    """Click a place of the map and return what the panel says."""
    x, y = page.evaluate(
        f"""() => {{ const m = Object.values(window).find((v) => v instanceof L.Map && v.getContainer().id.startsWith('map'));
        const p = m.latLngToContainerPoint([{lat}, {lon}]); return [p.x, p.y]; }}"""
    )
    page.mouse.click(x, y)
    return page.locator("#gs-panel").inner_text()


def middle(network: str, code: str) -> tuple[float, float]:
    grids = compared_content().grids[network]
    place = grids.geometry[grids["code"] == code].iloc[0].representative_point()
    return place.x, place.y


def test_a_click_shows_the_crosswalk_by_area_and_households(opened):
    told = click_at(opened, *middle("urban", "110101001002003"))

    assert "新旧对照（面积、户数占比）" in told
    block = opened.locator(".gs-walk", has_text="单元网格").first
    assert "→" in block.inner_text() and "100%" in block.inner_text() and "10 户 100%" in block.inner_text()
    assert opened.locator(".gs-walk").count() == 6  # three networks against the merged one, both ways
    opened.locator(".gs-walk .gs-link").first.click()
    assert opened.locator("#gs-panel .gs-card-head").count() == 1
    assert opened.faults == []


def test_land_of_nobody_and_of_two_is_told(opened):
    assert "治安网格：此处无网格" in click_at(opened, *middle("urban", "110101001001001"))
    assert "重复负责，另有 110101001001099" in click_at(opened, *middle("security", "110101001001099"))
    opened.mouse.click(470, 780)
    assert "此处在本图网格之外" in opened.locator("#gs-panel").inner_text()


def test_conflicts_are_listed_and_shown_one_by_one(opened):
    opened.click("#gs-conflicts-open")
    items = opened.locator(".gs-conflicts li")
    assert items.count() == int(opened.locator("#gs-conflicts-open b").inner_text()) > 0

    items.first.locator("button").click()

    told = opened.locator("#gs-panel").inner_text()
    assert "重叠地块面积" in told and "%" in told
    opened.click("#gs-panel .gs-conflict > .gs-link")
    assert items.count() > 0
    assert opened.faults == []


def test_the_small_map_follows_and_leads(opened):
    frame = opened.locator("#gs-mini path").last
    before = frame.get_attribute("d")
    opened.locator(".leaflet-control-zoom-in").first.click()
    opened.wait_for_timeout(500)
    assert frame.get_attribute("d") != before

    zoomed = frame.get_attribute("d")
    opened.locator("#gs-mini").click(position={"x": 110, "y": 30})
    opened.wait_for_timeout(500)
    assert frame.get_attribute("d") != zoomed


@pytest.mark.slow
def test_the_map_is_saved_as_a_picture_without_any_network(opened, tmp_path):
    with opened.expect_download() as saved:
        opened.click("#gs-image")
    saved.value.save_as(tmp_path / "map.png")

    assert saved.value.suggested_filename == "试验区-110101-20260101.png"
    picture = np.asarray(Image.open(tmp_path / "map.png").convert("RGB"))
    assert picture.shape == ((800 + 92) * 2, (1280 + 236) * 2, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100
    network = picture[124:1724, :2560]
    assert (np.abs(network.astype(int) - (0xF6, 0xF5, 0xF1)).sum(axis=2) > 30).mean() > 0.1
    assert [url for url in opened.asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert opened.faults == []


def test_on_a_phone_the_layers_are_behind_a_button(opened):
    opened.set_viewport_size({"width": 390, "height": 844})
    assert opened.locator(".leaflet-control-layers-list").is_hidden()
    button, head = (opened.locator(name).bounding_box() for name in (".gs-layers-switch", "#gs-head"))
    assert button["x"] + button["width"] <= head["x"] + 6

    opened.click(".gs-layers-switch")

    assert opened.locator(".leaflet-control-layers-list").is_visible()
