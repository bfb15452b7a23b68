import csv

import numpy as np
import pytest
import shapely
from shapely.geometry import LineString

from gridsvc.circle.attachments import attach_points
from gridsvc.circle.walk_network import (
    add_edges,
    build_walk_network,
    edge_seconds,
    network_from_edges,
    with_gates,
)
from gridsvc.circle.walk_rules import is_class_walkable
from gridsvc.errors import CoordinateError, GeometryError
from gridsvc.resources import content_dir
from tests.factories.street_towns import crooked_net, net_network, street_net


def test_street_net_becomes_corners_and_blocks():
    network = net_network(columns=2, rows=3)

    assert len(network.node_xy) == 3 * 4
    assert len(network.edge_u) == 2 * 4 + 3 * 3
    assert network.edge_length_m == pytest.approx(100.0)
    assert network.components.components == 1
    assert network.components.largest_share == 1.0


def test_crossing_lines_without_shared_vertex_do_not_connect():
    bridge = LineString([(-50, 50), (150, 50)])
    street = LineString([(50, -50), (50, 150)])

    network = build_walk_network([bridge, street])

    assert network.components.components == 2
    assert len(network.node_xy) == 4


def test_lines_sharing_an_inner_vertex_connect_on_one_layer_only():
    along = LineString([(0, 0), (50, 0), (100, 0)])
    across = LineString([(50, -50), (50, 0), (50, 50)])

    level = build_walk_network([along, across])
    bridge = build_walk_network([along, across], layer=[1, 0])

    assert (len(level.node_xy), len(level.edge_u)) == (5, 4)
    assert (len(bridge.node_xy), len(bridge.edge_u)) == (4, 2)
    assert bridge.components.components == 2


def test_line_ending_on_the_inner_vertex_of_a_bridge_connects():
    bridge = LineString([(0, 0), (50, 0), (100, 0)])
    stairs = LineString([(50, 0), (50, 20)])

    network = build_walk_network([bridge, stairs], layer=[1, 0])

    assert network.components.components == 1
    assert len(network.edge_u) == 3


def test_ends_within_a_centimetre_are_one_node():
    near = build_walk_network([LineString([(0, 0), (100, 0)]), LineString([(100.006, 0.003), (200, 0)])])
    apart = build_walk_network([LineString([(0, 0), (100, 0)]), LineString([(100.03, 0), (200, 0)])])

    assert near.components.components == 1
    assert apart.components.components == 2


def test_zero_length_lines_and_pieces_are_left_out():
    lines = [LineString([(0, 0), (0, 0)]), LineString([(0, 0), (0, 0), (100, 0)]), LineString([(100, 0), (100, 0.004)])]

    network = build_walk_network(lines)

    assert network.edge_length_m.tolist() == [100.0]


def test_duplicate_edges_count_once_and_the_shorter_parallel_edge_is_walked():
    straight = LineString([(0, 0), (100, 0)])
    bent = LineString([(0, 0), (50, 40), (100, 0)])

    network = build_walk_network([straight, straight, shapely.reverse(straight), bent])

    assert len(network.edge_u) == 2
    assert network.graph[0, 1] == 100.0


def test_loop_is_kept_for_attaching_but_not_walked_round():
    lollipop = LineString([(0, 0), (100, 0), (150, 50), (200, 0), (150, -50), (100, 0)])

    network = build_walk_network([lollipop])
    attached = attach_points(network, [(200, 0)])

    assert len(network.node_xy) == 2
    assert (network.edge_u == network.edge_v).sum() == 1
    assert attached.to_u_m[0] == pytest.approx(2 * np.hypot(50, 50))


def test_order_and_direction_of_lines_do_not_matter():
    lines = np.array(crooked_net(3))
    shuffled = np.random.default_rng(0).permutation(lines)

    network, other = build_walk_network(lines), build_walk_network(shapely.reverse(shuffled))

    assert network.content_sha256 == other.content_sha256
    assert (network.node_xy == other.node_xy).all()


def test_another_street_gives_another_hash():
    lines = street_net()

    assert build_walk_network(lines).content_sha256 != build_walk_network(lines[1:]).content_sha256


@pytest.mark.parametrize(
    ("street_class", "walkable"),
    [
        ("motorway", False),
        ("motorway_link", False),
        ("trunk", False),
        ("primary", True),
        ("footway", True),
        ("alley", True),
    ],
)
def test_walkable_classes(street_class, walkable):
    assert is_class_walkable(street_class) is walkable


def test_walkable_classes_agree_with_the_table_that_imports_use():
    with (content_dir("data") / "street_classes.csv").open(encoding="utf-8") as table:
        listed = {row["street_class"]: row["is_walkable"] == "yes" for row in csv.DictReader(table)}

    assert {name: is_class_walkable(name) for name in listed} == listed


def test_trunk_roads_are_walked_on_demand():
    lines = [LineString([(0, 0), (100, 0)]), LineString([(100, 0), (200, 0)])]

    without = build_walk_network(lines, ["trunk", "primary"])
    with_trunk = build_walk_network(lines, ["trunk", "primary"], trunk_walkable=True)

    assert (len(without.edge_u), len(with_trunk.edge_u)) == (1, 2)


def test_flag_takes_a_line_out():
    network = build_walk_network(street_net(1, 1), is_walkable=[True, True, True, False])

    assert len(network.edge_u) == 3


