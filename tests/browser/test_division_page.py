"""The division map in Chromium with the network blocked: panel, problem list, search, language, before and after."""

from __future__ import annotations

from pathlib import Path

import pytest
from factories.division_maps import division_content

from gridsvc.maps.division import write_division_map

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def map_files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("map")
    write_division_map(division_content(shift=3.0), folder / "broken.html")
    write_division_map(division_content(draft=True), folder / "draft.html")
    return {name: folder / f"{name}.html" for name in ("broken", "draft")}


@pytest.fixture
def open_page(map_files, open_map):
    """Open one of the maps by name."""
    return lambda name, *size: open_map(map_files[name], *size)


def test_the_first_view_shows_grids_borders_and_problems_and_asks_nothing_of_the_network(open_page):
    page = open_page("broken")

    drawn = set(page.get_attribute("html", "data-drawn").split())
    assert {"division_households", "division_borders", "grids_urban", "division_problems", "communities"} <= drawn
    assert "division_unit_borders" not in drawn
    assert page.locator("#gs-quality td.bad").count() > 0
    assert page.faults == []
    assert [url for url in page.asked if not url.startswith(("file:", "data:"))] == []


def test_a_problem_in_the_list_is_gone_to_on_click(open_page):
    page = open_page("broken")
    page.click("#gs-quality [role=tab][data-tab=problems]")
    assert not page.locator("#gs-quality .gs-tab[data-tab=figures]").is_visible()
    scale = page.locator(".leaflet-control-scale-line").inner_text()

    page.locator(".gs-problem", has_text="重叠").first.click()
    page.wait_for_timeout(700)

    assert page.locator(".leaflet-control-scale-line").inner_text() != scale
    assert page.locator(".gs-problem[aria-current]").count() == 1
    assert page.faults == []


def test_kinds_of_problems_can_be_hidden(open_page):
    page = open_page("broken")
    page.click("#gs-quality [role=tab][data-tab=problems]")
    every = page.locator(".gs-problem").count()
    gaps = page.locator(".gs-problem", has_text="不属于任何网格").count()

    page.locator(".gs-chip", has_text="缝隙").click()

    assert 0 < page.locator(".gs-problem").count() < every
    assert page.locator(".gs-chip[aria-pressed=false]").count() == 1
    assert gaps > 0


def test_search_by_grid_code_shows_the_grid_with_its_numbers(open_page):
    page = open_page("broken")
    page.fill("#gs-search", "420103001001002")
    page.press("#gs-search", "Enter")

    panel = page.locator("#gs-panel")
    panel.wait_for(state="visible")
    text = panel.inner_text()
    assert "420103001001002" in text
    for words in ("户数", "紧凑度", "边界沿道路"):
        assert words in text


def test_the_map_speaks_english_when_asked(open_page):
    page = open_page("broken")
    page.click("#gs-language")

    assert "Buildings cut" in page.locator("#gs-quality").inner_text()
    page.click("#gs-quality [role=tab][data-tab=problems]")
    assert "both cover" in page.locator("#gs-problems").inner_text()
    assert "重叠" not in page.locator("#gs-problems").inner_text()


def test_a_draft_can_be_compared_with_what_is_in_force(open_page):
    page = open_page("draft")

    assert {"grids_before", "grids_changed"} <= set(page.get_attribute("html", "data-drawn").split())
    assert "户数保持原网格" in page.locator("#gs-quality").inner_text()
    box = page.locator(".leaflet-control-layers-overlays label", has_text="现行治理网格").locator("input")
    box.uncheck()
    page.wait_for_timeout(150)
    assert "grids_before" not in page.get_attribute("html", "data-drawn")
    assert page.faults == []


@pytest.mark.parametrize("height", [800, 660], ids=["whole screen", "with browser bars"])
def test_boxes_neither_cover_each_other_nor_leave_a_laptop_screen(open_page, height):
    page = open_page("draft", 1280, height)

    boxes = {
        name: page.locator(name).bounding_box()
        for name in ("#gs-head", "#gs-quality", "#gs-legend", ".leaflet-control-layers")
    }
    for name, box in boxes.items():
        assert box["x"] >= 0 and box["y"] >= 0, name
        assert box["x"] + box["width"] <= 1280 and box["y"] + box["height"] <= height, name
    names = list(boxes)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            a, b = boxes[one], boxes[other]
            apart = (
                a["x"] + a["width"] <= b["x"] or b["x"] + b["width"] <= a["x"]
                or a["y"] + a["height"] <= b["y"] or b["y"] + b["height"] <= a["y"]
            )  # fmt: skip
            assert apart, f"{one} covers {other}"
