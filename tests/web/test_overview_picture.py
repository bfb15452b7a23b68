"""The picture of the whole area in the command centre's page: cut to the scope, of the instant shown, gone while shapes wait."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text

from gridsvc.services.tile_shapes import renew_tile_shapes

pytestmark = pytest.mark.postgis
STREET = "420103002"


@pytest.fixture
def drawn_town(open_uow):
    """The town with the shapes of its tiles drawn."""
    with open_uow() as uow:
        renew_tile_shapes(uow)


def picture(page):
    """Return the path data by layer, and the names, of the picture in a page; None where there is none."""
    found = re.search(r'<svg id="overview".*?</svg>', page.text, re.DOTALL)
    if found is None:
        return None
    paths = dict(re.findall(r'data-layer="(\w+)" d="([^"]*)"', found[0]))
    return paths, re.findall(r"<text[^>]*>([^<]*)</text>", found[0])


def test_the_page_holds_a_picture_of_what_the_map_will_draw(town_client, drawn_town):
    page = town_client.get("/")
    paths, names = picture(page)

    assert set(paths) == {"districts", "street_offices", "communities", "grids_social"}
    assert paths["grids_social"].count("M") == 8
    assert "民族街道" in names
    # the page's policy lets no style attribute through
    assert "style=" not in page.text


def test_who_may_see_one_street_gets_the_picture_of_that_street(town_client, drawn_town, token_of):
    everything, _ = picture(town_client.get("/"))
    paths, names = picture(town_client.get("/", headers=token_of(scope=STREET)))

    assert "districts" not in paths
    assert paths["grids_social"].count("M") == 4 < everything["grids_social"].count("M")
    assert "民族街道" not in names


def test_before_there_was_anything_there_is_no_picture(town_client, drawn_town):
    assert picture(town_client.get("/?at=2020-01-01T00:00:00Z")) is None


def test_a_layer_that_waits_to_be_drawn_anew_is_left_to_the_map(town_client, drawn_town, connection):
    connection.execute(text("UPDATE grids SET name = 'new' WHERE network = 'social' AND code LIKE '420103001001%'"))
    connection.execute(
        text(
            "UPDATE grids SET geom = ST_Multi(ST_Buffer(geom, -0.00001)) WHERE network = 'social' AND code = '420103001001001'"
        )
    )

    assert set(picture(town_client.get("/"))[0]) == {"districts", "street_offices", "communities"}


def test_names_are_written_as_text(town_client, drawn_town, connection):
    connection.execute(text("UPDATE divisions SET name = '<script>alert(1)</script>' WHERE level = 'street'"))
    page = town_client.get("/")

    assert "<script>alert" not in page.text and "&lt;script&gt;alert" in page.text


def test_several_districts_without_a_city_above_begin_with_all_of_them(town_client, connection):
    one = town_client.get("/").text
    connection.execute(
        text(
            "INSERT INTO divisions (code, name, level, geom, valid_from)"
            " SELECT '420104', '硚口区', level, ST_Translate(geom, -0.2, 0), valid_from FROM divisions WHERE code = '420103'"
        )
    )
    both = town_client.get("/").text

    def extent(page):
        return {side: float(re.search(rf'"{side}": (-?[\d.]+)', page)[1]) for side in ("min_lon", "max_lon", "min_lat")}

    assert extent(both)["min_lon"] == pytest.approx(extent(one)["min_lon"] - 0.2)
    assert {side: extent(both)[side] for side in ("max_lon", "min_lat")} == {
        side: extent(one)[side] for side in ("max_lon", "min_lat")
    }
    assert '"code": "420103"' in one and '"code": null' in both
