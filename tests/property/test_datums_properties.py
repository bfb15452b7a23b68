"""Properties of datums and projections over generated positions."""

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsvc.geo import datums, projections

LON = st.floats(73.6, 135.0, allow_nan=False)
LAT = st.floats(18.0, 53.5, allow_nan=False)
BY_TWO = st.sampled_from([(a, b) for a in datums.DATUMS for b in datums.DATUMS])


@given(LON, LAT, BY_TWO)
def test_there_and_back_ends_where_it_began(lon, lat, names):
    source, target = names

    back = datums.convert(*datums.convert(lon, lat, source, target), target, source)

    # the closed form of BD-09 is good to 0.22 m, the rest to less than a micrometre
    assert back == pytest.approx((lon, lat), abs=3e-6 if "bd09" in names else 1e-11)


@given(LON, LAT)
def test_storage_to_metres_and_back_gives_the_same_doubles(lon, lat):
    (stored,) = projections.quantise([shapely.Point(lon, lat)])
    epsg = projections.gauss_kruger_epsg(stored.x)

    (again,) = projections.to_storage(projections.to_metric([stored], epsg), epsg)

    assert shapely.equals_exact(stored, again, 0.0)


@settings(max_examples=50)
@given(st.floats(114.1, 117.9), LAT)
def test_metres_and_back_is_within_a_millimetre(lon, lat):
    (metric,) = projections.to_metric([shapely.Point(lon, lat)], 4548)

    (again,) = projections.to_metric(projections.to_storage([metric], 4548), 4548)

    assert metric.distance(again) < 0.001
