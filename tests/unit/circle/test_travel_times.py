from itertools import pairwise

import networkx
import numpy as np
import pytest
import shapely
from shapely.geometry import LineString

from gridsvc.circle.attachments import attach_points
from gridsvc.circle.travel_times import nearest_times
from gridsvc.circle.walk_network import build_walk_network
from tests.factories.street_towns import crooked_net, net_network


def split_graph_seconds(lines, origins, facilities, kinds, speed_m_s):
    """Times by networkx on a graph in which every attached point is a node: an independent second engine."""
    graph = networkx.Graph()
    tree = shapely.STRtree(lines)
    on_line: dict[int, list[tuple[float, str]]] = {}
    for prefix, places in (("o", origins), ("f", facilities)):
        for number, place in enumerate(places):
            point = shapely.Point(place)
            nearest = int(tree.nearest(point))
            on_line.setdefault(nearest, []).append((lines[nearest].project(point), f"{prefix}{number}*"))
            graph.add_edge(f"{prefix}{number}", f"{prefix}{number}*", weight=lines[nearest].distance(point))
    for number, line in enumerate(lines):
        stops = [(0.0, tuple(np.round(line.coords[0], 3))), *sorted(on_line.get(number, []))]
        stops.append((line.length, tuple(np.round(line.coords[-1], 3))))
        for (start, a), (end, b) in pairwise(stops):
            if not graph.has_edge(a, b) or graph[a][b]["weight"] > end - start:
                graph.add_edge(a, b, weight=end - start)
    times = np.full((len(origins), max(kinds) + 1), np.inf)
    for kind in set(kinds):
        sources = {f"f{i}" for i, of_kind in enumerate(kinds) if of_kind == kind}
        reach = networkx.multi_source_dijkstra_path_length(graph, sources)
        for i in range(len(origins)):
            times[i, kind] = reach.get(f"o{i}", np.inf) / speed_m_s
    return times


def seconds(network, origins, facilities, kinds, **options):
    count = max(kinds, default=0) + 1
    return nearest_times(
        network, attach_points(network, origins), attach_points(network, facilities), kinds, count, **options
    )


@pytest.mark.parametrize("seed", range(6))
def test_times_equal_networkx_on_the_split_graph(seed):
    lines = crooked_net(seed)
    rng = np.random.default_rng(seed)
    origins, facilities = rng.uniform(0, 700, (60, 2)), rng.uniform(0, 700, (25, 2))
    kinds = rng.integers(0, 4, 25).tolist()

    found = seconds(build_walk_network(lines), origins, facilities, kinds, speed_m_s=1.1, limit_s=900)

    expected = split_graph_seconds(lines, origins, facilities, kinds, 1.1)
    expected[expected > 900] = np.inf
    assert (np.isinf(found) == np.isinf(expected)).all()
    reached = np.isfinite(expected)
    assert np.abs(found[reached] - expected[reached]).max() < 0.1


def test_time_is_access_leg_edge_and_access_leg():
    found = seconds(net_network(2, 1), [(10, 5)], [(190, -20)], [0], speed_m_s=1.0)

    assert found[0, 0] == pytest.approx(5 + 180 + 20)


def test_two_points_on_one_edge_meet_along_it():
    network = build_walk_network([LineString([(0, 0), (1000, 0)])])

    found = seconds(network, [(480, 3)], [(520, 4)], [0], speed_m_s=1.0)

    assert found[0, 0] == pytest.approx(3 + 40 + 4)


def test_two_points_on_a_loop_take_the_shorter_side():
    ring = build_walk_network([LineString([(0, 0), (100, 0), (100, 100), (0, 100), (0, 0)])])

    found = seconds(ring, [(50, 0)], [(0, 50)], [0], speed_m_s=1.0)

    assert found[0, 0] == pytest.approx(100)


def test_facility_exactly_on_a_node_costs_nothing_to_leave():
    found = seconds(net_network(2, 2), [(0, 0), (100, 100)], [(100, 100)], [0], speed_m_s=1.0)

    assert found[:, 0].tolist() == [200.0, 0.0]


def test_walk_of_exactly_the_limit_is_within():
    network = net_network(10, 1)

    found = seconds(network, [(0, 0)], [(990, 0)], [0], speed_m_s=1.1, limit_s=900)
    short = seconds(network, [(0, 0)], [(990.2, 0)], [0], speed_m_s=1.1, limit_s=900)

    assert found[0, 0] == pytest.approx(900)
    assert np.isinf(short[0, 0])


def test_times_never_exceed_the_limit():
    found = seconds(net_network(10, 1), [(0, 0)], [(990, 0)], [0], speed_m_s=1.1, limit_s=900)

    assert found[0, 0] <= 900


def test_kind_without_facilities_is_out_of_reach():
    network = net_network()
    at = attach_points(network, [(0, 0)])

    found = nearest_times(network, at, at, [1], 3)

    assert np.isinf(found).tolist() == [[True, False, True]]


def test_island_reaches_only_its_own():
    network = build_walk_network([LineString([(0, 0), (300, 0)]), LineString([(0, 400), (300, 400)])])

    found = seconds(network, [(0, 0), (0, 400)], [(300, 0)], [0])

    assert np.isfinite(found[0, 0])
    assert np.isinf(found[1, 0])


def test_facility_far_from_any_street_serves_nobody():
    assert np.isinf(seconds(net_network(), [(0, 0)], [(200, 2400)], [0])[0, 0])


def test_residence_two_kilometres_away_reaches_nothing():
    assert np.isinf(seconds(net_network(), [(200, 2400)], [(0, 0)], [0])[0, 0])


def test_far_residence_with_allowed_access_still_counts_the_leg():
    network = net_network()
    far = attach_points(network, [(200, 2400)], max_access_m=5000)

    found = nearest_times(network, far, attach_points(network, [(200, 400)]), [0], 1, speed_m_s=1.0, limit_s=9000)

    assert found[0, 0] == pytest.approx(2000)


def test_no_origins_and_no_facilities_give_empty_answers():
    network = net_network()

    assert seconds(network, np.empty((0, 2)), [(0, 0)], [0]).shape == (0, 1)
    assert np.isinf(seconds(network, [(0, 0)], np.empty((0, 2)), [])).all()
