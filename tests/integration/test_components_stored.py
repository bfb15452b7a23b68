"""The register of components on a real PostGIS: import, export, ids, states, and the nearest of a class."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from factories import registers, served_town
from factories import stored_town as town
from factories.registers import COVER, LAMP, LAT, LON, component_frame, register_csv

from gridsvc.errors import (
    CategoryUnknownError,
    CodesExhaustedError,
    ConflictError,
    ImportRefusedError,
    NotFoundError,
    RequestInvalidError,
)
from gridsvc.geo.component_snapping import distances_and_bearings
from gridsvc.geo.datums import convert
from gridsvc.services import components as register
from gridsvc.services.importing import import_file

pytestmark = pytest.mark.postgis
START, LATER = town.START, town.LATER
NOW = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def register_town(uow):
    uow.divisions.put_frame(town.division_frame(), START)
    return uow


def take(uow, path, **how):
    return import_file(uow, "components", path, **({"datum": "cgcs2000", "valid_from": START} | how))


def in_gcj02() -> dict:
    """Return the positions of the small register in another datum, with the column that says so."""
    columns = registers.register_columns()
    lon, lat = convert(columns["lon"], columns["lat"], "cgcs2000", "gcj02")
    return {"lon": lon, "lat": lat, "坐标系": ["gcj02"] * 4}


def refused(uow, path, **how):
    with pytest.raises(ImportRefusedError) as caught:
        take(uow, path, **how)
    assert uow.components.list().empty
    return [(fault.row, fault.field, fault.reason) for fault in caught.value.rows]


def test_a_register_with_chinese_headers_is_stored(register_town, tmp_path):
    result = take(register_town, register_csv(tmp_path / "r.csv"))

    stored = register_town.components.list(at=START).set_index("component_id")
    assert (result.rows_read, result.rows_stored, result.refused, result.counts) == (4, 4, [], {})
    assert list(stored["state"]) == ["lost", "intact", "damaged", "intact"]
    assert list(stored["category_code"]) == [COVER, LAMP, LAMP, LAMP]
    assert stored.loc["42010301037000001", ["began_on", "owner_name"]].tolist() == ["2020-01-31", "路灯所"]
    assert set(stored["division_code"]) == {town.COMMUNITIES[0]}


def test_the_position_is_kept_as_it_came(register_town, tmp_path):
    lon, lat = (float(v) for v in convert(LON, LAT, "cgcs2000", "gcj02"))
    take(register_town, register_csv(tmp_path / "r.csv", lon=[lon] * 4, lat=[lat] * 4), datum="gcj02")

    first = register_town.components.list(at=START).set_index("component_id").loc["42010301037000001"]
    assert (first["original_x"], first["original_y"], first["original_datum"]) == (lon, lat, "gcj02")
    assert (first["geometry"].x, first["geometry"].y) == pytest.approx((LON, LAT), abs=1.5e-9)


def test_a_survey_in_metres_is_taken_and_kept(register_town, tmp_path):
    points = gpd.GeoSeries([shapely.MultiPoint([shapely.Point(LON, LAT, 23.5)])], crs=4490).to_crs(4547)
    gpd.GeoDataFrame({"OBJID": ["42010301037000001"]}, geometry=points).to_file(tmp_path / "survey.gpkg")

    take(register_town, tmp_path / "survey.gpkg", datum="file")

    stored = register_town.components.list(at=START).iloc[0]
    assert (stored["geometry"].x, stored["geometry"].y) == pytest.approx((LON, LAT), abs=2e-9)
    assert (stored["original_x"], stored["original_y"]) == (points[0].geoms[0].x, points[0].geoms[0].y)
    assert stored["original_datum"] == "EPSG:4547"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"部件标识码": ["4201030199000001", *["42010301037000002", "42010301037000003", "42010301001000001"]]},
         (1, "component_id", "names the class C0199, which its edition has not")),
        ({"部件标识码": ["420103010370000011", "42010301037000002", "42010301037000003", "42010301001000001"]},
         (1, "component_id", "is no component id: Give text of digits: 17 (GB/T 47678.5-2026) or 16 (GB/T 30428.2-2013).")),
        ({"部件标识码": ["42010301037000001", "42010301037000001", "42010301037000003", "42010301001000001"]},
         (2, "component_id", "occurs 2 times, in rows 1, 2")),
        ({"部件标识码": ["42010401037000001", "42010301037000002", "42010301037000003", "42010301001000001"]},
         (1, "component_id", "is of district 420104, but its place lies in 420103")),
        ({"小类代码": [COVER, LAMP, LAMP, "01001"]},
         (1, "component_id", "is an id of class C01037, not of C01001")),
        ({"版本": ["gbt-30428.2-2013", "", "", ""]},
         (1, "component_id", "is an id of edition gbt-47678.5-2026, not of gbt-30428.2-2013")),
        ({"部件状态": ["完好", "好", "完好", "丢失"]},
         (2, "state", "is not a state of a component (intact 完好, damaged 破损, lost 丢失, abandoned 废弃, removed 移除)")),
        ({"初始日期": ["20200231", "", "", ""]}, (1, "began_on", "is not a date such as 2026-01-31 or 20260131")),
        ({"精度等级": ["A", "b", "C级", "D"]}, (4, "accuracy_class", "is not A, B or C")),
        ({"备注": ["x" * 1001, "", "", ""]}, (1, "note", "has more than 1000 characters")),
        ({"lon": [100.0, LON, LON, LON]}, (1, "geometry", "is outside of every division stored; import its district first")),
    ],
)  # fmt: skip
def test_a_bad_row_refuses_the_file_and_is_named(register_town, tmp_path, changes, fault):
    assert fault in refused(register_town, register_csv(tmp_path / "r.csv", **changes))


def test_rows_without_id_or_class_are_refused(register_town, tmp_path):
    path = register_csv(tmp_path / "r.csv", 部件标识码=...)

    assert refused(register_town, path)[0] == (
        1, "category_code", "is missing; give the class of the component, or its id",
    )  # fmt: skip


@pytest.mark.parametrize("code", ["E06001", "C01", "C99999", "S01"])
def test_what_is_no_class_of_components_is_refused(register_town, tmp_path, code):
    path = register_csv(tmp_path / "r.csv", 部件标识码=..., 小类代码=[code, LAMP, LAMP, COVER])

    assert refused(register_town, path) == [
        (1, "category_code", "is no class of components; see /api/v1/categories"),
    ]  # fmt: skip


def test_with_partial_good_rows_are_stored_and_bad_ones_listed(register_town, tmp_path):
    path = register_csv(tmp_path / "r.csv", 部件状态=["完好", "好", "完好", "丢失"])

    result = take(register_town, path, partial=True)

    assert (result.rows_stored, [fault.row for fault in result.refused]) == (3, [2])


def test_ids_that_are_missing_are_given_in_order_after_the_largest_ever_given(register_town, tmp_path):
    take(register_town, register_csv(tmp_path / "a.csv", 部件标识码=["42010301037000041", "", "", ""], 小类代码=[LAMP, LAMP, LAMP, COVER]))  # fmt: skip

    ids = list(register_town.components.list()["component_id"])
    assert ids == ["42010301001000001", "42010301037000041", "42010301037000042", "42010301037000043"]


def test_the_same_rows_without_ids_register_nothing_twice(register_town, tmp_path):
    classes = {"部件标识码": ..., "小类代码": [LAMP, LAMP, LAMP, COVER]}
    first = take(register_town, register_csv(tmp_path / "a.csv", **classes))

    again = take(register_town, register_csv(tmp_path / "b.csv", **classes, extra=[1, 2, 3, 4]))

    assert (first.counts, again.counts) == ({"ids_given": 4}, {})
    assert (again.rows_stored, again.rows_unchanged) == (0, 4)


def test_two_rows_without_ids_at_one_place_are_refused(register_town, tmp_path):
    path = register_csv(tmp_path / "a.csv", 部件标识码=..., 小类代码=[LAMP] * 4, lon=[LON, LON, LON + 0.001, LON + 0.002])  # fmt: skip

    reason = "is missing, and another row without an id has the same class and place"
    assert refused(register_town, path) == [(1, "component_id", reason), (2, "component_id", reason)]


def test_a_removed_component_keeps_its_id_and_the_next_at_its_place_gets_another(register_town, tmp_path):
    one = {"部件标识码": ..., "部件名称": ["灯"], "部件状态": ["完好"], "权属单位": [""], "初始日期": [""], "lon": [LON], "lat": [LAT], "小类代码": [LAMP]}  # fmt: skip
    take(register_town, register_csv(tmp_path / "a.csv", **one))
    register.change_state(register_town, "42010301037000001", "removed", changed_at=LATER, now=NOW, by="tester")

    result = take(register_town, register_csv(tmp_path / "b.csv", **(one | {"部件名称": ["新灯"]})), valid_from=NOW)

    assert result.counts == {"ids_given": 1}
    assert list(register_town.components.list()["component_id"]) == ["42010301037000001", "42010301037000002"]


def test_serials_that_are_used_up_refuse_the_file(register_town, tmp_path):
    register_town.components.note_serials({"42010301037": 999_998})
    path = register_csv(tmp_path / "a.csv", 部件标识码=..., 小类代码=[LAMP, LAMP, LAMP, COVER])

    with pytest.raises(CodesExhaustedError, match="C01037 in district 420103"):
        take(register_town, path)


def test_a_dry_run_gives_no_ids_and_stores_nothing(register_town, tmp_path):
    path = register_csv(tmp_path / "a.csv", 部件标识码=..., 小类代码=[LAMP, LAMP, LAMP, COVER])

    assert take(register_town, path, dry_run=True).rows_stored == 4
    assert register_town.components.list().empty
    assert take(register_town, path).rows_stored == 4
    assert register_town.components.list()["component_id"].iloc[-1] == "42010301037000003"


def test_ids_of_the_2013_edition_stand_beside_those_of_2026(register_town, tmp_path):
    path = register_csv(tmp_path / "a.csv", 部件标识码=["4201030137000001", "", "", ""], 小类代码=["0137", "C0137", LAMP, COVER])  # fmt: skip

    take(register_town, path)

    stored = register_town.components.list()[["component_id", "edition"]].to_numpy().tolist()
    assert stored == [
        ["42010301001000001", "gbt-47678.5-2026"],
        ["42010301037000001", "gbt-47678.5-2026"],
        ["4201030137000001", "gbt-30428.2-2013"],
        ["4201030137000002", "gbt-30428.2-2013"],
    ]


def test_what_a_later_file_does_not_say_is_kept(register_town, tmp_path):
    take(register_town, register_csv(tmp_path / "a.csv"))

    result = take(register_town, register_csv(tmp_path / "b.csv", 部件状态=["", "", "", ""], 权属单位=..., 部件名称=["灯", "路灯", "路灯", "上水井盖"]), valid_from=LATER)  # fmt: skip

    stored = register_town.components.list(at=LATER).set_index("component_id")
    assert (result.rows_stored, result.rows_unchanged) == (1, 3)
    assert list(stored["state"]) == ["lost", "intact", "damaged", "intact"]
    assert stored["owner_name"].iloc[0] == "水务公司"
    assert register_town.components.list(at=START).set_index("component_id").loc["42010301037000001", "name"] == "路灯"


@pytest.mark.parametrize("suffix", [".geojson", ".csv", ".gpkg", ".xlsx"])
def test_an_exported_register_is_the_same_when_imported_again(register_town, tmp_path, suffix):
    odd = {"备注": ["=1+1", 'a "quoted", text', "第一行\n第二行", "0012"], "精度等级": ["A", "B", "C", ""]}
    take(register_town, register_csv(tmp_path / "r.csv", **odd, **in_gcj02()))
    before = register_town.components.list()
    out = tmp_path / f"out{suffix}"

    told = register.export_components(register_town, out, at=NOW)
    written = out.read_bytes()
    again = take(register_town, out, datum="file" if suffix in (".geojson", ".gpkg") else None, valid_from=NOW)
    register.export_components(register_town, out, at=NOW)

    assert told == register.ExportResult(out.name, 4)
    assert (again.rows_stored, again.rows_unchanged) == (0, 4)
    assert out.read_bytes() == written
    pd.testing.assert_frame_equal(before, register_town.components.list())


@pytest.mark.parametrize("suffix", [".geojson", ".csv", ".gpkg", ".xlsx"])
def test_an_exported_register_makes_the_same_register_elsewhere(open_uow, tmp_path, suffix):
    out = tmp_path / f"out{suffix}"
    with open_uow() as uow:
        uow.divisions.put_frame(town.division_frame(), START)
        take(uow, register_csv(tmp_path / "r.csv", **in_gcj02()))
        before = uow.components.list()
        register.export_components(uow, out, at=NOW)

    with open_uow() as uow:
        uow.divisions.put_frame(town.division_frame(), START)
        take(uow, out, datum="cgcs2000", valid_from=START)
        after = uow.components.list()

    kept = [c for c in before.columns if c not in ("source", "original_x", "original_y", "original_datum")]
    pd.testing.assert_frame_equal(before[kept], after[kept])


def test_an_export_is_cut_and_an_empty_one_is_refused(register_town, tmp_path):
    take(register_town, register_csv(tmp_path / "r.csv"))

    told = register.export_components(register_town, tmp_path / "o.csv", at=NOW, category_code=LAMP, state="damaged")
    with pytest.raises(NotFoundError):
        register.export_components(register_town, tmp_path / "no.csv", at=NOW, prefix=town.COMMUNITIES[3])
    with pytest.raises(RequestInvalidError, match="suffix"):
        register.export_components(register_town, tmp_path / "no.dwg", at=NOW)

    assert told.components == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.csv", "r.csv"]


def test_a_change_of_state_keeps_the_past(register_town, tmp_path):
    take(register_town, register_csv(tmp_path / "r.csv"))
    lamp = "42010301037000001"

    changed, new = register.change_state(
        register_town, lamp, "lost", changed_at=LATER, now=NOW, by="tester", note="被盗"
    )
    again, repeated = register.change_state(register_town, lamp, "lost", changed_at=LATER, now=NOW, by="tester")

    assert (changed["state"], new, again["state"], repeated) == ("lost", True, "lost", False)
    assert [(v["state"], v["valid_from"], v["valid_to"], v["changed_by"], v["change_note"]) for v in again["history"]] == [
        ("intact", START, LATER, "import", ""),
        ("lost", LATER, None, "tester", "被盗"),
    ]  # fmt: skip
    assert register.get_component(register_town, lamp, at=LATER - timedelta(days=1))["state"] == "intact"


@pytest.mark.parametrize(
    ("state", "changed_at", "error"),
    [
        ("lost", NOW + timedelta(hours=1), RequestInvalidError),
        ("lost", START - timedelta(hours=1), RequestInvalidError),
        ("lost", START, ConflictError),
        ("lost", LATER - timedelta(days=1), ConflictError),
        ("stolen", NOW, RequestInvalidError),
    ],
    ids=["ahead", "before it was there", "at its beginning", "before a later change", "no state"],
)
def test_a_change_of_state_that_does_not_fit_is_refused(register_town, tmp_path, state, changed_at, error):
    take(register_town, register_csv(tmp_path / "r.csv"))
    register.change_state(register_town, "42010301037000001", "damaged", changed_at=LATER, now=NOW, by="tester")

    with pytest.raises(error):
        register.change_state(register_town, "42010301037000001", state, changed_at=changed_at, now=NOW, by="tester")

    assert len(register_town.components.versions("42010301037000001")) == 2


def test_a_component_outside_the_scope_is_not_there(register_town, open_uow, tmp_path):
    take(register_town, register_csv(tmp_path / "r.csv"))

    with open_uow(town.COMMUNITIES[1]) as elsewhere:
        near = register.near_components(elsewhere, LON, LAT, "cgcs2000", category_code=LAMP, at=NOW)
        with pytest.raises(NotFoundError):
            register.get_component(elsewhere, "42010301037000001", at=NOW)
        with pytest.raises(NotFoundError):
            register.change_state(elsewhere, "42010301037000001", "lost", changed_at=None, now=NOW, by="tester")

    assert near.components == []


def test_components_follow_when_communities_are_drawn_anew(register_town, tmp_path):
    take(register_town, register_csv(tmp_path / "r.csv"))
    divisions = town.division_frame()
    first, second = (divisions["code"] == code for code in town.COMMUNITIES[:2])
    swapped = divisions.geometry.to_numpy().copy()
    swapped[first], swapped[second] = swapped[second].copy(), swapped[first].copy()

    register_town.divisions.put_frame(town.frame(dict(divisions.drop(columns="geometry")), swapped), LATER)

    assert set(register_town.components.list()["division_code"]) == {town.COMMUNITIES[1]}


def test_the_nearest_come_first_with_distance_bearing_and_share(register_town, tmp_path):
    take(register_town, register_csv(tmp_path / "r.csv"))

    found = register.near_components(register_town, LON, LAT, "cgcs2000", category_code=LAMP, at=NOW, accuracy_m=15)

    assert [c["component_id"][-1] for c in found.components] == ["1", "2", "3"]
    assert [c["distance_m"] for c in found.components] == pytest.approx([0, 20, 40], abs=0.05)
    assert [c["bearing_deg"] for c in found.components] == [0, 90, 90]
    assert sum(c["share"] for c in found.components) == pytest.approx(1, abs=2e-4)
    assert found.radius_m == 50


def test_nothing_farther_than_the_radius_is_found(register_town):
    register_town.components.put_frame(
        component_frame(1).set_geometry([shapely.Point(LON + 6e-4, LAT)], crs=4490), START
    )

    def found(accuracy_m):
        near = register.near_components(
            register_town, LON, LAT, "cgcs2000", category_code=LAMP, at=NOW, accuracy_m=accuracy_m
        )
        return len(near.components)

    # 57.55 m away; a box of degrees around a circle of 57 m holds it
    assert (found(None), found(57.0), found(57.6), found(1e5)) == (0, 0, 1, 1)


@pytest.mark.parametrize("limit", [1, 3, 10, 50])
def test_the_nearest_are_those_of_measuring_all(register_town, limit):
    frame = component_frame(3000)
    register_town.components.put_frame(frame, START)
    lons, lats = frame.geometry.x.to_numpy(), frame.geometry.y.to_numpy()
    draw = np.random.default_rng(2)

    for lon, lat in draw.uniform((LON - 0.005, LAT - 0.005), (LON + 0.005, LAT + 0.005), (20, 2)):
        near = register.near_components(register_town, lon, lat, "cgcs2000", category_code=LAMP, at=NOW, accuracy_m=120, limit=limit)  # fmt: skip
        distance, _ = distances_and_bearings(round(lon, 9), round(lat, 9), lons, lats)
        order = np.argsort(distance, kind="stable")[:limit]
        wanted = frame["component_id"].to_numpy()[order[distance[order] <= 120]].tolist()

        assert [c["component_id"] for c in near.components] == wanted


def test_a_class_is_found_under_the_codes_of_both_editions_and_by_its_matter(register_town, tmp_path):
    path = register_csv(tmp_path / "a.csv", 部件标识码=["4201030137000001", "", "", ""], 小类代码=["0137", LAMP, LAMP, COVER])  # fmt: skip
    take(register_town, path)

    def ids(**asked):
        near = register.near_components(register_town, LON, LAT, "cgcs2000", at=NOW, **asked)
        return [c["component_id"] for c in near.components], near.category_codes

    wanted = ["4201030137000001", "42010301037000001", "42010301037000002"], ["C01037", "C0137"]
    assert ids(category_code=LAMP) == wanted
    assert ids(category_code="E01037") == wanted
    assert ids(category_code="C0137", edition="gbt-30428.2-2013") == wanted


def test_removed_components_are_not_suggested_and_lost_ones_are(register_town, tmp_path):
    take(register_town, register_csv(tmp_path / "r.csv"))
    register.change_state(register_town, "42010301037000001", "removed", changed_at=LATER, now=NOW, by="t")
    register.change_state(register_town, "42010301037000002", "lost", changed_at=LATER, now=NOW, by="t")

    def ids(at):
        near = register.near_components(register_town, LON, LAT, "cgcs2000", category_code=LAMP, at=at)
        return [c["component_id"][-1] for c in near.components]

    assert ids(NOW) == ["2", "3"]
    assert ids(START) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"category_code": "E06001"}, RequestInvalidError),
        ({"category_code": "C01"}, RequestInvalidError),
        ({"category_code": "E0101", "edition": "gbt-30428.2-2013"}, RequestInvalidError),
        ({"category_code": "C77777"}, CategoryUnknownError),
        ({"category_code": LAMP, "edition": "none"}, CategoryUnknownError),
    ],
)
def test_what_is_about_no_component_is_refused(register_town, asked, error):
    with pytest.raises(error):
        register.near_components(register_town, LON, LAT, "cgcs2000", at=NOW, **asked)


def test_the_unit_grid_follows_from_the_place(uow, tmp_path):
    served_town.put_town(uow)
    take(uow, register_csv(tmp_path / "r.csv"))

    one = register.get_component(uow, "42010301037000002", at=NOW)
    register.export_components(uow, tmp_path / "o.csv", at=NOW)

    exported = pd.read_csv(tmp_path / "o.csv", dtype=str).set_index("component_id")["unit_grid"]
    # four grids side by side; the second ends in the middle of the community, and the lamp stands 20 m east of it
    assert one["unit_grid"] == exported["42010301037000002"] == "420103001001003"
    assert uow.grids.locate_one(LON, LAT, NOW)["urban"] == exported["42010301037000001"] == "420103001001002"


@pytest.mark.slow
def test_a_search_reads_the_index_of_class_and_place_and_nothing_else(register_town, connection):
    from sqlalchemy import text

    from gridsvc.store.sql_files import sql_text

    for i in range(20):
        register_town.components.put_frame(component_frame(1000, category=f"C010{25 + i}", seed=i), START)
    connection.execute(text("ANALYZE components"))
    bound = {"lon": LON, "lat": LAT, "codes": [LAMP], "at": NOW, "radius_m": 500, "limit": 5, "degree_lon_m": 95_000.0, "degree_lat_m": 110_000.0, "scope": "%"}  # fmt: skip

    plan = "\n".join(connection.execute(text("EXPLAIN " + sql_text("snap_components")), bound).scalars())

    assert plan.count("Index Scan using ix_components_category_code_geom") == 2, plan
    assert len(re.findall(r"Index Cond: \(\(category_code = \S+ AND \(geom &&", plan)) == 2, plan
    assert "Order By: (geom <->" in plan
    assert "Seq Scan" not in plan


# street furniture of Washington as classes of the catalogue
_WASHINGTON = {
    "litter_can": "C03005", "sewer_inlet": "C01004", "traffic_signal_cabinet": "C02015", "signalised_intersection": "C02014",
    "cctv_camera": "C01050",
}  # fmt: skip


@pytest.mark.real_data
def test_the_street_furniture_of_washington_is_registered_and_found_where_it_stands(uow, real_data_dir, tmp_path):
    source = pd.read_parquet(real_data_dir / "washington_dc" / "components.parquet")
    district = town.frame(
        {"code": [town.DISTRICT], "name": ["华盛顿"], "level": ["district"]}, [shapely.box(-78, 38, -76, 40)]
    )
    uow.divisions.put_frame(district, START)
    columns = {"category_code": source["component_type"].map(_WASHINGTON), "lon": source["lon"], "lat": source["lat"]}
    pd.DataFrame(columns).to_csv(tmp_path / "dc.csv", index=False)

    result = take(uow, tmp_path / "dc.csv", datum="wgs84", partial=True)
    again = take(uow, tmp_path / "dc.csv", datum="wgs84", partial=True, valid_from=LATER)

    twice = pd.DataFrame(columns).round(9).duplicated(keep=False).to_numpy()
    assert result.rows_read == len(source) == 11_448
    assert [fault.row for fault in result.refused] == (np.flatnonzero(twice) + 1).tolist()
    assert result.rows_stored == result.counts["ids_given"] == (~twice).sum()
    assert again.already_imported
    for i in np.flatnonzero(~twice)[::500]:
        near = register.near_components(
            uow, source["lon"][i], source["lat"][i], "wgs84", category_code=columns["category_code"][i], at=NOW
        )
        assert near.components[0]["distance_m"] == 0
