from dataclasses import replace

import numpy as np
import pytest
import shapely
from shapely.geometry import LineString, Point

from gridsvc.circle.attachments import attach_points
from gridsvc.circle.isochrones import IsochroneWalk, isochrones, isochrones_from
from gridsvc.circle.travel_times import CompiledWalk, nearest_times
from gridsvc.circle.walk_network import build_walk_network
from gridsvc.errors import OutsideCoverageError, RequestInvalidError
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
    field = IsochroneWalk(CompiledWalk(network, 1.1)).field(origin, 900.0)
    rows, columns = np.nonzero(field.seconds < 880)
    some = np.random.default_rng(0).choice(len(rows), 300, replace=False)
    cells = np.column_stack((field.x[columns[some]], field.y[rows[some]]))

    seconds = nearest_times(network, attach_points(network, cells), origin, [0], 1)

    assert np.abs(seconds[:, 0] - field.seconds[rows[some], columns[some]]).max() < 1e-3


def test_penalty_makes_the_area_smaller_and_lies_along_the_edge():
    network = net_network(20, 1)
    slow = replace(network, edge_penalty_s=np.full(len(network.edge_u), 100.0))

    (plain,), (penalised,) = (isochrones(each, (1000.0, 0.0), [10], speed_m_s=1.0) for each in (network, slow))

    assert plain.bounds[2] == pytest.approx(1600, abs=10)
    assert penalised.bounds[2] == pytest.approx(1300, abs=10)


def test_area_of_a_set_is_that_of_its_members():
    network = net_network(30, 4)
    places = np.array([(300.0, 0.0), (2700.0, 100.0)])

    (both,) = isochrones(network, places, [5])
    alone = [isochrones(network, place, [5])[0] for place in places]

    assert both.symmetric_difference(shapely.union_all(alone)).area < 1e-6 * both.area


def test_unattached_members_of_a_set_are_left_out():
    network = net_network(10, 2)

    (both,) = isochrones(network, [(500.0, 0.0), (90_000.0, 0.0)], [5])

    assert both.equals(isochrones(network, (500.0, 0.0), [5])[0])


def edge_times(network, xy, speed_m_s=1.1):
    """Return points every 5 m along all streets and their walking seconds from a place."""
    along = [line.interpolate(at) for line in network.edge_lines for at in np.arange(0.5, line.length, 5.0)]
    points = shapely.get_coordinates(along)
    times = nearest_times(network, attach_points(network, points), attach_points(network, [xy]), [0], 1)
    return points, times[:, 0]


@pytest.mark.parametrize("seed", [1, 5, 8])
def test_area_agrees_with_edge_times_within_a_cell(seed):
    network = build_walk_network(crooked_net(seed))
    points, times = edge_times(network, (312.0, 330.0))

    for area, limit in zip(isochrones(network, (312.0, 330.0), (2, 4, 6)), (120.0, 240.0, 360.0), strict=True):
        inside = shapely.contains_xy(area, points)
        reached = shapely.MultiPoint(points[times <= limit])
        # no point of a street is covered unless it is reached in time, or a cell's diagonal from one that is
        assert shapely.distance(shapely.points(points[inside]), reached).max() <= 10.7
        assert times[inside].size
        # and every point of a street reached a cell's walk before the limit is covered
        assert inside[times <= limit - 10.7 / 1.1].mean() > 0.995


def test_limit_beyond_the_walk_and_too_many_cells_are_refused():
    network = net_network(4, 4)
    origin = attach_points(network, [(0, 0)])
    ready = IsochroneWalk(CompiledWalk(network))

    with pytest.raises(RequestInvalidError, match="not within the walk's 900 s"):
        isochrones_from(ready, origin, [16])
    with pytest.raises(RequestInvalidError, match="more than 50,000,000"):
        isochrones_from(ready, origin, [15], cell_m=0.05)
    assert not isochrones_from(ready, origin, [15])[0].is_empty


def test_two_runs_give_identical_bytes():
    first, second = (isochrones(net_network(20, 20), (1030.0, 940.0)) for _ in range(2))

    assert [shapely.to_wkb(area) for area in first] == [shapely.to_wkb(area) for area in second]


def test_point_far_from_every_street_is_refused():
    with pytest.raises(OutsideCoverageError, match="No street lies near"):
        isochrones(net_network(), (5000.0, 5000.0))


def test_walk_too_short_to_reach_the_street_gives_an_empty_area():
    (area,) = isochrones(net_network(), (50.0, -250.0), [1])

    assert area.is_empty
