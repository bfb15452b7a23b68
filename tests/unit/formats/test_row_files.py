"""Rows written out: every format, the same bytes each time, nothing that a spreadsheet program would run."""

import geopandas as gpd
import openpyxl
import pandas as pd
import pytest
import shapely

from gridsvc.errors import FileUnreadableError
from gridsvc.formats.row_files import OUT_SUFFIXES, write_rows

FRAME = pd.DataFrame({"地址": ["=HYPERLINK(1)", "中山大道12号"], "经度": [114.25, None]}, index=[1, 2])
POINTS = [shapely.Point(114.25, 30.58), None]


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".geojson", ".parquet"])
def test_the_same_rows_give_the_same_bytes(tmp_path, suffix):
    written = [tmp_path / name / f"rows{suffix}" for name in ("a", "b")]

    for out in written:
        out.parent.mkdir()
        write_rows(out, {"rows": FRAME}, POINTS)

    assert written[0].read_bytes() == written[1].read_bytes()


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".geoparquet"])
def test_points_go_with_their_rows(tmp_path, suffix):
    out = tmp_path / f"a{suffix}"

    write_rows(out, {"rows": FRAME}, POINTS)

    read = gpd.read_parquet(out) if suffix == ".geoparquet" else gpd.read_file(out)
    assert read["地址"].tolist() == FRAME["地址"].tolist()
    assert read.geometry.iloc[0].equals(POINTS[0])
    assert read.geometry.iloc[1] is None


def test_no_text_becomes_a_formula(tmp_path):
    write_rows(tmp_path / "a.xlsx", {"rows": FRAME, "more": FRAME})
    write_rows(tmp_path / "a.csv", {"rows": FRAME})

    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    assert book.sheetnames == ["rows", "more"]
    assert book["rows"]["A2"].data_type != "f"
    assert (tmp_path / "a.csv").read_text(encoding="utf-8-sig").splitlines()[1] == "'=HYPERLINK(1),114.25"


def test_a_negative_number_stays_a_number(tmp_path):
    write_rows(tmp_path / "a.csv", {"rows": pd.DataFrame({"a": ["-12.5", "-x"]})})

    assert (tmp_path / "a.csv").read_text(encoding="utf-8-sig").split() == ["a", "-12.5", "'-x"]


def test_another_format_is_refused(tmp_path):
    with pytest.raises(FileUnreadableError, match=OUT_SUFFIXES[0]):
        write_rows(tmp_path / "a.doc", {"rows": FRAME})
