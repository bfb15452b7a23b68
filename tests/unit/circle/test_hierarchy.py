import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from gridsvc.circle.hierarchy import OUT, WalkHierarchy, build_hierarchy, node_order
from gridsvc.errors import GeometryError, RequestInvalidError


def random_edges(seed, nodes, edges):
    """Edges between near numbers, with loops, parallel ones, and some that take no time or for ever."""
    rng = np.random.default_rng(seed)
    u = rng.integers(0, nodes, edges)
    v = np.clip(u + rng.integers(-6, 7, edges), 0, nodes - 1)
    seconds = rng.uniform(5, 120, edges)
    seconds[rng.random(edges) < 0.05] = 0.0
    seconds[rng.random(edges) < 0.05] = np.inf
    return u, v, seconds


def up_down_times(hierarchy):
    """All times between nodes by walks that first go up the arcs, then down: what the sweeps find."""
    graph, nodes = hierarchy.graph, hierarchy.graph.nodes
    tail = np.repeat(np.arange(nodes), np.diff(hierarchy.up_first))
    up = np.full((nodes, nodes), np.inf)
    np.fill_diagonal(up, 0.0)
    for low in range(nodes - 1, -1, -1):
        for arc in np.flatnonzero(tail == low):
            np.minimum(up[low], hierarchy.up_ticks[arc] + up[hierarchy.up_node[arc]], out=up[low])
    meet = (up[:, np.newaxis, :] + up[np.newaxis, :, :]).min(axis=2)
    return meet[np.ix_(graph.node_rank, graph.node_rank)] / graph.ticks_per_s


def plain_times(nodes, u, v, seconds):
    """All times between nodes by scipy; edges of no time take a nanosecond there, which it needs to see them."""
    best = {}
    for a, b, time in zip(u.tolist(), v.tolist(), seconds.tolist(), strict=True):
        if a != b and np.isfinite(time):
            best[a, b] = best[b, a] = min(time, best.get((a, b), np.inf))
    pairs = np.array(list(best)).reshape(-1, 2)
    weights = np.maximum(np.array(list(best.values())), 1e-9)
    return dijkstra(coo_array((weights, (pairs[:, 0], pairs[:, 1])), shape=(nodes, nodes)).tocsr())


@pytest.mark.parametrize(("seed", "nodes", "edges"), [(1, 60, 150), (2, 60, 70), (3, 80, 400), (4, 30, 20)])
def test_every_walk_within_the_limit_goes_up_and_down(seed, nodes, edges):
    u, v, seconds = random_edges(seed, nodes, edges)

    found = up_down_times(build_hierarchy(nodes, u, v, seconds, 300.0))

    expected = plain_times(nodes, u, v, seconds)
    near = expected <= 300.0
    assert near.sum() > nodes
    assert np.abs(found[near] - expected[near]).max() < 1e-4
    assert (found[~near] > 300.0).all()


def test_no_arc_is_longer_than_the_limit_or_than_another_way():
    u, v, seconds = random_edges(5, 60, 200)

    hierarchy = build_hierarchy(60, u, v, seconds, 200.0)

    tail = np.repeat(np.arange(60), np.diff(hierarchy.up_first))
    place = np.argsort(hierarchy.graph.node_rank)
    expected = plain_times(60, u, v, seconds)[place[tail], place[hierarchy.up_node]]
    assert (hierarchy.up_ticks <= hierarchy.graph.limit_ticks).all()
    assert np.abs(hierarchy.up_ticks / hierarchy.graph.ticks_per_s - expected).max() < 1e-4


def test_two_runs_give_identical_bytes_and_arrays_come_back_whole():
    u, v, seconds = random_edges(6, 300, 900)

    first, second = (build_hierarchy(300, u, v, seconds, 900.0) for _ in range(2))
    again = WalkHierarchy.from_arrays(first.arrays(), 900.0)

    for other in (second, again):
        assert {n: a.tobytes() for n, a in other.arrays().items()} == {
            n: a.tobytes() for n, a in first.arrays().items()
        }
    assert again.graph.limit_ticks == first.graph.limit_ticks


def test_order_of_another_walker_may_be_kept():
    u, v, seconds = random_edges(7, 100, 300)
    rank = node_order(100, u, v)

    kept, anew = (build_hierarchy(100, u, v, 1.5 * seconds, 900.0, order=order) for order in (rank, None))

    assert sorted(rank.tolist()) == list(range(100))
    assert kept.up_ticks.tobytes() == anew.up_ticks.tobytes()


def test_nodes_without_edges_and_a_street_without_crossings_are_ordered():
    assert sorted(node_order(5, np.array([1]), np.array([2])).tolist()) == [0, 1, 2, 3, 4]
    hierarchy = build_hierarchy(4, [0, 1, 2], [1, 2, 3], [10.0, 10.0, 10.0], 60.0)
    assert up_down_times(hierarchy)[0].tolist() == [0.0, 10.0, 20.0, 30.0]


@pytest.mark.parametrize("limit_s", [60.0, 900.0, 1000.0, 3600.0, 43_200.0])
def test_ticks_of_the_limit_fit_with_room_for_one_sum(limit_s):
    graph = build_hierarchy(2, [0], [1], [1.0], limit_s).graph

    assert graph.limit_ticks < OUT
    assert graph.limit_ticks > OUT / 2 - graph.ticks_per_s
    assert 2 * OUT < 2**31


@pytest.mark.parametrize(
    ("seconds", "limit_s", "error"),
    [(-1.0, 900.0, GeometryError), (np.nan, 900.0, GeometryError), (1.0, 0.0, RequestInvalidError)],
)
def test_what_is_no_time_is_refused(seconds, limit_s, error):
    with pytest.raises(error):
        build_hierarchy(2, [0], [1], [seconds], limit_s)
