"""The coverage map by its content: features, legend, attribution, no address outside, the same bytes every time."""

import hashlib
import json
import re

import pytest
from factories.coverage import compared_content, coverage_content

from gridsvc.errors import GridsvcError, NotFoundError
from gridsvc.maps import map_file
from gridsvc.maps.coverage import coverage_page, write_coverage_map
from gridsvc.maps.layer_list import layer, layer_definitions
from gridsvc.maps.self_contained import external_resources
from gridsvc.services.laid_networks import laid_networks


def data_of(page):
    return json.loads(re.search(r'id="gridsvc-data">(.*?)</script>', page, re.DOTALL).group(1))


def layers_of(page):
    return {entry["id"]: entry for entry in data_of(page)["layers"]}


@pytest.fixture(scope="module")
def page():
    return coverage_page(coverage_content())[0]


def test_every_grid_and_division_is_on_the_map(page):
    layers = layers_of(page)

    assert {key: len(layers[key]["code"]) for key in layers if "code" in layers[key]} == {
        "grids_urban": 64,
        "grids_social": 16,
        "grids_security": 8,
        "grids_unified": 16,
        "communities": 4,
        "street_offices": 1,
        "districts": 1,
    }
    assert all(layers["grids_urban"]["shapes"])
    assert layers["grids_urban"]["code"] == sorted(layers["grids_urban"]["code"])


def test_nothing_is_loaded_from_outside(page):
    assert external_resources(page) == []
    assert "cdn.jsdelivr" not in page
    assert "bootstrap" not in page.lower()
    assert "jquery" not in page.lower()


def test_the_legend_names_every_layer_with_its_colour_and_count(page):
    legend = page[page.index('id="gs-legend"') : page.index('id="gs-panel"')]

    for key in ("grids_urban", "grids_social", "grids_security", "grids_unified", "communities"):
        assert layer(key)["title_zh"] in legend
        assert layer(key)["title_en"] in legend
        assert layer(key)["line"]["color"] in legend
    assert ">64</span>" in legend
    assert "主干路" in legend
    assert "次干路" not in legend


def test_layers_are_in_the_switch_and_report_density_starts_hidden(page):
    switch = page[page.index("_layers = {") : page.rindex("L.control.layers")]

    for key in ("grids_unified", "communities", "streets", "reports_density"):
        assert json.dumps(layer(key)["title_zh"])[1:-1] in switch or layer(key)["title_zh"] in switch
    shown = re.findall(r"encoded_layer_(\w+)\.addTo", page)
    off = ["reports_density", *layer_definitions()["files"]["coverage"]["off_at_first"]]
    assert len(shown) == len(layers_of(page)) - len(off)


def test_attribution_scale_search_and_language(page):
    assert "© OpenStreetMap 贡献者，ODbL 1.0" in data_of(page)["attribution"]
    assert "L.control.scale" in page
    assert 'id="gs-search"' in page
    assert '<html lang="zh-CN">' in page
    assert "2026-01-01 08:00" in page


def test_the_attribution_is_one_line_and_opens_all_sources():
    lines = [f"来源 {i}, CC0-1.0" for i in range(20)]

    page, _, _ = coverage_page(coverage_content(sources=[*lines, "© OpenStreetMap 贡献者 contributors, ODbL 1.0"]))

    attribution = data_of(page)["attribution"]
    assert "OpenStreetMap" in attribution
    assert "来源 3" not in attribution
    listed = page[page.index('id="gs-sources"') :]
    assert all(line in listed for line in lines)


def test_without_sources_there_is_nothing_to_open():
    page, _, _ = coverage_page(coverage_content(sources=[]))

    assert data_of(page)["attribution"] == ""
    assert 'id="gs-sources"' not in page


def test_density_classes_cover_every_grid_with_reports(page):
    density = layers_of(page)["reports_density"]

    assert len(density["class_of"]) == 16
    assert density["class_of"][0] == -1
    assert {0, 4} <= set(density["class_of"])
    assert [entry["color"] for entry in density["classes"]] == layer_definitions()["palettes"]["reports"]["colors"]


def test_without_reports_streets_or_a_network_the_map_still_stands():
    content = coverage_content(reports=False, streets=None)
    grids = {key: frame for key, frame in content.grids.items() if key != "security"}

    page, features, _ = coverage_page(coverage_content(reports=False, streets=None, grids=grids))

    assert "grids_security" not in features
    assert "reports_density" not in features
    assert "streets" not in layers_of(page)


def test_the_same_content_is_the_same_bytes(tmp_path):
    written = [write_coverage_map(coverage_content(), tmp_path / f"{i}.html") for i in range(2)]

    assert written[0].sha256 == written[1].sha256
    raw = (tmp_path / "0.html").read_bytes()
    assert (written[0].bytes, written[0].sha256) == (len(raw), hashlib.sha256(raw).hexdigest())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.html", "1.html"]


def test_names_cannot_break_out_of_the_page():
    page, _, _ = coverage_page(
        coverage_content(name_zh='</script><img src="http://elsewhere/x">', sources=["<b>来源</b>"])
    )

    assert external_resources(page) == []
    assert "<img" not in page
    assert "<b>来源" not in page


def test_a_district_is_compact():
    page, features, aggregated = coverage_page(coverage_content(56, 56))

    assert not aggregated
    assert features["grids_urban"] == 3136
    assert len(page.encode()) < 8_000_000


