"""Rows out to a file that people or programs open: CSV, XLSX, or with their points GeoJSON, GeoPackage, GeoParquet.

The same rows give the same bytes: files are dated by their content, not by the clock.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd

from gridsvc.errors import FileUnreadableError

OUT_SUFFIXES = (".csv", ".xlsx", ".geojson", ".gpkg", ".parquet", ".geoparquet")
_NO_TIME = b"2000-01-01T00:00:00Z"
_NO_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
# a text that begins so would be run as a formula by a spreadsheet program
_FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r")


def out_suffix(out: Path) -> str:
    """Return the suffix of a file to be written, lower case.

    Raises
    ------
    FileUnreadableError
        When it is of no format that can be written here.
    """
    if out.suffix.lower() not in OUT_SUFFIXES:
        raise FileUnreadableError(
            f"{out.name} is of no format that can be written here.", hint=f"Known: {', '.join(OUT_SUFFIXES)}."
        )
    return out.suffix.lower()


def write_rows(out: Path, sheets: Mapping[str, pd.DataFrame], points: np.ndarray | None = None) -> None:
    """Write the first of ``sheets`` to ``out``; an XLSX gets all of them.

    Parameters
    ----------
    points
        One point (or None) per row of the first sheet, for the formats with geometry. CRS: EPSG:4490.
    """
    suffix = out_suffix(out)
    frame = next(iter(sheets.values())).reset_index(drop=True)
    if suffix == ".csv":
        # with a byte-order mark, by which spreadsheet programs know UTF-8
        _no_formulas(frame).to_csv(out, index=False, encoding="utf-8-sig", lineterminator="\n")
    elif suffix == ".xlsx":
        out.write_bytes(_workbook(sheets))
    else:
        placed = gpd.GeoDataFrame(frame, geometry=points, crs=4490)
        if suffix in (".parquet", ".geoparquet"):
            placed.to_parquet(out, index=False)
        else:
            out.unlink(missing_ok=True)
            placed.to_file(out, driver={".geojson": "GeoJSON", ".gpkg": "GPKG"}[suffix], index=False)


def _no_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose texts no spreadsheet program takes for formulas: an apostrophe goes before such a beginning."""

    def plain(value: object) -> object:
        return (
            f"'{value}"
            if isinstance(value, str) and value.startswith(_FORMULA_BEGINS) and not _is_number(value)
            else value
        )

    return frame.map(plain)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _workbook(sheets: Mapping[str, pd.DataFrame]) -> bytes:
    """Return sheets as XLSX bytes; the library stamps the present time into the file, which is taken out again."""
    stamped, plain = BytesIO(), BytesIO()
    with pd.ExcelWriter(stamped, engine="openpyxl") as writer:
        for name, frame in sheets.items():
            _no_formulas(frame.reset_index(drop=True)).to_excel(writer, index=False, sheet_name=name)
    with zipfile.ZipFile(stamped) as source, zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", _NO_TIME, content)
            target.writestr(zipfile.ZipInfo(name, _NO_ZIP_TIME), content, zipfile.ZIP_DEFLATED)
    return plain.getvalue()
