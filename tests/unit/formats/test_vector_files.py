"""Every format gives the same table; encodings and CRS are what the file says."""

from __future__ import annotations

import gzip

import geopandas
import openpyxl
import pytest
import shapely

from gridsvc.errors import FileUnreadableError
from gridsvc.formats.vector_files import format_of, read_table

FRAME = geopandas.GeoDataFrame(
    {"code": ["0123", "0124"], "name": ["民族路", "前进路"]},
    geometry=[shapely.Point(114.25, 30.58), shapely.Point(114.26, 30.59)],
    crs="EPSG:4490",
)


def write(path, name: str, **options):
    target = path / name
    if name.endswith(".parquet"):
        FRAME.to_parquet(target)
    else:
        FRAME.to_file(target, **options)
    return target


@pytest.mark.parametrize("name", ["t.geojson", "t.gpkg", "t.parquet", "t.shp"])
def test_formats_agree(tmp_path, name):
    table = read_table(write(tmp_path, name))

    assert list(table.frame["code"]) == ["0123", "0124"]
    assert list(table.frame["name"]) == ["民族路", "前进路"]
    assert list(table.frame.index) == [1, 2]
    assert shapely.get_coordinates(table.geometry).tolist() == [[114.25, 30.58], [114.26, 30.59]]
    assert "4490" in table.crs


def test_gzipped_geojson_without_crs_member_states_none(tmp_path):
    plain = tmp_path / "t.geojson"
    FRAME.to_crs("EPSG:4326").to_file(plain, RFC7946="YES")
    packed = tmp_path / "t.geojson.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))

    assert read_table(packed).crs is None


def test_geopackage_of_several_layers_needs_a_choice(tmp_path):
    path = tmp_path / "t.gpkg"
    FRAME.to_file(path, layer="a")
    FRAME.to_file(path, layer="b")

    with pytest.raises(FileUnreadableError, match="2 layers: a, b"):
        read_table(path)
    assert len(read_table(path, layer="b").frame) == 2


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_keeps_codes_as_text_whatever_separates(tmp_path, separator):
    path = tmp_path / "t.csv"
    path.write_text(f"\ufeffcode{separator}name\n0123{separator} 民族路 \n", encoding="utf-8")

    table = read_table(path)

    assert table.frame.loc[1].to_dict() == {"code": "0123", "name": "民族路"}


def test_xlsx_codes_typed_as_numbers_lose_no_digit(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["编码", "户数", None])
    book.active.append([420103001001001.0, 36, None])
    book.active.append([None, None, None])
    book.save(tmp_path / "t.xlsx")

    frame = read_table(tmp_path / "t.xlsx").frame

    assert list(frame["编码"]) == ["420103001001001"]
    assert list(frame["户数"]) == ["36"]


@pytest.mark.parametrize("cpg", ["GB18030", "GBK", "936", None])
def test_gb18030_shapefile_is_read_by_its_cpg_or_by_declaration(tmp_path, cpg):
    path = write(tmp_path, "t.shp", encoding="GB18030")
    path.with_suffix(".cpg").unlink()
    if cpg:
        path.with_suffix(".cpg").write_text(cpg)

    table = read_table(path, encoding=None if cpg else "gb18030")

    assert list(table.frame["name"]) == ["民族路", "前进路"]


@pytest.mark.parametrize("cpg", ["UTF-8", None])
def test_gb18030_shapefile_read_as_utf8_is_refused(tmp_path, cpg):
    path = write(tmp_path, "t.shp", encoding="GB18030")
    dbf = bytearray(path.with_suffix(".dbf").read_bytes())
    dbf[29] = 0
    path.with_suffix(".dbf").write_bytes(bytes(dbf))
    path.with_suffix(".cpg").unlink()
    if cpg:
        path.with_suffix(".cpg").write_text(cpg)

    with pytest.raises(FileUnreadableError, match="is not utf-8") as caught:
        read_table(path)
    assert "--encoding gb18030" in caught.value.hint


def test_utf8_shapefile_declared_gb18030_is_refused(tmp_path):
    with pytest.raises(FileUnreadableError, match="its text is UTF-8"):
        read_table(write(tmp_path, "t.shp", encoding="UTF-8"), encoding="gb18030")


def test_unknown_encoding_is_refused(tmp_path):
    with pytest.raises(FileUnreadableError, match="not a text encoding"):
        read_table(write(tmp_path, "t.shp", encoding="UTF-8"), encoding="klingon")


def test_cut_off_dbf_is_refused(tmp_path):
    path = write(tmp_path, "t.shp", encoding="UTF-8")
    dbf = path.with_suffix(".dbf")
    dbf.write_bytes(dbf.read_bytes()[:-60])

    with pytest.raises(FileUnreadableError, match="cut off"):
        read_table(path)


def test_format_follows_the_longest_suffix(tmp_path):
    assert format_of(tmp_path / "A.GEOJSON.GZ") == "GeoJSON"
    with pytest.raises(FileUnreadableError, match="no format known"):
        format_of(tmp_path / "a.dwg")


def test_a_file_of_lines_alone_without_columns_has_its_rows(tmp_path):
    path = tmp_path / "streets.gpkg"
    geopandas.GeoDataFrame(geometry=[shapely.LineString([(0, 0), (1, 1)])] * 2, crs=4490).to_file(path)

    table = read_table(path)

    assert len(table.geometry) == len(table.frame) == 2
