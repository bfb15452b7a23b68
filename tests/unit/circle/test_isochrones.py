import numpy as np
import pytest
import shapely
from shapely.geometry import LineString, Point

from gridsvc.circle.attachments import attach_points
from gridsvc.circle.isochrones import isochrones, walk_field
from gridsvc.circle.travel_times import nearest_times
from gridsvc.circle.walk_network import build_walk_network
from gridsvc.errors import OutsideCoverageError
from tests.factories.street_towns import crooked_net, net_network


def test_straight_street_gives_a_band_as_long_as_the_walk():
    street = build_walk_network([LineString([(-3000, 0), (3000, 0)])])

    (area,) = isochrones(street, (0.0, 0.0), [10], speed_m_s=1.0)

    min_x, min_y, max_x, max_y = area.bounds
    assert max_x == pytest.approx(600, abs=10)
    assert min_x == pytest.approx(-600, abs=10)
    assert (min_y, max_y) == pytest.approx((-105, 105), abs=6)


def test_shorter_isochrones_lie_inside_longer_ones():
    areas = isochrones(net_network(20, 20), (1030.0, 940.0), (5, 10, 15))

    assert all(area.is_valid and not area.is_empty for area in areas)
    assert areas[1].covers(areas[0])
    assert areas[2].covers(areas[1])


def test_limits_may_come_in_any_order():
    network = net_network(20, 20)

    up, down = isochrones(network, (1030.0, 940.0), (5, 15)), isochrones(network, (1030.0, 940.0), (15, 5))

    assert up[0].equals(down[1])
    assert up[1].equals(down[0])


def test_place_out_of_reach_is_a_hole():
    network = net_network(12, 12, 400.0)

    (area,) = isochrones(network, (2400.0, 2400.0), [30])

    assert sum(len(part.interiors) for part in area.geoms) > 0
    assert not area.covers(Point(2600, 2600))  # the middle of a block, 200 m from every street


def test_bridge_does_not_carry_the_walk_to_the_street_below():
    bridge = LineString([(-500, 0), (500, 0)])
    below = LineString([(300, -500), (300, 500)])
    network = build_walk_network([bridge, below])

    (area,) = isochrones(network, (0.0, 0.0), [15])

    assert area.covers(Point(200, 0))
    assert not area.intersects(Point(300, 300))


def test_cell_times_equal_the_travel_times_of_points():
    network = build_walk_network(crooked_net(8))
    origin = attach_points(network, [(312.0, 330.0)])
    field = walk_field(network, origin, 990.0)
    rows, columns = np.nonzero(field.metres < 900)
    some = np.random.default_rng(0).choice(len(rows), 300, replace=False)
    cells = np.column_stack((field.x[columns[some]], field.y[rows[some]]))

    seconds = nearest_times(network, attach_points(network, cells), origin, [0], 1, speed_m_s=1.0, limit_s=990)

    assert np.abs(seconds[:, 0] - field.metres[rows[some], columns[some]]).max() < 1e-6


def test_two_runs_give_identical_bytes():
    first, second = (isochrones(net_network(20, 20), (1030.0, 940.0)) for _ in range(2))

    assert [shapely.to_wkb(area) for area in first] == [shapely.to_wkb(area) for area in second]


def test_point_far_from_every_street_is_refused():
    with pytest.raises(OutsideCoverageError, match="No street lies near"):
        isochrones(net_network(), (5000.0, 5000.0))


def test_walk_too_short_to_reach_the_street_gives_an_empty_area():
    (area,) = isochrones(net_network(), (50.0, -250.0), [1])

    assert area.is_empty
