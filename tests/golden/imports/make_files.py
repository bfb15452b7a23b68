"""Write the golden import files; run from the root of the checkout: python tests/golden/imports/make_files.py."""

import json
import sys
import tempfile
import zipfile
from pathlib import Path

import geopandas
import openpyxl
import shapely

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
from factories.stored_town import division_frame  # noqa: E402

BOW_TIE = [[114.25, 30.58], [114.26, 30.59], [114.26, 30.58], [114.25, 30.59], [114.25, 30.58]]


def feature(properties: dict, ring: list) -> dict:
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def write_geojson(name: str, features: list[dict]) -> None:
    text = json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False, indent=1)
    (HERE / name).write_text(text + "\n", encoding="utf-8")


def write_divisions() -> None:
    frame = division_frame()[["code", "name", "level", "geometry"]]
    features = [
        feature(
            {"区划代码": row.code, "名称": row.name_, "级别": row.level},
            shapely.get_coordinates(row.geometry).round(6).tolist(),
        )
        for row in frame.rename(columns={"name": "name_"}).itertuples()
    ]
    write_geojson("divisions.geojson", features)
    write_geojson("bow_tie.geojson", [feature({"code": "420103", "name": "江汉区"}, BOW_TIE)])


def write_shapefile() -> None:
    """GB18030 texts and neither .cpg nor language byte: what many Windows tools leave behind."""
    frame = division_frame()[["code", "name", "geometry"]].set_crs("EPSG:4490", allow_override=True)
    with tempfile.TemporaryDirectory() as folder:
        shp = Path(folder) / "divisions.shp"
        geopandas.GeoDataFrame(frame).to_file(shp, encoding="GB18030", engine="pyogrio")
        dbf = bytearray(shp.with_suffix(".dbf").read_bytes())
        dbf[1:4], dbf[29] = bytes([126, 1, 1]), 0  # a fixed date, and no language byte
        with zipfile.ZipFile(HERE / "divisions_gb18030.zip", "w") as archive:
            for suffix in (".shp", ".shx", ".dbf", ".prj"):
                content = bytes(dbf) if suffix == ".dbf" else shp.with_suffix(suffix).read_bytes()
                archive.writestr(zipfile.ZipInfo(f"divisions{suffix}", (2026, 1, 1, 0, 0, 0)), content)


def write_tables() -> None:
    facilities = (
        "设施编码,设施名称,类别编码,经度,纬度\nF1,江汉路便利店,M101,114.255,30.585\nF2,民族小学,G1001,114.265,30.595\n"
    )
    (HERE / "facilities_gb18030.csv").write_bytes(facilities.encode("gb18030"))
    book = openpyxl.Workbook()
    book.active.append(["工单号", "小类代码", "上报时间", "经度", "纬度", "问题描述"])
    book.active.append(["2026-0001", "E06001", "2026-02-03T08:30:00+08:00", 114.255, 30.585, "道路破损"])
    book.active.append(["2026-0002", "E06001", "2026-02-03T09:30:00+08:00", 114.265, 30.595, "暴露垃圾"])
    book.save(HERE / "reports.xlsx")


if __name__ == "__main__":
    write_divisions()
    write_shapefile()
    write_tables()
