"""The picture a page begins with: it fits, has the layers of the map's first zoom, and no name over another."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridsvc.geo.map_pixels import HALF_WORLD, Outline, pixel_size
from gridsvc.maps.overview import UNIT_PIXELS, Frame, layers_of_overview, overview_of
from gridsvc.resources import content_dir

DEFINITION = json.loads((content_dir("maps") / "layers.json").read_text(encoding="utf-8"))
SHAPED = ("districts", "street_offices", "communities", "grids_urban", "grids_social", "grids_security")


def outline(name="网格", x=10.0, y=10.0, path="M0 0 10 0 10 10Z"):
    return Outline("420103", name, path, x, y)


def drawn(frame, **layers):
    return overview_of(DEFINITION, frame, layers)


@given(st.floats(73, 134), st.floats(18, 53), st.floats(1e-4, 5), st.floats(1e-4, 5))
def test_a_frame_holds_its_bounds_at_a_zoom_where_they_fit_the_screen(lon, lat, wide, high):
    frame = Frame.of(lon, lat, lon + wide, lat + high, 16)
    unit = pixel_size(frame.z) * UNIT_PIXELS

    assert frame.width * unit == pytest.approx(max(1.0, wide / 180 * HALF_WORLD))
    assert (frame.left * pixel_size(frame.z) - HALF_WORLD) / HALF_WORLD * 180 == pytest.approx(lon)
    assert 0 <= frame.z <= 16 and (frame.z == 16 or frame.z <= frame.zoom < frame.z + 1)
    shown = (frame.width * frame.unit_css_pixels, frame.height * frame.unit_css_pixels)
    assert shown[0] <= 680.01 and shown[1] <= 645.01 and max(shown[0] / 680, shown[1] / 645) == pytest.approx(1)


def test_a_city_begins_with_its_divisions_and_a_district_with_its_grids():
    city, part, district = (Frame.of(114.0, 30.3, 114.0 + wide, 30.3 + wide, 16) for wide in (0.7, 0.2, 0.04))

    assert layers_of_overview(DEFINITION, city, SHAPED) == ["districts", "street_offices"]
    # colours of communities begin at 9, their borders at 10
    assert 9 < city.zoom < 10 < part.zoom < 12
    assert layers_of_overview(DEFINITION, part, SHAPED) == ["districts", "street_offices", "communities"]
    assert layers_of_overview(DEFINITION, district, SHAPED)[-1] == "grids_social"


def test_the_coarsest_layer_is_drawn_last_as_the_map_does():
    frame = Frame.of(114.0, 30.3, 114.7, 30.9, 16)
    made = drawn(frame, districts=[outline()], communities=[outline(), outline()], street_offices=[])

    assert [layer.layer for layer in made.layers] == ["communities", "districts"]
    assert made.layers[0].path.count("M") == 2
    assert made.layers[0].width < made.layers[1].width
    assert re.fullmatch(r"[\d.]+( [\d.]+)+", made.layers[0].dash) and made.layers[1].dash == ""


def test_of_nothing_there_is_no_picture():
    assert drawn(Frame.of(114.0, 30.3, 114.7, 30.9, 16), districts=[]) is None


@given(st.lists(st.tuples(st.floats(0, 1300), st.floats(0, 1300)), min_size=1, max_size=40))
def test_no_name_stands_over_another_and_none_is_left_out_without_one_in_its_way(places):
    frame = Frame.of(114.0, 30.3, 114.7, 30.9, 16)
    made = drawn(frame, districts=[outline("江汉区", x, y) for x, y in places])
    css = frame.unit_css_pixels

    def near(a, b):
        return abs(a[0] - b[0]) * css < 3 * 16 and abs(a[1] - b[1]) * css < 16

    kept = [(name.x, name.y) for name in made.names]
    assert not any(
        near((a[0], a[1]), b) and max(abs(a[0] - b[0]), abs(a[1] - b[1])) * css < 15.8
        for i, a in enumerate(kept)
        for b in kept[:i]
    )
    for place in places:
        # places of names are rounded to a tenth
        close = [
            other for other in kept if abs(place[0] - other[0]) * css <= 48.1 and abs(place[1] - other[1]) * css <= 16.1
        ]
        assert close


def test_names_without_a_place_are_not_drawn():
    frame = Frame.of(114.25, 30.58, 114.29, 30.62, 16)
    made = drawn(frame, grids_social=[outline(x=None, y=None)], street_offices=[outline("民族街道"), outline("")])

    assert [name.text for name in made.names] == ["民族街道"]
