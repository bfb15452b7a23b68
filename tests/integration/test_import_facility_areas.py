"""Facilities with areas and entrances, and files with Amap's columns."""

import csv
import json
from datetime import UTC, datetime

import numpy as np
import pytest
import shapely

from gridsvc.errors import ImportRefusedError
from gridsvc.geo.datums import convert
from gridsvc.services.importing import import_file
from tests.factories import stored_town as town
from tests.factories.stored_town import LATER, START

pytestmark = pytest.mark.postgis

WEST, SOUTH, _, _ = town.community_box(town.COMMUNITIES[0]).bounds
GROUND = shapely.box(WEST + 0.002, SOUTH + 0.002, WEST + 0.004, SOUTH + 0.003)
GATES = [(WEST + 0.002, SOUTH + 0.0025), (WEST + 0.003, SOUTH + 0.003)]


@pytest.fixture
def place(uow):
    uow.divisions.put_frame(town.division_frame(), START)
    return uow


def geojson(path, geometry=GROUND, **properties):
    said = {"facility_code": "P1", "kind_code": "G1001", "name": "小学"} | properties
    feature = {"type": "Feature", "properties": said, "geometry": shapely.geometry.mapping(geometry)}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}), encoding="utf-8")
    return path


def table(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def in_gcj02(lon, lat):
    x, y = convert(lon, lat, "cgcs2000", "gcj02")
    return f"{float(x):.6f},{float(y):.6f}"


def poi(**changes):
    lon, lat = WEST + 0.003, SOUTH + 0.0025
    row = {
        "id": "B0FFHOL4BX", "name": "花园幼儿园", "type": "科教文化服务;学校;幼儿园", "typecode": "141204", "address": "[]",
        "location": in_gcj02(lon, lat), "entr_location": in_gcj02(lon + 0.0005, lat), "adname": "江汉区",
    }  # fmt: skip
    return row | changes


def take(uow, path, datum="cgcs2000", at=START, **how):
    return import_file(uow, "facilities", path, datum=datum, valid_from=at, **how)


def only(uow, at=None):
    found = uow.facilities.list(at=at, with_areas=True)
    assert len(found) == 1
    return found.iloc[0]


def test_an_area_is_kept_with_its_entrances_and_a_point_inside_stands_for_it(place, tmp_path):
    take(place, geojson(tmp_path / "p.geojson", entrances=";".join(f"{x},{y}" for x, y in GATES)))

    stored = only(place)
    assert stored["area"].symmetric_difference(GROUND).area < 1e-11
    assert stored["area"].contains(stored["geometry"])
    np.testing.assert_allclose(shapely.get_coordinates(stored["entrances"]), GATES, atol=1e-9)


def test_the_same_area_again_is_unchanged(place, tmp_path):
    take(place, geojson(tmp_path / "a.geojson"))

    again = take(place, geojson(tmp_path / "b.geojson", other="1"), at=LATER)

    assert (again.rows_stored, again.rows_unchanged) == (0, 1)


def test_a_point_at_the_place_stored_keeps_area_and_entrances(place, tmp_path):
    take(place, geojson(tmp_path / "a.geojson", entrances=f"{GATES[0][0]},{GATES[0][1]}"))
    point = only(place)["geometry"]

    take(place, geojson(tmp_path / "b.geojson", point, name="第一小学"), at=LATER)

    stored = only(place)
    assert (stored["name"], stored["area"].area) == ("第一小学", pytest.approx(GROUND.area))
    assert stored["entrances"].geoms[0].coords[0] == pytest.approx(GATES[0])
    assert only(place, START)["name"] == "小学"


def test_a_point_elsewhere_has_no_area_any_more(place, tmp_path):
    take(place, geojson(tmp_path / "a.geojson", entrances=f"{GATES[0][0]},{GATES[0][1]}"))

    take(place, geojson(tmp_path / "b.geojson", shapely.Point(WEST + 0.008, SOUTH + 0.008)), at=LATER)

    stored = only(place)
    assert stored["area"] is None and stored["entrances"] is None
    assert only(place, START)["area"] is not None


@pytest.mark.parametrize(
    ("entrances", "reason"),
    [
        ("here", "is not lon,lat"),
        ("114.25", "is not lon,lat"),
        ("214.25,30.58", "outside of longitude"),
        ("114.35,30.58", "m away from the facility"),
    ],
)
def test_entrances_that_cannot_be_are_refused(place, tmp_path, entrances, reason):
    with pytest.raises(ImportRefusedError) as caught:
        take(place, geojson(tmp_path / "a.geojson", entrances=entrances))

    (fault,) = caught.value.rows
    assert fault.field == "entrances" and reason in fault.reason
    assert place.facilities.list().empty


def test_a_line_is_no_facility(place, tmp_path):
    line = shapely.LineString([(WEST + 0.001, SOUTH + 0.001), (WEST + 0.002, SOUTH + 0.001)])

    with pytest.raises(ImportRefusedError) as caught:
        take(place, geojson(tmp_path / "a.geojson", line))

    assert caught.value.rows[0].reason == "is not a point or polygon"


def test_amap_columns_are_taken_as_they_are(place, tmp_path):
    take(place, table(tmp_path / "a.csv", [poi()]), "gcj02")

    stored = only(place)
    assert tuple(stored[["facility_code", "kind_code", "name", "address", "original_datum"]]) == (
        "B0FFHOL4BX", "G0506", "花园幼儿园", "", "gcj02",
    )  # fmt: skip
    assert (stored["geometry"].x, stored["geometry"].y) == pytest.approx((WEST + 0.003, SOUTH + 0.0025), abs=2e-6)
    assert stored["entrances"].geoms[0].x == pytest.approx(WEST + 0.0035, abs=2e-6)


def test_a_typecode_counts_as_its_class_and_of_several_the_first_with_a_kind(place, tmp_path):
    rows = [
        poi(id="A1", typecode="090601"), poi(id="A2", typecode="110100|060703"), poi(id="A3", typecode="60200"),
    ]  # fmt: skip

    take(place, table(tmp_path / "a.csv", rows), "gcj02")

    assert place.facilities.list()["kind_code"].tolist() == ["M111", "M103", "M101"]


def test_a_typecode_without_a_kind_is_refused_and_the_rest_taken_with_partial(place, tmp_path):
    path = table(tmp_path / "a.csv", [poi(), poi(id="A2", typecode="010101"), poi(id="A3", location="[]")])

    with pytest.raises(ImportRefusedError) as caught:
        take(place, path, "gcj02")
    result = take(place, path, "gcj02", partial=True)

    assert [(row.row, row.field, row.value) for row in caught.value.rows] == [
        (2, "kind_code", "010101"), (3, "geometry", ""),
    ]  # fmt: skip
    assert (result.rows_stored, only(place)["facility_code"]) == (1, "B0FFHOL4BX")


def test_six_decimals_of_gcj02_move_nothing(place, tmp_path):
    take(place, geojson(tmp_path / "a.geojson", facility_code="B0FFHOL4BX", kind_code="G0506", name="花园幼儿园"))
    point = only(place)["geometry"]

    again = take(
        place, table(tmp_path / "b.csv", [poi(location=in_gcj02(point.x, point.y), entr_location="[]")]), "gcj02",
        at=datetime(2026, 9, 1, tzinfo=UTC),
    )  # fmt: skip

    assert (again.rows_stored, again.rows_unchanged) == (0, 1)
