"""The service-circle map by its content: classes, walks, gaps by kind, legend and notes, the same bytes every time."""

import json
import re

import numpy as np
import pytest
from factories.circle_maps import COMMUNITIES, KINDS, PEOPLE, circle_content, row

from gridsvc.errors import NotFoundError
from gridsvc.maps import circle as circle_maps
from gridsvc.maps.circle import circle_page, write_circle_map
from gridsvc.maps.self_contained import external_resources


def data_of(page):
    return json.loads(re.search(r'id="gridsvc-data">(.*?)</script>', page, re.DOTALL).group(1))


def layers_of(page):
    return {entry["id"]: entry for entry in data_of(page)["layers"]}


def legend_of(page):
    return page[page.index('id="gs-legend"') : page.index('id="gs-panel"')]


@pytest.fixture(scope="module")
def page():
    return circle_page(circle_content())[0]


def test_communities_are_coloured_by_their_people_and_tell_their_numbers(page):
    communities = layers_of(page)["circle_communities"]

    assert communities["code"] == COMMUNITIES
    assert communities["class_of"] == [4, 4, 0, 0]
    assert communities["complete"] == ["100.0%", "100.0%", "0.0%", "0.0%"]
    assert communities["verdict"][0] == ["达标", "qualified"]
    assert communities["lacks"] == [[], [], [1], [0, 1]]
    assert data_of(page)["circle"]["shares"][3] == [0.0, 100.0, 100.0, 100.0]


def test_residences_tell_minutes_rounded_up_and_what_they_lack(page):
    residences = layers_of(page)["circle_residences"]

    assert residences["class_of"] == [0, 0, 0, 3] + [0] * 4 + [2] * 8
    # 5 and 7 minutes, out of reach; 901 s is 16 minutes; kinds in bits 1, 2, 4
    assert [residences["walks"][i] for i in (0, 4, 8, 12)] == ["57_", "AFF", "5G1", "C_1"]
    assert [residences["lacks"][i] for i in (0, 4, 8, 12)] == ["4", "0", "2", "3"]


def test_gaps_know_the_kinds_they_are_of(page):
    gaps = layers_of(page)["circle_gaps"]

    assert gaps["kinds"] == [[0, 2], [1], [3]]
    assert gaps["count"] == 1  # of any required kind
    assert gaps["population"] == [400, 200, 150]


def test_every_kind_can_be_chosen_and_the_head_tells_the_whole(page):
    options = re.findall(r'<option value="(\d)">(.*?)</option>', page)

    assert [number for number, _ in options] == ["0", "1", "2", "3"]
    assert "小学 Primary school · 10 min" in options[1][1]
    assert "非必备" in options[3][1] and "非必备" not in options[2][1]
    assert data_of(page)["circle"]["totals"] == ["46.7%", "73.3%", "46.7%", "80.0%"]
    assert "<b>750</b>" in page and "<b>2/4</b>" in page


def test_the_legend_says_what_is_doubtful_chinese_first(page):
    legend = legend_of(page)

    assert "3 类设施中有 1 类未经核实" in legend and "1 of the 3 kinds" in legend
    assert "入口不明" in legend and "Residences on a detached part" not in legend
    assert legend.index("服务缺口") < legend.index("Gaps")


def test_a_kind_without_any_facility_may_be_a_lack_of_data():
    content = circle_content()

    legend = legend_of(
        circle_page(circle_content(run=content.run | {"doubts": {"kinds_without_facilities": ["K3"]}}))[0]
    )

    assert "1 类设施全域无数据（可能是数据缺失）：书店" in legend
    assert "存疑数据" not in legend


def test_without_gaps_facilities_or_homes_the_map_still_stands():
    content = circle_content()
    none = {"gaps": content.gaps.iloc[:0], "facilities": content.facilities.iloc[:0]}

    page, features, _ = circle_page(circle_content(**none))
    assert "没有缺口" in legend_of(page)
    assert not {"circle_gaps", "circle_facilities"} & features.keys()

    empty = none | {
        "residences": content.residences.iloc[:0],
        "times_s": np.empty((0, 3)),
        "is_lacking": np.empty((0, 3), bool),
        "communities": [],
        "total": None,
    }
    page, features, _ = circle_page(circle_content(**empty))
    assert "没有测算过的住宅" in legend_of(page)
    assert set(features) == {"street_offices", "districts"}
    assert data_of(page)["circle"]["totals"] == ["—"] * 4


def test_a_community_where_nobody_lives_is_not_coloured():
    nobody = row(COMMUNITIES[0], [None] * 4, [], 0, is_qualified=None)

    made = layers_of(circle_page(circle_content(communities=[nobody]))[0])["circle_communities"]

    assert (made["class_of"], made["complete"], made["verdict"]) == ([-1], ["—"], [["不作判定", "not judged"]])


def test_a_city_is_shown_by_community_and_the_legend_says_so(monkeypatch):
    monkeypatch.setattr(circle_maps, "MOST_RESIDENCES", len(PEOPLE) - 1)

    page, features, aggregated = circle_page(circle_content())

    assert aggregated
    assert "circle_residences" not in features
    assert "只按社区显示" in legend_of(page)


def test_the_same_content_is_the_same_bytes_and_loads_nothing(tmp_path):
    written = [write_circle_map(circle_content(), tmp_path / f"{i}.html") for i in range(2)]

    assert written[0].sha256 == written[1].sha256
    assert external_resources((tmp_path / "0.html").read_text(encoding="utf-8")) == []
    assert written[0].features["circle_residences"] == 16


def test_names_cannot_break_out_of_the_page():
    evil = '</script><img src="http://elsewhere/x">'
    content = circle_content()
    kinds = (circle_maps.CircleKind("K1", evil, evil, 10, True, True), *KINDS[1:])

    page, _, _ = circle_page(circle_content(name_zh=evil, kinds=kinds, run=content.run | {"standard_name": evil}))

    assert external_resources(page) == []
    assert "<img" not in page


def test_nothing_to_draw_is_said():
    content = circle_content()

    with pytest.raises(NotFoundError, match="nothing to draw"):
        circle_page(circle_content(divisions=content.divisions.iloc[:0], residences=content.residences.iloc[:0]))
