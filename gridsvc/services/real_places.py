"""Reads what a real place comes with: its streets, its boundary, and the codes and names of its divisions."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import pyarrow
import shapely
from numpy.typing import NDArray

from gridsvc.errors import (
    CodeDuplicateError,
    CodeMalformedError,
    DatumMissingError,
    FileUnreadableError,
    GeometryError,
    NotFoundError,
    ParentMissingError,
)
from gridsvc.formats.osm import read_osm
from gridsvc.geo.datums import check_lonlat, convert_geometries, parse_datum
from gridsvc.geo.division_codes import LEVELS, unpad
from gridsvc.synth.town import Division, DivisionTree

CLASS_COLUMNS = ("highway", "street_class", "fclass", "road_class", "class", "type")
NAME_COLUMNS = ("name", "name_zh", "street_name", "road_name")
CODE_COLUMNS = ("code", "id", "adcode", "district_code", "division_code", "gb")
BOUNDARY_NAME_COLUMNS = ("name", "name_zh", "district", "district_name")


def read_frame(path: Path) -> geopandas.GeoDataFrame:
    """Return the features of a GeoParquet, GeoJSON(.gz), GeoPackage or Shapefile; the datum is not looked at.

    Raises
    ------
    FileUnreadableError
        When the file is missing, empty, or of no known format.
    """
    path = Path(path)
    lower = path.name.lower()
    try:
        if not path.is_file() or path.stat().st_size == 0:
            raise FileUnreadableError(f"{path} is missing or empty.", hint="Check the path.")
        if lower.endswith((".parquet", ".geoparquet")):
            frame = geopandas.read_parquet(path)
        elif lower.endswith((".geojson", ".json", ".geojson.gz", ".json.gz")):
            frame = _read_geojson(path)
        else:
            frame = geopandas.read_file(path)
    except (OSError, ValueError, KeyError, pyarrow.ArrowInvalid, RuntimeError) as error:
        raise FileUnreadableError(
            f"{path} cannot be read: {error}.", hint="Give GeoParquet, GeoJSON (also .gz), GeoPackage or Shapefile."
        ) from error
    if "geometry" not in frame.columns and frame.active_geometry_name:
        frame = frame.rename_geometry("geometry")
    if len(frame) == 0 or frame.geometry.isna().all():
        raise FileUnreadableError(f"{path} has no features.", hint="Give a file with geometries.")
    return frame


def _read_geojson(path: Path) -> geopandas.GeoDataFrame:
    """Read GeoJSON with the standard library: a feature's own ``id`` is kept as a column, numbers stay as written."""
    raw = gzip.decompress(path.read_bytes()) if path.name.lower().endswith(".gz") else path.read_bytes()
    document = json.loads(raw.decode("utf-8-sig"))
    features = document["features"] if document.get("type") == "FeatureCollection" else [document]
    rows: list[dict[str, Any]] = []
    shapes = []
    for feature in features:
        properties = dict(feature.get("properties") or {})
        if "id" in feature:
            properties.setdefault("id", feature["id"])
        rows.append(properties)
        geometry = feature.get("geometry", feature if "coordinates" in feature else None)
        shapes.append(shapely.from_geojson(json.dumps(geometry)) if geometry else None)
    return geopandas.GeoDataFrame(pandas.DataFrame(rows), geometry=shapes, crs=None)


def read_boundary(path: Path, datum: str | None, district: Division) -> shapely.Geometry:
    """Return the boundary of a district, lon lat in wgs84, valid.

    The feature is found by code, then by name, then because it is the only one. What the feature's rings leave
    invalid (rounding) is repaired by their structure.

    Raises
    ------
    DatumMissingError, DatumUnknownError
        When ``datum`` is not given or unknown.
    NotFoundError
        When no feature is the district's.
    """
    source = parse_datum(datum, field="--datum")
    frame = read_frame(path)
    row = _feature_of(frame, district, path)
    shape = shapely.make_valid(shapely.force_2d(frame.geometry.iloc[row]), method="structure")
    xy = shapely.get_coordinates(shape)
    if shape.is_empty or shape.area == 0:
        raise GeometryError(f"The boundary of {district.code} in {path} has no area.", hint="Give a polygon layer.")
    check_lonlat(xy[:, 0], xy[:, 1], field=f"boundary in {Path(path).name}")
    return shapely.make_valid(convert_geometries([shape], source, "wgs84")[0], method="structure")


