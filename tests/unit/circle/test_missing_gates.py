import numpy as np
import pytest
import shapely

from gridsvc.circle.attachments import attach_points
from gridsvc.circle.gates import Compounds, Gates, wall_streets
from gridsvc.circle.live_times import LiveTimes
from gridsvc.circle.missing_gates import rank_missing_gates
from gridsvc.circle.travel_times import CompiledWalk, nearest_times
from gridsvc.circle.walk_network import build_walk_network, with_gates
from gridsvc.errors import NotFoundError, RequestInvalidError
from tests.factories.street_towns import crooked_net, street_net

KINDS = 2


def gated_town(seed, gates=5):
    """Half of a crooked town with streets through closed gates between random corners; every second gate has two of them."""
    lines = crooked_net(seed, kept=0.5)
    rng = np.random.default_rng(seed)
    corners = np.array([line.coords[0] for line in lines])
    doubled = np.array([*range(gates), *range(0, gates, 2)])
    ways = [shapely.LineString(corners[rng.choice(len(corners), 2, replace=False)]) for _ in doubled]
    number = np.concatenate((np.full(len(lines), -1), doubled))
    return build_walk_network(lines + ways, gate=number, is_closed=number >= 0)


@pytest.mark.parametrize("seed", range(12))
def test_each_gate_brings_what_a_network_with_it_open_brings(seed):
    network = gated_town(seed)
    rng = np.random.default_rng(seed)
    homes, places = (attach_points(network, rng.uniform(0, 700, (count, 2))) for count in (60, 3))
    kinds, people, limits = np.arange(3) % KINDS, rng.integers(1, 50, 60), np.array([400.0, 600.0])
    walk = CompiledWalk(network, limit_s=600.0)
    live = LiveTimes(walk, homes, places, kinds, KINDS)

    ranked = rank_missing_gates(walk, live, people, limits)

    assert live.changes == 0
    assert sorted(ranked.gate.tolist()) == np.unique(network.edge_closed_by)[1:].tolist()
    before = live.nearest.times_s
    for row, gate in enumerate(ranked.gate.tolist()):
        after = nearest_times(with_gates(network, opened=[gate]), homes, places, kinds, KINDS, limit_s=600.0)
        new = (after <= limits) & (before > limits)
        assert ranked.people[row].tolist() == (people @ new).tolist()
        assert ranked.complete[row] == people @ ((after <= limits).all(axis=1) & (before > limits).any(axis=1))
        saved = np.where(after <= limits, np.minimum(before, limits) - after, 0.0)
        assert ranked.saved_s[row] == pytest.approx((people @ saved).sum())
    key = [
        (-row.sum(), -saved, gate) for row, saved, gate in zip(ranked.people, ranked.saved_s, ranked.gate, strict=True)
    ]
    assert key == sorted(key)


def test_somebody_at_the_limit_is_not_newly_covered_by_a_short_cut():
    # the gate shortens a way that took just the limit
    lines = [shapely.LineString([(0, 0), (0, 100), (100, 100), (100, 0)]), shapely.LineString([(0, 0), (100, 0)])]
    network = build_walk_network(lines, gate=[-1, 0], is_closed=[False, True])
    walk = CompiledWalk(network, 1.0, 300.0)
    live = LiveTimes(walk, attach_points(network, [(0, 0)]), attach_points(network, [(100, 0)]), [0], 1)

    ranked = rank_missing_gates(walk, live, [7], live.nearest.times_s[0])

    assert live.nearest.times_s[0, 0] == pytest.approx(300.0)
    assert (ranked.people[0, 0], ranked.complete[0]) == (0.0, 0.0)
    assert ranked.saved_s[0] == pytest.approx(7 * 200.0)


def test_gap_in_a_wall_beside_the_school_comes_first():
    # a compound around the middle of the net, its known gate in the west, the school in the east; streets meet its wall
    wall = shapely.box(150, 150, 350, 350)
    streets = wall_streets(
        street_net(5, 5),
        Compounds(("C1",), np.array([wall])),
        Gates(("west",), np.array([[150.0, 200.0]]), np.array([False]), ("",)),
    )
    network = build_walk_network(
        streets.lines, gate=streets.gate, is_closed=streets.is_closed, compound=streets.compound
    )
    walk = CompiledWalk(network, 1.0, 260.0)
    homes = attach_points(network, [(210, 255), (300, 260)], compound=[0, 0])
    live = LiveTimes(walk, homes, attach_points(network, [(400, 300)]), [0], 1)

    ranked = rank_missing_gates(walk, live, [70, 30], [260.0])

    best = streets.passages.xy[ranked.gate[0]]
    assert streets.passages.code[ranked.gate[0]] == ""
    assert best == pytest.approx((349, 300), abs=2.0)
    assert ranked.people[0].tolist() == [100.0]
    assert ranked.complete[0] == 100.0
    assert "west" not in [streets.passages.code[gate] for gate in ranked.gate.tolist()]


def test_network_without_closed_gates_has_nothing_to_rank():
    network = build_walk_network(street_net(2, 2))
    place = attach_points(network, [(50, 0)])
    walk = CompiledWalk(network)

    ranked = rank_missing_gates(walk, LiveTimes(walk, place, place, [0], 1), [5], [900.0])

    assert len(ranked.gate) == len(ranked.complete) == 0
    assert ranked.people.shape == (0, 1)


@pytest.mark.parametrize(
    ("options", "error", "what"),
    [
        ({"gates": [77]}, NotFoundError, "no closed gate 77"),
        ({"people": [1, 2]}, RequestInvalidError, "People of shape"),
        ({"people": [-1]}, RequestInvalidError, "below 0"),
        ({"limits_s": [100.0, 100.0]}, RequestInvalidError, "for 1 kinds"),
        ({"limits_s": [901.0]}, RequestInvalidError, "up to 900 s"),
        ({"limits_s": [np.nan]}, RequestInvalidError, "up to 900 s"),
    ],
)
def test_what_does_not_fit_is_refused(options, error, what):
    network = gated_town(1)
    place = attach_points(network, [(50, 0)])
    walk = CompiledWalk(network)
    given = {"people": [5], "limits_s": [900.0]} | options

    with pytest.raises(error, match=what):
        rank_missing_gates(walk, LiveTimes(walk, place, place, [0], 1), **given)
