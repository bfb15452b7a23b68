"""Imports of good files on a real PostGIS: what is stored, with which datum, and what a second import does."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from factories.stored_town import START, community_box, division_frame, grid_frame, residence_frame

from gridsvc.errors import RequestInvalidError
from gridsvc.geo.datums import convert
from gridsvc.services.importing import import_file

pytestmark = pytest.mark.postgis
GOLDEN = Path(__file__).parents[1] / "golden" / "imports"


@pytest.fixture
def town(uow):
    uow.divisions.put_frame(division_frame(), START)
    return uow


def write_csv(path: Path, columns: dict) -> Path:
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def facilities_csv(path: Path, **changes) -> Path:
    columns = {
        "facility_code": ["F1", "F2"],
        "kind_code": ["M101", "G1001"],
        "lon": [114.255, 114.265],
        "lat": [30.585, 30.595],
    }
    return write_csv(path, columns | changes)


def test_divisions_with_chinese_headers_are_stored(uow):
    result = import_file(uow, "divisions", GOLDEN / "divisions.geojson", datum="wgs84", valid_from=START)

    stored = uow.divisions.list(at=START)
    assert (result.rows_read, result.rows_stored, result.refused) == (7, 7, [])
    assert stored["parent_code"].iloc[-1] == "420103002"
    assert set(stored["original_datum"]) == {"wgs84"}
    assert shapely.equals(stored.geometry.iloc[2], community_box("420103001001"))


def test_same_file_again_changes_nothing(uow):
    first = import_file(uow, "divisions", GOLDEN / "divisions.geojson", datum="wgs84", valid_from=START)

    again = import_file(uow, "divisions", GOLDEN / "divisions.geojson", datum="wgs84", valid_from=START)

    assert not first.already_imported
    assert again.already_imported
    assert (again.rows_stored, again.rows_unchanged) == (0, 7)
    assert len(uow.imports.list()) == 1


def test_same_file_in_another_datum_is_another_import(uow):
    import_file(uow, "divisions", GOLDEN / "divisions.geojson", datum="wgs84", valid_from=START)

    again = import_file(uow, "divisions", GOLDEN / "divisions.geojson", datum="gcj02", valid_from=START)

    assert not again.already_imported
    assert again.rows_stored == 7


def test_first_file_is_imported_again_after_another_changed_its_rows(town, tmp_path):
    first, second = facilities_csv(tmp_path / "a.csv"), facilities_csv(tmp_path / "b.csv", kind_code=["M103", "M103"])
    for path in (first, second):
        import_file(town, "facilities", path, datum="wgs84", valid_from=START)

    again = import_file(town, "facilities", first, datum="wgs84", valid_from=START)

    assert not again.already_imported
    assert list(town.facilities.list(at=START)["kind_code"]) == ["M101", "G1001"]


def test_dry_run_stores_nothing(uow):
    result = import_file(uow, "divisions", GOLDEN / "divisions.geojson", datum="wgs84", valid_from=START, dry_run=True)

    assert (result.rows_stored, result.dry_run) == (7, True)
    assert uow.divisions.list(at=START).empty
    assert uow.imports.list().empty


def test_gb18030_shapefile_with_declared_encoding(uow):
    path = GOLDEN / "divisions_gb18030.zip"

    import_file(uow, "divisions", path, datum="file", encoding="gb18030", valid_from=START)

    assert uow.divisions.get("420103", START)["name"] == "江汉区"
    assert uow.divisions.get("420103", START)["original_datum"] == "cgcs2000"


def test_gcj02_points_are_stored_in_cgcs2000(town, tmp_path):
    lon, lat = convert(114.255, 30.585, "wgs84", "gcj02")
    path = facilities_csv(tmp_path / "f.csv", lon=[lon, lon], lat=[lat, lat])

    import_file(town, "facilities", path, datum="gcj02", valid_from=START)

    stored = town.facilities.list(at=START)
    assert np.allclose(shapely.get_coordinates(stored.geometry), [114.255, 30.585], atol=2e-9)
    assert set(stored["original_datum"]) == {"gcj02"}


def test_projected_file_is_read_as_it_says(town, tmp_path):
    frame = geopandas.GeoDataFrame(
        {"residence_code": ["B1"], "households": [36]},
        geometry=[shapely.box(114.2551, 30.5851, 114.2554, 30.5853)],
        crs="EPSG:4490",
    ).to_crs("EPSG:4547")
    path = tmp_path / "buildings.gpkg"
    frame.to_file(path)

    import_file(town, "residences", path, datum="file", valid_from=START)

    stored = town.residences.list()
    assert list(stored["community_code"]) == ["420103001001"]
    assert stored.geometry.iloc[0].equals_exact(shapely.box(114.2551, 30.5851, 114.2554, 30.5853), 2e-9, normalize=True)


def test_repair_reports_what_changed_in_m2(uow):
    result = import_file(uow, "divisions", GOLDEN / "bow_tie.geojson", datum="wgs84", valid_from=START, repair=True)

    stored = uow.divisions.list(at=START)
    assert [repair.code for repair in result.repaired] == ["420103"]
    assert result.repaired[0].change_m2 == pytest.approx(531_678, abs=2)  # half of the 0.01 degree square
    assert "Self-intersection" in result.repaired[0].what
    assert stored.geometry.is_valid.all()


def test_partial_stores_the_good_rows_and_lists_the_others(town, tmp_path):
    path = facilities_csv(tmp_path / "f.csv", kind_code=["M101", "X999"])

    result = import_file(town, "facilities", path, datum="wgs84", valid_from=START, partial=True)

    assert result.rows_stored == 1
    assert [(fault.row, fault.field, fault.value) for fault in result.refused] == [(2, "kind_code", "X999")]
    assert list(town.facilities.list(at=START)["facility_code"]) == ["F1"]


def test_reports_of_another_system_get_the_same_ids_each_time(town, tmp_path):
    first = import_file(town, "reports", GOLDEN / "reports.xlsx", datum="wgs84", valid_from=START)
    columns = {"工单号": ["2026-0001"], "小类代码": ["E06001"], "上报时间": ["2026-02-03T08:30:00+08:00"], "经度": [114.255], "纬度": [30.585],
               "问题描述": ["道路破损"]}  # fmt: skip
    second = import_file(town, "reports", write_csv(tmp_path / "r.csv", columns), datum="wgs84", valid_from=START)

    stored = town.reports.list()
    assert (first.rows_stored, second.rows_stored, second.rows_unchanged) == (2, 0, 1)
    assert list(stored["community_code"]) == ["420103002002", "420103001001"]
    assert set(stored["network"]) == {"urban"}
    assert stored["urban_grid"].isna().all()


def test_report_rows_may_each_declare_a_datum(town, tmp_path):
    lon, lat = convert([114.255, 114.255], [30.585, 30.585], "wgs84", "gcj02")
    columns = {"source_no": ["1", "2"], "category_code": ["E06001"] * 2, "reported_at": ["2026-02-03T08:30:00Z"] * 2,
               "lon": [lon[0], 114.255], "lat": [lat[0], 30.585], "datum": ["gcj02", ""]}  # fmt: skip

    import_file(town, "reports", write_csv(tmp_path / "r.csv", columns), datum="wgs84", valid_from=START)

    stored = town.reports.list()
    assert sorted(stored["original_datum"]) == ["gcj02", "wgs84"]
    assert np.allclose(shapely.get_coordinates(stored.geometry), [114.255, 30.585], atol=2e-9)
    assert sorted(stored["original_lon"].round(6)) == sorted([round(lon[0], 6), 114.255])


def test_times_without_offset_are_read_in_the_zone_given(town, tmp_path):
    columns = {
        "source_no": ["1"],
        "category_code": ["E06001"],
        "reported_at": ["2026-02-03 08:30:00"],
        "lon": [114.255],
        "lat": [30.585],
    }

    import_file(
        town,
        "reports",
        write_csv(tmp_path / "r.csv", columns),
        datum="wgs84",
        valid_from=START,
        timezone="Asia/Shanghai",
    )

    assert town.reports.list()["reported_at"].iloc[0] == pd.Timestamp("2026-02-03T00:30:00Z")


def test_workers_come_without_home_and_with_phone(town, tmp_path):
    path = write_csv(
        tmp_path / "w.csv",
        {"工号": ["0007"], "姓名": ["某甲"], "类别": ["W02"], "所属社区": ["420103001001"], "电话": ["02700000000"]},
    )

    import_file(town, "workers", path, datum=None, valid_from=START)

    stored = town.workers.list(at=START)
    assert list(stored["worker_code"]) == ["0007"]
    assert list(stored["phone"]) == ["02700000000"]


def test_streets_of_several_parts_become_several_streets(town, tmp_path):
    line = shapely.MultiLineString([[(114.251, 30.581), (114.252, 30.581)], [(114.254, 30.581), (114.255, 30.582)]])
    path = tmp_path / "streets.parquet"
    geopandas.GeoDataFrame(
        {"street_code": ["S1"], "道路等级": ["主干路"]}, geometry=[line], crs="EPSG:4326"
    ).to_parquet(path)

    result = import_file(town, "streets", path, datum="file", valid_from=START)

    stored = town.streets.list()
    assert result.rows_stored == 2
    assert list(stored["street_code"]) == ["S1-1", "S1-2"]
    assert set(stored["street_class"]) == {"primary"}


def test_grids_come_in_force_as_an_imported_redraw(town, tmp_path):
    path = tmp_path / "police.parquet"
    frame = grid_frame(network="security", kind="security", parts=1)
    frame[["code", "name", "geometry"]].to_crs("EPSG:4326").to_parquet(path)

    result = import_file(town, "grids", path, datum="file", valid_from=START, network="security", actor="test")

    redraws = town.redraws.list()
    assert result.rows_stored == 4
    assert result.counts["420103"]["is_exact"] is True
    assert result.counts["420103"]["gap_area_m2"] == 0.0
    assert list(zip(redraws["origin"], redraws["state"], strict=True)) == [("imported", "approved")]
    assert len(town.grids.list("security", at=START)) == 4


def test_grids_of_which_the_file_says_nothing_get_who_lives_in_them(town, tmp_path):
    town.residences.put_frame(residence_frame(), at=START)
    path = tmp_path / "police.parquet"
    frame = grid_frame(network="security", kind="security")
    frame[["code", "name", "geometry"]].to_crs("EPSG:4326").to_parquet(path)
    import_file(town, "grids", path, datum="file", valid_from=START, network="security", actor="test")

    stored = town.grids.list("security", at=START)
    homes = town.residences.list()
    inside = [
        homes[shapely.contains(shape, shapely.point_on_surface(homes.geometry.to_numpy()))] for shape in stored.geometry
    ]
    assert list(stored["households"]) == [int(each["households"].sum()) for each in inside]
    assert list(stored["population"]) == [int(each["population"].sum()) for each in inside]
    assert stored["households"].sum() == 8 * 30 and (stored["households"] == 0).any()


def test_what_a_file_says_of_its_grids_is_kept(town, tmp_path):
    town.residences.put_frame(residence_frame(), at=START)
    path = tmp_path / "police.parquet"
    frame = grid_frame(network="security", kind="security").assign(households=7)
    frame.loc[0, "households"] = 0
    frame[["code", "households", "geometry"]].to_crs("EPSG:4326").to_parquet(path)
    import_file(town, "grids", path, datum="file", valid_from=START, network="security", actor="test")

    stored = town.grids.list("security", at=START)
    assert list(stored["households"]) == [0, *[7] * (len(stored) - 1)]
    assert set(stored["population"]) == {0}


def test_gaps_between_imported_grids_are_reported_not_refused(town, tmp_path):
    path = tmp_path / "police.parquet"
    grid_frame(network="security", kind="security").iloc[1:][["code", "name", "geometry"]].to_crs(
        "EPSG:4326"
    ).to_parquet(path)

    result = import_file(town, "grids", path, datum="file", valid_from=START)

    assert result.counts["420103"]["is_exact"] is False
    assert result.counts["420103"]["gap_area_m2"] > 500_000


def test_unknown_kind_and_network_are_refused(uow):
    with pytest.raises(RequestInvalidError, match="cannot be imported"):
        import_file(uow, "trees", GOLDEN / "divisions.geojson", datum="wgs84", valid_from=START)
    with pytest.raises(RequestInvalidError, match="unified"):
        import_file(uow, "grids", GOLDEN / "divisions.geojson", datum="wgs84", valid_from=START, network="unified")