def _feature_of(frame: geopandas.GeoDataFrame, district: Division, path: Path) -> int:
    columns = {str(c).lower(): c for c in frame.columns}
    for names, value in ((CODE_COLUMNS, district.code), (BOUNDARY_NAME_COLUMNS, district.name)):
        for name in names:
            if name in columns:
                found = np.flatnonzero(_texts(frame[columns[name]]) == value)
                if len(found):
                    return int(found[0])
    if len(frame) == 1:
        return 0
    shown = [columns[c] for c in (*CODE_COLUMNS, *BOUNDARY_NAME_COLUMNS) if c in columns]
    sample = ", ".join(_texts(frame[shown[0]])[:8]) if shown else f"only columns {', '.join(map(str, frame.columns))}"
    raise NotFoundError(
        f"{path} has no feature with code {district.code} or name {district.name}; it has {sample}.",
        hint=f"Name the code column one of {', '.join(CODE_COLUMNS)}, or give a file with that district only.",
    )


def _texts(values: pandas.Series) -> NDArray[np.object_]:
    """Return values as text; whole numbers read as floats lose their point."""
    return np.array(
        [str(int(v)) if isinstance(v, float) and v == v and v == int(v) else str(v) for v in values], dtype=object
    )


def read_streets(path: Path, datum: str | None) -> tuple[NDArray[np.object_], list[str], list[str], NDArray[np.int64]]:
    """Return lines (lon lat, wgs84), classes, names and layers of a street file, or of an OpenStreetMap extract.

    Parameters
    ----------
    datum
        None takes the file's own CRS when that is EPSG:4326 or EPSG:4490 (or any CRS that can be transformed to it); GeoJSON
        carries no CRS that could be trusted, so there it must be given.

    Raises
    ------
    DatumMissingError
        When neither the file nor the caller says the datum.
    FileUnreadableError
        When there is no column of street classes, or no line.
    """
    if str(path).lower().endswith(".pbf"):
        # an OpenStreetMap extract: always WGS 84, whatever is said of the boundary
        frame, datum = geopandas.GeoDataFrame(read_osm(path).streets, geometry="geometry", crs=4326), None
    else:
        frame = read_frame(path).explode(index_parts=False, ignore_index=True)
    if datum is None and frame.crs is None:
        raise DatumMissingError(
            f"{path} does not say its datum.",
            hint="Give --streets-datum wgs84, cgcs2000, gcj02 or bd09.",
            field="--streets-datum",
        )
    if datum is None:
        frame = frame.to_crs(4326)
    columns = {str(c).lower(): c for c in frame.columns}
    classes = next((columns[c] for c in CLASS_COLUMNS if c in columns), None)
    if classes is None:
        raise FileUnreadableError(
            f"{path} has no column of street classes; it has {', '.join(map(str, frame.columns))}.",
            hint=f"Name the column with the OpenStreetMap highway value one of {', '.join(CLASS_COLUMNS)}.",
        )
    is_line = (shapely.get_type_id(frame.geometry.values) == 1) & ~shapely.is_empty(frame.geometry.values)
    frame = frame[is_line]
    if len(frame) == 0:
        raise FileUnreadableError(f"{path} has no lines.", hint="Give street centre lines.")
    lines = shapely.force_2d(np.asarray(frame.geometry.values, dtype=object))
    xy = shapely.get_coordinates(lines)
    check_lonlat(xy[:, 0], xy[:, 1], field=f"streets in {Path(path).name}")
    if datum is not None:
        lines = convert_geometries(lines, parse_datum(datum, field="--streets-datum"), "wgs84")
    name = next((columns[c] for c in NAME_COLUMNS if c in columns), None)
    names = [_first(v) for v in frame[name]] if name else [""] * len(frame)
    layers = (
        pandas.to_numeric(frame[columns["layer"]], errors="coerce").fillna(0)
        if "layer" in columns
        else np.zeros(len(frame))
    )
    return lines, [_first(v) or "unclassified" for v in frame[classes]], names, np.asarray(layers, dtype=np.int64)


def _first(value: Any) -> str:
    """Return a value as text; of several values (merged edges have lists) the first."""
    if isinstance(value, (list, tuple, np.ndarray)):
        value = value[0] if len(value) else ""
    if value is None or value != value:
        return ""
    text = str(value).strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1].split(",")[0].strip().strip("'\"")
    return text


