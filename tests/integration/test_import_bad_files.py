"""Bad input, each with a clear error and nothing stored."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import geopandas
import pandas as pd
import pytest
import shapely
from factories.stored_town import START, division_frame, grid_frame

from gridsvc.errors import (
    CrsMismatchError,
    DatumMissingError,
    DatumUnknownError,
    FileUnreadableError,
    ImportRefusedError,
)
from gridsvc.services.importing import import_file

pytestmark = pytest.mark.postgis
GOLDEN = Path(__file__).parents[1] / "golden" / "imports"

FACILITIES = {
    "facility_code": ["F1", "F2"],
    "kind_code": ["M101", "G1001"],
    "lon": [114.255, 114.265],
    "lat": [30.585, 30.595],
}
REPORTS = {
    "source_no": ["1"],
    "category_code": ["E06001"],
    "reported_at": ["2026-02-03T08:30:00+08:00"],
    "lon": [114.255],
    "lat": [30.585],
}
WORKERS = {
    "worker_code": ["W1"],
    "name": ["某甲"],
    "kind_code": ["W02"],
    "division_code": ["420103001001"],
    "phone": ["02799999999"],
}
STREETS = {"street_code": ["S1"], "street_class": ["primary"], "wkt": ["LINESTRING (114.251 30.581, 114.252 30.581)"]}
RESIDENCES = {
    "residence_code": ["B1"],
    "wkt": ["POLYGON ((114.2551 30.5851, 114.2554 30.5851, 114.2554 30.5853, 114.2551 30.5851))"],
}
VALID = {"facilities": FACILITIES, "reports": REPORTS, "workers": WORKERS, "streets": STREETS, "residences": RESIDENCES}


@pytest.fixture
def town(uow):
    uow.divisions.put_frame(division_frame(), START)
    return uow


def stored_rows(uow) -> dict[str, int]:
    return {
        "divisions": len(uow.divisions.list(at=START)), "facilities": uow.facilities.count(), "residences": uow.residences.count(),
        "streets": uow.streets.count(), "workers": uow.workers.count(), "reports": uow.reports.count(),
        "grids": uow.grids.count("security"), "imports": len(uow.imports.list()),
    }  # fmt: skip


def csv_file(tmp_path: Path, columns: dict) -> Path:
    path = tmp_path / "file.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def refused(uow, kind: str, path: Path, error: type[Exception] = ImportRefusedError, **options):
    """Import a file that must be refused, and hold that nothing was stored."""
    before = stored_rows(uow)
    with pytest.raises(error) as caught:
        import_file(uow, kind, path, valid_from=START, **({"datum": "wgs84"} | options))
    assert stored_rows(uow) == before
    return caught.value


BAD_ROWS = [
    pytest.param("facilities", {"lon": [30.585, 114.265], "lat": [114.255, 30.595]}, (1, "geometry", "looks swapped"), id="swapped lon lat"),
    pytest.param("facilities", {"lon": ["NaN", 114.265]}, (1, "lon", "not a finite number"), id="NaN longitude"),
    pytest.param("facilities", {"lat": ["inf", 30.595]}, (1, "lat", "not a finite number"), id="infinite latitude"),
    pytest.param("facilities", {"lon": ["east", 114.265]}, (1, "lon", "not a finite number"), id="text for a number"),
    pytest.param("facilities", {"lon": ["", 114.265]}, (1, "geometry", "missing"), id="no position"),
    pytest.param("facilities", {"lon": [214.255, 114.265]}, (1, "geometry", "outside of longitude"), id="out of range"),
    pytest.param("facilities", {"lon": [116.4, 114.265], "lat": [39.9, 30.595]}, (1, "geometry", "outside of every division"), id="outside the divisions"),
    pytest.param("facilities", {"kind_code": ["X1", "G1001"]}, (1, "kind_code", "not a facility kind"), id="unknown facility kind"),
    pytest.param("facilities", {"facility_code": ["F1", "F1"]}, (1, "facility_code", "occurs 2 times, in rows 1, 2"), id="duplicate code"),
    pytest.param("facilities", {"facility_code": ["", "F2"]}, (1, "facility_code", "missing"), id="missing code"),
    pytest.param("facilities", {"kind_code": ["M101\ufffd", "G1001"]}, (1, "kind_code", "wrong encoding"), id="replacement characters"),
    pytest.param("reports", {"lon": [116.4], "lat": [39.9]}, (1, "geometry", "outside of every district"), id="report outside the city"),
    pytest.param("reports", {"category_code": ["E99999"]}, (1, "category_code", "not a category of edition"), id="unknown category"),
    pytest.param("reports", {"edition": ["1999"]}, (1, "edition", "not an edition"), id="unknown edition"),
    pytest.param("reports", {"reported_at": ["2026-02-03 08:30:00"]}, (1, "reported_at", "no UTC offset"), id="time without offset"),
    pytest.param("reports", {"reported_at": ["yesterday+08:00"]}, (1, "reported_at", "not an ISO 8601"), id="no time"),
    pytest.param("reports", {"report_id": ["12-34"]}, (1, "report_id", "not a UUID"), id="malformed report id"),
    pytest.param("reports", {"datum": ["beijing54"]}, (1, "datum", "not a known datum"), id="unknown datum in a row"),
    pytest.param("reports", {"accuracy_m": [-3]}, (1, "accuracy_m", "negative"), id="negative accuracy"),
    pytest.param("reports", {"source": ["rumour"]}, (1, "source", "is not one of"), id="unknown source"),
    pytest.param("workers", {"kind_code": ["W99"]}, (1, "kind_code", "not a worker kind"), id="unknown worker kind"),
    pytest.param("workers", {"division_code": ["420103009009"]}, (1, "division_code", "not a division stored"), id="unknown division"),
    pytest.param("workers", {"capacity_grids": [0]}, (1, "capacity_grids", "less than 1"), id="no capacity"),
    pytest.param("streets", {"street_class": ["canal"]}, (1, "street_class", "not a street class"), id="unknown street class"),
    pytest.param("streets", {"wkt": ["POINT (114.251 30.581)"]}, (1, "geometry", "is not a line"), id="a point for a street"),
    pytest.param("streets", {"wkt": ["LINESTRING (114 30, 114 30)"]}, (1, "geometry", "not valid"), id="a line without length"),
    pytest.param("streets", {"wkt": ["LINESTRING 1 2"]}, (1, "wkt", "not well-known text"), id="broken WKT"),
    pytest.param("residences", {"households": [-1]}, (1, "households", "negative"), id="negative households"),
    pytest.param("residences", {"households": ["2.5"]}, (1, "households", "not a whole number"), id="half a household"),
    pytest.param("residences", {"wkt": ["POLYGON ((114.251 30.581, 114.252 30.582, 114.252 30.581, 114.251 30.582, 114.251 30.581))"]},
                 (1, "geometry", "not valid: Self-intersection"), id="bow-tie polygon"),
    pytest.param("residences", {"wkt": ["POLYGON EMPTY"]}, (1, "geometry", "is empty"), id="empty polygon"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "changes", "expected"), BAD_ROWS)
def test_bad_row_is_named_and_nothing_is_stored(town, tmp_path, kind, changes, expected):
    error = refused(town, kind, csv_file(tmp_path, VALID[kind] | changes))

    row, field, reason = expected
    assert error.code == "import-refused"
    assert [(fault.row, fault.field) for fault in error.rows][:1] == [(row, field)]
    assert reason in error.rows[0].reason


def test_every_fault_of_a_file_is_listed_at_once(town, tmp_path):
    path = csv_file(tmp_path, FACILITIES | {"kind_code": ["X1", "X2"], "facility_code": ["F1", "F1"]})

    error = refused(town, "facilities", path)

    assert [(fault.row, fault.field) for fault in error.rows] == [
        (1, "facility_code"), (1, "kind_code"), (2, "facility_code"), (2, "kind_code"),
    ]  # fmt: skip


def test_partial_with_no_good_row_is_refused(town, tmp_path):
    refused(town, "facilities", csv_file(tmp_path, FACILITIES | {"kind_code": ["X1", "X2"]}), partial=True)


def test_phone_is_never_repeated(town, tmp_path):
    error = refused(town, "workers", csv_file(tmp_path, WORKERS | {"phone": ["0279999\ufffd"]}))

    assert error.rows[0].field == "phone"
    assert "0279999" not in str(error.rows)


def test_undeclared_datum(town, tmp_path):
    error = refused(town, "facilities", csv_file(tmp_path, FACILITIES), DatumMissingError, datum=None)

    assert error.code == "datum-missing"
    assert "--datum" in error.hint


def test_unknown_datum(town, tmp_path):
    refused(town, "facilities", csv_file(tmp_path, FACILITIES), DatumUnknownError, datum="xian80")


def test_file_without_crs_cannot_say_its_datum(town):
    error = refused(town, "divisions", GOLDEN / "divisions.geojson", DatumMissingError, datum="file")

    assert "states no CRS" in error.message


def test_crs_in_a_file_is_not_a_declaration(town, tmp_path):
    path = tmp_path / "streets.parquet"
    line = shapely.LineString([(114.251, 30.581), (114.252, 30.581)])
    geopandas.GeoDataFrame({"highway": ["primary"]}, geometry=[line], crs="EPSG:4326").to_parquet(path)

    error = refused(town, "streets", path, DatumMissingError, datum=None)

    assert "--datum file" in error.hint


@pytest.mark.parametrize(("crs", "datum"), [("EPSG:4547", "gcj02"), ("EPSG:4490", "bd09"), ("EPSG:4547", "wgs84")])
def test_crs_that_contradicts_the_datum(town, tmp_path, crs, datum):
    path = tmp_path / "streets.gpkg"
    line = shapely.LineString([(114.251, 30.581), (114.252, 30.581)])
    geopandas.GeoDataFrame({"highway": ["primary"]}, geometry=[line], crs="EPSG:4490").to_crs(crs).to_file(path)

    error = refused(town, "streets", path, CrsMismatchError, datum=datum)

    assert error.code == "crs-mismatch"


def test_unpublished_local_system_is_refused(town, tmp_path):
    path = tmp_path / "streets.gpkg"
    line = shapely.LineString([(1000, 1000), (1100, 1000)])
    geopandas.GeoDataFrame({"highway": ["primary"]}, geometry=[line], crs="EPSG:2436").to_file(
        path
    )  # Beijing 1954 / 3-degree

    refused(town, "streets", path, DatumUnknownError, datum="file")


def test_gb18030_shapefile_read_as_utf8(town):
    error = refused(town, "divisions", GOLDEN / "divisions_gb18030.zip", FileUnreadableError, datum="file")

    assert error.code == "file-unreadable"
    assert "gb18030" in error.hint


def test_gb18030_csv_read_as_utf8(town):
    error = refused(town, "facilities", GOLDEN / "facilities_gb18030.csv", FileUnreadableError)

    assert "gb18030" in error.hint


def test_utf8_file_declared_gb18030(town, tmp_path):
    path = csv_file(tmp_path, FACILITIES | {"名称": ["江汉路便利店", "民族小学"]})

    error = refused(town, "facilities", path, FileUnreadableError, encoding="gb18030")

    assert "its text is UTF-8" in error.message


EMPTY = {
    "no bytes": ("f.csv", b""), "header only": ("f.csv", b"facility_code,kind_code,lon,lat\n"), "empty gzip": ("f.csv.gz", gzip.compress(b"")),
    "no features": ("f.geojson", b'{"type": "FeatureCollection", "features": []}'), "empty geojson": ("f.geojson", b"{}"),
    "no zip": ("f.zip", b"hello"), "no workbook": ("f.xlsx", b"hello"), "no parquet": ("f.parquet", b"hello"), "no gpkg": ("f.gpkg", b"hello"),
    "unknown suffix": ("f.dwg", b"hello"),
}  # fmt: skip


@pytest.mark.parametrize("case", EMPTY)
def test_empty_or_broken_file(town, tmp_path, case):
    name, content = EMPTY[case]
    path = tmp_path / name
    path.write_bytes(content)

    error = refused(town, "facilities", path, FileUnreadableError)

    assert name in error.message


def test_missing_columns_are_named_with_what_was_found(town, tmp_path):
    path = csv_file(tmp_path, {"bianma": ["F1"], "kind_code": ["M101"], "lon": [114.255], "lat": [30.585]})

    error = refused(town, "facilities", path)

    assert "bianma, kind_code, lon, lat" in error.message
    assert "--map HEADER=FIELD" in error.hint
    assert [(fault.row, fault.field) for fault in error.rows] == [(0, "facility_code")]
    assert (
        import_file(
            town, "facilities", path, datum="wgs84", valid_from=START, mapping={"bianma": "facility_code"}
        ).rows_stored
        == 1
    )


def division_file(tmp_path: Path, codes: list[str], **columns) -> Path:
    path = tmp_path / "divisions.csv"
    pd.DataFrame({"code": codes, "name": [f"第{i}" for i in range(len(codes))]} | columns).to_csv(path, index=False)
    return path


def test_community_whose_parent_is_missing(town, tmp_path):
    error = refused(town, "divisions", division_file(tmp_path, ["420103001003", "420103009001"]), datum=None)

    assert [(fault.row, fault.field, fault.value) for fault in error.rows] == [(2, "parent_code", "420103009001")]
    assert "420103009 is missing" in error.rows[0].reason


def test_community_of_a_refused_street_is_refused_with_it(town, tmp_path):
    path = division_file(tmp_path, ["420103003", "420103003001"], level=["district", "community"])

    error = refused(town, "divisions", path, datum=None)

    assert [(fault.row, fault.field) for fault in error.rows] == [(1, "level"), (2, "parent_code")]


@pytest.mark.parametrize("code", ["42010", "4201O3", "４２０１０３", "42010300100100"])
def test_malformed_division_code(town, tmp_path, code):
    error = refused(town, "divisions", division_file(tmp_path, [code]), datum=None)

    assert (error.rows[0].field, error.rows[0].value) == ("code", code)


def test_duplicate_division_codes(town, tmp_path):
    error = refused(town, "divisions", division_file(tmp_path, ["420103003", "420103003"]), datum=None)

    assert [fault.row for fault in error.rows] == [1, 2]


def test_bow_tie_division(town):
    error = refused(town, "divisions", GOLDEN / "bow_tie.geojson")

    assert "--repair mends it" in error.rows[0].reason


def test_ring_that_is_not_closed(town, tmp_path):
    ring = [[114.25, 30.58], [114.26, 30.58], [114.26, 30.59]]
    features = [
        {
            "type": "Feature",
            "properties": {"code": "420103", "name": "x"},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }
    ]
    path = tmp_path / "open.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))

    refused(town, "divisions", path)


def grids_file(tmp_path: Path, frame) -> Path:
    path = tmp_path / "grids.parquet"
    frame[["code", "geometry"]].to_crs("EPSG:4326").to_parquet(path)
    return path


def test_overlapping_grids_are_refused_with_the_area(town, tmp_path):
    frame = grid_frame(network="security", kind="security")
    frame.loc[0, "geometry"] = shapely.box(*frame.geometry.iloc[0].buffer(0.0005, join_style="mitre").bounds)

    error = refused(town, "grids", grids_file(tmp_path, frame), datum="file")

    assert "overlaps grid" in error.rows[0].reason
    assert error.rows[0].row == 1


def test_grid_of_an_unknown_community(town, tmp_path):
    frame = grid_frame(network="security", kind="security").iloc[:1]
    frame["code"] = "420103009009001"

    error = refused(town, "grids", grids_file(tmp_path, frame), datum="file")

    assert "in a community stored" in error.rows[0].reason


def test_retired_grid_code_is_never_given_again(town, tmp_path):
    from factories.stored_town import LATER

    frame = grid_frame(network="security", kind="security")
    import_file(town, "grids", grids_file(tmp_path, frame), datum="file", valid_from=START)
    renumbered = grid_frame(network="security", kind="security", first_serial=5)
    import_file(town, "grids", grids_file(tmp_path, renumbered), datum="file", valid_from=LATER)

    with pytest.raises(ImportRefusedError) as caught:
        import_file(town, "grids", grids_file(tmp_path, frame), datum="file", valid_from=LATER)

    assert "retired" in caught.value.rows[0].reason


@pytest.mark.parametrize(("number", "error"), [("NaN", ImportRefusedError), ("1e999", FileUnreadableError)])
def test_geojson_coordinate_that_is_not_finite(town, tmp_path, number, error):
    properties = '{"source_no": 1, "category_code": "E06001", "reported_at": "2026-02-03T08:30:00+08:00"}'
    point = f'{{"type": "Point", "coordinates": [{number}, 30.585]}}'
    path = tmp_path / "f.geojson"
    path.write_text(
        f'{{"type": "FeatureCollection", "features": [{{"type": "Feature", "properties": {properties}, "geometry": {point}}}]}}'
    )

    refused(town, "reports", path, error)