def test_a_city_is_shown_summed_and_the_legend_says_so():
    page, features, aggregated = coverage_page(coverage_content(100, 100))

    assert aggregated
    assert "grids_urban" not in features
    assert features["communities"] == 625
    communities = layers_of(page)["communities"]
    assert communities["urban"] == [16] * 625
    assert communities["households"] == [1600] * 625
    assert "汇总显示" in page
    assert "16,250" in page
    assert len(page.encode()) < 8_000_000


def test_counts_given_stand_for_grids_that_are_too_many():
    content = coverage_content()
    communities = content.divisions[content.divisions["level"] == "community"]["code"]
    counts = {
        code: {"urban": 5000, "social": 700, "households": 9, "reports": 3 + i} for i, code in enumerate(communities)
    }

    page, _, aggregated = coverage_page(coverage_content(grids={}, counts=counts))

    assert aggregated
    assert "20,000" in page
    assert layers_of(page)["communities"]["social"] == [700] * 4
    assert "reports_density" in layers_of(page)


def test_nothing_to_draw_is_refused():
    content = coverage_content()
    with pytest.raises(NotFoundError, match="nothing to draw"):
        coverage_page(coverage_content(grids={}, divisions=content.divisions.iloc[:0]))


@pytest.fixture(scope="module")
def compared():
    return coverage_page(compared_content())[0]


class TestComparison:
    def test_differences_conflicts_and_land_of_nobody_or_of_two_are_layers(self, compared):
        layers = layers_of(compared)

        assert {"network_differences", "network_conflicts", "network_unowned", "network_double"} <= set(layers)
        assert [look["title_zh"] for look in layers["network_unowned"]["classes"]] == ["部分网无"]
        assert layers["network_conflicts"]["count"] == len(data_of(compared)["networks"]["conflicts"]) > 0

    def test_crosswalks_of_every_network_with_the_merged_one_hold_all_land_and_homes(self, compared):
        networks, layers = data_of(compared)["networks"], layers_of(compared)

        assert networks["layers"] == ["grids_urban", "grids_social", "grids_security", "grids_unified"]
        assert [walk["nets"] for walk in networks["walks"]] == [[0, 3], [1, 3], [2, 3]]
        for walk in networks["walks"]:
            assert sum(walk["weight"]) == 640
            assert max(walk["from"]) < len(layers[networks["layers"][walk["nets"][0]]]["code"])
        social = networks["walks"][1]
        assert list(zip(social["from"], social["to"], strict=True)) == [(i, i) for i in range(16)]

    def test_the_head_says_how_much_land_differs_and_the_legend_names_the_layers(self, compared):
        assert "边界差异" in compared[compared.index('id="gs-head"') : compared.index('id="gs-legend"')]
        legend = compared[compared.index('id="gs-legend"') : compared.index('id="gs-panel"')]
        for words in ("网格对照", "冲突地块", "重复负责", "无人负责", "Borders differ"):
            assert words in legend

    def test_the_same_content_is_the_same_bytes(self, compared):
        assert coverage_page(compared_content())[0] == compared
        assert external_resources(compared) == []

    def test_one_network_is_compared_with_nothing(self):
        assert laid_networks({"social": coverage_content().grids["social"]}) is None

    def test_other_offices_networks_are_drawn_by_their_place(self):
        content = coverage_content(reports=False, streets=None)
        grids = {"城管": content.grids["social"], "b c": content.grids["security"].drop(columns="community_code")}
        page, features, _ = coverage_page(
            coverage_content(grids=grids, divisions=content.divisions.iloc[:0], streets=None, laid=laid_networks(grids))
        )

        assert set(features) == {"grids_net0", "grids_net1"}
        layers = layers_of(page)
        assert (layers["grids_net0"]["short"], layers["grids_net1"]["short"]) == (["城管", "城管"], ["b c", "b c"])
        assert layers["grids_net0"]["line"] != layers["grids_net1"]["line"]
        assert data_of(page)["networks"]["walks"][0]["nets"] == [0, 1]


@pytest.mark.parametrize(
    ("markup", "found"),
    [
        ('<script src="https://a/x.js"></script>', ["https://a/x.js"]),
        ('<link rel="stylesheet" href="//a/x.css">', ["//a/x.css"]),
        ("<style>@import 'http://a/x.css'; b { background: url(img/x.png) }</style>", ["http://a/x.css", "img/x.png"]),
        ('<div style="background:url(http://a/y.png)">', ["http://a/y.png"]),
        ('<img src="data:image/png;base64,AA"><a href="https://a/">link</a><style>i{background:url(#g)}</style>', []),
    ],
)
def test_addresses_that_a_page_would_load_are_found(markup, found):
    assert external_resources(markup) == found


def test_a_page_that_would_load_something_is_refused(monkeypatch):
    monkeypatch.setattr(map_file, "font_css", lambda text: "@font-face{src:url(https://fonts.example/x.woff2)}")

    with pytest.raises(GridsvcError, match=r"fonts\.example"):
        coverage_page(coverage_content())


def test_the_layer_list_is_complete_and_ordered():
    definitions = layer_definitions()
    groups = {group["id"] for group in definitions["groups"]}

    orders = [entry["order"] for entry in definitions["layers"]]
    assert orders == sorted(set(orders))
    for entry in definitions["layers"]:
        assert entry["group"] in groups
        assert entry["title_zh"]
        assert entry["title_en"]
        assert entry["min_zoom"] <= entry["max_zoom"]
        assert re.fullmatch(r"#[0-9a-f]{6}", (entry.get("line") or entry.get("circle") or entry["fill"])["color"])
