from dataclasses import replace
from itertools import pairwise

import networkx
import numpy as np
import pytest
import shapely
from shapely.geometry import LineString

from gridsvc.circle.attachments import Attachments, attach_points
from gridsvc.circle.travel_times import (
    CompiledWalk,
    compile_walks,
    facility_counts,
    nearest_facilities,
    nearest_times,
    time_matrix,
    walking_way,
)
from gridsvc.circle.walk_network import build_walk_network
from gridsvc.errors import RequestInvalidError
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


def one(attached, number):
    names = ("edge", "access_m", "offset_m", "to_u_m", "to_v_m")
    return Attachments(*(getattr(attached, name)[number : number + 1] for name in names))


def crooked_town(seed, penalties=True):
    """A town with penalties on its edges, 50 origins, 40 facilities of 4 kinds."""
    rng = np.random.default_rng(seed)
    network = build_walk_network(crooked_net(seed))
    if penalties:
        network = replace(network, edge_penalty_s=rng.choice([0.0, 0.0, 30.0], len(network.edge_u)))
    origins, facilities = (attach_points(network, rng.uniform(0, 700, (count, 2))) for count in (50, 40))
    return network, origins, facilities, rng.integers(0, 4, 40)


def split_seconds(network, origins, facilities, speed_m_s=1.1):
    """All times by networkx on the split graph of a network with penalties."""
    graph = networkx.MultiGraph()
    stops = {
        edge: [(0.0, int(u)), (float(length), int(v))]
        for edge, (u, v, length) in enumerate(zip(network.edge_u, network.edge_v, network.edge_length_m, strict=True))
    }
    for prefix, attached in (("o", origins), ("f", facilities)):
        for i in np.flatnonzero(attached.is_attached).tolist():
            stops[int(attached.edge[i])].append((float(attached.offset_m[i]), f"{prefix}{i}*"))
            graph.add_edge(f"{prefix}{i}", f"{prefix}{i}*", weight=attached.access_m[i] / speed_m_s)
    for edge, places in stops.items():
        whole_s = network.edge_length_m[edge] / speed_m_s + network.edge_penalty_s[edge]
        for (start, a), (end, b) in pairwise(sorted(places, key=lambda stop: (stop[0], str(stop[1])))):
            graph.add_edge(a, b, weight=(end - start) / network.edge_length_m[edge] * whole_s)
    times = np.full((len(origins), len(facilities)), np.inf)
    for f in range(len(facilities)):
        if f"f{f}" in graph:
            reach = networkx.single_source_dijkstra_path_length(graph, f"f{f}")
            times[:, f] = [reach.get(f"o{i}", np.inf) for i in range(len(origins))]
    return times


@pytest.mark.parametrize("seed", [1, 2])
def test_matrix_nearest_and_counts_equal_networkx_with_penalties(seed):
    network, origins, facilities, kind = crooked_town(seed)
    truth = split_seconds(network, origins, facilities)
    walk = CompiledWalk(network, limit_s=600.0)

    matrix, found = time_matrix(walk, origins, facilities), nearest_facilities(walk, origins, facilities, kind, 4)
    counts = facility_counts(walk, origins, facilities, kind, 4, (150.0, 300.0, 600.0))

    reached = truth <= 600.0
    assert (np.isfinite(matrix) == reached).all()
    assert np.abs(matrix[reached] - truth[reached]).max() < 1e-4
    for k in range(4):
        of_kind = np.flatnonzero(kind == k)
        best = matrix[:, of_kind].min(axis=1)
        assert (found.times_s[:, k] == best).all()
        first = np.where(np.isfinite(best), of_kind[matrix[:, of_kind].argmin(axis=1)], -1)
        assert (found.facility[:, k] == first).all()
        for j, limit in enumerate((150.0, 300.0, 600.0)):
            assert (counts[:, k, j] == (matrix[:, of_kind] <= limit).sum(axis=1)).all()


def test_a_facility_of_several_entrances_counts_once_by_the_nearest():
    network, origins, entrances, _ = crooked_town(3)
    owner = np.arange(len(entrances)) % 5 * 7  # entrances of one facility are not beside one another
    kind = owner % 3
    limits = (150.0, 300.0, 600.0)
    walk = CompiledWalk(network, limit_s=600.0)

    counts = facility_counts(walk, origins, entrances, kind, 3, limits, facility_of=owner)

    matrix = time_matrix(walk, origins, entrances)
    nearest = np.stack([matrix[:, owner == f].min(axis=1) for f in range(0, 35, 7)])
    for k in range(3):
        of_kind = nearest[np.arange(0, 35, 7) % 3 == k]
        assert (counts[:, k] == np.stack([(of_kind <= limit).sum(axis=0) for limit in limits], axis=1)).all()
    with pytest.raises(RequestInvalidError, match="one facility for each entrance"):
        facility_counts(walk, origins, entrances, kind, 3, limits, facility_of=owner[1:])


def test_two_entrances_on_one_street_beyond_reach_of_its_ends_count_once():
    network = net_network(1, 1, block_m=400.0)
    at = attach_points(network, [(200, 0), (210, 0)])

    counts = facility_counts(CompiledWalk(network), at, at, [0, 0], 1, (60.0,), facility_of=[0, 0])

    assert counts.ravel().tolist() == [1, 1]


def test_of_equally_near_facilities_the_lowest_number_is_named():
    network = net_network(4, 1)
    facilities = attach_points(network, [(400, 0), (0, 0), (0, 0), (400, 0)])

    found = nearest_facilities(
        CompiledWalk(network), attach_points(network, [(200, 0), (10, 0)]), facilities, [0] * 4, 1
    )

    assert found.facility[:, 0].tolist() == [0, 1]


