"""Datums: published vectors, error bounds, and refusals of bad positions."""

import numpy as np
import pytest
import shapely

from gridsvc.errors import CoordinateError, DatumMissingError, DatumUnknownError
from gridsvc.geo import datums

TIANANMEN = (116.404, 39.915)
VECTORS = [
    ("wgs84", "gcj02", 116.41024449916938, 39.91640428150164),
    ("gcj02", "wgs84", 116.39775575457485, 39.91359623560940),
    ("gcj02", "bd09", 116.41036949371029, 39.92133699351021),
    ("bd09", "gcj02", 116.39762729119315, 39.90865673957631),
    ("wgs84", "bd09", 116.41662724378733, 39.92269955221622),
]
BEIJING = (115.4, 39.4, 117.5, 41.1)
CHINA = (73.7, 18.0, 135.0, 53.5)


def metres_between(lon1, lat1, lon2, lat2):
    east = (lon1 - lon2) * 111_320.0 * np.cos(np.radians(lat1))
    return np.hypot(east, (lat1 - lat2) * 110_950.0)


def random_positions(box, n=40_000):
    return np.random.default_rng(7).uniform(box[:2], box[2:], (n, 2)).T


@pytest.mark.parametrize(("source", "target", "lon", "lat"), VECTORS, ids=[f"{v[0]} to {v[1]}" for v in VECTORS])
def test_published_vectors_are_reproduced(source, target, lon, lat):
    assert datums.convert(*TIANANMEN, source, target) == pytest.approx((lon, lat), abs=1e-12)


def test_bd09_to_wgs84_is_better_than_the_published_one_pass_vector():
    lon, lat = datums.convert(*TIANANMEN, "bd09", "wgs84")

    assert metres_between(lon, lat, 116.39138369951250, 39.90725321452216) < 0.5
    gcj = datums.convert(*TIANANMEN, "bd09", "gcj02")
    assert datums.convert(lon, lat, "wgs84", "gcj02") == pytest.approx(gcj, abs=1e-12)


@pytest.mark.parametrize("box", [BEIJING, CHINA], ids=["Beijing", "the country"])
def test_gcj02_inverse_is_within_a_tenth_of_a_micrometre(box):
    lon, lat = random_positions(box)

    back = datums.convert(*datums.convert(lon, lat, "wgs84", "gcj02"), "gcj02", "wgs84")

    assert metres_between(lon, lat, *back).max() < 1e-7


@pytest.mark.parametrize(
    ("box", "mean_m", "max_m"), [(BEIJING, 0.09, 0.17), (CHINA, 0.08, 0.23)], ids=["Beijing", "the country"]
)
def test_bd09_inverse_stays_within_the_bounds_of_the_closed_form(box, mean_m, max_m):
    lon, lat = random_positions(box)

    back = datums.convert(*datums.convert(lon, lat, "gcj02", "bd09"), "bd09", "gcj02")

    error = metres_between(lon, lat, *back)
    assert error.mean() < mean_m
    assert error.max() < max_m


@pytest.mark.parametrize(
    ("box", "least_m", "most_m", "mean_m"),
    [(BEIJING, 503, 614, 551), (CHINA, 22, 710, 407)],
    ids=["Beijing", "the country"],
)
def test_gcj02_offset_has_the_measured_size(box, least_m, most_m, mean_m):
    lon, lat = random_positions(box)

    offset = metres_between(lon, lat, *datums.convert(lon, lat, "wgs84", "gcj02"))

    assert offset.min() > least_m - 5
    assert offset.max() < most_m + 8
    assert offset.mean() == pytest.approx(mean_m, abs=4)


@pytest.mark.parametrize(("source", "target"), [("wgs84", "gcj02"), ("gcj02", "wgs84")])
@pytest.mark.parametrize("position", [(-51.2, -30.0), (24.9, 60.17), (72.0, 30.0), (138.0, 30.0), (100.0, 0.8)])
def test_positions_out_of_the_box_are_not_shifted(source, target, position):
    assert datums.convert(*position, source, target) == position


def test_wgs84_and_cgcs2000_have_the_same_numbers():
    assert datums.convert(*TIANANMEN, "wgs84", "cgcs2000") == TIANANMEN
    assert datums.convert(*TIANANMEN, "cgcs2000", "gcj02") == datums.convert(*TIANANMEN, "wgs84", "gcj02")


