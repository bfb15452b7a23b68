from dataclasses import replace

import numpy as np
import pytest
import shapely
from shapely.geometry import LineString

from gridsvc.circle.attachments import attach_areas, attach_points, end_seconds
from gridsvc.circle.edge_grid import build_edge_grid
from gridsvc.circle.walk_network import build_walk_network
from gridsvc.errors import GeometryError
from tests.factories.street_towns import crooked_net, net_network, street_net


def shapely_answers(network, xy, reach_m):
    """Distance to the nearest edge and the lowest number of those as near, by trying all of them."""
    distance = shapely.distance(shapely.points(xy)[:, None], network.edge_lines[None, :])
    nearest = distance.min(axis=1)
    lowest = (distance <= nearest[:, None] * (1 + 1e-12)).argmax(axis=1)
    within = nearest <= reach_m
    return np.where(within, nearest, np.inf), np.where(within, lowest, -1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("reach_m", [25.0, 300.0])
def test_nearest_edge_equals_that_of_shapely(seed, reach_m):
    network = build_walk_network(crooked_net(seed, kept=0.4))
    xy = np.random.default_rng(seed).uniform(-350, 1300, (500, 2))

    attached = attach_points(network, xy, max_access_m=reach_m)

    distance, edge = shapely_answers(network, xy, reach_m)
    assert attached.edge.tolist() == edge.tolist()
    assert attached.access_m == pytest.approx(distance, rel=1e-9, abs=1e-9)
    on = attached.is_attached
    located = shapely.line_locate_point(network.edge_lines[attached.edge[on]], shapely.points(xy[on]))
    assert attached.offset_m[on] == pytest.approx(located, abs=1e-9)


@pytest.mark.parametrize("cell_m", [3.0, 10.0, 70.0, 1000.0])
def test_streets_along_the_borders_of_cells_are_found_with_any_side_of_a_cell(cell_m):
    network = net_network(3, 3, block_m=100.0)
    left_out = np.zeros(len(network.edge_u), dtype=bool)
    vars(network)["edge_grid"] = build_edge_grid(network.vertex_xy, network.edge_first_vertex, left_out, cell_m)
    xy = np.array([(x, y) for x in range(-20, 330, 10) for y in range(-20, 330, 10)], dtype=float)

    attached = attach_points(network, xy)

    distance, edge = shapely_answers(network, xy, 300.0)
    assert attached.edge.tolist() == edge.tolist()
    assert attached.access_m.tolist() == distance.tolist()


def test_of_edges_equally_near_the_lowest_number_is_taken():
    network = net_network(2, 2)

    attached = attach_points(network, [(100, 100), (50, 50)])

    at_corner = (network.edge_u == 4) | (network.edge_v == 4)
    assert attached.edge[0] == np.flatnonzero(at_corner)[0]
    assert attached.edge[1] == 0


def test_a_point_far_outside_attaches_to_the_rim():
    attached = attach_points(net_network(1, 1), [(-250, 50), (50, -290), (400, 400), (1e7, 0)])

    assert attached.access_m.tolist() == [250.0, 290.0, np.inf, np.inf]


def test_a_network_over_a_whole_country_gets_greater_cells():
    far = [LineString([(0, 0), (100, 0)]), LineString([(4e6, 4e6), (4e6, 4.0001e6)])]

    network = build_walk_network(far)

    assert network.edge_grid.frame[2] > 10.0
    assert attach_points(network, [(4e6 + 40, 4.00005e6)]).access_m.tolist() == [40.0]


def test_order_of_points_does_not_matter():
    network = build_walk_network(crooked_net(1))
    xy = np.random.default_rng(1).uniform(0, 700, (200, 2))
    order = np.random.default_rng(2).permutation(200)

    attached, shuffled = attach_points(network, xy), attach_points(network, xy[order])

    assert (attached.edge[order] == shuffled.edge).all()
    assert (attached.to_u_m[order] == shuffled.to_u_m).all()


def test_a_point_in_a_compound_takes_only_its_edges_and_one_outside_none_of_them():
    street, path = LineString([(0, 0), (100, 0)]), LineString([(0, 30), (100, 30)])
    network = build_walk_network([street, path], compound=[-1, 4])

    attached = attach_points(network, [(50, 5), (50, 25), (50, 5)], compound=[4, -1, 3])

    assert attached.access_m.tolist() == [25.0, 25.0, np.inf]


def test_seconds_to_the_ends_are_access_and_share_of_the_edge():
    network = build_walk_network([LineString([(0, 0), (100, 0)])], penalty_s=[40.0])

    to_u, to_v = end_seconds(network, attach_points(network, [(25, 8), (25, 400)]), 2.0)

    assert to_u.tolist() == [pytest.approx(4.0 + 12.5 + 10.0), np.inf]
    assert to_v.tolist() == [pytest.approx(4.0 + 37.5 + 30.0), np.inf]


def test_zero_length_pieces_take_points_as_well():
    lines = [*street_net(1, 1), LineString([(100, 100), (100, 100), (150, 150), (150, 150)])]

    attached = attach_points(build_walk_network(lines), [(200, 200)])

    assert attached.access_m[0] == pytest.approx(np.hypot(50, 50))


def test_an_area_with_entrances_is_entered_by_any_of_them():
    school = shapely.box(20, 20, 80, 80)

    attached, area = attach_areas(net_network(1, 1), [school], entrances=[(20, 50), (80, 50)], entrance_of=[0, 0])

    assert area.tolist() == [0, 0]
    assert attached.access_m.tolist() == [20.0, 20.0]


def test_an_area_without_entrances_joins_where_its_outline_is_nearest():
    grounds = [
        shapely.box(30, 10, 60, 80),
        shapely.MultiPolygon([shapely.box(40, 60, 50, 70), shapely.box(60, 60, 92, 70)]),
    ]

    attached, area = attach_areas(net_network(1, 1), grounds)

    assert area.tolist() == [0, 1]
    assert attached.access_m == pytest.approx([10.0, 8.0])


def test_an_area_that_streets_cross_is_entered_by_each_of_them():
    park = shapely.box(50, 50, 150, 150)

    attached, area = attach_areas(net_network(2, 2), [park])

    assert area.tolist() == [0, 0, 0, 0]
    assert attached.access_m.tolist() == [0.0] * 4


def test_an_area_in_a_compound_joins_only_the_streets_inside():
    network = net_network(1, 1)
    inside = replace(network, edge_compound=np.array([0, -1, -1, -1], dtype=np.int32))
    pond, school = shapely.box(45, 45, 55, 55), shapely.box(20, 20, 80, 80)

    free, _ = attach_areas(inside, [pond, school])
    walled, area = attach_areas(
        inside, [pond, school], entrances=[(80, 50)], entrance_of=[1], compound=[0, 0], entrance_compound=[0]
    )

    assert area.tolist() == [0, 1]
    assert walled.edge.tolist() == [0, 0]
    assert walled.access_m[0] == pytest.approx(45.0)
    assert free.access_m[1] == pytest.approx(20.0) and walled.access_m[1] > 20.0


def test_an_area_out_of_reach_stays_unattached():
    attached, area = attach_areas(net_network(1, 1), [shapely.box(2000, 0, 2100, 90), shapely.box(10, 10, 20, 20)])

    assert area.tolist() == [0, 1]
    assert attached.is_attached.tolist() == [False, True]


@pytest.mark.parametrize("outline", [shapely.Point(0, 0), shapely.Polygon(), None])
def test_what_is_no_area_is_refused(outline):
    with pytest.raises(GeometryError, match="Outline 1 is no area"):
        attach_areas(net_network(1, 1), np.array([shapely.box(0, 0, 1, 1), outline], dtype=object))


def test_an_entrance_of_no_area_is_refused():
    with pytest.raises(GeometryError, match="Not every entrance"):
        attach_areas(net_network(1, 1), [shapely.box(0, 0, 1, 1)], entrances=[(0, 0)], entrance_of=[1])