def read_division_tree(path: Path, district_code: str) -> DivisionTree:
    """Return a district with its street offices and communities from a list of codes and names (CSV, also .gz, or XLSX).

    Columns ``code`` and ``name`` are needed; parents follow from the codes (6, 9 and 12 digits). Codes padded with
    zeros to 12 digits are understood.

    Raises
    ------
    NotFoundError
        When the district is not in the file.
    CodeMalformedError, CodeDuplicateError, ParentMissingError
        When codes are not what they should be.
    """
    names = _read_codes(path)
    if district_code not in names:
        known = [f"{code} {name}" for code, name in names.items() if len(code) == 6]
        raise NotFoundError(
            f"District {district_code} is not in {path}.", hint=f"It has {', '.join(known[:20]) or 'no 6-digit codes'}."
        )
    below = {code: name for code, name in sorted(names.items()) if code.startswith(district_code) and len(code) > 6}
    communities = [code for code in below if len(code) == 12]
    if not communities:
        raise NotFoundError(
            f"{path} has no communities (12 digits) of district {district_code}.", hint="Give the full list."
        )
    city = Division(district_code[:4], names[district_code[:4]]) if district_code[:4] in names else None
    district = Division(district_code, names[district_code])
    offices = [code for code in below if len(code) == 9]
    members = {code: tuple(Division(c, below[c]) for c in communities if c[:9] == code) for code in offices}
    if not offices:
        return _without_street_level(city, district, [Division(c, below[c]) for c in communities])
    orphans = [code for code in communities if code[:9] not in members]
    if orphans:
        raise ParentMissingError(
            f"{path} has community {orphans[0]} {below[orphans[0]]} but not its street office {orphans[0][:9]}"
            f" ({len(orphans)} such communities).",
            hint="Add the street office, or leave out all 9-digit codes.",
        )
    empty = [code for code in offices if not members[code]]
    if empty:
        raise ParentMissingError(
            f"{path} has street office {empty[0]} {below[empty[0]]} without any community.",
            hint="Add its communities or leave it out: every place must belong to a community.",
        )
    tree = tuple(Division(code, below[code]) for code in offices)
    return DivisionTree(city, district, tree, tuple(members[code] for code in offices))


def _without_street_level(city: Division | None, district: Division, communities: list[Division]) -> DivisionTree:
    groups: dict[str, list[Division]] = {}
    for community in communities:
        groups.setdefault(community.code[:9], []).append(community)
    offices = tuple(Division(code, district.name) for code in groups)
    return DivisionTree(city, district, offices, tuple(tuple(g) for g in groups.values()), has_street_level=False)


def _read_codes(path: Path) -> dict[str, str]:
    frame = _read_table(Path(path))
    columns = {str(c).strip().lower(): c for c in frame.columns}
    missing = [name for name in ("code", "name") if name not in columns]
    if missing:
        raise FileUnreadableError(
            f"{path} lacks column {' and '.join(missing)}; it has {', '.join(map(str, frame.columns))}.",
            hint="Rename the columns of codes and names to code and name.",
        )
    codes = [str(code).strip() for code in frame[columns["code"]]]
    if codes and all(len(code) == 12 for code in codes):
        codes = [unpad(code) for code in codes]
    found: dict[str, str] = {}
    for row, (code, name) in enumerate(zip(codes, frame[columns["name"]], strict=True), start=1):
        if not code.isdigit() or len(code) not in LEVELS.values():
            raise CodeMalformedError(
                f"{path}, row {row}: code {code!r} does not have 2, 4, 6, 9 or 12 digits.",
                hint="Keep codes as text, zeros in front included.",
            )
        if code in found:
            raise CodeDuplicateError(f"{path}, row {row}: code {code} occurs twice.", hint="Remove one of the rows.")
        found[code] = str(name).strip()
    return found


def _read_table(path: Path) -> pandas.DataFrame:
    try:
        if path.suffix.lower() == ".xlsx":
            return pandas.read_excel(path, dtype=str)
        try:
            return pandas.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        except UnicodeDecodeError:
            return pandas.read_csv(path, dtype=str, keep_default_na=False, encoding="gb18030")
    except (OSError, ValueError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise FileUnreadableError(
            f"{path} cannot be read: {error}.", hint="Give CSV (UTF-8 or GB18030, also .gz) or XLSX."
        ) from error
