"""Several layers in one GeoPackage; the same rows give the same bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import pyogrio

from gridsvc.errors import FileUnreadableError

_NO_TIME = "2000-01-01T00:00:00Z"


def write_layers(out: Path, layers: Mapping[str, gpd.GeoDataFrame]) -> None:
    """Write layers to a GeoPackage, which appears whole or not at all; one that is there is replaced.

    Parameters
    ----------
    layers
        Frames by name. CRS: EPSG:4490.

    Raises
    ------
    FileUnreadableError
        When the file cannot be written there.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".gridsvc-", dir=out.parent) as folder:
            made = Path(folder) / out.name
            _write(made, layers)
            made.replace(out)
    except OSError as wrong:
        raise FileUnreadableError(
            f"{out} cannot be written: {wrong.strerror or wrong}.", hint="Check the folder.", path=str(out)
        ) from wrong


def _write(out: Path, layers: Mapping[str, gpd.GeoDataFrame]) -> None:
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _NO_TIME})  # else the library writes the present time into it
    try:
        for name, frame in layers.items():
            pyogrio.write_dataframe(
                frame,
                out,
                layer=name,
                driver="GPKG",
                append=out.exists(),
                geometry_type=_type_of(frame),
                promote_to_multi=False,
            )
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})


def _type_of(frame: gpd.GeoDataFrame) -> str:
    kinds = set(frame.geometry.dropna().geom_type)
    return kinds.pop() if len(kinds) == 1 else "Unknown" if kinds else "Polygon"
