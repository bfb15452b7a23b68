from dataclasses import replace

import numpy as np
import pytest
import shapely

from gridsvc.circle.attachments import Attachments, attach_points
from gridsvc.circle.live_times import LiveTimes
from gridsvc.circle.travel_times import CompiledWalk, nearest_facilities
from gridsvc.circle.walk_network import add_edges, build_walk_network, with_gates
from gridsvc.errors import ConflictError, NotFoundError, RequestInvalidError
from tests.factories.street_towns import crooked_net, net_network

KINDS = 3


def gated_town(seed):
    """A crooked town with gates 0 to 3, of which 1 and 3 are closed: short ways between corners that nobody lives at."""
    lines = crooked_net(seed)
    rng = np.random.default_rng(seed)
    ends = np.array([line.coords[0] for line in lines])[rng.choice(len(lines), 8, replace=False)].reshape(4, 2, 2)
    gates = [shapely.LineString(pair) for pair in ends]
    number = np.concatenate((np.full(len(lines), -1), np.arange(4)))
    return build_walk_network(lines + gates, gate=number, is_closed=np.isin(number, [1, 3]))


def picked(attached, chosen):
    return Attachments(
        *(getattr(attached, name)[chosen] for name in ("edge", "access_m", "offset_m", "to_u_m", "to_v_m"))
    )


def joined(some, more):
    return Attachments(
        *(
            np.concatenate((getattr(some, name), getattr(more, name)))
            for name in ("edge", "access_m", "offset_m", "to_u_m", "to_v_m")
        )
    )


def unattached(attached, number):
    edge = attached.edge.copy()
    edge[number] = -1
    return replace(attached, edge=edge)


@pytest.fixture
def town():
    rng = np.random.default_rng(7)
    network = gated_town(4)
    places = attach_points(network, rng.uniform(0, 700, (30, 2)))
    origins = attach_points(network, np.vstack((rng.uniform(0, 700, (60, 2)), [(9000, 9000)])))
    return network, origins, places, np.arange(30) % KINDS


def assert_same(live, walk, origins, facilities, kinds):
    fresh = nearest_facilities(walk, origins, facilities, kinds, KINDS)
    assert live.nearest.ticks.tobytes() == fresh.ticks.tobytes()
    assert live.nearest.facility.tobytes() == fresh.facility.tobytes()


def test_changes_of_facilities_equal_computing_anew_and_undo_restores(town):
    network, origins, places, kinds = town
    walk = CompiledWalk(network, limit_s=500.0)
    there, kind = picked(places, slice(0, 20)), kinds[:20]
    live = LiveTimes(walk, origins, there, kind, KINDS)
    states = [(there, kind)]
    assert_same(live, walk, origins, there, kind)
    for turn in range(12):
        if turn % 3 == 0:
            new = picked(places, slice(20 + turn // 3, 21 + turn // 3))
            number, _ = live.add_facility(new, turn % KINDS)
            assert number == len(kind)
            there, kind = joined(there, new), np.append(kind, turn % KINDS)
        elif turn % 3 == 1:
            live.close_facility(turn)
            there = unattached(there, turn)
        else:
            new = picked(places, slice(25, 26))
            live.move_facility(turn + 3, new)
            parts = (picked(there, slice(0, turn + 3)), new, picked(there, slice(turn + 4, None)))
            there = joined(joined(parts[0], parts[1]), parts[2])
        states.append((there, kind))
        assert_same(live, walk, origins, there, kind)

    for there, kind in reversed(states[:-1]):
        live.undo()
        assert_same(live, walk, origins, there, kind)
    with pytest.raises(ConflictError, match="no change to undo"):
        live.undo()


def test_gates_and_paths_equal_computing_anew_and_undo_restores(town):
    network, origins, places, kinds = town
    walk = CompiledWalk(network, limit_s=600.0)
    live = LiveTimes(walk, origins, places, kinds, KINDS)

    def seconds(changed):
        return CompiledWalk(changed, limit_s=600.0)

    gate_1, gates_0_2 = network.edge_gate == 1, np.isin(network.edge_gate, [0, 2])
    opened = with_gates(network, opened=[1])
    live.set_edges(np.flatnonzero(gate_1), network.edge_length_m[gate_1] / 1.1)
    assert_same(live, seconds(opened), origins, places, kinds)
    mixed = with_gates(opened, closed=[0, 2])
    live.set_edges(np.flatnonzero(gates_0_2), np.inf)
    assert_same(live, seconds(mixed), origins, places, kinds)
    path = shapely.LineString(network.node_xy[[2, 30]])
    numbers, _ = live.add_paths([2], [30], path.length / 1.1)
    assert numbers.tolist() == [len(network.edge_u)]
    assert_same(live, seconds(add_edges(mixed, [2], [30], [path])), origins, places, kinds)
    live.add_facility(picked(places, slice(3, 4)), 0)
    more, more_kinds = joined(places, picked(places, slice(3, 4))), np.append(kinds, 0)
    assert_same(live, seconds(add_edges(mixed, [2], [30], [path])), origins, more, more_kinds)
    live.undo()
    live.set_edges(numbers, np.inf)
    assert_same(live, seconds(mixed), origins, places, kinds)
    for expected in (add_edges(mixed, [2], [30], [path]), mixed, opened, network):
        live.undo()
        assert_same(live, seconds(expected), origins, places, kinds)


def test_effect_names_who_gains_and_who_loses():
    network = net_network(4, 1)
    homes = attach_points(network, [(0, -5), (390, -5)])
    live = LiveTimes(CompiledWalk(network, 1.0), homes, attach_points(network, [(400, 0)]), [0], 1)

    number, gain = live.add_facility(attach_points(network, [(50, 0)]), 0)
    loss = live.close_facility(number)

    assert (gain.origin.tolist(), gain.kind.tolist()) == ([0], [0])
    assert gain.before_s == pytest.approx([405.0])
    assert gain.after_s == pytest.approx([55.0])
    assert (gain.facility_before.tolist(), gain.facility_after.tolist()) == ([0], [1])
    assert (loss.before_s[0], loss.after_s[0]) == (gain.after_s[0], gain.before_s[0])


def test_facility_without_a_street_changes_nothing(town):
    network, origins, places, kinds = town
    live = LiveTimes(CompiledWalk(network), origins, places, kinds, KINDS)

    number, effect = live.add_facility(attach_points(network, [(9000, 9000)]), 1)
    closed = live.close_facility(number)

    assert len(effect.origin) == len(closed.origin) == 0
    assert live.changes == 2


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda live, at: live.add_facility(at, 3), RequestInvalidError),
        (lambda live, at: live.add_facility(picked(at, slice(0, 0)), 0), RequestInvalidError),
        (lambda live, at: live.close_facility(30), NotFoundError),
        (lambda live, at: live.move_facility(-1, at), NotFoundError),
        (lambda live, at: live.set_edges([10_000], 1.0), NotFoundError),
        (lambda live, at: live.set_edges(at.edge, 1.0), RequestInvalidError),
        (lambda live, at: live.add_paths([0], [10_000], 1.0), NotFoundError),
        (lambda live, at: live.add_paths([0], [1], -1.0), RequestInvalidError),
        (lambda live, at: live.add_paths([0], [1], np.nan), RequestInvalidError),
    ],
)
def test_impossible_change_is_refused_and_leaves_nothing_to_undo(town, change, error):
    network, origins, places, kinds = town
    live = LiveTimes(CompiledWalk(network), origins, places, kinds, KINDS)

    with pytest.raises(error):
        change(live, picked(places, slice(0, 1)))

    assert live.changes == 0