@pytest.mark.parametrize("lines", [[], [LineString()], [None], [LineString([(1, 1), (1, 1)])]])
def test_no_usable_line_is_refused(lines):
    with pytest.raises(GeometryError, match="no walkable street line"):
        build_walk_network(lines)


def test_multi_lines_are_refused_by_number():
    with pytest.raises(GeometryError, match="line 1 is a MultiLineString"):
        build_walk_network([LineString([(0, 0), (1, 0)]), shapely.MultiLineString([[(0, 0), (5, 0)]])])


def test_component_report_names_the_detached_length():
    lines = [*street_net(2, 2), LineString([(900, 900), (950, 900)])]

    report = build_walk_network(lines).components

    assert report.components == 2
    assert report.detached_length_m == pytest.approx(50.0)
    assert report.largest_share == pytest.approx(1200 / 1250)


def test_main_component_is_number_zero():
    network = build_walk_network([LineString([(-900, -900), (-850, -900)]), *street_net(2, 2)])

    assert network.node_component[0] == 1
    assert set(network.node_component[2:]) == {0}


def test_point_attaches_to_the_nearest_point_of_an_edge():
    network = net_network(1, 1)

    attached = attach_points(network, [(30, 5)])

    assert attached.access_m[0] == pytest.approx(5.0)
    assert attached.to_u_m[0] == pytest.approx(35.0)
    assert attached.to_v_m[0] == pytest.approx(75.0)


def test_point_out_of_reach_stays_unattached():
    attached = attach_points(net_network(1, 1), [(50, 2100), (50, 301 + 100), (50, 399)])

    assert attached.is_attached.tolist() == [False, False, True]
    assert np.isinf(attached.to_u_m[:2]).all()


def test_point_without_position_is_refused():
    with pytest.raises(CoordinateError, match="Point 1"):
        attach_points(net_network(1, 1), [(0, 0), (np.nan, 3)])


def test_no_points_attach_to_nothing():
    assert len(attach_points(net_network(1, 1), np.empty((0, 2)))) == 0


def test_stored_edges_give_the_network_back():
    network = build_walk_network(crooked_net(5))

    again = network_from_edges(network.edge_u, network.edge_v, network.edge_length_m, network.edge_lines)

    assert again.content_sha256 == network.content_sha256
    assert np.abs(again.node_xy - network.node_xy).max() < 0.01


def test_penalty_of_a_line_is_spread_over_its_edges_by_length():
    crossing, branch = LineString([(0, 0), (30, 0), (90, 0)]), LineString([(30, 0), (30, 50)])

    network = build_walk_network([crossing, branch], penalty_s=[45.0, 0.0])

    assert dict(zip(network.edge_length_m.tolist(), network.edge_penalty_s.tolist(), strict=True)) == {
        30.0: pytest.approx(15.0),
        60.0: pytest.approx(30.0),
        50.0: 0.0,
    }
    assert edge_seconds(network, 2.0)[network.edge_length_m == 60.0] == pytest.approx(60.0)


def test_the_quicker_of_two_equal_lines_stays():
    line = LineString([(0, 0), (100, 0)])

    network = build_walk_network([line, shapely.reverse(line)], penalty_s=[40.0, 10.0])

    assert network.edge_penalty_s.tolist() == [10.0]


@pytest.mark.parametrize("seconds", [-1.0, np.nan, np.inf])
def test_a_penalty_that_is_no_time_is_refused(seconds):
    with pytest.raises(GeometryError, match="is no time"):
        build_walk_network(street_net(1, 1), penalty_s=[0.0, 0.0, seconds, 0.0])


def gated_street(is_closed):
    lines = [LineString([(0, 0), (10, 0)]), LineString([(10, 0), (11, 0)]), LineString([(11, 0), (30, 0)])]
    return build_walk_network(lines, gate=[-1, 7, -1], is_closed=[False, is_closed, False])


def test_a_closed_gate_is_not_walked_through_and_opening_it_changes_nothing_else():
    closed = gated_street(is_closed=True)

    opened = with_gates(closed, opened=[7])

    assert edge_seconds(closed, 1.0).tolist() == [10.0, np.inf, 19.0]
    assert edge_seconds(opened, 1.0).tolist() == [10.0, 1.0, 19.0]
    assert edge_seconds(with_gates(opened, closed=[7]), 1.0).tolist() == [10.0, np.inf, 19.0]
    assert opened.content_sha256 == gated_street(is_closed=False).content_sha256 != closed.content_sha256
    assert closed.graph.nnz == 4
    assert closed.components.components == 1


def test_nothing_attaches_to_an_edge_that_passes_a_gate():
    network = gated_street(is_closed=False)

    attached = attach_points(network, [(10.6, 1.0)])

    assert network.edge_length_m[attached.edge[0]] == 19.0


def test_added_edges_come_last_and_run_from_the_lower_node():
    network = net_network(1, 1)

    richer = add_edges(network, [3], [0], [LineString([(100, 100), (0, 0)])], penalty_s=5.0)

    assert (richer.edge_u[-1], richer.edge_v[-1], richer.edge_penalty_s[-1]) == (0, 3, 5.0)
    assert shapely.get_coordinates(richer.edge_lines[-1]).tolist() == [[0, 0], [100, 100]]
    assert (richer.edge_length_m[:-1] == network.edge_length_m).all()
