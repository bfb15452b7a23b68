"""Odd input to the walking network: what comes out, or which error."""

import numpy as np
import pytest
import shapely
from shapely.geometry import LineString

from gridsvc.circle.attachments import attach_points
from gridsvc.circle.gates import Compounds, Gates, wall_streets
from gridsvc.circle.travel_times import nearest_times
from gridsvc.circle.walk_network import build_walk_network
from gridsvc.errors import GeometryError
from tests.factories.street_towns import net_network, street_net


def seconds(network, home, facility):
    return nearest_times(network, attach_points(network, [home]), attach_points(network, [facility]), [0], 1)[0, 0]


def test_islands_do_not_reach_each_other_and_are_counted():
    island = LineString([(1000, 0), (1100, 0)])
    network = build_walk_network([*street_net(1, 1), island])

    assert np.isinf(seconds(network, (0, 50), (1050, 0)))
    assert network.components.components == 2
    assert network.components.detached_length_m == pytest.approx(100.0)


def test_a_facility_on_a_motorway_is_reached_from_the_street_beside_it():
    motorway = LineString([(0, 40), (100, 40)])
    network = build_walk_network([*street_net(1, 1), motorway], ["residential"] * 4 + ["motorway"])

    attached = attach_points(network, [(60, 40)])

    assert len(network.edge_u) == 4
    assert attached.access_m.tolist() == [40.0]


def test_a_home_two_kilometres_from_any_street_is_left_alone():
    network = net_network(1, 1)

    attached = attach_points(network, [(50, 2100)])

    assert not attached.is_attached[0]
    assert np.isinf(seconds(network, (50, 2100), (50, 0)))
    assert attach_points(network, [(50, 2100)], max_access_m=2500.0).access_m.tolist() == [2000.0]


def test_two_layers_at_one_node_connect_only_where_one_ends():
    bridge, ramp, under = (
        LineString([(0, 0), (50, 0), (100, 0)]),
        LineString([(50, 0), (50, -60)]),
        LineString([(50, 80), (50, 0.0), (60, 0.5)]),
    )

    network = build_walk_network([bridge, ramp, under], layer=[1, 1, 0])
    through = build_walk_network([bridge, under], layer=[1, 0])

    assert network.components.components == 1
    assert through.components.components == 2


def test_gates_without_compounds_change_nothing():
    gates = Gates(("g",), np.array([[50.0, 0.0]]), np.array([True]), ("",))

    walled = wall_streets(street_net(1, 1), Compounds.none(), gates)

    assert walled.gates_on_no_wall == ("g",)
    assert (walled.gate == -1).all()


def test_no_streets_with_compounds_are_no_network():
    estate = Compounds(("e",), np.array([shapely.box(0, 0, 50, 50)], dtype=object))
    gates = Gates(("g",), np.array([[50.0, 25.0]]), np.array([False]), ("",))

    walled = wall_streets([], estate, gates)

    assert walled.gates_without_street == ("g",)
    with pytest.raises(GeometryError, match="no walkable street"):
        build_walk_network(walled.lines, gate=walled.gate)


def test_a_line_without_position_is_refused():
    with pytest.raises(GeometryError, match="Street line 1 has no finite position"):
        build_walk_network([LineString([(0, 0), (10, 0)]), LineString([(0, 0), (np.inf, 0)])])
