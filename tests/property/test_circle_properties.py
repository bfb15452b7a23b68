"""Properties of walking times and isochrones over random towns."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from gridsvc.circle.attachments import attach_points
from gridsvc.circle.gates import Compounds, Gates, wall_streets
from gridsvc.circle.isochrones import isochrones
from gridsvc.circle.live_times import LiveTimes
from gridsvc.circle.street_lines import StreetLines, join_loose_ends
from gridsvc.circle.travel_times import CompiledWalk, facility_counts, nearest_facilities, nearest_times
from gridsvc.circle.walk_network import add_edges, build_walk_network, with_gates
from tests.factories.street_towns import crooked_net

seeds = st.integers(0, 10_000)
few = settings(max_examples=25, deadline=None)


def town(seed):
    lines = crooked_net(seed)
    rng = np.random.default_rng(seed + 1)
    return lines, rng.uniform(0, 700, (30, 2)), rng.uniform(0, 700, (12, 2)), rng.integers(0, 3, 12)


def times(network, origins, facilities, kinds):
    return nearest_times(network, attach_points(network, origins), attach_points(network, facilities), kinds, 3)


def no_later(after, before):
    return (after <= before + 1e-9).all()


@few
@given(seeds, st.integers(0, 1000), st.integers(0, 1000))
def test_adding_an_edge_never_increases_any_time(seed, one, other):
    lines, origins, facilities, kinds = town(seed)
    network = build_walk_network(lines)
    at, to = attach_points(network, origins), attach_points(network, facilities)
    nodes = len(network.node_xy)
    u, v = sorted((one % nodes, other % nodes))
    path = shapely.LineString(network.node_xy[[u, v]])
    # where people join the streets stays as it is: only the new way is added
    richer = add_edges(network, [u], [v], [path])

    assert no_later(nearest_times(richer, at, to, kinds, 3), nearest_times(network, at, to, kinds, 3))


@few
@given(seeds, st.floats(0, 700), st.floats(0, 700), st.integers(0, 2))
def test_adding_a_facility_never_increases_any_time(seed, x, y, kind):
    lines, origins, facilities, kinds = town(seed)
    network = build_walk_network(lines)

    more = times(network, origins, np.vstack((facilities, [(x, y)])), np.append(kinds, kind))

    assert no_later(more, times(network, origins, facilities, kinds))


@few
@given(seeds, st.randoms(use_true_random=False))
def test_input_order_does_not_matter(seed, shuffler):
    lines, origins, facilities, kinds = town(seed)
    order = list(range(len(facilities)))
    shuffler.shuffle(order)
    mixed = list(lines)
    shuffler.shuffle(mixed)

    plain = times(build_walk_network(lines), origins, facilities, kinds)
    again = times(build_walk_network(mixed), origins, facilities[order], kinds[order])

    assert (plain == again).all()


@few
@given(seeds, st.floats(50, 650), st.floats(50, 650))
@example(304, 50.0, 519.0)  # the street is further away than two minutes: the shortest area is empty
def test_shorter_isochrone_lies_inside_longer(seed, x, y):
    network = build_walk_network(crooked_net(seed))

    areas = isochrones(network, (x, y), (2, 4, 6, 9))

    assert all(area.is_valid for area in areas)
    for shorter, longer in pairwise(areas):
        assert shorter.is_empty or longer.covers(shorter)  # shapely: nothing covers the empty area


@few
@given(seeds)
def test_walk_is_never_shorter_than_the_straight_line(seed):
    lines, origins, facilities, _ = town(seed)
    network = build_walk_network(lines)

    walked = nearest_times(
        network, attach_points(network, origins), attach_points(network, facilities[:1]), [0], 1, speed_m_s=1.0
    )

    straight = np.hypot(*(origins - facilities[0]).T)
    assert (walked[:, 0] >= straight - 1e-6).all()


fewer = settings(max_examples=12, deadline=None)


@fewer
@given(seeds, st.lists(st.integers(0, 83), min_size=1, max_size=6))
def test_closing_gates_never_decreases_any_time_and_opening_restores(seed, gated):
    lines, origins, facilities, kinds = town(seed)
    gate = np.where(np.isin(np.arange(len(lines)), gated), np.arange(len(lines)), -1)
    network = build_walk_network(lines, gate=gate)
    at, to = attach_points(network, origins), attach_points(network, facilities)
    closed = with_gates(network, closed=gated)

    before, after = nearest_times(network, at, to, kinds, 3), nearest_times(closed, at, to, kinds, 3)

    assert no_later(before, after)
    assert (nearest_times(with_gates(closed, opened=gated), at, to, kinds, 3) == before).all()


@fewer
@given(seeds)
def test_two_runs_give_identical_bytes(seed):
    lines, origins, facilities, kinds = town(seed)
    answers = []
    for _ in range(2):
        walk = CompiledWalk(build_walk_network(lines))
        at, to = attach_points(walk.network, origins), attach_points(walk.network, facilities)
        found = nearest_facilities(walk, at, to, kinds, 3)
        arrays = [
            *walk.hierarchy.arrays().values(),
            found.ticks,
            found.facility,
            facility_counts(walk, at, to, kinds, 3),
        ]
        answers.append([array.tobytes() for array in arrays])

    assert answers[0] == answers[1]


@fewer
@given(seeds, st.lists(st.tuples(st.sampled_from("acm"), st.integers(0, 11), st.integers(0, 29)), max_size=5))
def test_live_times_after_any_changes_equal_computing_anew(seed, changes):
    lines, origins, places, kinds = town(seed)
    walk = CompiledWalk(build_walk_network(lines), limit_s=400.0)
    at, points, spare = (attach_points(walk.network, xy) for xy in (origins, places, origins[::-1]))
    live = LiveTimes(walk, at, points, kinds, 3)
    edge, sites = points.edge.copy(), places.copy()
    for what, number, place in changes:
        one = attach_points(walk.network, origins[::-1][[place]])
        if what == "a":
            live.add_facility(one, number % 3)
            sites, edge = np.vstack((sites, origins[::-1][[place]])), np.append(edge, spare.edge[place])
            kinds = np.append(kinds, number % 3)
        elif what == "c":
            live.close_facility(number)
            edge[number] = -1
        else:
            live.move_facility(number, one)
            sites[number], edge[number] = origins[::-1][place], spare.edge[place]

    fresh = nearest_facilities(walk, at, replace(attach_points(walk.network, sites), edge=edge), kinds, 3)

    assert (live.nearest.ticks == fresh.ticks).all()
    assert (live.nearest.facility == fresh.facility).all()


def walled_town(seed):
    """A crooked net with two compounds in it, gates on some of their walls; attached homes and facilities."""
    lines, origins, facilities, kinds = town(seed)
    rng = np.random.default_rng(seed + 2)
    west, south = rng.uniform(50, 350, (2, 2))
    areas = shapely.box(west, south, west + rng.uniform(80, 250, 2), south + rng.uniform(80, 250, 2))
    compounds = Compounds(("a", "b"), areas)
    place = [
        shapely.line_interpolate_point(area.exterior, rng.random(), normalized=True) for area in areas for _ in range(2)
    ]
    gates = Gates(tuple("1234"), shapely.get_coordinates(place), rng.random(4) < 0.3, ("",) * 4)
    walled = wall_streets(lines, compounds, gates)
    network = build_walk_network(walled.lines, gate=walled.gate, is_closed=walled.is_closed, compound=walled.compound)
    at, to = (attach_points(network, xy, compound=walled.compounds.numbers_at(xy)) for xy in (origins, facilities))
    return walled, network, at, to, kinds


@few
@given(seeds, st.integers(0, 1000))
def test_closing_a_gate_never_decreases_a_time_and_opening_never_increases_one(seed, number):
    walled, network, at, to, kinds = walled_town(seed)
    gate = number % max(len(walled.passages.code), 1)

    before = nearest_times(network, at, to, kinds, 3)
    closed = nearest_times(with_gates(network, closed=[gate]), at, to, kinds, 3)
    opened = nearest_times(with_gates(network, opened=[gate]), at, to, kinds, 3)

    assert no_later(before, closed)
    assert no_later(opened, before)


@few
@given(seeds)
def test_nobody_leaves_a_compound_whose_gates_are_all_closed(seed):
    walled, network, at, _, _ = walled_town(seed)
    shut = with_gates(network, closed=range(len(walled.passages.code)))

    _, part = connected_components(shut.graph, directed=False)

    inside = network.edge_compound[at.edge[at.is_attached]] != -1
    parts = part[network.edge_u[at.edge[at.is_attached]]]
    assert not set(parts[inside]) & set(parts[~inside])


@few
@given(seeds, st.randoms(use_true_random=False))
def test_order_of_streets_does_not_change_a_walled_network(seed, shuffler):
    lines, _, _, _ = town(seed)
    areas = np.array([shapely.box(100, 100, 300, 330), shapely.box(350, 50, 500, 200)], dtype=object)
    gates = Gates(("g", "h"), np.array([[100.0, 200.0], [420.0, 50.0]]), np.zeros(2, dtype=bool), ("", ""))
    mixed = [shapely.reverse(line) if shuffler.random() < 0.5 else line for line in lines]
    shuffler.shuffle(mixed)

    hashes = []
    for streets in (lines, mixed):
        joined, _ = join_loose_ends(StreetLines.of(streets, None, None))
        walled = wall_streets(joined.lines, Compounds(("a", "b"), areas), gates)
        hashes.append(
            build_walk_network(
                walled.lines, gate=walled.gate, is_closed=walled.is_closed, compound=walled.compound
            ).content_sha256
        )

    assert hashes[0] == hashes[1]
