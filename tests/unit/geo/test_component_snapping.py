"""How far components are looked for, how far they are, and how likely each is meant."""

from __future__ import annotations

import numpy as np
import pytest

from gridsvc.geo.component_snapping import distances_and_bearings, metres_of_a_degree, search_radius_m, shares


@pytest.mark.parametrize(("accuracy_m", "radius_m"), [(None, 50), (0, 50), (8, 50), (120, 120), (9000, 500)])
def test_the_radius_is_the_accuracy_within_bounds(accuracy_m, radius_m):
    assert search_radius_m(accuracy_m) == radius_m


def test_bearings_turn_clockwise_from_north():
    lon, lat, step = 114.25, 30.58, 1e-4

    distance, bearing = distances_and_bearings(lon, lat, [lon, lon + step, lon, lon - step, lon], [lat + step, lat, lat - step, lat, lat])  # fmt: skip

    assert bearing == pytest.approx([0, 90, 180, 270, 0], abs=1e-3)
    assert distance[[0, 1, 4]] == pytest.approx([11.086, 9.592, 0], abs=2e-3)


@pytest.mark.parametrize("lat", [-90, -45, 0, 18, 30.58, 53.5, 89.9, 90])
@pytest.mark.parametrize("away_m", [1.0, 50.0, 500.0])
def test_a_box_made_with_the_metres_of_a_degree_holds_everything_within_the_radius(lat, away_m):
    degree = metres_of_a_degree(lat)
    half_lon, half_lat = away_m / degree.lon_m, away_m / degree.lat_m
    rim = np.linspace(-1, 1, 41)
    # every place on the rim of the box that is on the earth is at least the radius away, unless the box is as wide as the earth
    lons = np.concatenate([rim * half_lon, rim * half_lon, np.full(41, half_lon), np.full(41, -half_lon)])
    lats = lat + np.concatenate([np.full(41, half_lat), np.full(41, -half_lat), rim * half_lat, rim * half_lat])
    here = (np.abs(lats) <= 90) & (np.abs(lons) < 180)

    distance, _ = distances_and_bearings(0.0, lat, lons[here], lats[here])

    assert (distance >= away_m - 1e-6).all()


def test_shares_add_up_and_fall_with_distance():
    odds = shares([2.0, 6.0, 30.0], 8.0, ["A", "A", "A"])

    assert odds.sum() == pytest.approx(1)
    assert odds[0] > odds[1] > odds[2] > 0


def test_shares_follow_the_normal_of_both_accuracies():
    # variances 8^2/1.5096^2 + 10^2 each; equal variances leave the ratio exp(-(d1^2 - d0^2) / 2v)
    variance = (8 / 1.5096) ** 2 + 100

    odds = shares([0.0, 10.0], 8.0, ["C", ""])

    assert odds[1] / odds[0] == pytest.approx(np.exp(-100 / (2 * variance)))


def test_far_components_still_share_what_there_is():
    odds = shares([450.0, 490.0], 0.0, ["A", "A"])

    assert odds.tolist() == [1.0, 0.0]
    assert shares([], 5.0, []).size == 0