def test_nodes_may_be_the_origins():
    network, _, facilities, kind = crooked_town(3)
    walk = CompiledWalk(network)

    found = nearest_facilities(walk, None, facilities, kind, 4)

    at_nodes = nearest_times(network, attach_points(network, network.node_xy), facilities, kind, 4)
    reached = np.isfinite(at_nodes)
    assert (np.isfinite(found.times_s) == reached).all()
    assert np.abs(found.times_s[reached] - at_nodes[reached]).max() < 1e-3


def test_way_is_as_long_as_its_time_and_joins_both_points():
    network, origins, facilities, _ = crooked_town(4, penalties=False)
    walk = CompiledWalk(network)
    matrix = time_matrix(walk, origins, facilities)
    for i in range(12):
        for j in range(40):
            way = walking_way(walk, one(origins, i), one(facilities, j))
            if way is None:
                assert np.isinf(matrix[i, j])
                continue
            legs_m = origins.access_m[i] + facilities.access_m[j]
            assert way.walk_s == matrix[i, j]
            assert way.line.length + legs_m == pytest.approx(1.1 * way.walk_s, abs=1e-3)
            for attached, number, end in ((origins, i, 0), (facilities, j, -1)):
                edge = network.edge_lines[attached.edge[number]]
                joint = edge.interpolate(attached.offset_m[number])
                assert joint.distance(shapely.Point(way.line.coords[end])) < 1e-6


def test_way_between_points_of_one_edge_or_one_place_stays_on_it():
    network = build_walk_network([LineString([(0, 0), (500, 0), (500, 400)])])
    walk = CompiledWalk(network, 1.0)
    points = attach_points(network, [(450, 0), (500, 100)])

    there, nowhere = (
        walking_way(walk, one(points, 0), one(points, 1)),
        walking_way(walk, one(points, 0), one(points, 0)),
    )

    assert there is not None and nowhere is not None
    assert list(there.line.coords) == [(450, 0), (500, 0), (500, 100)]
    assert (there.walk_s, nowhere.walk_s, nowhere.line.length) == (150.0, 0.0, 0.0)


def test_slower_walkers_share_the_order_and_take_longer():
    network, origins, facilities, kind = crooked_town(5)

    walks = compile_walks(network, [1.1, 1.2, 0.8, 0.7])
    times = [nearest_facilities(walk, origins, facilities, kind, 4).times_s for walk in walks]

    for walk, seconds in zip(walks, times, strict=True):
        assert (seconds == nearest_times(network, origins, facilities, kind, 4, speed_m_s=walk.speed_m_s)).all()
    assert (times[1] <= times[0]).all()
    assert (times[2] <= times[3]).all()
    assert len({walk.hierarchy.graph.node_rank.tobytes() for walk in walks}) == 1


def test_closed_gate_is_no_way_and_a_longer_one_is_taken():
    lines = [LineString([(0, 0), (100, 0)]), LineString([(100, 0), (200, 0)]), LineString([(200, 0), (300, 0)])]
    around = LineString([(100, 0), (100, 150), (200, 150), (200, 0)])
    times = {}
    for closed in (False, True):
        network = build_walk_network([*lines, around], gate=[-1, 0, -1, -1], is_closed=[False, closed, False, False])
        times[closed] = seconds(network, [(0, 0)], [(300, 0)], [0], speed_m_s=1.0)[0, 0]

    assert times == {False: pytest.approx(300.0), True: pytest.approx(600.0)}


def test_parallel_streets_loops_and_long_streets_give_the_quickest_walk():
    straight, bent = LineString([(0, 0), (200, 0)]), LineString([(0, 0), (100, 80), (200, 0)])
    loop = LineString([(200, 0), (240, 40), (280, 0), (240, -40), (200, 0)])
    long = LineString([(200, 0), (200, -2000)])
    network = build_walk_network([straight, bent, loop, long])

    found = seconds(
        network, [(0, 0), (280, 0), (200, -1700)], [(200, 0), (240, 40), (200, -1300)], [0, 1, 2], speed_m_s=1.0
    )

    arm = float(np.hypot(40, 40))
    assert found[0].tolist() == pytest.approx([200.0, 200.0 + arm, np.inf])
    assert found[1].tolist() == pytest.approx([2 * arm, arm, np.inf])
    assert found[2].tolist() == pytest.approx([np.inf, np.inf, 400.0])


@pytest.mark.parametrize(("kinds", "match"), [([0], "came with 1 kinds"), ([0, 4], "of kind 4, of 4"), ([0, -1], "-1")])
def test_wrong_kinds_are_refused(kinds, match):
    network = net_network()
    points = attach_points(network, [(0, 0), (100, 0)])

    with pytest.raises(RequestInvalidError, match=match):
        nearest_facilities(CompiledWalk(network), points, points, kinds, 4)


def test_count_limit_beyond_the_walk_is_refused():
    network = net_network()
    points = attach_points(network, [(0, 0)])

    with pytest.raises(RequestInvalidError, match="not all within 0 to 600 s"):
        facility_counts(CompiledWalk(network, limit_s=600.0), points, points, [0], 1, (300.0, 900.0))


def test_empty_sets_and_unattached_points_give_empty_answers():
    network = net_network()
    walk = CompiledWalk(network)
    some = attach_points(network, [(0, 0), (9000, 9000)])
    nothing = attach_points(network, np.empty((0, 2)))

    assert facility_counts(walk, some, nothing, [], 2).sum() == 0
    assert facility_counts(walk, some, some, [0, 1], 2)[:, :, 2].tolist() == [[1, 0], [0, 0]]
    assert time_matrix(walk, nothing, some).shape == (0, 2)
    assert np.isinf(time_matrix(walk, some, some)).tolist() == [[False, True], [True, True]]
    assert walking_way(walk, one(some, 0), one(some, 1)) is None