def test_a_position_has_the_same_answer_alone_and_in_bulk():
    lon, lat = random_positions(CHINA, 500)

    bulk_lon, bulk_lat = datums.convert(lon, lat, "bd09", "wgs84")

    for i in range(0, 500, 50):
        alone = datums.convert(lon[i], lat[i], "bd09", "wgs84")
        assert np.round(alone, 12).tolist() == np.round([bulk_lon[i], bulk_lat[i]], 12).tolist()


def test_input_arrays_are_not_changed_and_nan_stays():
    lon, lat = np.array([116.4, np.nan]), np.array([39.9, 39.9])

    answer, _ = datums.convert(lon, lat, "wgs84", "gcj02")

    assert lon[0] == 116.4
    assert np.isnan(answer[1])
    same, _ = datums.convert(lon, lat, "wgs84", "wgs84")
    same[0] = 0.0
    assert lon[0] == 116.4


def test_geometries_keep_shared_vertices():
    left, right = shapely.box(116.4, 39.9, 116.41, 39.91), shapely.box(116.41, 39.9, 116.42, 39.91)

    moved = datums.convert_geometries([left, right, None, shapely.Point(116.4, 39.9, 50.0)], "gcj02", "wgs84")

    shared = set(shapely.get_coordinates(moved[0]).round(15).view("c16").ravel()) & set(
        shapely.get_coordinates(moved[1]).round(15).view("c16").ravel()
    )
    assert len(shared) == 2
    assert moved[2] is None
    assert not moved[3].has_z


@pytest.mark.parametrize(
    ("text", "datum"),
    [
        ("wgs84", "wgs84"),
        ("WGS-84", "wgs84"),
        ("EPSG:4326", "wgs84"),
        ("epsg:4490", "cgcs2000"),
        ("GCJ-02", "gcj02"),
        (" bd_09 ", "bd09"),
    ],
)
def test_datum_names_are_read(text, datum):
    assert datums.parse_datum(text) == datum


@pytest.mark.parametrize("text", [None, "", "  "])
def test_a_missing_datum_names_the_field(text):
    with pytest.raises(DatumMissingError, match=r"report\.datum"):
        datums.parse_datum(text, field="report.datum")


@pytest.mark.parametrize("text", ["wgs72", "EPSG:4214", "EPSG:3857", "gps"])
def test_an_unknown_datum_is_refused(text):
    with pytest.raises(DatumUnknownError, match="Use one of"):
        datums.parse_datum(text)


@pytest.mark.parametrize(
    ("lon", "lat", "reason"),
    [
        (np.nan, 39.9, "not_finite"),
        (116.4, np.inf, "not_finite"),
        (39.9, 116.4, "swapped"),
        (30.6, 114.3, "swapped"),
        (29.5, 88.9, "swapped"),
        (181.0, 39.9, "out_of_range"),
        (116.4, -95.0, "out_of_range"),
        (500000.0, 3380000.0, "out_of_range"),
    ],
)
def test_bad_positions_are_refused_with_the_reason(lon, lat, reason):
    with pytest.raises(CoordinateError) as refused:
        datums.check_lonlat(lon, lat, field="report.position")

    assert refused.value.details["reason"] == reason
    assert "report.position" in str(refused.value)
    assert refused.value.hint


@pytest.mark.parametrize("position", [(116.4, 39.9), (-51.2, -30.0), (24.9, 60.17), (121.5, 31.2), (180.0, -90.0)])
def test_good_positions_pass(position):
    datums.check_lonlat(*position)


def test_bounds_tell_swapped_from_far_away():
    wuhan = (113.6, 29.9, 115.1, 31.4)

    with pytest.raises(CoordinateError) as swapped:
        datums.check_lonlat([114.3, 30.6], [30.6, 114.3], bounds=wuhan)
    with pytest.raises(CoordinateError) as far:
        datums.check_lonlat(116.4, 39.9, bounds=wuhan)

    assert (swapped.value.details["reason"], swapped.value.details["index"]) == ("swapped", 1)
    assert far.value.details["reason"] == "out_of_bounds"
