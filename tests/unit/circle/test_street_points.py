"""Points along streets: every crossing once, the others evenly, none behind walls."""

import numpy as np
import pytest
import shapely

from gridsvc.circle.attachments import attach_points
from gridsvc.circle.street_points import street_points
from gridsvc.circle.walk_network import build_walk_network
from gridsvc.errors import RequestInvalidError
from tests.factories.street_towns import crooked_net, net_network


def test_crossings_come_once_and_points_between_them_evenly():
    attached, xy = street_points(net_network(2, 1, 100.0), 40.0)

    assert len(xy) == 6 + 7 * 2
    assert {tuple(place) for place in xy[:6].tolist()} == {(100.0 * i, 100.0 * j) for i in range(3) for j in range(2)}
    assert sorted(set(np.round(attached.offset_m[6:], 6))) == pytest.approx([100 / 3, 200 / 3])
    assert (attached.access_m == 0).all()
    assert attached.to_u_m + attached.to_v_m == pytest.approx(100.0)


def test_points_lie_where_they_are_attached():
    network = build_walk_network(crooked_net(5))
    attached, xy = street_points(network, 30.0)
    again = attach_points(network, xy)

    assert len(np.unique(xy, axis=0)) == len(xy)
    assert again.access_m == pytest.approx(0.0, abs=1e-6)
    lines = network.edge_lines[attached.edge]
    there = shapely.get_coordinates(shapely.line_interpolate_point(lines, attached.offset_m))
    assert there == pytest.approx(xy, abs=1e-6)
    assert sorted(set(network.edge_u) | set(network.edge_v)) == list(range(len(network.node_xy)))
    assert (xy[: len(network.node_xy)] == network.node_xy).all()


def test_gates_and_streets_behind_walls_are_left_out_and_edges_chosen():
    lines = [shapely.LineString([(x, 0), (x + 50, 0)]) for x in (0, 50, 100)]
    network = build_walk_network(lines, gate=[-1, 0, -1], is_closed=[False, True, False], compound=[-1, -1, 4])

    assert street_points(network, 100.0)[1].tolist() == [[0.0, 0.0], [50.0, 0.0]]
    assert len(street_points(network, 100.0, edges=[1, 2])[1]) == 0


def test_no_distance_is_refused():
    with pytest.raises(RequestInvalidError, match="0 m apart"):
        street_points(net_network(), 0.0)
