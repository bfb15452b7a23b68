"""Projections: the right zone, the published test point, areas against the ellipsoid, exact storage."""

import numpy as np
import pytest
import shapely
from pyproj import Geod

from gridsvc.errors import CoordinateError, DatumUnknownError, GeometryError, NotProjectedError
from gridsvc.geo import projections


@pytest.mark.parametrize(
    ("lon", "epsg"),
    [
        (116.39, 4548),
        (114.3, 4547),
        (121.47, 4549),
        (104.06, 4544),
        (115.5, 4548),
        (115.4999, 4547),
        (75.0, 4534),
        (135.0, 4554),
    ],
)
def test_zone_of_a_longitude(lon, epsg):
    assert projections.gauss_kruger_epsg(lon) == epsg


@pytest.mark.parametrize("lon", [24.9, -51.2, 140.0, np.nan, 73.4])
def test_longitudes_without_a_zone_are_refused(lon):
    with pytest.raises(CoordinateError):
        projections.gauss_kruger_epsg(lon)


@pytest.mark.parametrize(
    ("lon", "lat", "epsg"),
    [
        (116.39, 39.9, 4548), (73.6, 39.0, 4534), (136.4, 48.0, 4554), (73.4, 39.0, 32643), (136.6, 48.0, 32653),
        (-77.0, 38.9, 32618), (-51.2, -30.0, 32722), (24.9, 60.2, 32635), (180.0, 0.0, 32660), (-180.0, -0.1, 32701),
    ],
)  # fmt: skip
def test_metres_outside_of_china_are_those_of_utm(lon, lat, epsg):
    assert projections.metric_epsg(lon, lat) == epsg
    assert projections.zone_of([shapely.Point(lon, lat)]) == epsg


@pytest.mark.parametrize(("lon", "lat"), [(0.0, 85.0), (0.0, -81.0), (181.0, 0.0), (np.nan, 0.0)])
def test_places_without_metres_are_refused(lon, lat):
    with pytest.raises(CoordinateError):
        projections.metric_epsg(lon, lat)


@pytest.mark.parametrize(("lon", "lat"), [(-77.0, 38.9), (-51.2, -30.0), (24.9, 60.2), (0.01, 0.5)])
def test_areas_outside_of_china_agree_with_the_ellipsoid(lon, lat):
    square = shapely.box(lon, lat, lon + 0.01, lat + 0.01)
    expected = abs(Geod(ellps="WGS84").geometry_area_perimeter(square)[0])

    assert projections.area_m2([square])[0] == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(("epsg", "easting"), [(4548, 447950.515), (4527, 39447950.515)])
def test_the_published_point_is_x_east_y_north(epsg, easting):
    (point,) = projections.to_metric([shapely.Point(116.3913, 39.9075)], epsg)

    assert (point.x, point.y) == pytest.approx((easting, 4419435.790), abs=0.001)


def test_zone_of_geometries_is_that_of_the_middle_of_their_bounds():
    assert projections.zone_of([shapely.box(116.0, 39.0, 117.0, 40.0), shapely.Point(120.0, 39.0)]) == 4548
    with pytest.raises(GeometryError):
        projections.zone_of([shapely.Point()])


def test_areas_agree_with_the_ellipsoid_within_a_tenth_of_a_percent():
    squares = np.array([shapely.box(lon, 30.0, lon + 0.01, 30.01) for lon in np.arange(112.51, 115.48, 0.27)])
    geod = Geod(ellps="GRS80")
    expected = [abs(geod.geometry_area_perimeter(square)[0]) for square in squares]

    assert projections.area_m2(squares) == pytest.approx(expected, rel=1e-3)
    assert projections.length_m(squares) == pytest.approx([geod.geometry_length(s.exterior) for s in squares], rel=5e-4)


def test_the_area_of_a_grid_does_not_depend_on_its_company():
    near, far = shapely.box(114.3, 30.6, 114.31, 30.61), shapely.box(121.4, 31.2, 121.41, 31.21)

    assert projections.area_m2([near, far])[0] == projections.area_m2([near])[0]
    assert projections.area_m2([near, shapely.Point(), None], epsg=4547).tolist()[1:] == [0.0, 0.0]


def test_systems_on_wgs84_are_taken_as_equal():
    utm = projections.to_storage([shapely.Point(447000, 4417000)], 32650)[0]
    gauss = projections.to_storage([shapely.Point(116.38, 39.9)], 4326)[0]

    assert 116.0 < utm.x < 117.0
    assert (gauss.x, gauss.y) == (116.38, 39.9)


@pytest.mark.parametrize(
    "epsg", [2433, 4214, 4610, 2361], ids=["Beijing 1954 projected", "Beijing 1954", "Xian 1980", "Xian 1980 projected"]
)
def test_unpublished_shifts_are_never_guessed(epsg):
    with pytest.raises(DatumUnknownError, match="never guessed"):
        projections.to_storage([shapely.Point(116.0, 39.0)], epsg)


@pytest.mark.parametrize("epsg", [4490, 4326])
def test_metres_are_not_asked_of_degrees(epsg):
    with pytest.raises(NotProjectedError):
        projections.to_metric([shapely.Point(116.0, 39.0)], epsg)


def test_an_unknown_number_is_refused():
    with pytest.raises(DatumUnknownError):
        projections.to_metric([shapely.Point(116.0, 39.0)], 999999)


def test_quantise_drops_z_and_changes_nothing_twice():
    (once,) = projections.quantise([shapely.Point(116.12345678949, 39.00000000049, 12.0)])
    (twice,) = projections.quantise([once])

    assert (once.x, once.y, once.has_z) == (116.123456789, 39.0, False)
    assert shapely.equals_exact(once, twice, 0.0)
