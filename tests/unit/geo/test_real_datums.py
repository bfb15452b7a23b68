"""Datums on real boundaries: the districts of Beijing as drawn by two sources."""

import geopandas as gpd
import numpy as np
import pytest
import shapely

from gridsvc.geo import datums, projections
from gridsvc.settings import read_settings


@pytest.mark.real_data
def test_beijing_districts_in_gcj02_land_on_the_wgs84_ones():
    folder = read_settings().real_data_dir
    if folder is None:
        pytest.skip("GRIDSVC_REAL_DATA is not set and ../shared/data is not there")
    coarse = gpd.read_file(f"/vsigzip/{folder}/beijing/districts_gcj02.geojson.gz")
    detailed = gpd.read_file(f"/vsigzip/{folder}/beijing/districts_wgs84.geojson.gz")

    moved = datums.convert_geometries(coarse.geometry.to_numpy(), "gcj02", "wgs84")

    borders = shapely.union_all(shapely.boundary(projections.to_metric(detailed.geometry.to_numpy(), 4548)))
    vertices = shapely.points(shapely.get_coordinates(projections.to_metric(moved, 4548)))
    shapely.prepare(borders)
    assert np.median(shapely.distance(vertices, borders)) < 60.0
