"""The service-circle map in Chromium with the network blocked: a kind is chosen, a community and a gap tell their numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from factories.circle_maps import COMMUNITIES, circle_content
from playwright.sync_api import Page

from gridsvc.maps.circle import write_circle_map

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def map_file(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("map") / "circle.html"
    write_circle_map(circle_content(), out)
    return out


@pytest.fixture
def opened(map_file, open_map):
    """The page, opened offline."""
    return open_map(map_file)


def find(page: Page, words: str) -> str:
    """Go to what has this code and return what the panel tells of it."""
    page.fill("#gs-search", words)
    page.press("#gs-search", "Enter")
    panel = page.locator("#gs-panel")
    panel.wait_for(state="visible")
    return panel.inner_text()


def count(page: Page, name: str) -> str:
    return page.locator(f'[data-count="{name}"] .gs-count').inner_text()


def test_communities_and_homes_tell_what_they_lack(opened):
    told = find(opened, COMMUNITIES[2])
    for words in ("第3社区", "200 人", "0.0%", "未达标", "菜市场"):
        assert words in told
    assert "小学" not in told

    assert "小学、菜市场" in find(opened, "H12")
    assert opened.faults == []
    assert [url for url in opened.asked if not url.startswith(("file:", "data:"))] == []


def test_a_chosen_kind_colours_everything_anew(opened):
    assert opened.locator("#gs-counts li").nth(1).inner_text().startswith("46.7%")
    assert (count(opened, "residences-0"), count(opened, "residences-2"), count(opened, "gaps")) == ("7", "8", "1")

    opened.select_option("#gs-kind", "1")

    assert opened.get_attribute("html", "data-kind") == "K1"
    head = opened.locator("#gs-counts li").nth(1).inner_text()
    assert head.startswith("73.3%") and "居民可达所选设施" in head
    assert (count(opened, "residences-0"), count(opened, "residences-2"), count(opened, "facilities")) == (
        "11",
        "4",
        "2",
    )
    told = find(opened, "H08")
    assert "≤ 5 分钟" in told and "菜市场" in told
    assert "100 %" in find(opened, COMMUNITIES[2])

    opened.select_option("#gs-kind", "3")
    assert "超出范围" in find(opened, "H00")
    opened.select_option("#gs-kind", "0")
    assert "超出范围" not in find(opened, "H00")
    assert count(opened, "residences-2") == "8"
    assert opened.faults == []


def test_a_click_on_the_map_opens_what_is_there_and_english_answers_in_english(opened):
    opened.click("#gs-language")
    find(opened, "H12")
    opened.click(".gs-close")
    opened.mouse.click(640, 400)

    told = opened.locator("#gs-panel").inner_text()
    assert "Community" in told and "Reach every required kind" in told
    assert "社区" not in told.replace("第4社区", "").replace("第3社区", "")
    assert "居民" not in opened.locator("#gs-head").inner_text().split("· code or name")[0]
    assert opened.faults == []


def test_layers_switch_off_and_stay_off_when_a_kind_is_chosen(opened):
    boxes = opened.locator(".leaflet-control-layers-overlays input")
    for i in range(boxes.count()):
        boxes.nth(i).uncheck()
    opened.select_option("#gs-kind", "2")
    opened.wait_for_timeout(200)

    assert opened.get_attribute("html", "data-drawn") == ""
    assert opened.faults == []


def test_boxes_do_not_cover_each_other_on_a_laptop_screen(opened):
    opened.set_viewport_size({"width": 1366, "height": 768})
    opened.wait_for_timeout(200)
    head, legend = (opened.locator(name).bounding_box() for name in ("#gs-head", "#gs-legend"))

    assert head["y"] + head["height"] <= legend["y"]
