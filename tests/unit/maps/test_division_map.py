"""The division map by its content: layers, colours, panel, problem list, what changes; nothing from outside, same bytes."""

import json
import re
from dataclasses import replace

import pytest
from factories.division_maps import division_content

from gridsvc.division.quality_problems import PROBLEM_KINDS
from gridsvc.errors import NotFoundError
from gridsvc.maps import division
from gridsvc.maps.division import division_definitions, division_page, write_division_map
from gridsvc.maps.self_contained import external_resources


def data_of(page):
    return json.loads(re.search(r'id="gridsvc-data">(.*?)</script>', page, re.DOTALL).group(1))


def layers_of(page):
    return {entry["id"]: entry for entry in data_of(page)["layers"]}


@pytest.fixture(scope="module")
def content():
    return division_content(shift=3.0)


@pytest.fixture(scope="module")
def page(content):
    return division_page(content)[0]


def test_every_grid_and_building_is_on_the_map(content, page):
    layers = layers_of(page)

    assert layers["division_households"]["code"] == sorted(content.grids["governance"]["code"])
    assert len(layers["grids_urban"]["code"]) == len(content.grids["unit"])
    assert len(layers["residences"]["shapes"]) == len(content.buildings)
    assert layers["communities"]["name"] == ["试验社区"]
    assert sum(layers["division_households"]["households"]) == content.reports["governance"].households_total


def test_borders_have_the_colour_of_what_they_follow(page):
    colors = {c["kind"]: c["color"] for c in division_definitions()["courses"]["values"]}
    groups = layers_of(page)["division_borders"]["lines"]

    assert {group["color"] for group in groups} == {colors["street"], colors["none"]}
    legend = page[page.index('id="gs-legend"') :]
    assert all(color in legend for color in colors.values())


def test_problem_places_are_listed_and_marked(content, page):
    data, layers = data_of(page), layers_of(page)

    found = [problem["kind"] for problem in data["problems"]]
    assert {"gap", "overlap"} <= set(found)
    assert found == [problem.kind for problem, _ in content.problems]
    assert all(problem["shape"] and problem["zh"] and problem["en"] for problem in data["problems"])
    assert len(layers["division_problems"]["points"]) == len(found)
    assert set(data["problem_colors"]) == set(PROBLEM_KINDS)


def test_the_panel_says_what_is_wrong_in_red(page):
    panel = page[page.index('id="gs-quality"') : page.index('id="gs-panel"')]

    assert re.search(r"缝隙.*?class='bad'", panel, re.DOTALL)
    assert "治理网格" in panel
    assert "Unit grids" in panel
    assert "每格户数分布" in panel


def test_nothing_is_loaded_from_outside(page):
    assert external_resources(page) == []


def test_a_draft_shows_what_changes():
    content = division_content(draft=True)

    page, features, aggregated = division_page(content)

    layers = layers_of(page)
    assert not aggregated
    assert features["grids_before"] == len(content.before["governance"]) == len(content.grids["governance"]) + 1
    assert features["grids_changed"] == 1
    assert layers["grids_changed"]["classes"][0]["title_en"] == "new"
    changes = layers["division_households"]["change"]
    assert sum(bool(change) for change in changes) == 1
    assert "草案 7d2f9a54" in page
    assert "户数保持原网格" in page


def test_what_is_in_force_has_no_comparison(page):
    assert not {"grids_before", "grids_changed"} & set(layers_of(page))
    assert "户数保持原网格" not in page


def test_a_city_is_drawn_by_community_and_says_so(content, monkeypatch):
    monkeypatch.setattr(division, "MOST_GRIDS", 10)

    page, features, aggregated = division_page(content)

    layer = layers_of(page)["division_communities"]
    assert aggregated
    assert "division_households" not in features
    assert layer["grids"] == [len(content.grids["governance"])]
    assert layer["households"] == [content.reports["governance"].households_total]
    assert layer["problems"][0] > 0
    assert "本图按社区汇总显示" in page


def test_too_many_buildings_and_problems_are_left_out(content, monkeypatch):
    monkeypatch.setattr(division, "MOST_BUILDINGS", 5)
    monkeypatch.setattr(division, "MOST_PROBLEMS", 1)

    page, features, _ = division_page(content)

    assert "residences" not in features
    assert len(data_of(page)["problems"]) == 1
    assert "只列出最重要的 1 处" in page


def test_names_cannot_break_out_of_the_page(content):
    evil = '</script><script>alert("x")</script>'

    page = division_page(replace(content, name_zh=evil))[0]

    assert "<script>alert" not in page


def test_the_same_content_is_the_same_bytes(content, tmp_path):
    first = write_division_map(content, tmp_path / "a.html")
    second = write_division_map(content, tmp_path / "b.html")

    assert first.sha256 == second.sha256
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_nothing_to_draw_is_refused(content):
    nothing = {kind: frame.iloc[:0] for kind, frame in content.grids.items()}

    with pytest.raises(NotFoundError):
        division_page(replace(content, divisions=content.divisions.iloc[:0], grids=nothing))


def test_every_kind_of_problem_has_a_gravity():
    looks = division_definitions()["problems"]

    assert sorted(looks["grave"]["kinds"] + looks["light"]["kinds"]) == sorted(PROBLEM_KINDS)
